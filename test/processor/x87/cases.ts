import { BINARY32, BINARY64, EXTENDED80 } from '../../../src/processor/softfloat/format.ts';
import type { Random } from '../../support/random.ts';
import { floatOperand } from '../softfloat/operands.ts';
import { type FpuCase, Image, MEMORY_SIZE } from './image.ts';

function bytesOf(value: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => Number((value >> BigInt(index * 8)) & 0xffn));
}

/** Ten bytes of packed decimal, mostly with digits up to 9. */
function decimal(random: Random): bigint {
  let value = random.chance(0.5) ? 1n << 79n : 0n;
  const digits = random.below(19);
  for (let digit = 0; digit < digits; digit++) value |= BigInt(random.below(10)) << BigInt(digit * 4);
  return value;
}

/** What a memory operand holds: integers or floats of each size, or, for what loads state, an image. */
function memoryFor(code: Uint8Array, random: Random): Uint8Array {
  const memory = random.bytes(MEMORY_SIZE);
  const [opcode = 0, modrm = 0] = code[0] === 0x66 ? code.subarray(1) : code;
  const digit = (modrm >> 3) & 7;
  const name = `${opcode.toString(16)}/${digit}`;
  if (['d9/4', 'dd/4'].includes(name)) memory.set(randomImage(random).bytes);
  else if (name === 'd9/5') memory.set(bytesOf(BigInt(random.next() & (random.chance(0.7) ? 0x1f7f : 0xffff)), 2));
  else if (name === 'df/4') memory.set(bytesOf(decimal(random), 10));
  else if (opcode === 0xd8 || opcode === 0xd9) memory.set(bytesOf(floatOperand(BINARY32, random), 4));
  else if (opcode === 0xdc || opcode === 0xdd) memory.set(bytesOf(floatOperand(BINARY64, random), 8));
  else if (name === 'db/5') memory.set(bytesOf(floatOperand(EXTENDED80, random), 10));
  else memory.set(bytesOf(random.value(), 8));
  return memory;
}

/** A state of the unit: mostly with all exceptions masked and none pending, and most registers in use. */
function randomImage(random: Random): Image {
  const image = new Image();
  const masks = random.chance(0.7) ? 0x3f : random.below(64);
  image.control = masks | 0x40 | (random.below(4) << 8) | (random.below(4) << 10) | (random.below(2) << 12);
  const exceptions = random.chance(0.2) ? random.below(128) & (random.chance(0.8) ? masks : 0x7f) : 0;
  image.status = (random.next() & 0x7f00) | exceptions;
  image.tags = random.chance(0.7) ? ([0, 3 << 14, 3 << 6, 0xffff][random.below(4)] ?? 0) : random.next() & 0xffff;
  // The register below the top is mostly free, and the two at the top are mostly in use.
  const top = (image.status >> 11) & 7;
  if (random.chance(0.8)) image.tags |= 3 << (((top + 7) & 7) * 2);
  if (random.chance(0.9)) image.tags &= ~(3 << (top * 2)) & ~(3 << (((top + 1) & 7) * 2));
  image.ip = 0x1234_5678;
  image.cs = 0x33;
  image.opcode = 0x123;
  image.dp = 0x7654_3210;
  image.ds = 0;
  const first = floatOperand(EXTENDED80, random);
  for (let index = 0; index < 8; index++) image.setSt(index, random.chance(0.1) ? first : floatOperand(EXTENDED80, random));
  return image;
}

/** A case of an encoding; memory operands are at [RBX]. */
export function randomCase(code: Uint8Array, random: Random): FpuCase {
  return {
    code,
    image: randomImage(random),
    memory: memoryFor(code, random),
    rflags: 0x202 | (random.next() & 0x8d5),
    rax: random.u64(),
  };
}

import { type FpuCase, Image, MEMORY_SIZE, type Outcome } from '../../processor/x87/image.ts';
import { NATIVE_CODE, NATIVE_DATA } from '../../processor/x87/x87-native.ts';
import type { PublishedCase, Registers } from '../case-file.ts';

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const STACK = Array.from({ length: 8 }, (_, index) => index);

/** The unit's registers by gdb's names. */
function unitRegisters(image: Image): Record<string, string> {
  const words = {
    fctrl: image.control,
    fstat: image.status,
    ftag: image.tags,
    fiseg: image.cs,
    fioff: image.ip,
    foseg: image.ds,
    fooff: image.dp,
    fop: image.opcode,
  };
  const registers = Object.fromEntries(Object.entries(words).map(([name, value]) => [name, hex(value)]));
  for (const index of STACK) registers[`st${index}`] = hex(image.st(index));
  return registers;
}

function imageOf(registers: Registers): Image {
  const value = (name: string): number => Number(registers[name] ?? 0);
  const image = new Image();
  image.control = value('fctrl');
  image.status = value('fstat');
  image.tags = value('ftag');
  image.cs = value('fiseg');
  image.ip = value('fioff');
  image.ds = value('foseg');
  image.dp = value('fooff');
  image.opcode = value('fop');
  for (const index of STACK) image.setSt(index, BigInt(registers[`st${index}`] ?? 0));
  return image;
}

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** A case as it is published; `size` bytes of memory belong to it. An exception leaves the unit as it was. */
export function publish(given: FpuCase, native: Outcome, size: number): PublishedCase {
  const before: Record<string, string> = {
    rax: hex(given.rax),
    rbx: hex(NATIVE_DATA),
    rip: hex(NATIVE_CODE),
    rflags: hex(given.rflags),
    ...unitRegisters(given.image),
  };
  const faulted = native.vector !== 0;
  const after: Record<string, string> = {
    ...before,
    rax: hex(native.rax),
    rip: hex(NATIVE_CODE + (faulted ? 0 : given.code.length)),
    rflags: hex(native.rflags & ~0x1_0000),
    ...(faulted ? {} : unitRegisters(native.image)),
  };
  const changed = Object.fromEntries(Object.entries(after).filter(([name, value]) => before[name] !== value));
  const [memory, written] = [given.memory.subarray(0, size), native.memory.subarray(0, size)];
  const address = hex(NATIVE_DATA);
  return {
    code: textOf(given.code),
    initial: { registers: before, memory: size === 0 ? {} : { [address]: textOf(memory) } },
    final: { registers: changed, memory: textOf(memory) === textOf(written) ? {} : { [address]: textOf(written) } },
    exception: faulted ? { vector: native.vector } : undefined,
  };
}

/** The case and its outcome on the recorded processor, out of what was published. */
export function parse({ code, initial, final, exception }: PublishedCase): { readonly given: FpuCase; readonly its: Outcome } {
  const memory = new Uint8Array(MEMORY_SIZE);
  for (const text of Object.values(initial.memory)) memory.set(bytesOf(text));
  const after = memory.slice();
  for (const text of Object.values(final.memory)) after.set(bytesOf(text));
  const registers = { ...initial.registers, ...final.registers };
  const number = (from: Registers, name: string): bigint => BigInt(from[name] ?? 0);
  return {
    given: {
      code: bytesOf(code),
      image: imageOf(initial.registers),
      memory,
      rflags: Number(number(initial.registers, 'rflags')),
      rax: number(initial.registers, 'rax'),
    },
    its: {
      rflags: Number(number(registers, 'rflags')),
      rax: number(registers, 'rax'),
      vector: exception?.vector ?? 0,
      image: imageOf(registers),
      memory: after,
    },
  };
}

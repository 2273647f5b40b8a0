import type { Random } from '../../support/random.ts';
import { CODE, CODE_SIZE, DATA, DATA_SIZE, DATA_WRITABLE } from './record.ts';

/** An address to access: mostly inside the data pages, sometimes across their ends, sometimes nowhere. */
export function dataAddress(random: Random): bigint {
  const kind = random.below(100);
  if (kind < 50) return DATA + BigInt(random.between(4, DATA_WRITABLE / 16 - 5) * 16);
  if (kind < 84) return DATA + BigInt(random.between(64, DATA_WRITABLE - 80));
  if (kind < 88) return DATA + 0x1000n - BigInt(random.below(16));
  if (kind < 91) return DATA + BigInt(DATA_WRITABLE - random.below(16));
  if (kind < 94) return DATA + BigInt(random.between(DATA_WRITABLE, DATA_SIZE - 64));
  if (kind < 96) return DATA + BigInt(DATA_SIZE - random.below(16));
  if (kind < 97) return DATA - BigInt(random.below(16));
  if (kind < 98) return DATA + BigInt(DATA_SIZE + random.below(0x1000));
  if (kind < 99) return BigInt(random.below(0x1000));
  return 0x8000_0000_0000n + BigInt(random.below(0x1000));
}

/** An address to jump to: mostly inside the code pages, which hold INT3. */
export function codeAddress(random: Random): bigint {
  const kind = random.below(100);
  if (kind < 94) return CODE + BigInt(random.below(CODE_SIZE));
  if (kind < 96) return CODE + BigInt(CODE_SIZE + random.below(16));
  if (kind < 98) return DATA + BigInt(DATA_SIZE + 0x1000 + random.below(16));
  return random.value() | 0x0001_0000_0000_0000n;
}

/** How a memory operand is encoded, after the registers that it uses were given the values that lead to an address. */
export interface EncodedOperand {
  readonly mod: number;
  readonly rm: number;
  readonly sib: number | undefined;
  readonly rexX: boolean;
  readonly rexB: boolean;
  readonly displacement: readonly number[];
  /** The displacement counts from the end of the instruction, whose length is not known yet. */
  readonly ripRelative: boolean;
}

export function littleEndian(value: bigint, size: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(size * 8, value);
  for (let i = 0; i < size; i++, rest >>= 8n) bytes.push(Number(rest & 0xffn));
  return bytes;
}

/**
 * Encodes a memory operand that reaches `offset` (the address without the segment's base) in a random addressing mode, and
 * sets the registers that it needs. `ripRelative` operands are finished by the caller.
 */
export function encodeMemory(random: Random, gpr: BigUint64Array, offset: bigint, size: '64' | '32' | 'only-32'): EncodedOperand {
  const address32 = size !== '64';
  const registers = size === 'only-32' ? 8 : 16;
  const register = (index: number): bigint => {
    const value = gpr[index] ?? 0n;
    return address32 ? value & 0xffff_ffffn : value;
  };
  // The upper half of a register does not count when addresses have 32 bits: fill it with noise.
  const setRegister = (index: number, value: bigint): void => {
    const noise = size === '32' ? BigInt(random.next()) << 32n : 0n;
    gpr[index] = address32 ? noise | BigInt.asUintN(32, value) : BigInt.asUintN(64, value);
  };
  const reach = BigInt.asIntN(address32 ? 32 : 64, offset);
  const fits32 = reach >= -0x8000_0000n && reach < 0x8000_0000n;
  // In 32-bit code the form with a displacement alone is absolute, and there is no REX.
  const fixed = size === 'only-32';
  const kind = random.below(100);

  if (kind < 8 && fits32 && offset >= DATA && offset < DATA + 0x1_0000n)
    return {
      mod: 0,
      rm: 5,
      sib: undefined,
      rexX: !fixed && random.chance(0.2),
      rexB: !fixed && random.chance(0.2),
      displacement: littleEndian(offset, 4),
      ripRelative: !fixed,
    };
  if (kind < 14 && fits32)
    return {
      mod: 0,
      rm: 4,
      sib: 0x25 | (random.below(4) << 6),
      rexX: false,
      rexB: !fixed && random.chance(0.2),
      displacement: littleEndian(offset, 4),
      ripRelative: false,
    };

  if (kind < 24) {
    // [index * scale + disp32]: the displacement makes up for what the index can't reach.
    const index = random.pick([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]) % registers;
    const scale = random.below(4);
    setRegister(index, reach >> BigInt(scale));
    const rest = BigInt.asIntN(address32 ? 32 : 64, reach - (register(index) << BigInt(scale)));
    const sib = (scale << 6) | ((index & 7) << 3) | 5;
    return {
      mod: 0,
      rm: 4,
      sib,
      rexX: index >= 8,
      rexB: !fixed && random.chance(0.2),
      displacement: littleEndian(rest, 4),
      ripRelative: false,
    };
  }

  const base = random.below(registers);
  let displacement = 0n;
  let mod = random.below(3);
  if (mod === 0 && (base & 7) === 5) mod = 1;
  if (mod === 1) displacement = BigInt(random.between(-128, 127));
  else if (mod === 2) displacement = BigInt(random.chance(0.5) ? random.between(-4096, 4096) : random.next() | 0);
  const withIndex = kind >= 55;
  let sib: number | undefined;
  let rexX = false;
  let sum = reach - displacement;
  if (withIndex) {
    let index = random.below(registers);
    if (index === base || index === 4) index = (base & 7) === 1 ? 2 : 1;
    const scale = random.below(4);
    if (random.chance(0.6)) setRegister(index, BigInt(random.between(-64, 64)));
    sum -= register(index) << BigInt(scale);
    sib = (scale << 6) | ((index & 7) << 3) | (base & 7);
    rexX = index >= 8;
  } else if ((base & 7) === 4 || random.chance(0.1)) {
    sib = (random.below(4) << 6) | 0x20 | (base & 7);
  }
  setRegister(base, sum);
  const bytes = mod === 0 ? 0 : mod === 1 ? 1 : 4;
  return {
    mod,
    rm: sib === undefined ? base & 7 : 4,
    sib,
    rexX,
    rexB: base >= 8,
    displacement: littleEndian(displacement, bytes),
    ripRelative: false,
  };
}

/**
 * Encodes an operand with a vector of `lanes` indices of 32 or 64 bits (VSIB) that reaches about `offset`, and sets the base register.
 * `index` gets the indices, mostly such that they stay within the data pages.
 */
export function encodeVectorIndex(
  random: Random,
  gpr: BigUint64Array,
  offset: bigint,
  size: '64' | '32' | 'only-32',
  index: { readonly register: number; readonly width: 32 | 64; readonly parts: readonly Uint8Array[] },
): EncodedOperand {
  const base = random.below(size === 'only-32' ? 8 : 16);
  const mod = (base & 7) === 5 ? random.between(1, 2) : random.below(3);
  const scale = random.below(4);
  const displacement = mod === 0 ? 0n : mod === 1 ? BigInt(random.between(-128, 127)) : BigInt(random.between(-4096, 4096));
  const noise = size === '32' ? BigInt(random.next()) << 32n : 0n;
  const value = offset - displacement;
  gpr[base] = size === '64' ? BigInt.asUintN(64, value) : noise | BigInt.asUintN(32, value);
  for (const part of index.parts)
    for (let at = 0; at < 16; at += index.width / 8) {
      const lane = random.chance(0.97) ? BigInt(random.between(-0x600, 0x600)) >> BigInt(scale) : random.value();
      part.set(littleEndian(lane, index.width / 8), at);
    }
  return {
    mod,
    rm: 4,
    sib: (scale << 6) | ((index.register & 7) << 3) | (base & 7),
    rexX: index.register >= 8,
    rexB: base >= 8,
    displacement: littleEndian(displacement, mod === 0 ? 0 : mod === 1 ? 1 : 4),
    ripRelative: false,
  };
}

/** Base and index registers of the eight forms of 16-bit addressing: BX BP SI DI are 3 5 6 7. */
const FORMS_16: readonly (readonly number[])[] = [[3, 6], [3, 7], [5, 6], [5, 7], [6], [7], [5], [3]];

/** As {@link encodeMemory}, for 16-bit addressing. */
export function encodeMemory16(random: Random, gpr: BigUint64Array, offset: bigint): EncodedOperand {
  const rm = random.below(8);
  const mod = random.below(3);
  const plain = { sib: undefined, rexX: false, rexB: false, ripRelative: false };
  if (mod === 0 && rm === 6) return { mod, rm, displacement: littleEndian(offset, 2), ...plain };
  const displacement = mod === 0 ? 0n : mod === 1 ? BigInt(random.between(-128, 127)) : BigInt(random.below(0x1_0000));
  const [base, index] = FORMS_16[rm] ?? [3];
  let sum = offset - displacement;
  if (index !== undefined) sum -= gpr[index] ?? 0n;
  // What lies above 16 bits does not count.
  if (base !== undefined) gpr[base] = ((gpr[base] ?? 0n) & ~0xffffn) | BigInt.asUintN(16, sum);
  return { mod, rm, displacement: littleEndian(displacement, mod), ...plain };
}

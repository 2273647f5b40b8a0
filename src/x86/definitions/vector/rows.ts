import type { FormText, InstructionDefinition } from '../../notation.ts';
import type { Semantics } from '../../semantics.ts';
import type { VectorSemantics, VectorValue } from '../../vector-semantics.ts';

/** What an instruction makes of 128 bits of its sources (64 with MMX registers, whose upper half reads as 0). */
export type Compute = (v: VectorSemantics, a: VectorValue, b: VectorValue, s: Semantics, part: number) => VectorValue;

/** One operation of the three generations of vector instructions. */
export interface PackedRow {
  readonly mnemonic: string;
  readonly summary: string;
  /** Map and opcode: `0F FC`. */
  readonly opcode: string;
  readonly compute: Compute;
  /** Features that the generations came with; a generation without one lacks the instruction. */
  readonly mmx?: string;
  readonly sse?: string;
  readonly avx?: string;
  readonly avx256?: string;
  /** Mandatory prefix of SSE and AVX: 66 unless given. */
  readonly prefix?: '66 ' | 'F2 ' | 'F3 ' | '';
  /** One source only: VEX.vvvv is not used. */
  readonly unary?: boolean;
  /** There is an immediate besides. */
  readonly immediate?: boolean;
  /** Size letter of the operand in memory where it isn't as wide as the vector. */
  readonly width?: string;
  readonly alignment?: 'always' | 'never';
  readonly interpreted?: boolean;
}

/** Semantics of an MMX instruction: what surrounds its work (Intel SDM vol. 1, 9.5). */
export function withMmx(work: (s: Semantics) => void): (s: Semantics) => void {
  return (s) => {
    s.vector.checkPending();
    work(s);
    s.vector.enterMmx();
  };
}

/** The definitions of a packed operation: with MMX, XMM and YMM registers. */
export function packed(row: PackedRow): InstructionDefinition[] {
  const { mnemonic, summary, opcode, unary, immediate, prefix = '66 ', width = 'x', alignment, interpreted } = row;
  const count = unary ? 1 : 2;
  const semantics = (s: Semantics) => s.vector.apply(count, ([a, b], part) => row.compute(s.vector, a, b, s, part));
  const tail = immediate ? ',Ib' : '';
  const common = { summary, alignment, interpreted };
  const definitions: InstructionDefinition[] = [];
  if (row.mmx)
    definitions.push({
      ...common,
      mnemonic,
      forms: [`${opcode} Kq,Qq${tail}`],
      feature: row.mmx,
      registers: 'mmx',
      semantics: withMmx(semantics),
    });
  if (row.sse)
    definitions.push({
      ...common,
      mnemonic,
      forms: [`${prefix}${opcode} Vx,W${width}${tail}`],
      feature: row.sse,
      registers: 'sse',
      semantics,
    });
  if (row.avx ?? row.sse)
    definitions.push({
      ...common,
      mnemonic: `V${mnemonic}`,
      forms: [`VEX ${prefix}${opcode} Vx,${unary ? '' : 'Hx,'}W${width}${tail}`],
      feature: row.avx ?? 'avx',
      feature256: row.avx256 ?? 'avx2',
      registers: 'avx',
      semantics,
    });
  return definitions;
}

/** A definition with SSE registers and its VEX twin, which have the same semantics but for what `isVex` says. */
export function twins(
  mnemonic: string,
  summary: string,
  feature: string,
  legacy: readonly FormText[],
  vex: readonly FormText[],
  semantics: (s: Semantics) => void,
  more: Partial<InstructionDefinition> = {},
): InstructionDefinition[] {
  const definitions: InstructionDefinition[] = [
    { mnemonic, summary, forms: legacy, feature, registers: 'sse', ...more, feature256: undefined, semantics },
    { mnemonic: `V${mnemonic}`, summary, forms: vex, feature: 'avx', registers: 'avx', ...more, semantics },
  ];
  return definitions.filter(({ forms }) => forms.length > 0);
}

const range = (length: number): number[] => Array.from({ length }, (_, index) => index);

/** Byte k is k. */
export function iota(v: VectorSemantics): VectorValue {
  return v.bytes(range(16));
}

/** All lanes are a constant. */
export function lanesOf(v: VectorSemantics, width: 8 | 16 | 32 | 64, value: bigint): VectorValue {
  const bytes = range(width / 8).map((index) => Number((value >> BigInt(index * 8)) & 0xffn));
  return v.bytes(range(16).map((index) => bytes[index % (width / 8)] ?? 0));
}

/** Lanes of their own constants, the lowest first. */
export function constants(v: VectorSemantics, width: 16 | 32 | 64, values: readonly number[]): VectorValue {
  const size = width / 8;
  return v.bytes(
    range(16).map((index) => Number((BigInt(values[Math.floor(index / size)] ?? 0) >> BigInt((index % size) * 8)) & 0xffn)),
  );
}

/** Shuffle indices for lanes of `size` bytes. */
export function byLanes(size: number, lanes: readonly number[]): number[] {
  return lanes.flatMap((lane) => range(size).map((index) => lane * size + index));
}

/** All bits of the lanes whose bit `k` of a small number is set, k being the lane. */
export function maskOfBits(s: Semantics, width: 16 | 32 | 64, bits: ReturnType<Semantics['constant']>): VectorValue {
  const v = s.vector;
  const own = constants(
    v,
    width,
    range(128 / width).map((lane) => 1 << lane),
  );
  const set = v.lanes('v128.and', v.splat(width, bits), own);
  const equal = ({ 16: 'i16x8.eq', 32: 'i32x4.eq', 64: 'i64x2.eq' } as const)[width];
  return v.lanes(equal, set, own);
}

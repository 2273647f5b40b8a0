import { BINARY16, BINARY32, BINARY64, type FloatFormat } from '../../../src/processor/softfloat/format.ts';
import type { Random } from '../../support/random.ts';
import { floatOperand } from '../softfloat/operands.ts';
import { littleEndian } from './memory-operand.ts';
import type { CaseBuilder } from './operand-values.ts';
import type { VectorState } from './vector-state.ts';

/** What the lanes of a vector are filled with. */
type Kind = 'i8' | 'i16' | 'i32' | 'i64' | 'f16' | 'f32' | 'f64' | 'text8' | 'text16';
const KINDS: readonly Kind[] = ['i8', 'i16', 'i32', 'i64', 'f32', 'f64'];
const WIDTH: Readonly<Record<Kind, number>> = {
  i8: 8,
  i16: 16,
  i32: 32,
  i64: 64,
  f16: 16,
  f32: 32,
  f64: 64,
  text8: 8,
  text16: 16,
};
const FORMAT: Readonly<Partial<Record<Kind, FloatFormat>>> = { f16: BINARY16, f32: BINARY32, f64: BINARY64 };

/** Lanes that an instruction's name speaks of. */
const BY_NAME: readonly (readonly [RegExp, readonly Kind[]])[] = [
  [/^v?cvtph/, ['f16']],
  [/^v?cvtt?(ps|ss)/, ['f32']],
  [/^v?cvtt?(pd|sd)/, ['f64']],
  [/^v?cvt(dq|pi|si)/, ['i32', 'i64']],
  [/^v?pcmp[ei]str/, ['text8', 'text16']],
  [/^v?p(?!erm).*(bw|b|uqb|str[im])$/, ['i8', 'i16']],
  [/^v?p(?!erm).*w$/, ['i16']],
  [/^v?p(?!erm).*wd$/, ['i16', 'i32']],
  [/^v?p(?!erm).*d$/, ['i32']],
  [/^v?p(?!erm).*q$/, ['i64', 'i32']],
  [/[ps]s$/, ['f32']],
  [/[ps]d(_xmm)?$/, ['f64']],
];

/** Makes lanes for one case. Some values come again and again, so that lanes are equal, or nearly so. */
class Lanes {
  private readonly pools = new Map<Kind, number[]>();
  private readonly widePools = new Map<Kind, bigint[]>();
  constructor(private readonly random: Random) {}

  /** A lane of up to 32 bits; what is above its width means nothing. */
  private fresh(kind: Kind): number {
    const { random } = this;
    const format = FORMAT[kind];
    if (format) return Number(floatOperand(format, random));
    if (kind.startsWith('text')) {
      const choice = random.below(10);
      return choice === 0 ? 0 : choice === 1 ? random.next() : random.between(0x61, 0x66);
    }
    const choice = random.below(10);
    const width = WIDTH[kind];
    const top = 2 ** (width - 1);
    if (choice < 4) return random.pick([0, 0, 1, -1, top, top - 1, top + 1, 2]);
    return choice < 6 ? random.below(width + 6) : random.next();
  }

  private freshWide(kind: Kind): bigint {
    const { random } = this;
    if (kind === 'f64') return floatOperand(BINARY64, random);
    const choice = random.below(10);
    const top = 1n << 63n;
    if (choice < 4) return random.pick([0n, 0n, 1n, -1n, top, top - 1n, top + 1n, 2n]);
    return choice < 6 ? BigInt(random.below(70)) : random.u64();
  }

  /** A value, given how such are made and how bits of them are changed. */
  private lane<T>(pools: Map<Kind, T[]>, kind: Kind, fresh: () => T, change: (value: T, how: 'up' | 'down' | 'sign') => T): T {
    const { random } = this;
    let pool = pools.get(kind);
    if (!pool) {
      pool = [fresh(), fresh(), fresh(), fresh()];
      pools.set(kind, pool);
    }
    const choice = random.below(10);
    if (choice < 3) return random.pick(pool);
    if (choice === 3) return change(random.pick(pool), random.chance(0.5) ? 'up' : 'down');
    if (choice === 4) return change(random.pick(pool), 'sign');
    return fresh();
  }

  /** Fills whole bytes with lanes of a kind. */
  fill(bytes: Uint8Array, kind: Kind): void {
    const width = WIDTH[kind];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (width === 64) {
      const step = { up: 1n, down: -1n } as const;
      for (let at = 0; at + 8 <= bytes.length; at += 8) {
        const value = this.lane(
          this.widePools,
          kind,
          () => this.freshWide(kind),
          (x, how) => (how === 'sign' ? x ^ (1n << 63n) : x + step[how]),
        );
        view.setBigUint64(at, BigInt.asUintN(64, value), true);
      }
      return;
    }
    const sign = 1 << (width - 1);
    for (let at = 0; at + width / 8 <= bytes.length; at += width / 8) {
      const value = this.lane(
        this.pools,
        kind,
        () => this.fresh(kind),
        (x, how) => (how === 'sign' ? x ^ sign : how === 'up' ? x + 1 : x - 1),
      );
      if (width === 8) view.setUint8(at, value);
      else if (width === 16) view.setUint16(at, value, true);
      else view.setUint32(at, value, true);
    }
  }
}

function kindFor(mnemonic: string, random: Random): Kind {
  const kinds = random.chance(0.85) ? BY_NAME.find(([pattern]) => pattern.test(mnemonic))?.[1] : undefined;
  return random.pick(kinds ?? KINDS);
}

/** Rounding, flushing and masks, and flags that were set before. */
function initialMxcsr(random: Random): number {
  let value = 0x1f80 | (random.chance(0.5) ? 0x20 : random.below(64));
  if (random.chance(0.5)) value |= random.below(4) << 13;
  if (random.chance(0.2)) value |= 0x8000;
  if (random.chance(0.2)) value |= 0x40;
  if (random.chance(0.15)) value &= ~(random.below(64) << 7);
  return value;
}

function fillX87(vectors: VectorState, random: Random, lanes: Lanes, kind: Kind, mayWait: boolean): void {
  vectors.control = 0x37f;
  vectors.status = (random.below(8) << 11) | (random.next() & 0x4700);
  vectors.tags = random.below(256);
  // An exception that waits: it goes before MMX instructions.
  if (mayWait && random.chance(0.03)) {
    vectors.control = 0x37e;
    vectors.status |= 0x8081;
  }
  for (let register = 0; register < 8; register++) {
    const bytes = vectors.x87(register);
    lanes.fill(bytes.subarray(0, 8), WIDTH[kind] > 64 ? 'i64' : kind);
    bytes.set(random.chance(0.5) ? [0xff, 0xff] : random.bytes(2), 8);
  }
}

const ALL: readonly number[] = Array.from({ length: 16 }, (_, register) => register);

/** Fills a vector register; registers behind the first eight have parts of earlier ones, which is less work. */
function fillRegister(
  vectors: VectorState,
  register: number,
  random: Random,
  lanes: Lanes,
  kind: Kind,
  mayRepeat: boolean,
): void {
  for (let part = 0; part < 2; part++) {
    const bytes = vectors.part(register, part);
    if (register >= 8 && mayRepeat) bytes.set(vectors.part(random.below(8), random.below(2)));
    else lanes.fill(bytes, random.chance(0.9) ? kind : random.pick(KINDS));
  }
}

/** Random vector registers, x87 registers and what controls them. */
export function fillVectorState(vectors: VectorState, random: Random): void {
  const lanes = new Lanes(random);
  for (let register = 0; register < 16; register++)
    for (let part = 0; part < 2; part++) lanes.fill(vectors.part(register, part), random.pick(KINDS));
  vectors.mxcsr = initialMxcsr(random);
  fillX87(vectors, random, lanes, random.pick(KINDS), true);
}

/** Vector registers (all, or some) and what controls them; general registers that the instruction looks at. */
export function prepareVectors(c: CaseBuilder, registers: readonly number[] = ALL): void {
  const { random, gpr, mnemonic, form } = c;
  const { vectors } = c.request;
  if (!vectors) throw new Error('the record has no room for vectors');
  const lanes = new Lanes(random);
  const kind = kindFor(mnemonic, random);
  for (const register of registers) fillRegister(vectors, register, random, lanes, kind, registers === ALL);
  vectors.mxcsr = initialMxcsr(random);
  // AMD's processors don't take CVTPI2PS for an MMX instruction with an operand in memory.
  if (registers === ALL || form.operands.some((operand) => operand.startsWith('mm_')))
    fillX87(vectors, random, lanes, kind, mnemonic !== 'cvtpi2ps');
  // Values near the largest integers that a format has exactly, and of all magnitudes.
  if (mnemonic.includes('cvtsi2'))
    for (let index = 0; index < 16; index++)
      if (random.chance(0.7)) gpr[index] = BigInt.asUintN(64, BigInt.asIntN(64, random.u64()) >> BigInt(random.below(64)));
  if (/pcmpestr/.test(mnemonic))
    for (const index of [0, 2])
      if (random.chance(0.8)) gpr[index] = BigInt.asUintN(form.bits === 64 ? 64 : 32, BigInt(random.between(-20, 20)));
  if (form.operands.includes('seg_rDI')) {
    const offset = c.dataOffset();
    gpr[7] = BigInt.asUintN(64, c.noise() | (offset - c.segmentBase));
    c.target = c.linear(offset);
  }
  c.fillContents = (bytes) => lanes.fill(bytes, random.chance(0.9) ? kind : random.pick(KINDS));
}

/** What lies at the memory operand. */
export function vectorContents(c: CaseBuilder): number[] {
  // Not bit 17, which AMD's processors have.
  if (/ldmxcsr/.test(c.mnemonic)) return littleEndian(BigInt(c.random.next() & (c.random.chance(0.8) ? 0xffff : 0xfffd_ffff)), 4);
  const bytes = new Uint8Array(32);
  c.fillContents?.(bytes);
  return [...bytes];
}

import { add, div, fma, mul, sqrt, sub } from '../softfloat/arithmetic.ts';
import { compare, max, min } from '../softfloat/compare.ts';
import { convert, fromInt, roundToInt, toInt } from '../softfloat/convert.ts';
import { type FloatEnvironment, FloatFlag, type RoundingMode, sseEnvironment } from '../softfloat/environment.ts';
import { BINARY16, BINARY32, BINARY64, defaultNan, type FloatFormat, infinity, unpack } from '../softfloat/format.ts';
import { quieted } from '../softfloat/nan.ts';
import type { Assist, AssistFrame } from './assist-frame.ts';
import { isPlain } from './plain-rounding.ts';
import { NOT_QUICK, type QuickOperation, quickLane } from './quick-lanes.ts';

/** Exceptions that are found before anything is computed. */
const BEFORE_COMPUTATION = FloatFlag.IE | FloatFlag.DE | FloatFlag.ZE;

/** Lanes of a frame in a format. */
function read(frame: AssistFrame, format: FloatFormat, operand: number, lane: number): bigint {
  if (format === BINARY64) return frame.u64(operand, lane);
  return BigInt(format === BINARY32 ? frame.u32(operand, lane) : frame.u16(operand, lane));
}

function write(frame: AssistFrame, format: FloatFormat, lane: number, value: bigint): void {
  if (format === BINARY64) frame.set64(lane, value);
  else if (format === BINARY32) frame.set32(lane, Number(BigInt.asIntN(32, value)));
  else frame.set16(lane, Number(value));
}

/** The stages that exceptions are raised in: nothing comes with the rounding when something unmasked came before it in any lane. */
const stagesOf = (flags: number): [before: number, after: number] => [flags & BEFORE_COMPUTATION, flags & ~BEFORE_COMPUTATION];

/** Computes lanes one by one and raises what they raise together. */
function eachLane(frame: AssistFrame, lanes: number, compute: (environment: FloatEnvironment, lane: number) => void): void {
  const environment = sseEnvironment(frame.mxcsr);
  let flags = 0;
  for (let lane = 0; lane < lanes; lane++) {
    environment.flags = 0;
    compute(environment, lane);
    flags |= environment.flags;
  }
  frame.raise(...stagesOf(flags));
}

type Operation = (environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint, c: bigint, lane: number) => bigint;

function lanewise(format: FloatFormat, lanes: number, operation: Operation): Assist {
  return (frame) => {
    frame.clear();
    eachLane(frame, lanes, (environment, lane) => {
      const operand = (index: number) => read(frame, format, index, lane);
      write(frame, format, lane, operation(environment, format, operand(0), operand(1), operand(2), lane));
    });
  };
}

/** The same, by JavaScript's own numbers where that is as good: infinities and NaNs are met lane after lane where they are met at all. */
function quickLanewise(format: FloatFormat, lanes: number, operation: Operation, quick: QuickOperation): Assist {
  const exact = lanewise(format, lanes, operation);
  const isDouble = format === BINARY64;
  return (frame, immediate) => {
    if (!isPlain(frame.mxcsr)) return exact(frame, immediate);
    frame.clear();
    let flags = 0;
    for (let lane = 0; lane < lanes; lane++) {
      const raised = quickLane(frame, isDouble, quick, lane);
      if (raised === NOT_QUICK) return exact(frame, immediate);
      flags |= raised;
    }
    frame.raise(...stagesOf(flags));
  };
}

function fused(negateProduct: boolean, negateAddend: (lane: number) => boolean): Operation {
  return (environment, format, a, b, c, lane) => fma(environment, format, a, b, c, negateProduct, negateAddend(lane));
}

const isEven = (lane: number) => lane % 2 === 0;

/** Reciprocals as good as 12 bits: the exact value, rounded to them, without exceptions. Denormals count as zeros. */
function approximate(root: boolean): Operation {
  return (_environment, format, a) => {
    const environment: FloatEnvironment = { ...sseEnvironment(0x1f80), daz: true, ftz: true, precision: 12 };
    const x = unpack(format, a);
    if (x.kind === 'quiet' || x.kind === 'signaling') return quieted(format, x);
    if (x.kind === 'zero' || x.denormal) return infinity(format, x.negative);
    if (root && x.negative) return defaultNan(format);
    // Results below the normal numbers are flushed, and so is the least of these.
    if (!root && (a & 0x7fff_ffffn) >= 0x7e80_0000n) return a & 0x8000_0000n;
    const divisor = root ? sqrt(environment, format, a) : a;
    return div({ ...environment, flags: 0 }, format, 0x3f80_0000n, divisor);
  };
}

const QUICK: Readonly<Record<QuickOperation, Operation>> = { add, sub, mul, div };
const OPERATIONS: Readonly<Record<string, Operation>> = {
  min,
  max,
  sqrt: (environment, format, a) => sqrt(environment, format, a),
  addsub: (environment, format, a, b, _c, lane) => (isEven(lane) ? sub : add)(environment, format, a, b),
  rcp: approximate(false),
  rsqrt: approximate(true),
  fmadd: fused(false, () => false),
  fmsub: fused(false, () => true),
  fnmadd: fused(true, () => false),
  fnmsub: fused(true, () => true),
  fmaddsub: fused(false, isEven),
  fmsubadd: fused(false, (lane) => !isEven(lane)),
};

// --- comparisons ----------------------------------------------------------------------------------------------------------------

/** Relations for which predicates 0–15 are true: less 1, equal 2, greater 4, unordered 8 (Intel SDM vol. 2A, CMPPD). */
const PREDICATES = [2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15];
const RELATIONS = { less: 1, equal: 2, greater: 4, unordered: 8 } as const;
/** Predicates 0–31 that raise IE for quiet NaNs too. */
const SIGNALING = 0x9999_6666;

function comparison(format: FloatFormat, lanes: number): Assist {
  return (frame, predicate) => {
    frame.clear();
    const wanted = PREDICATES[predicate & 15] ?? 0;
    const signaling = ((SIGNALING >>> predicate) & 1) !== 0;
    eachLane(frame, lanes, (environment, lane) => {
      const relation = compare(environment, format, read(frame, format, 0, lane), read(frame, format, 1, lane), signaling);
      write(frame, format, lane, wanted & RELATIONS[relation] ? -1n : 0n);
    });
  };
}

/** ZF, PF and CF. */
const ORDER_FLAGS = { less: 0x01, equal: 0x40, greater: 0, unordered: 0x45 } as const;

function order(format: FloatFormat, signaling: boolean): Assist {
  return (frame) => {
    frame.clear();
    eachLane(frame, 1, (environment) => {
      const relation = compare(environment, format, read(frame, format, 0, 0), read(frame, format, 1, 0), signaling);
      frame.set32(0, ORDER_FLAGS[relation]);
    });
  };
}

// --- conversions -------------------------------------------------------------------------------------------------------------------

function rounding(format: FloatFormat, lanes: number): Assist {
  return (frame, immediate) => {
    frame.clear();
    eachLane(frame, lanes, (environment, lane) => {
      const mode = immediate & 4 ? environment.rounding : ((immediate & 3) as RoundingMode);
      write(frame, format, lane, roundToInt(environment, format, read(frame, format, 0, lane), mode, (immediate & 8) !== 0));
    });
  };
}

/** To integers of 32 or 64 bits, `lanes` of them. */
function toIntegers(format: FloatFormat, lanes: number, bits: 32 | 64, truncate: boolean): Assist {
  return (frame) => {
    frame.clear();
    eachLane(frame, lanes, (environment, lane) => {
      const value = toInt(environment, format, read(frame, format, 0, lane), bits, truncate);
      if (bits === 64) frame.set64(lane, value);
      else frame.set32(lane, Number(BigInt.asIntN(32, value)));
    });
  };
}

function fromIntegers(format: FloatFormat, lanes: number, bits: 32 | 64): Assist {
  return (frame) => {
    frame.clear();
    eachLane(frame, lanes, (environment, lane) => {
      const value = bits === 64 ? BigInt.asIntN(64, frame.u64(0, lane)) : BigInt(frame.u32(0, lane) | 0);
      write(frame, format, lane, fromInt(environment, format, value));
    });
  };
}

function between(from: FloatFormat, to: FloatFormat, lanes: number): Assist {
  return (frame, immediate) => {
    frame.clear();
    eachLane(frame, lanes, (environment, lane) => {
      // VCVTPS2PH has a rounding of its own.
      if (to === BINARY16 && !(immediate & 4)) environment.rounding = (immediate & 3) as RoundingMode;
      write(frame, to, lane, convert(environment, from, to, read(frame, from, 0, lane)));
    });
  };
}

// --- dot products --------------------------------------------------------------------------------------------------------------------

/**
 * Products of the lanes that the immediate's upper half names are added in pairs, and the sum goes to those that its lower half
 * names (Intel SDM vol. 2A, DPPS): each step rounds and raises for itself.
 */
function dotProduct(format: FloatFormat, lanes: 2 | 4): Assist {
  return (frame, immediate) => {
    frame.clear();
    const environment = sseEnvironment(frame.mxcsr);
    let flags = 0;
    const step = (operation: typeof add, a: bigint, b: bigint): bigint => {
      environment.flags = 0;
      const result = operation(environment, format, a, b);
      flags |= environment.flags;
      return result;
    };
    const stages: number[] = [];
    const finish = () => {
      stages.push(...stagesOf(flags));
      flags = 0;
    };
    let values = Array.from({ length: lanes }, (_, lane) =>
      (immediate >> (4 + lane)) & 1 ? step(mul, read(frame, format, 0, lane), read(frame, format, 1, lane)) : 0n,
    );
    finish();
    while (values.length > 1) {
      values = Array.from({ length: values.length / 2 }, (_, index) =>
        step(add, values[index * 2] ?? 0n, values[index * 2 + 1] ?? 0n),
      );
      finish();
    }
    frame.raise(...stages);
    for (let lane = 0; lane < lanes; lane++) write(frame, format, lane, (immediate >> lane) & 1 ? (values[0] ?? 0n) : 0n);
  };
}

/** The assists in floating point, by name. */
export function floatingAssists(): Map<string, Assist> {
  const assists = new Map<string, Assist>();
  for (const [suffix, format, lanes] of [
    ['f32x4', BINARY32, 4],
    ['f64x2', BINARY64, 2],
    ['f32s', BINARY32, 1],
    ['f64s', BINARY64, 1],
  ] as const) {
    for (const [name, operation] of Object.entries(OPERATIONS))
      assists.set(`${name}.${suffix}`, lanewise(format, lanes, operation));
    for (const [name, operation] of Object.entries(QUICK))
      assists.set(`${name}.${suffix}`, quickLanewise(format, lanes, operation, name as QuickOperation));
    assists.set(`cmp.${suffix}`, comparison(format, lanes));
    assists.set(`round.${suffix}`, rounding(format, lanes));
    if (lanes !== 1) continue;
    assists.set(`comi.${suffix}`, order(format, true));
    assists.set(`ucomi.${suffix}`, order(format, false));
    for (const bits of [32, 64] as const) {
      assists.set(`to${bits}.${suffix}`, toIntegers(format, 1, bits, false));
      assists.set(`to${bits}t.${suffix}`, toIntegers(format, 1, bits, true));
      assists.set(`from${bits}.${suffix}`, fromIntegers(format, 1, bits));
    }
  }
  assists.set('widen.f32s', between(BINARY32, BINARY64, 1));
  assists.set('narrow.f64s', between(BINARY64, BINARY32, 1));
  assists.set('i32.f32x4', fromIntegers(BINARY32, 4, 32));
  assists.set('f32x4.i32', toIntegers(BINARY32, 4, 32, false));
  assists.set('f32x4.i32t', toIntegers(BINARY32, 4, 32, true));
  assists.set('f64x2.i32', toIntegers(BINARY64, 2, 32, false));
  assists.set('f64x2.i32t', toIntegers(BINARY64, 2, 32, true));
  assists.set('f32x2.f64x2', between(BINARY32, BINARY64, 2));
  assists.set('f64x2.f32x2', between(BINARY64, BINARY32, 2));
  assists.set('f16x4.f32x4', between(BINARY16, BINARY32, 4));
  assists.set('f32x4.f16x4', between(BINARY32, BINARY16, 4));
  assists.set('dpps', dotProduct(BINARY32, 4));
  assists.set('dppd', dotProduct(BINARY64, 2));
  return assists;
}

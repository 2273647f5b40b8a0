import { describe, expect, test } from 'vitest';
import { add, div, fma, mul, sqrt, sub } from '../../../src/processor/softfloat/arithmetic.ts';
import { compare, max, min } from '../../../src/processor/softfloat/compare.ts';
import { convert, fromInt, roundToInt, toInt } from '../../../src/processor/softfloat/convert.ts';
import { type FloatEnvironment, Rounding, sseEnvironment } from '../../../src/processor/softfloat/environment.ts';
import { BINARY16, BINARY32, BINARY64, type FloatFormat } from '../../../src/processor/softfloat/format.ts';
import { Random } from '../../support/random.ts';
import { hostFeatures, whyNotNative } from '../native/native-machine.ts';
import { floatOperand } from './operands.ts';
import { runSse, type SseRequest } from './sse-native.ts';

const COUNT = 4_000;
const reason = whyNotNative();

type Operands = readonly [bigint, bigint, bigint];

interface Operation {
  readonly name: string;
  /** Of `native.c`; the double one has the next number. */
  readonly number: number;
  readonly formats: readonly FloatFormat[];
  readonly run: (environment: FloatEnvironment, format: FloatFormat, operands: Operands) => bigint;
  readonly bits?: number;
  readonly integer?: boolean;
}

const BOTH = [BINARY32, BINARY64];
/** ZF PF CF in AH, as UCOMISS sets them, over the bits of AX that LAHF leaves. */
const RELATIONS = { less: 0x01, equal: 0x40, greater: 0x00, unordered: 0x45 };

function comparison(signalQuiet: boolean): Operation['run'] {
  return (environment, format, [a, b]) => {
    const flags = RELATIONS[compare(environment, format, a, b, signalQuiet)];
    return BigInt((((flags | 2) << 8) | Number(a & 0xffn)) & 0xffff) | (a & 0xffff_ffff_ffff_0000n);
  };
}

const rounding = (name: string, number: number, mode: 0 | 1 | 2 | 3 | 'current', quiet: boolean): Operation => ({
  name,
  number,
  formats: BOTH,
  run: (environment, format, [a]) => roundToInt(environment, format, a, mode, quiet),
});

const operations: readonly Operation[] = [
  { name: 'ADD', number: 0, formats: BOTH, run: (e, f, [a, b]) => add(e, f, a, b) },
  { name: 'SUB', number: 2, formats: BOTH, run: (e, f, [a, b]) => sub(e, f, a, b) },
  { name: 'MUL', number: 4, formats: BOTH, run: (e, f, [a, b]) => mul(e, f, a, b) },
  { name: 'DIV', number: 6, formats: BOTH, run: (e, f, [a, b]) => div(e, f, a, b) },
  { name: 'MIN', number: 8, formats: BOTH, run: (e, f, [a, b]) => min(e, f, a, b) },
  { name: 'MAX', number: 10, formats: BOTH, run: (e, f, [a, b]) => max(e, f, a, b) },
  { name: 'SQRT', number: 12, formats: BOTH, run: (e, f, [a]) => sqrt(e, f, a) },
  { name: 'UCOMI', number: 14, formats: BOTH, run: comparison(false), bits: 64 },
  { name: 'COMI', number: 16, formats: BOTH, run: comparison(true), bits: 64 },
  rounding('ROUND to nearest', 18, Rounding.NEAREST, false),
  rounding('ROUND down', 20, Rounding.DOWN, false),
  rounding('ROUND up', 22, Rounding.UP, false),
  rounding('ROUND to zero', 24, Rounding.ZERO, false),
  rounding('ROUND as MXCSR says', 26, 'current', false),
  rounding('ROUND down without PE', 28, Rounding.DOWN, true),
  { name: 'CVTSS2SD', number: 30, formats: [BINARY32], run: (e, f, [a]) => convert(e, f, BINARY64, a), bits: 64 },
  { name: 'CVTSD2SS', number: 30, formats: [BINARY64], run: (e, f, [a]) => convert(e, f, BINARY32, a), bits: 32 },
  { name: 'CVT2SI, 32 bits', number: 32, formats: BOTH, run: (e, f, [a]) => toInt(e, f, a, 32, false), bits: 32 },
  { name: 'CVT2SI, 64 bits', number: 34, formats: BOTH, run: (e, f, [a]) => toInt(e, f, a, 64, false), bits: 64 },
  { name: 'CVTT2SI, 32 bits', number: 36, formats: BOTH, run: (e, f, [a]) => toInt(e, f, a, 32, true), bits: 32 },
  { name: 'CVTT2SI, 64 bits', number: 38, formats: BOTH, run: (e, f, [a]) => toInt(e, f, a, 64, true), bits: 64 },
  { name: 'CVTSI2', number: 40, formats: BOTH, run: (e, f, [a]) => fromInt(e, f, BigInt.asIntN(64, a)), integer: true },
  { name: 'FMADD', number: 42, formats: BOTH, run: (e, f, [a, b, c]) => fma(e, f, b, a, c) },
  { name: 'FMSUB', number: 44, formats: BOTH, run: (e, f, [a, b, c]) => fma(e, f, b, a, c, false, true) },
  { name: 'FNMADD', number: 46, formats: BOTH, run: (e, f, [a, b, c]) => fma(e, f, b, a, c, true) },
  { name: 'FNMSUB', number: 48, formats: BOTH, run: (e, f, [a, b, c]) => fma(e, f, b, a, c, true, true) },
  { name: 'VCVTPH2PS', number: 50, formats: [BINARY16], run: (e, f, [a]) => convert(e, f, BINARY32, a), bits: 32 },
  { name: 'VCVTPS2PH', number: 51, formats: [BINARY32], run: (e, f, [a]) => convert(e, f, BINARY16, a), bits: 16 },
];

function makeRequest({ number, formats, integer }: Operation, format: FloatFormat, random: Random): SseRequest {
  // Mostly all exceptions masked; else some of them not.
  const masks = random.chance(0.7) ? 0x3f : random.below(64);
  const mxcsr = (random.below(4) << 13) | (masks << 7) | (random.chance(0.3) ? 0x40 : 0) | (random.chance(0.3) ? 0x8000 : 0);
  const operand = () => (integer ? random.value() : floatOperand(format, random));
  const a = operand();
  const b = random.chance(0.1) ? a : operand();
  return {
    operation: number + formats.indexOf(format) + (number === 30 && format === BINARY64 ? 1 : 0),
    mxcsr,
    operands: [a, b, operand()],
  };
}

describe.skipIf(reason)(`soft-float agrees with the processor's SSE${reason ? ` (skipped: ${reason})` : ''}`, () => {
  if (reason) return;
  const features = hostFeatures();
  for (const operation of operations) {
    const { name, number, formats, run, bits } = operation;
    const isThere = number >= 50 ? features.has('f16c') : number >= 42 ? features.has('fma') : features.has('sse4_1');
    for (const format of formats)
      test.skipIf(!isThere)(`${name}, binary${format.size}`, () => {
        const random = new Random(number * 100 + format.size);
        const requests = Array.from({ length: COUNT }, () => makeRequest(operation, format, random));
        const wrong: string[] = [];
        runSse(requests).forEach((native, index) => {
          const request = requests[index];
          if (!request) return;
          const environment = sseEnvironment(request.mxcsr);
          const result = run(environment, format, request.operands);
          const faulted = (environment.flags & ~environment.masks) !== 0;
          const text = (value: bigint, flags: number, fault: boolean): string =>
            `${fault ? 'fault' : BigInt.asUintN(bits ?? format.size, value).toString(16)} flags ${flags.toString(16)}`;
          const own = text(result, environment.flags, faulted);
          const its = text(native.result, native.flags, native.faulted);
          const operands = request.operands.map((value) => value.toString(16)).join(' ');
          if (own !== its) wrong.push(`${operands} mxcsr ${request.mxcsr.toString(16)}: ${own}, processor: ${its}`);
        });
        expect([wrong.length, ...wrong.slice(0, 10)]).toEqual([0]);
      });
  }
});

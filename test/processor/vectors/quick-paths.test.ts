import { describe, expect, test } from 'vitest';
import { add, div, fma, mul, sqrt, sub } from '../../../src/processor/softfloat/arithmetic.ts';
import { type FloatEnvironment, sseEnvironment } from '../../../src/processor/softfloat/environment.ts';
import { BINARY32, BINARY64, type FloatFormat } from '../../../src/processor/softfloat/format.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { Random } from '../../support/random.ts';
import { At, SystemMachine } from '../system/machine.ts';
import { codeOf } from '../translator/programs.ts';

/** All masked, rounding to nearest, PE noted: what the quick ways are for. */
const PLAIN = 0x1fa0;
/** The same with nothing noted: what is exact is quick too. */
const CLEAR = 0x1f80;
const CASES = 3000;

type Exact = (environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint, c: bigint) => bigint;

/** Instructions on (xmm1, xmm2, xmm3), with their results in xmm1. */
const OPERATIONS: readonly (readonly [name: string, exact: Exact])[] = [
  ['vadd', (e, f, a, b) => add(e, f, a, b)],
  ['vsub', (e, f, a, b) => sub(e, f, a, b)],
  ['vmul', (e, f, a, b) => mul(e, f, a, b)],
  ['vdiv', (e, f, a, b) => div(e, f, a, b)],
  ['vsqrt', (e, f, _a, b) => sqrt(e, f, b)],
  ['vfmadd213', (e, f, a, b, c) => fma(e, f, b, a, c)],
  ['vfnmsub213', (e, f, a, b, c) => fma(e, f, b, a, c, true, true)],
];

function operandsOf(name: string): string {
  return name === 'vsqrt' ? 'ymm1, ymm2' : name.startsWith('vf') ? 'ymm1, ymm2, ymm3' : 'ymm1, ymm1, ymm2';
}

/** Numbers whose sums, products and quotients are next to what rounding and exponents have as limits. */
function numbers(random: Random, format: FloatFormat): [bigint, bigint, bigint] {
  const bits = BigInt(format.size);
  const any = (): bigint => {
    const exponent = random.pick([
      0,
      1,
      2,
      format.maximumBiased - 1,
      format.maximumBiased,
      format.bias,
      random.below(format.maximumBiased),
    ]);
    const near = BigInt(
      Math.max(0, Math.min(format.maximumBiased, random.chance(0.7) ? format.bias + random.between(-30, 30) : exponent)),
    );
    const short =
      random.value() &
      format.storedMask &
      -(1n << ((format.storedBits * BigInt(random.below(4))) / 4n + BigInt(random.below(3))));
    const significand = random.pick([0n, 1n, format.storedMask, format.quietBit, random.value() & format.storedMask, short]);
    return (BigInt(random.below(2)) << (bits - 1n)) | (near << format.storedBits) | significand;
  };
  const [a, b] = [any(), any()];
  // Often nearly the opposite of the product: most of it is cancelled.
  const product = mul(sseEnvironment(PLAIN), format, a, b);
  const opposite = BigInt.asUintN(format.size, (product ^ (1n << (bits - 1n))) + BigInt(random.between(-2, 2)));
  return [a, b, random.chance(0.4) ? opposite : any()];
}

function writeVector(machine: SystemMachine, register: number, format: FloatFormat, lanes: readonly bigint[]): void {
  const perWord = 64 / format.size;
  for (let word = 0; word < 4; word++) {
    let value = 0n;
    for (let lane = 0; lane < perWord; lane++) value |= (lanes[word * perWord + lane] ?? 0n) << BigInt(lane * format.size);
    machine.state.set64(L.VECTORS + register * L.VECTOR_SIZE + word * 8, value);
  }
}

describe.each([
  ['ps', BINARY32, PLAIN],
  ['pd', BINARY64, PLAIN],
  ['ps', BINARY32, CLEAR],
  ['pd', BINARY64, CLEAR],
] as const)('the quick ways of %s', (suffix, format, mxcsr) => {
  test.each(OPERATIONS)('%s gives what exact arithmetic gives', (name, exact) => {
    const machine = new SystemMachine('long', 'amd', { threshold: 0 }, 'max');
    machine.memory.write(BigInt(At.CODE), codeOf(`bits 64\n${name}${suffix} ${operandsOf(name)}\nhlt`));
    machine.enableVectors();
    const random = new Random(0xf0a7);
    const count = 256 / format.size;
    for (let index = 0; index < CASES; index++) {
      const lanes = Array.from({ length: count }, () => numbers(random, format));
      for (const register of [1, 2, 3])
        writeVector(
          machine,
          register,
          format,
          lanes.map((lane) => lane[register - 1] ?? 0n),
        );
      machine.state.set32(L.MXCSR, mxcsr);
      machine.state.rip = BigInt(At.CODE);
      machine.processor.run(1);
      const environment = sseEnvironment(mxcsr);
      const expected = lanes.map(([a, b, c]) => exact(environment, format, a, b, c));
      const shown = (values: readonly bigint[]) => values.map((value) => value.toString(16)).join(' ');
      const got = Array.from({ length: count }, (_, lane) => {
        const at = (lane * format.size) / 8;
        const word = machine.state.get64(L.VECTORS + L.VECTOR_SIZE + (at & ~7));
        return BigInt.asUintN(format.size, word >> BigInt((at & 7) * 8));
      });
      expect(`${shown(got)} ${machine.state.get32(L.MXCSR).toString(16)}`, lanes.map(shown).join('; ')).toBe(
        `${shown(expected)} ${(mxcsr | environment.flags).toString(16)}`,
      );
    }
  });
});

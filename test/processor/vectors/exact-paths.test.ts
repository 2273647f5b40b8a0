import { describe, expect, test } from 'vitest';
import { VECTOR_RESULT } from '../../../src/processor/interpreter/operation.ts';
import { add, div, fma, mul, sqrt, sub } from '../../../src/processor/softfloat/arithmetic.ts';
import { convert, fromInt, roundToInt, toInt } from '../../../src/processor/softfloat/convert.ts';
import { type FloatEnvironment, sseEnvironment } from '../../../src/processor/softfloat/environment.ts';
import { BINARY32, BINARY64, type FloatFormat } from '../../../src/processor/softfloat/format.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { Random } from '../../support/random.ts';
import { At, SystemMachine } from '../system/machine.ts';
import { codeOf } from '../translator/programs.ts';

/** All masked, rounding to nearest, nothing noted. */
const CLEAR = 0x1f80;
const CASES = 2000;
/** What an assist would overwrite. */
const POISON = 0x0123_4567_89ab_cdefn;

type Exact = (environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint, c: bigint) => bigint;
type Case = readonly [instruction: string, exact: Exact];

const otherThan = (format: FloatFormat) => (format === BINARY32 ? BINARY64 : BINARY32);
const unsigned = (value: bigint, bits = 64) => BigInt.asUintN(bits, value);

/** Instructions on the lowest lanes of XMM1 to XMM3 or on RAX, with their results in XMM1; $ is the format's letter. */
const INSTRUCTIONS: readonly Case[] = [
  ['vadds$ xmm1, xmm1, xmm2', (e, f, a, b) => add(e, f, a, b)],
  ['vsubs$ xmm1, xmm1, xmm2', (e, f, a, b) => sub(e, f, a, b)],
  ['vmuls$ xmm1, xmm1, xmm2', (e, f, a, b) => mul(e, f, a, b)],
  ['vdivs$ xmm1, xmm1, xmm2', (e, f, a, b) => div(e, f, a, b)],
  ['vsqrts$ xmm1, xmm1, xmm1', (e, f, a) => sqrt(e, f, a)],
  ['vrounds$ xmm1, xmm1, xmm1, 1', (e, f, a) => roundToInt(e, f, a, 1, false)],
  ['vfmadd213s$ xmm1, xmm2, xmm3', (e, f, a, b, c) => fma(e, f, b, a, c)],
  ['vcvtsi2s$ xmm1, xmm1, rax', (e, f, a) => fromInt(e, f, BigInt.asIntN(64, a))],
  ['cvts$2si rax, xmm1\nvmovq xmm1, rax', (e, f, a) => unsigned(toInt(e, f, a, 64, false))],
  ['cvtts$2si eax, xmm1\nvmovq xmm1, rax', (e, f, a) => unsigned(toInt(e, f, a, 32, true), 32)],
];

/** Often with few bits, or with few and one in the last place. */
function number(random: Random, format: FloatFormat): bigint {
  const near = format.bias + random.between(-12, 12);
  const limit = random.pick([0, 1, 2, format.bias >> 1, (format.bias * 3) >> 1, format.maximumBiased - 1, format.maximumBiased]);
  const exponent = BigInt(random.chance(0.8) ? near : limit);
  const bits = BigInt(random.pick([0, 1, 4, 11, 12, 13, 25, 26, 27]));
  const stored = bits < format.storedBits ? bits : format.storedBits;
  const short = (random.value() & ((1n << stored) - 1n)) << (format.storedBits - stored);
  const significand = random.chance(0.2) ? short | 1n : short;
  const magnitude = random.chance(0.1) ? 0n : (exponent << format.storedBits) | significand;
  return (BigInt(random.below(2)) << BigInt(format.size - 1)) | magnitude;
}

/** Operands, at times made so that a sum, a quotient or a root is exact or one bit beside. */
function operands(random: Random, format: FloatFormat): [bigint, bigint, bigint] {
  const environment = sseEnvironment(CLEAR);
  const [a, b, c] = [number(random, format), number(random, format), number(random, format)];
  const beside = BigInt(random.pick([0, 0, 0, 1, -1]));
  const made = random.pick([
    a,
    a,
    mul(environment, format, b, b),
    mul(environment, format, b, c),
    add(environment, format, b, c),
  ]);
  return [unsigned(made + (made === a ? 0n : beside), format.size), b, c];
}

describe.each([
  ['s', BINARY32],
  ['d', BINARY64],
] as const)('with nothing noted in MXCSR, formats %s', (letter, format) => {
  test.each(INSTRUCTIONS)('%s gives the result and the exceptions of exact arithmetic', (text, exact) => {
    const machine = new SystemMachine('long', 'amd', { threshold: 0 }, 'max');
    const code = text.replaceAll('$', letter);
    machine.memory.write(BigInt(At.CODE), codeOf(`bits 64\n${code}\nhlt`));
    machine.enableVectors();
    const random = new Random(0xe7ac);
    const isFromInteger = text.includes('si2s');
    let quick = 0;
    let silent = 0;
    for (let index = 0; index < CASES; index++) {
      const values = operands(random, format);
      if (isFromInteger) values[0] = unsigned(BigInt.asIntN(64, random.value() * 3n) >> BigInt(random.below(64)));
      for (const [register, value] of values.entries()) machine.state.set64(L.VECTORS + (register + 1) * L.VECTOR_SIZE, value);
      machine.state.set64(L.GPR, values[0]);
      machine.state.set64(VECTOR_RESULT, POISON);
      machine.state.set32(L.MXCSR, CLEAR);
      machine.state.rip = BigInt(At.CODE);
      machine.processor.run(code.split('\n').length);
      const environment = sseEnvironment(CLEAR);
      const expected = exact(environment, format, ...values);
      const size = text.includes('2si ') ? 64 : format.size;
      const got = unsigned(machine.state.get64(L.VECTORS + L.VECTOR_SIZE), size);
      const shown = (value: bigint, flags: number) => `${value.toString(16)} ${flags.toString(16)}`;
      expect(shown(got, machine.state.get32(L.MXCSR)), values.map((value) => value.toString(16)).join(' ')).toBe(
        shown(expected, CLEAR | environment.flags),
      );
      if (environment.flags === 0) silent++;
      if (machine.state.get64(VECTOR_RESULT) === POISON) quick++;
    }
    // Nothing but what is exact does without an assist, and much of it does.
    expect(quick).toBeLessThanOrEqual(silent);
    expect(quick).toBeGreaterThan(CASES / 20);
  });

  test('conversion to the other format gives the result and the exceptions of exact arithmetic', () => {
    const machine = new SystemMachine('long', 'amd', { threshold: 0 }, 'max');
    const other = otherThan(format);
    const to = letter === 's' ? 'd' : 's';
    machine.memory.write(BigInt(At.CODE), codeOf(`bits 64\nvcvts${letter}2s${to} xmm1, xmm1, xmm1\nhlt`));
    machine.enableVectors();
    const random = new Random(0xe7ad);
    for (let index = 0; index < CASES; index++) {
      const value = number(random, format);
      machine.state.set64(L.VECTORS + L.VECTOR_SIZE, value);
      machine.state.set32(L.MXCSR, CLEAR);
      machine.state.rip = BigInt(At.CODE);
      machine.processor.run(1);
      const environment = sseEnvironment(CLEAR);
      const expected = convert(environment, format, other, value);
      const got = unsigned(machine.state.get64(L.VECTORS + L.VECTOR_SIZE), other.size);
      expect([got, machine.state.get32(L.MXCSR)], value.toString(16)).toEqual([expected, CLEAR | environment.flags]);
    }
  });
});

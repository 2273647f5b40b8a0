import { describe, expect, test } from 'vitest';
import { Random } from '../../support/random.ts';
import { hostVendor, whyNotNative } from '../native/native-machine.ts';
import { randomCase } from './cases.ts';
import { describeCase, differences, forgiveLastPlace } from './compare.ts';
import { EmulatedFpu } from './emulated.ts';
import { runX87 } from './x87-native.ts';

/** Cases of each encoding. */
const COUNT = 50;
const reason =
  whyNotNative() ?? (hostVendor() === 'amd' ? undefined : "what the manuals leave open is as AMD's processors have it");

/** The transcendental instructions, whose results the manuals promise within a unit of the last place only: D9 F0–F3, F9, FB, FE, FF. */
const TRANSCENDENTAL: ReadonlySet<number> = new Set([0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff]);

/** ModRM bytes of all instructions of an opcode: [RBX], and every register. */
function modrmBytes(opcode: number): number[] {
  const memory = Array.from({ length: 8 }, (_, digit) => (digit << 3) | 3);
  const registers = Array.from({ length: 64 }, (_, index) => 0xc0 + index);
  return [...memory, ...registers.filter((modrm) => opcode !== 0xd9 || !TRANSCENDENTAL.has(modrm))];
}

/** Differences of `count` cases of an encoding, as texts. */
function compareEncoding(fpu: EmulatedFpu, code: Uint8Array, count: number, forgiving = false): string[] {
  const random = new Random(code.reduce((seed, byte) => seed * 256 + byte, 0));
  const cases = Array.from({ length: count }, () => randomCase(code, random));
  return runX87(cases).flatMap((its, index) => {
    const given = cases[index];
    if (!given) return [];
    const own = fpu.run(given);
    if (forgiving) forgiveLastPlace(own, its);
    const found = differences(own, its);
    return found.length === 0 ? [] : [`${describeCase(given)}: ${found.join('; ')}`];
  });
}

describe.skipIf(reason)(`the x87 unit agrees with the real one${reason ? ` (skipped: ${reason})` : ''}`, () => {
  if (reason) return;
  const fpu = new EmulatedFpu('amd');

  test.each(['d8', 'd9', 'da', 'db', 'dc', 'dd', 'de', 'df'])('in all instructions of opcode %s', (name) => {
    const opcode = Number.parseInt(name, 16);
    const wrong = modrmBytes(opcode).flatMap((modrm) => compareEncoding(fpu, Uint8Array.of(opcode, modrm), COUNT));
    expect([wrong.length, ...wrong.slice(0, 10)]).toEqual([0]);
  });

  test.each([
    ['F2XM1', 0xf0],
    ['FYL2X', 0xf1],
    ['FPTAN', 0xf2],
    ['FPATAN', 0xf3],
    ['FYL2XP1', 0xf9],
    ['FSINCOS', 0xfb],
    ['FSIN', 0xfe],
    ['FCOS', 0xff],
  ])('in %s to a unit of the last place', (_, modrm) => {
    const wrong = compareEncoding(fpu, Uint8Array.of(0xd9, modrm), COUNT * 20, true);
    expect([wrong.length, ...wrong.slice(0, 10)]).toEqual([0]);
  });

  test('in the images with 16-bit words, in WAIT and in EMMS', () => {
    const encodings = [[0x66, 0xd9, 0x23], [0x66, 0xd9, 0x33], [0x66, 0xdd, 0x23], [0x66, 0xdd, 0x33], [0x9b], [0x0f, 0x77]];
    const wrong = encodings.flatMap((bytes) => compareEncoding(fpu, Uint8Array.from(bytes), COUNT * 4));
    expect([wrong.length, ...wrong.slice(0, 10)]).toEqual([0]);
  });
});

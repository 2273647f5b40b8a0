import { At } from '../system/machine.ts';
import type { FpuCase, Outcome } from './image.ts';
import { NATIVE_CODE, NATIVE_DATA } from './x87-native.ts';

/** RFLAGS bits that x87 instructions may change. */
const FLAGS = 0x8d5;
const hex = (value: number | bigint): string => value.toString(16);

/**
 * Pointers as both sides have them, with addresses of code and data counted as equal. AMD's processors forget them when the
 * system switches to another program and no exception is pending: zeros there say nothing.
 */
function pointerDifferences(own: Outcome, its: Outcome): (readonly [string, number, number])[] {
  const { image: a } = own;
  const { image: b } = its;
  const pairs: (readonly [string, number, number])[] = [];
  if (b.ip !== 0) {
    pairs.push(['ip', a.ip === At.CODE ? NATIVE_CODE : a.ip, b.ip]);
    pairs.push(['cs', a.cs, b.cs], ['opcode', a.opcode, b.opcode]);
  }
  if (b.dp !== 0) pairs.push(['dp', a.dp === At.DATA ? NATIVE_DATA : a.dp, b.dp], ['ds', a.ds, b.ds]);
  return pairs;
}

const C1 = 0x200;

/** The number of double extended values from one to another one. */
function distance(a: bigint, b: bigint): bigint {
  const place = (bits: bigint): bigint => {
    const magnitude = (((bits >> 64n) & 0x7fffn) << 63n) + (bits & ((1n << 63n) - 1n));
    return bits >> 79n === 1n ? -magnitude : magnitude;
  };
  const difference = place(a) - place(b);
  return difference < 0n ? -difference : difference;
}

/**
 * Takes the real processor's register and C1 for those that are a unit of the last place away at most, which is all that is
 * promised of transcendental functions.
 */
export function forgiveLastPlace(own: Outcome, its: Outcome): void {
  let forgiven = false;
  for (let index = 0; index < 8; index++) {
    const [a, b] = [own.image.st(index), its.image.st(index)];
    if (a !== b && distance(a, b) <= 1n) own.image.setSt(index, b);
    forgiven ||= a !== b;
  }
  const isInexact = (its.image.status & 0x20) !== 0;
  if (isInexact || forgiven) own.image.status = (own.image.status & ~C1) | (its.image.status & C1);
}

/** In what an outcome of the emulated processor differs from the real one's. */
export function differences(own: Outcome, its: Outcome): string[] {
  const { image: a } = own;
  const { image: b } = its;
  const pairs: (readonly [string, number | bigint, number | bigint])[] = [
    ['vector', own.vector, its.vector],
    ['control', a.control, b.control],
    ['status', a.status, b.status],
    ['tags', a.tags, b.tags],
    ['rflags', own.rflags & FLAGS, its.rflags & FLAGS],
    ['rax', own.rax, its.rax],
  ];
  for (let index = 0; index < 8; index++) pairs.push([`st${index}`, a.st(index), b.st(index)]);
  for (const [index, byte] of own.memory.entries()) pairs.push([`memory+${index}`, byte, its.memory[index] ?? 0]);
  if (own.vector === 0) pairs.push(...pointerDifferences(own, its));
  return pairs.filter(([, x, y]) => x !== y).map(([name, x, y]) => `${name} ${hex(x)}, not ${hex(y)}`);
}

/** The start state of a case on one line, for a failing test. */
export function describeCase({ code, image, memory, rflags }: FpuCase): string {
  const registers = [0, 1, 7].map((index) => `st${index}=${hex(image.st(index))}`).join(' ');
  const operand = Buffer.from(memory.slice(0, 10).reverse()).toString('hex');
  const words = `control ${hex(image.control)} status ${hex(image.status)} tags ${hex(image.tags)} rflags ${hex(rflags)}`;
  return `${Buffer.from(code).toString('hex')}: ${words} ${registers} memory ${operand}`;
}

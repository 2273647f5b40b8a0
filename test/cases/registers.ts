import type { Reply, Request } from '../processor/native/record.ts';
import type { VectorState } from '../processor/native/vector-state.ts';
import { REGISTER_NAMES, type Registers } from './case-file.ts';

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const XMM = Array.from({ length: 16 }, (_, index) => index);
const MM = Array.from({ length: 8 }, (_, index) => index);
/** Control words, by the names that cases have for them. */
const WORDS = [
  ['mxcsr', 'mxcsr'],
  ['fctrl', 'control'],
  ['fstat', 'status'],
  ['ftw', 'tags'],
] as const;

/** As a number: the lowest byte first in memory. */
const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);

function setNumber(bytes: Uint8Array, value: bigint): void {
  let rest = value;
  for (let at = 0; at < bytes.length; at++, rest >>= 8n) bytes[at] = Number(rest & 0xffn);
}

function vectorRegistersOf(vectors: VectorState): Record<string, string> {
  const registers: Record<string, string> = {};
  for (const [name, property] of WORDS) registers[name] = hex(vectors[property]);
  for (const index of MM) registers[`mm${index}`] = hex(numberOf(vectors.x87(index)));
  for (const index of XMM) {
    registers[`xmm${index}`] = hex(numberOf(vectors.part(index, 0)));
    registers[`ymm${index}h`] = hex(numberOf(vectors.part(index, 1)));
  }
  return registers;
}

/** All registers of a state but the bases of FS and GS, which no case changes. */
export function registersOf(state: Request | Reply, withVectors = true): Record<string, string> {
  const registers: Record<string, string> = {};
  REGISTER_NAMES.forEach((name, index) => {
    registers[name] = hex(state.register(index));
  });
  registers.rip = hex(state.rip);
  registers.rflags = hex(state.rflags);
  return withVectors && state.vectors ? Object.assign(registers, vectorRegistersOf(state.vectors)) : registers;
}

/** Gives a request the registers of a case. Those that the case doesn't name stay as they are. */
export function setRegisters(request: Request, registers: Registers): void {
  const set = (name: string, put: (value: bigint) => void): void => {
    const text = registers[name];
    if (text !== undefined) put(BigInt(text));
  };
  REGISTER_NAMES.forEach((name, index) => {
    set(name, (value) => {
      request.gpr[index] = value;
    });
  });
  set('rip', (value) => {
    request.rip = value;
  });
  set('rflags', (value) => {
    request.rflags = Number(value);
  });
  set('fs_base', (value) => {
    request.fsBase = value;
  });
  set('gs_base', (value) => {
    request.gsBase = value;
  });
  const { vectors } = request;
  if (!vectors) return;
  // The status word first: it says which physical register is where in the image.
  for (const [name, property] of WORDS)
    set(name, (value) => {
      vectors[property] = Number(value);
    });
  for (const index of MM) set(`mm${index}`, (value) => setNumber(vectors.x87(index), value));
  for (const index of XMM) {
    set(`xmm${index}`, (value) => setNumber(vectors.part(index, 0), value));
    set(`ymm${index}h`, (value) => setNumber(vectors.part(index, 1), value));
  }
}

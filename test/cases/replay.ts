import { Flag } from '../../src/processor/state/cpu-state.ts';
import type { EmulatedMachine } from '../processor/native/emulated-machine.ts';
import { DATA, DATA_SIZE, RECORD_SIZE, Request, VECTOR_RECORD_SIZE } from '../processor/native/record.ts';
import type { PublishedCase } from './case-file.ts';
import { registersOf, setRegisters } from './registers.ts';

const BREAKPOINT = 3;
/** Addresses of Linux itself, on which it reports all faults as protection violations. */
const KERNEL_HALF = 1n << 63n;

/** A final state: all registers, the memory that the case says something about, the exception. */
export interface Outcome {
  readonly registers: Record<string, string>;
  readonly memory: Readonly<Record<string, string>>;
  /** Whether other memory changed. */
  readonly elsewhere: 'as it was' | 'changed';
  readonly exception: PublishedCase['exception'];
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/** Fills what a case doesn't name with something that must not change. */
function fillVectors(request: Request): void {
  const { vectors } = request;
  if (!vectors) return;
  for (let register = 0; register < 16; register++)
    for (let part = 0; part < 2; part++) vectors.part(register, part).fill(0xa0 | register);
  vectors.initial = 0;
  vectors.control = 0x37f;
  vectors.mxcsr = 0x1f80;
}

/** Runs a case on the emulated processor: gives its final state, and the one that the case says. `background` is all zeroes. */
export function replay(machine: EmulatedMachine, item: PublishedCase, withVectors: boolean): { own: Outcome; its: Outcome } {
  const expected = new Uint8Array(DATA_SIZE);
  for (const [address, text] of Object.entries(item.initial.memory))
    if (BigInt(address) >= DATA) expected.set(bytesOf(text), Number(BigInt(address) - DATA));
  const request = new Request(new Uint8Array(withVectors ? VECTOR_RECORD_SIZE : RECORD_SIZE));
  fillVectors(request);
  setRegisters(request, item.initial.registers);
  request.code = bytesOf(item.code);
  machine.data.set(expected);
  const reply = machine.run(request);
  const ended = reply.vector === BREAKPOINT;
  const registers = registersOf(reply, withVectors);
  registers.rip = `0x${(ended ? reply.rip - 1n : reply.rip).toString(16)}`;
  registers.rflags = `0x${(reply.rflags & ~Flag.RF).toString(16)}`;
  const memory: Record<string, string> = {};
  for (const [address, text] of Object.entries(item.final.memory)) {
    const at = Number(BigInt(address) - DATA);
    memory[address] = Buffer.from(machine.data.subarray(at, at + text.length / 2)).toString('hex');
    expected.set(bytesOf(text), at);
  }
  const elsewhere = Buffer.compare(expected, machine.data) === 0 ? 'as it was' : 'changed';
  const { vector } = reply;
  const { exception: wanted } = item;
  const exception = ended
    ? undefined
    : {
        vector,
        error_code: wanted?.error_code === undefined ? undefined : reply.error | (reply.cr2 >= KERNEL_HALF ? 1 : 0),
        cr2: vector === 14 ? `0x${reply.cr2.toString(16)}` : undefined,
      };
  const start = registersOf(request);
  machine.restore();
  return {
    own: { registers, memory, elsewhere, exception },
    its: {
      registers: { ...start, ...item.final.registers },
      memory: item.final.memory,
      elsewhere: 'as it was',
      exception: wanted,
    },
  };
}

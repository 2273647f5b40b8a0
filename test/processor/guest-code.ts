import type { RunResult } from '../../src/processor/exit.ts';
import { At, describe, type Mode, SystemMachine } from './system/machine.ts';

/** A machine with code at its start address, given in hexadecimal. */
export function withCode(mode: Mode, code: string): SystemMachine {
  const machine = new SystemMachine(mode);
  machine.memory.write(BigInt(At.CODE), bytesOf(code));
  return machine;
}

export function bytesOf(code: string): Uint8Array {
  return Uint8Array.from(code.replaceAll(' ', '').match(/../g) ?? [], (text) => Number.parseInt(text, 16));
}

/** Runs to the end of the budget, completing device accesses with `answer`; says how it ended. */
export function runWithDevice(machine: SystemMachine, budget: number, answer: (result: RunResult) => bigint): string {
  const end = machine.state.icount + BigInt(budget);
  for (;;) {
    const left = Number(end - machine.state.icount);
    if (left === 0) return 'ok';
    const result = machine.processor.run(left);
    if (result.kind !== 'exit' || (result.exit.reason !== 'mmio' && result.exit.reason !== 'io')) return describe(result);
    machine.processor.completeAccess(answer(result));
  }
}

import type { AccessSize, ExitDetail, ExitReason, SecondLevelAccess, VmExit } from '../../processor/exit.ts';

const ACCESSES = ['read', 'write', 'read-write', 'execute'] as const satisfies readonly SecondLevelAccess[];
const SIZES = [1, 2, 4, 8] as const satisfies readonly AccessSize[];

/** Numbers that the detail of an exit is packed into: flags (32 bits), two more of 32 bits each; and three of 64 bits. */
export const DETAIL_NUMBERS = 3;
export const DETAIL_WIDE = 3;

/**
 * Writes what an exit carries besides what all have into {@link DETAIL_NUMBERS} elements of `numbers` and {@link DETAIL_WIDE} of `wide`,
 * from the given ones on; false for an exit of a rare reason.
 */
export function packDetail(exit: VmExit, numbers: Uint32Array, at: number, wide: BigUint64Array, wideAt: number): boolean {
  switch (exit.reason) {
    case 'cpuid':
      numbers[at + 1] = exit.leaf;
      numbers[at + 2] = exit.subleaf;
      return true;
    case 'io':
      numbers[at + 1] = exit.port;
      numbers[at + 2] = exit.value;
      numbers[at] = exit.size | bit(exit.write, 3) | bit(exit.string, 4) | bit(exit.rep, 5) | bit(exit.immediate, 6);
      return true;
    case 'mmio':
      numbers[at] = exit.size | bit(exit.write, 4) | bit(exit.fetch === true, 5);
      wide[wideAt] = exit.gpa;
      wide[wideAt + 1] = exit.gva;
      wide[wideAt + 2] = exit.value;
      return true;
    case 'apic':
      numbers[at] = exit.size | bit(exit.write, 4);
      wide[wideAt] = exit.gpa;
      wide[wideAt + 1] = exit.gva;
      wide[wideAt + 2] = exit.value;
      return true;
    case 'msr-read':
      numbers[at + 1] = exit.msr;
      return true;
    case 'msr-write':
      numbers[at] = bit(exit.trap === true, 0);
      numbers[at + 1] = exit.msr;
      wide[wideAt + 2] = exit.value;
      return true;
    case 'hypercall':
      numbers[at] = bit(exit.instruction === 'vmcall', 0);
      return true;
    case 'second-level-violation': {
      const { read, write, execute } = exit.allowed;
      const allowed = bit(read, 3) | bit(write, 4) | bit(execute, 5);
      numbers[at] = ACCESSES.indexOf(exit.access) | bit(exit.duringWalk, 2) | allowed | bit(exit.gva !== undefined, 6);
      wide[wideAt] = exit.gpa;
      wide[wideAt + 1] = exit.gva ?? 0n;
      return true;
    }
    case 'rdtsc':
      numbers[at] = bit(exit.rdtscp, 0);
      return true;
    case 'hlt':
      numbers[at] = bit(exit.idle === true, 0);
      return true;
    case 'pause':
    case 'interrupt-window':
    case 'monitor-trap':
    case 'preemption-timer':
      return true;
    default:
      return false;
  }
}

/** The detail that was packed; undefined for a reason that {@link packDetail} doesn't take. */
export function unpackDetail(
  reason: ExitReason,
  numbers: Uint32Array,
  at: number,
  wide: BigUint64Array,
  wideAt: number,
): ExitDetail | undefined {
  const [flags = 0, first = 0, second = 0] = numbers.subarray(at, at + DETAIL_NUMBERS);
  const [gpa = 0n, gva = 0n, value = 0n] = wide.subarray(wideAt, wideAt + DETAIL_WIDE);
  const is = (position: number) => ((flags >>> position) & 1) === 1;
  switch (reason) {
    case 'cpuid':
      return { reason, leaf: first, subleaf: second };
    case 'io': {
      const size = (flags & 7) === 4 ? 4 : (flags & 7) === 2 ? 2 : 1;
      return { reason, port: first, size, write: is(3), value: second, string: is(4), rep: is(5), immediate: is(6) };
    }
    case 'mmio':
    case 'apic': {
      const size = SIZES.find((each) => each === (flags & 15)) ?? 1;
      const access = { gpa, gva, size, write: is(4), value };
      return reason === 'apic' ? { reason, ...access } : { reason, ...access, fetch: is(5) || undefined };
    }
    case 'msr-read':
      return { reason, msr: first };
    case 'msr-write':
      return is(0) ? { reason, msr: first, value, trap: true } : { reason, msr: first, value };
    case 'hypercall':
      return { reason, instruction: is(0) ? 'vmcall' : 'vmmcall' };
    case 'second-level-violation': {
      const allowed = { read: is(3), write: is(4), execute: is(5) };
      const access = ACCESSES[flags & 3] ?? 'read';
      return { reason, gpa, gva: is(6) ? gva : undefined, access, allowed, duringWalk: is(2) };
    }
    case 'rdtsc':
      return { reason, rdtscp: is(0) };
    case 'hlt':
      return is(0) ? { reason, idle: true } : { reason };
    case 'pause':
    case 'interrupt-window':
    case 'monitor-trap':
    case 'preemption-timer':
      return { reason };
    default:
      return undefined;
  }
}

function bit(condition: boolean, position: number): number {
  return condition ? 1 << position : 0;
}

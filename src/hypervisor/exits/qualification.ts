import type { AccessSize, SecondLevelAccess, VmExit } from '../../processor/exit.ts';

/** IOIO information that SVM gives and VMX doesn't: how wide addresses are and which segment a string uses. */
export interface AddressForm {
  readonly addressSize: 16 | 32 | 64;
  readonly segment: number;
}

/** VMX exit qualification (Intel SDM vol. 3, 28.2.1); 0 where the reason has none. */
export function vmxQualification(exit: VmExit): bigint {
  if (exit.special) return exit.special.qualification;
  switch (exit.reason) {
    case 'cr': {
      const access = { 'mov-to': 0, 'mov-from': 1, clts: 2, lmsw: 3, smsw: 1 }[exit.access];
      const source = exit.access === 'lmsw' ? ((exit.source ?? exit.value) & 0xffffn) << 16n : 0n;
      const operand = access < 2 ? exit.gpr << 8 : exit.memory === undefined ? 0 : 1 << 6;
      return BigInt(exit.register | (access << 4) | operand) | source;
    }
    case 'dr':
      return BigInt(exit.register | (exit.write ? 0 : 0x10) | (exit.gpr << 8));
    case 'io':
      return (
        BigInt(exit.size - 1) |
        flag(!exit.write, 3) |
        flag(exit.string, 4) |
        flag(exit.rep, 5) |
        flag(exit.immediate, 6) |
        (BigInt(exit.port) << 16n)
      );
    case 'mmio':
      return flag(!exit.write && !exit.fetch, 0) | flag(exit.write, 1) | flag(exit.fetch === true, 2) | 0x180n;
    case 'apic':
      return (exit.gpa & 0xfffn) | flag(exit.write, 12);
    case 'second-level-violation':
      return (
        flag(reads(exit.access), 0) |
        flag(writes(exit.access), 1) |
        flag(exit.access === 'execute', 2) |
        flag(exit.allowed.read, 3) |
        flag(exit.allowed.write, 4) |
        flag(exit.allowed.execute, 5) |
        flag(exit.gva !== undefined, 7) |
        flag(exit.gva !== undefined && !exit.duringWalk, 8)
      );
    case 'invlpg':
      return exit.invpcid ? BigInt.asUintN(64, exit.invpcid.displacement) : exit.address;
    case 'descriptor-table':
      return BigInt.asUintN(64, exit.displacement ?? 0n);
    case 'exception':
      // A page fault gives its linear address, a debug exception its DR6 bits.
      return exit.vector === 14 || exit.vector === 1 ? (exit.payload ?? 0n) : 0n;
    case 'task-switch':
      return BigInt(exit.selector) | (BigInt({ call: 0, iret: 1, jmp: 2, gate: 3 }[exit.source]) << 30n);
    case 'sipi':
      return BigInt(exit.vector);
    default:
      return 0n;
  }
}

/** EXITINFO1 and EXITINFO2 of a VMCB (AMD APM vol. 2, 15.7 to 15.12 and appendix C). Traps of writes give what was written. */
export function svmExitInfo(exit: VmExit, form: AddressForm): { readonly info1: bigint; readonly info2: bigint } {
  switch (exit.reason) {
    case 'cr':
      if (exit.trap) return { info1: exit.value, info2: 0n };
      return { info1: exit.access.startsWith('mov') ? (1n << 63n) | BigInt(exit.gpr) : 0n, info2: 0n };
    case 'dr':
      return { info1: BigInt(exit.gpr), info2: 0n };
    case 'io':
      return {
        info1:
          flag(!exit.write, 0) |
          flag(exit.string, 2) |
          flag(exit.rep, 3) |
          sizeBit(exit.size) |
          (1n << BigInt({ 16: 7, 32: 8, 64: 9 }[form.addressSize])) |
          (exit.string ? BigInt(form.segment) << 10n : 0n) |
          (BigInt(exit.port) << 16n),
        info2: exit.rip + BigInt(exit.instructionLength),
      };
    case 'msr-read':
      return { info1: 0n, info2: 0n };
    case 'msr-write':
      return { info1: exit.trap ? exit.value : 1n, info2: 0n };
    case 'mmio':
      return { info1: flag(exit.write, 1) | 4n | flag(exit.fetch === true, 4) | (1n << 32n), info2: exit.gpa };
    case 'second-level-violation': {
      const isPresent = exit.allowed.read || exit.allowed.write || exit.allowed.execute;
      return { info1: flag(isPresent, 0) | nestedAccess(exit), info2: exit.gpa };
    }
    case 'second-level-misconfiguration':
      // A reserved bit in an entry that is present.
      return { info1: 1n | 8n | nestedAccess(exit), info2: exit.gpa };
    case 'apic':
      // AVIC: offset in the page, bit 32 set for a write.
      return { info1: (exit.gpa & 0xff0n) | flag(exit.write, 32), info2: 0n };
    case 'invlpg':
      return { info1: exit.invpcid ? 0n : exit.address, info2: 0n };
    case 'svm':
      return { info1: BigInt(exit.vector ?? 0), info2: 0n };
    case 'exception':
      return { info1: BigInt(exit.errorCode ?? 0), info2: exit.vector === 14 ? (exit.payload ?? 0n) : 0n };
    case 'task-switch':
      return {
        info1: BigInt(exit.selector),
        info2:
          BigInt(exit.errorCode ?? 0) |
          flag(exit.source === 'iret', 36) |
          flag(exit.source === 'jmp', 38) |
          flag(exit.errorCode !== undefined, 44),
      };
    default:
      return { info1: 0n, info2: 0n };
  }
}

/**
 * The access of a nested page fault, in the form of a page fault's error code: guest accesses have user rights, and bits 33:32 tell
 * a walk through the guest's tables from the access itself (AMD APM vol. 2, 15.25.6).
 */
function nestedAccess({ access, duringWalk }: { readonly access: SecondLevelAccess; readonly duringWalk: boolean }): bigint {
  return flag(writes(access), 1) | 4n | flag(access === 'execute', 4) | (1n << (duringWalk ? 33n : 32n));
}

const reads = (access: SecondLevelAccess) => access === 'read' || access === 'read-write';
const writes = (access: SecondLevelAccess) => access === 'write' || access === 'read-write';

/** VMX interruption information of an exit that carries an event; 0 (not valid) for others. */
export function interruptionInformation(exit: VmExit): number {
  const valid = 0x8000_0000;
  if (exit.reason === 'exception') {
    const unblocked = exit.unblockedNmis ? 1 << 12 : 0;
    return (valid | exit.vector | (exit.type << 8) | (exit.errorCode === undefined ? 0 : 0x800) | unblocked) >>> 0;
  }
  if (exit.reason === 'external-interrupt' && exit.vector !== undefined) return (valid | exit.vector) >>> 0;
  if (exit.reason === 'nmi') return (valid | 2 | (2 << 8)) >>> 0;
  return 0;
}

function flag(condition: boolean, bit: number): bigint {
  return condition ? 1n << BigInt(bit) : 0n;
}
function sizeBit(size: AccessSize): bigint {
  return BigInt(size) << 4n;
}

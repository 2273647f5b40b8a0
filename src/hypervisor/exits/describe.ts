import type { VmExit } from '../../processor/exit.ts';
import { msrName } from '../../processor/models/msr-table.ts';
import type { EventInjection } from '../../processor/processor.ts';
import { hex } from '../../x86/address.ts';
import type { RequestFormat, ResultFormat } from '../journal/exit-entry.ts';

/**
 * What the guest asked for with an exit, as one would write it: `out 0x3f8, 0x48`, `#PF(0x2), delivering interrupt 0x20`. For the
 * journal's `request`. `rax` has the number of a hypercall; `nameOf` knows MSRs by name, which are the processor's without it.
 */
export function describeRequest(exit: VmExit, rax: bigint, nameOf: NameOfMsr = msrName): string {
  const request = requestOf(exit, rax, nameOf);
  return exit.during === undefined ? request : `${request}, delivering ${describeEvent(exit.during)}`;
}

/** The name of an MSR; undefined for one that has none. */
type NameOfMsr = (msr: number) => string | undefined;

/** Describes requests on a platform that has MSRs of its own besides the processor's. */
export function namingMsrs(nameOf: NameOfMsr): RequestFormat {
  return (exit, rax) => describeRequest(exit, rax, (msr) => nameOf(msr) ?? msrName(msr));
}

function requestOf(exit: VmExit, rax: bigint, nameOf: NameOfMsr): string {
  switch (exit.reason) {
    case 'cpuid':
      return `cpuid ${hex(exit.leaf >>> 0)}.${hex(exit.subleaf >>> 0)}`;
    case 'io': {
      const rep = exit.rep ? 'rep ' : '';
      if (exit.write) return `${rep}${exit.string ? 'outs' : 'out'} ${hex(exit.port)}, ${hex(exit.value >>> 0, exit.size * 2)}`;
      return `${rep}${exit.string ? 'ins' : 'in'} ${hex(exit.port)} (${bytes(exit.size)})`;
    }
    case 'apic':
      return exit.write ? `apic write ${hex(exit.gpa & 0xfffn)}, ${hex(exit.value)}` : `apic read ${hex(exit.gpa & 0xfffn)}`;
    case 'mmio':
      if (exit.fetch) return `fetch ${hex(exit.gpa)}`;
      return exit.write
        ? `write ${hex(exit.gpa)}, ${hex(exit.value, exit.size * 2)}`
        : `read ${hex(exit.gpa)} (${bytes(exit.size)})`;
    case 'msr-read':
      return `rdmsr ${describeMsr(exit.msr >>> 0, nameOf)}`;
    case 'msr-write':
      return `wrmsr ${describeMsr(exit.msr >>> 0, nameOf)}, ${hex(exit.value)}`;
    case 'hypercall':
      return `${exit.instruction} ${hex(rax)}`;
    case 'cr':
      if (exit.access === 'mov-to') return `mov cr${exit.register}, ${hex(exit.value)}`;
      return exit.access === 'mov-from' ? `mov from cr${exit.register}` : exit.access;
    case 'dr':
      return exit.write ? `mov dr${exit.register}` : `mov from dr${exit.register}`;
    case 'descriptor-table': {
      const letter = { gdtr: 'gdt', idtr: 'idt', ldtr: 'ldt', tr: 'tr' }[exit.table];
      return exit.write ? `l${letter}` : `s${letter}`;
    }
    case 'invlpg':
      return `${exit.invpcid ? 'invpcid' : 'invlpg'} ${hex(exit.address)}`;
    case 'wbinvd':
      return exit.instruction ?? exit.reason;
    case 'rdtsc':
      return exit.rdtscp ? 'rdtscp' : 'rdtsc';
    case 'xsetbv':
      return `xsetbv ${exit.index}, ${hex(exit.value)}`;
    case 'exception':
      return describeFault(exit.vector, exit.errorCode);
    case 'triple-fault':
      return exit.chain.map((fault) => describeFault(fault.vector, fault.errorCode)).join(' → ');
    case 'task-switch':
      return `task switch to ${hex(exit.selector)} by ${exit.source}`;
    case 'external-interrupt':
    case 'sipi':
      return exit.vector === undefined ? exit.reason : `${exit.reason} ${hex(exit.vector)}`;
    case 'second-level-violation':
    case 'second-level-misconfiguration':
      return exit.duringWalk ? `page walk ${hex(exit.gpa)}` : `${exit.access} ${hex(exit.gpa)}`;
    case 'dirty-log':
      return `write ${hex(exit.gpa)}`;
    case 'vm-entry-failure':
      return `VM entry: ${exit.problem}`;
    case 'vmx':
    case 'svm':
      return exit.vector === undefined ? exit.instruction : `${exit.instruction} ${hex(exit.vector)}`;
    default:
      return exit.reason;
  }
}

/** `0xc0000082 LSTAR`, or the number alone. */
function describeMsr(msr: number, nameOf: NameOfMsr): string {
  const name = nameOf(msr);
  return name === undefined ? hex(msr) : `${hex(msr)} ${name}`;
}

const VECTOR_NAMES = [
  '#DE',
  '#DB',
  'NMI',
  '#BP',
  '#OF',
  '#BR',
  '#UD',
  '#NM',
  '#DF',
  'vector 9',
  '#TS',
  '#NP',
  '#SS',
  '#GP',
  '#PF',
  'vector 15',
  '#MF',
  '#AC',
  '#MC',
  '#XM',
  '#VE',
  '#CP',
] as const;

/** An exception as manuals write it: `#GP(0)`, `#PF(0x2)`, `#UD`. */
export function describeFault(vector: number, errorCode?: number): string {
  const name = VECTOR_NAMES[vector] ?? `vector ${vector}`;
  if (errorCode === undefined) return name;
  return `${name}(${errorCode === 0 ? '0' : hex(errorCode)})`;
}

/** An event that is injected or was being delivered: `#PF(0x2)`, `NMI`, `interrupt 0x20`, `int 0x80`. */
export function describeEvent({ vector, type, errorCode }: EventInjection): string {
  if (type === 'external-interrupt') return `interrupt ${hex(vector)}`;
  if (type === 'software-interrupt') return `int ${hex(vector)}`;
  return describeFault(vector, errorCode);
}

/** A result that is a number. */
export const hexOf: ResultFormat = (value) => hex(value);

/** A result that is a number of so many bytes. */
export const hexOfSize: ResultFormat = (value, size) => hex(value, 2 * Number(size));

function bytes(count: number): string {
  return count === 1 ? '1 byte' : `${count} bytes`;
}

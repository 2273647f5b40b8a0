import { describeFault } from '../../hypervisor/exits/describe.ts';
import type { ExitRecord } from '../../hypervisor/journal/exit-journal.ts';
import { controlRegisterOf, hypercallOf, ioAccess, leafOf, msrOf, vectorOf } from '../../hypervisor/journal/exit-subject.ts';
import { HYPERCALL_REFERENCE } from '../../platforms/kvm/abi/hypercalls.ts';
import { EXIT_REASONS, type VmExit } from '../../processor/exit.ts';
import { hex, parseAddress } from '../../x86/address.ts';
import type { BreakpointRules } from './breakpoint.ts';

/** A function breakpoint on the hypervisor's side: `exit:msr-write`, `hypercall:KVM_HC_SEND_IPI`, `hypercall:10`. */
export interface ExitBreakpoint extends BreakpointRules {
  readonly id: number;
  readonly pattern: ExitPattern;
}

export interface ExitPattern {
  /** A reason, or undefined for every exit. */
  readonly reason?: string;
  /** The hypercall's number (RAX). */
  readonly hypercall?: bigint;
}

/** Hypercalls by platform: what `hypercall:` can be followed by. */
function hypercallsOf(platform: string): readonly { readonly number: number; readonly name: string }[] {
  return platform === 'kvm' ? HYPERCALL_REFERENCE : [];
}

/** Reads a function breakpoint's name. Undefined when it is no such pattern; a string says what is wrong with it. */
export function parseExitPattern(text: string, platform: string): ExitPattern | string | undefined {
  const [, kind, word = ''] = /^\s*(exit|hypercall)\s*:\s*(.*?)\s*$/i.exec(text) ?? [];
  if (kind === undefined) return undefined;
  if (kind.toLowerCase() === 'exit') {
    if (word === '*' || word === 'any') return {};
    const reason = EXIT_REASONS.find((known) => known === word.toLowerCase());
    return reason ? { reason } : `There is no exit reason "${word}"; reasons are ${EXIT_REASONS.join(', ')}.`;
  }
  if (word === '*' || word === '') return { reason: 'hypercall' };
  const number = parseAddress(word);
  if (number !== undefined) return { reason: 'hypercall', hypercall: number };
  const known = hypercallsOf(platform);
  const plain = (name: string) => name.toLowerCase().replace(/^kvm_hc_/, '');
  const found = known.find(({ name }) => plain(name) === plain(word));
  if (found) return { reason: 'hypercall', hypercall: BigInt(found.number) };
  const names = known.length > 0 ? `it has ${known.map(({ name }) => name).join(', ')}` : 'it knows none by name; use a number';
  return `The platform ${platform} has no hypercall "${word}"; ${names}.`;
}

/** A function breakpoint on what a record of the journal tells of: the same reason, and the same port, MSR, address … */
export function breakpointLike(record: ExitRecord): { readonly name: string; readonly condition?: string } {
  const { reason } = record;
  const hypercall = hypercallOf(record);
  if (hypercall !== undefined) return { name: `hypercall:${hypercall}` };
  const condition = conditionLike(record);
  return condition === undefined ? { name: `exit:${reason}` } : { name: `exit:${reason}`, condition };
}

/** The condition on the names of exit-filters.ts that sets exits like this one apart from others of their reason. */
function conditionLike(record: ExitRecord): string | undefined {
  const { reason, request, qualification } = record;
  const direction = (write: boolean) => (write ? 'write' : '!write');
  const [, verb, address] = /^(?:apic )?(read|write|fetch|execute|page walk) (0x[0-9a-f]+)/.exec(request) ?? [];
  const [, register] = /^cr(\d)$/.exec(controlRegisterOf(record) ?? '') ?? [];
  const vector = vectorOf(record);
  switch (reason) {
    case 'io': {
      const { port, write } = ioAccess(BigInt(qualification));
      return `port == ${hex(port)} && ${direction(write)}`;
    }
    case 'msr-read':
    case 'msr-write':
      return equal('msr', msrOf(record)?.split(' ')[0]);
    case 'cpuid':
      return equal('leaf', leafOf(record));
    case 'cr':
      return equal('register', register, direction(!request.includes('from') && request !== 'smsw'));
    case 'apic':
      return equal('(gpa & 0xfff)', address, direction(verb === 'write'));
    case 'mmio':
      return equal('gpa', address, direction(verb === 'write'));
    case 'second-level-violation':
    case 'second-level-misconfiguration':
    case 'dirty-log':
      return equal('gpa', address);
    case 'external-interrupt':
      return equal('vector', vector);
    case 'exception': {
      const number = Array.from({ length: 32 }, (_, index) => index).find((index) => describeFault(index) === vector);
      return number === undefined ? undefined : `vector == ${number}`;
    }
    default:
      return undefined;
  }
}

function equal(name: string, value: string | undefined, more?: string): string | undefined {
  return value === undefined ? undefined : `${name} == ${value}${more === undefined ? '' : ` && ${more}`}`;
}

/** Whether an exit is meant. `rax` is what the guest left in RAX, cut to its mode's width. */
export function matchesPattern({ reason, hypercall }: ExitPattern, exit: VmExit, rax: bigint): boolean {
  return (reason === undefined || exit.reason === reason) && (hypercall === undefined || rax === hypercall);
}

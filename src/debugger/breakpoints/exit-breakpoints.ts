import { describeFault } from '../../hypervisor/exits/describe.ts';
import type { ExitRecord } from '../../hypervisor/journal/exit-journal.ts';
import { controlRegisterOf, hypercallOf, ioAccess, leafOf, msrOf, vectorOf } from '../../hypervisor/journal/exit-subject.ts';
import { HYPERCALL_REFERENCE as HYPERV_CALLS } from '../../platforms/hyperv/abi/hypercalls.ts';
import { HYPERCALL_REFERENCE as KVM_CALLS } from '../../platforms/kvm/abi/hypercalls.ts';
import { EXIT_REASONS, type VmExit } from '../../processor/exit.ts';
import type { Processor } from '../../processor/processor.ts';
import { hex, parseAddress } from '../../x86/address.ts';
import type { BreakpointRules } from './breakpoint.ts';

/** A function breakpoint on the hypervisor's side: `exit:msr-write`, `hypercall:KVM_HC_SEND_IPI`, `hypercall:PostMessage`, `hypercall:10`. */
export interface ExitBreakpoint extends BreakpointRules {
  readonly id: number;
  readonly pattern: ExitPattern;
}

export interface ExitPattern {
  /** A reason, or undefined for every exit. */
  readonly reason?: string;
  /** The hypercall's number. */
  readonly hypercall?: bigint;
  /** Where the guest has put that: in RAX, or in Hyper-V's control word (RCX of 64-bit code, EAX of others), bits 15:0. */
  readonly numberIn?: 'rax' | 'control word';
}

interface NamedCall {
  readonly number: number;
  readonly name: string;
}

const CALLS: Readonly<Record<string, readonly NamedCall[]>> = {
  kvm: KVM_CALLS,
  hyperv: HYPERV_CALLS.map(({ code, name }) => ({ number: code, name })),
};

/** Hypercalls by platform: what `hypercall:` can be followed by. */
export function hypercallsOf(platform: string): readonly NamedCall[] {
  return CALLS[platform] ?? [];
}

/** Hyper-V's hypercalls are numbered by 16 bits of their control word. */
const LARGEST_CODE = 0xffffn;
/** Names that a message lists; of more it shows those that are like the one that was asked for. */
const MOST_NAMES = 12;

function namesLike(known: readonly NamedCall[], word: string): string {
  if (known.length === 0) return 'it knows none by name; use a number';
  const like = known.filter(({ name }) => name.toLowerCase().includes(word.toLowerCase()));
  const shown = known.length <= MOST_NAMES || like.length === 0 ? known : like;
  const more = shown.length > MOST_NAMES ? ` and ${shown.length - MOST_NAMES} more` : '';
  return `it has ${shown
    .slice(0, MOST_NAMES)
    .map(({ name }) => name)
    .join(', ')}${more}`;
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
  const numberIn = platform === 'hyperv' ? 'control word' : 'rax';
  if (number !== undefined && numberIn === 'control word' && number > LARGEST_CODE)
    return `A hypercall of ${platform} has a code of 16 bits; "${word}" is none.`;
  if (number !== undefined) return { reason: 'hypercall', hypercall: number, numberIn };
  const known = hypercallsOf(platform);
  const plain = (name: string) => name.toLowerCase().replace(/^(?:kvm_hc_|hvcall)/, '');
  const found = known.find(({ name }) => plain(name) === plain(word));
  if (found) return { reason: 'hypercall', hypercall: BigInt(found.number), numberIn };
  return `The platform ${platform} has no hypercall "${word}"; ${namesLike(known, word)}.`;
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

const RAX = 0;
const RCX = 1;

/** Whether an exit is meant, which a vCPU has just left for. */
export function matchesPattern(
  { reason, hypercall, numberIn }: ExitPattern,
  exit: VmExit,
  { state, mode }: Pick<Processor, 'mode'> & { readonly state: Pick<Processor['state'], 'gpr'> },
): boolean {
  if (reason !== undefined && exit.reason !== reason) return false;
  if (hypercall === undefined) return true;
  const register = state.gpr(numberIn === 'control word' && mode === 64 ? RCX : RAX);
  const bits = numberIn === 'control word' ? 16 : mode === 64 ? 64 : 32;
  return BigInt.asUintN(bits, register) === hypercall;
}

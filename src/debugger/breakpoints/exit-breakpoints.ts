import { HYPERCALL_REFERENCE } from '../../platforms/kvm/abi/hypercalls.ts';
import { EXIT_REASONS, type VmExit } from '../../processor/exit.ts';
import { parseAddress } from '../../x86/address.ts';
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

/** Whether an exit is meant. `rax` is what the guest left in RAX, cut to its mode's width. */
export function matchesPattern({ reason, hypercall }: ExitPattern, exit: VmExit, rax: bigint): boolean {
  return (reason === undefined || exit.reason === reason) && (hypercall === undefined || rax === hypercall);
}

import { Flag } from '../../../src/processor/state/cpu-state.ts';

/**
 * Flags that the architecture leaves undefined, by mnemonic. Both vendors' processors are consistent in them, but not with
 * each other. The emulated processor leaves them as AMD's do; on a host of another vendor they are not compared.
 */
const UNDEFINED: readonly (readonly [RegExp, number])[] = [
  [/^(and|or|xor|test|andn|blsr|blsi|blsmsk|bextr|bzhi)$/, Flag.AF | Flag.PF],
  [/^(and|or|xor|test)$/, Flag.AF],
  [/^(shl|sal|shr|sar|shld|shrd)$/, Flag.AF | Flag.OF | Flag.CF],
  [/^(rol|ror|rcl|rcr)$/, Flag.OF],
  [/^(mul|imul)$/, Flag.SF | Flag.ZF | Flag.AF | Flag.PF],
  [/^(div|idiv)$/, Flag.CF | Flag.OF | Flag.SF | Flag.ZF | Flag.AF | Flag.PF],
  [/^(bsf|bsr)$/, Flag.CF | Flag.OF | Flag.SF | Flag.AF | Flag.PF],
  [/^(tzcnt|lzcnt)$/, Flag.OF | Flag.SF | Flag.AF | Flag.PF],
  [/^(bt|bts|btr|btc)$/, Flag.OF | Flag.SF | Flag.AF | Flag.PF],
  [/^(bextr)$/, Flag.SF | Flag.AF | Flag.PF],
  [/^(blsr|blsi|blsmsk|andn|bzhi)$/, Flag.AF | Flag.PF],
];

/**
 * Instructions that can raise several faults at once, of which the manuals do not say which one wins: near and far transfers
 * with a bad target and a bad stack, comparisons of two strings that can't be read.
 */
export function faultPriorityVaries(mnemonic: string): boolean {
  return /^(call|retf?[dqw]?|iret[dqw]?|jmp|cmps[bwdq])$/.test(mnemonic);
}

/** Where AMD's own processors differ: of family 25, some clear these flags with BSF and BSR, and others keep them. */
const VARIES = /^(bsf|bsr)$/;

/** Flags not to be compared for a mnemonic on a host of a vendor. */
export function incomparableFlags(mnemonic: string, hostVendor: 'intel' | 'amd'): number {
  if (hostVendor === 'amd' && !VARIES.test(mnemonic)) return 0;
  return UNDEFINED.reduce((flags, [pattern, bits]) => (pattern.test(mnemonic) ? flags | bits : flags), 0);
}

import { hex } from '../../../x86/address.ts';

/** The control word of a hypercall, taken apart (TLFS, "Hypercall inputs"). */
export interface ControlWord {
  readonly code: number;
  readonly isFast: boolean;
  /** Bytes of the variable part of the input. */
  readonly variableSize: number;
  /** It is for the hypervisor below the caller's. */
  readonly isNested: boolean;
  readonly repCount: number;
  readonly repStart: number;
  /** Bits that must be 0 and aren't. */
  readonly reserved: bigint;
}

const RESERVED = (0xfn << 27n) | (0xfn << 44n) | (0xfn << 60n);
const REP_START_SHIFT = 48n;
const REP_START = 0xfffn << REP_START_SHIFT;

export function controlWordOf(value: bigint): ControlWord {
  return {
    code: Number(value & 0xffffn),
    isFast: ((value >> 16n) & 1n) !== 0n,
    variableSize: Number((value >> 17n) & 0x3ffn) * 8,
    isNested: ((value >> 31n) & 1n) !== 0n,
    repCount: Number((value >> 32n) & 0xfffn),
    repStart: Number((value & REP_START) >> REP_START_SHIFT),
    reserved: value & RESERVED,
  };
}

/** The same word with another start of its list, for when the call goes on. */
export function withRepStart(value: bigint, start: number): bigint {
  return (value & ~REP_START) | (BigInt(start) << REP_START_SHIFT);
}

/** What a hypercall gives: a status, and how many elements are done. */
export function resultWord(status: number, repsCompleted: number): bigint {
  return BigInt(status) | (BigInt(repsCompleted) << 32n);
}

/** Why a control word is not one for a call of this kind; undefined for a good one. */
export function problemOfControlWord(
  word: ControlWord,
  { isRep, isVariable }: { readonly isRep: boolean; readonly isVariable: boolean },
): string | undefined {
  if (word.reserved !== 0n) return `reserved bits ${hex(word.reserved)} of the control word are set`;
  if (word.isNested) return 'it is for a hypervisor below this one, and there is none';
  if (word.variableSize !== 0 && !isVariable) return 'it has no variable part';
  if (!isRep) return word.repCount !== 0 || word.repStart !== 0 ? 'it works on no list' : undefined;
  if (word.repCount === 0) return 'its list has no elements';
  return word.repStart >= word.repCount ? `its list starts at ${word.repStart} of ${word.repCount}` : undefined;
}

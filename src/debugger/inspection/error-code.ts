import { hex } from '../../x86/address.ts';

export const PAGE_FAULT = 14;
/** #TS, #NP, #SS, #GP: their error codes name a selector or a gate. */
export const SELECTOR_FAULTS: ReadonlySet<number> = new Set([10, 11, 12, 13]);

/** Bits of a page fault's error code (Intel SDM vol. 3, 4.7): name, what 0 means, what 1 means. */
const PAGE_FAULT_BITS: readonly (readonly [bit: number, name: string, clear: string, set: string])[] = [
  [0, 'P', 'an entry is not present', 'the page is present: its rights forbid the access'],
  [1, 'W', 'a read', 'a write'],
  [2, 'U', 'by the supervisor', 'by the user'],
  [3, 'RSVD', '', 'a reserved bit is set in an entry'],
  [4, 'I', '', 'an instruction fetch'],
  [5, 'PK', '', 'a protection key forbids it'],
];

/** Says what the bits of an error code mean, one text a bit or field. Empty for a code that has no meaning. */
export function decodeErrorCode(vector: number, errorCode: number | undefined): string[] {
  if (errorCode === undefined) return [];
  if (vector === PAGE_FAULT)
    return PAGE_FAULT_BITS.flatMap(([bit, name, clear, set]) => {
      const isSet = (errorCode & (1 << bit)) !== 0;
      const meaning = isSet ? set : clear;
      return meaning === '' ? [] : [`${name}=${isSet ? 1 : 0}: ${meaning}`];
    });
  return SELECTOR_FAULTS.has(vector) ? decodeSelector(errorCode) : [];
}

/** Error code of a fault about a segment or a gate (Intel SDM vol. 3, 6.13). */
function decodeSelector(errorCode: number): string[] {
  if (errorCode === 0) return ['no selector is named'];
  const index = (errorCode >>> 3) & 0x1fff;
  const bits = [`EXT=${errorCode & 1}: ${errorCode & 1 ? 'while an event was delivered' : 'by the instruction itself'}`];
  if (errorCode & 2) return [...bits, `IDT=1: gate ${index} (${hex(index)}) of the IDT`];
  const table = errorCode & 4 ? 'LDT' : 'GDT';
  return [...bits, `TI=${errorCode & 4 ? 1 : 0}: entry ${index} of the ${table}, selector ${hex(errorCode & 0xfffc, 4)}`];
}

/** The same in one sentence. */
export function describeSelectorCode(errorCode: number): string {
  const index = (errorCode >>> 3) & 0x1fff;
  const table = errorCode & 2 ? 'vector' : errorCode & 4 ? 'LDT entry' : 'GDT entry';
  const external = errorCode & 1 ? ', while an event from outside was delivered' : '';
  return `The error code names ${table} ${hex(index)}${errorCode & 2 ? '' : ` (selector ${hex(errorCode & 0xfffc, 4)})`}${external}.`;
}

import { SENSE_KEY_NAMES, SenseKey } from './abi.ts';

/** Why a command wasn't done: sense key, additional sense code and its qualifier (SPC-4, 4.5). */
export interface Sense {
  readonly key: number;
  readonly code: number;
  readonly qualifier: number;
  /** The code as the standard writes it. */
  readonly text: string;
}

const { ILLEGAL_REQUEST, NOT_READY, MEDIUM_ERROR, DATA_PROTECT, MISCOMPARE } = SenseKey;
const sense = (key: number, code: number, qualifier: number, text: string): Sense => ({ key, code, qualifier, text });

/** Sense data that disks give (SPC-4, annex F.2). */
export const NO_SENSE = sense(SenseKey.NO_SENSE, 0, 0, 'NO ADDITIONAL SENSE INFORMATION');
export const STOPPED = sense(NOT_READY, 0x04, 0x02, 'LOGICAL UNIT NOT READY, INITIALIZING COMMAND REQUIRED');
export const UNREADABLE = sense(MEDIUM_ERROR, 0x11, 0x00, 'UNRECOVERED READ ERROR');
export const BAD_LIST_LENGTH = sense(ILLEGAL_REQUEST, 0x1a, 0x00, 'PARAMETER LIST LENGTH ERROR');
export const UNKNOWN_COMMAND = sense(ILLEGAL_REQUEST, 0x20, 0x00, 'INVALID COMMAND OPERATION CODE');
export const BEHIND_THE_END = sense(ILLEGAL_REQUEST, 0x21, 0x00, 'LOGICAL BLOCK ADDRESS OUT OF RANGE');
export const BAD_FIELD = sense(ILLEGAL_REQUEST, 0x24, 0x00, 'INVALID FIELD IN CDB');
export const NO_SUCH_UNIT = sense(ILLEGAL_REQUEST, 0x25, 0x00, 'LOGICAL UNIT NOT SUPPORTED');
export const BAD_PARAMETER = sense(ILLEGAL_REQUEST, 0x26, 0x00, 'INVALID FIELD IN PARAMETER LIST');
export const NO_SAVED_PAGES = sense(ILLEGAL_REQUEST, 0x39, 0x00, 'SAVING PARAMETERS NOT SUPPORTED');
export const WRITE_PROTECTED = sense(DATA_PROTECT, 0x27, 0x00, 'WRITE PROTECTED');
export const DIFFERENT = sense(MISCOMPARE, 0x1d, 0x00, 'MISCOMPARE DURING VERIFY OPERATION');

/** Bytes of sense data in fixed format. */
export const SENSE_SIZE = 18;
const CURRENT_FIXED = 0x70;

/** Sense data in fixed format (SPC-4, 4.5.3). */
export function senseBytes({ key, code, qualifier }: Sense): Uint8Array {
  const bytes = new Uint8Array(SENSE_SIZE);
  bytes[0] = CURRENT_FIXED;
  bytes[2] = key;
  bytes[7] = SENSE_SIZE - 8;
  bytes[12] = code;
  bytes[13] = qualifier;
  return bytes;
}

/** `ILLEGAL REQUEST, INVALID FIELD IN CDB`. */
export function senseText({ key, text }: Sense): string {
  return `${SENSE_KEY_NAMES[key] ?? `sense key ${key}`}, ${text}`;
}

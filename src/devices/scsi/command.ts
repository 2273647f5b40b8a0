import { commandName, Operation } from './abi.ts';

/** A command descriptor block without its packing. */
export interface ScsiCommand {
  readonly cdb: Uint8Array;
  readonly operation: number;
  /** As the standards write it: `READ(10)`. */
  readonly name: string;
  /** Number of the first block, where the command is about blocks. */
  readonly lba: bigint;
  /** How many blocks it is about. */
  readonly blocks: number;
  /** Bytes that the initiator has room for, where the command says so. */
  readonly allocation: number;
}

/** Bytes of the longest command descriptor block that is taken. */
export const LONGEST_CDB = 16;

/** A command of blocks as (6), (10), (12) and (16) have their places (SBC-3, 5). */
const BLOCKS_6: ReadonlySet<number> = new Set([Operation.READ_6, Operation.WRITE_6]);
const BLOCKS_10: ReadonlySet<number> = new Set([
  Operation.READ_10,
  Operation.WRITE_10,
  Operation.VERIFY_10,
  Operation.SYNCHRONIZE_CACHE_10,
  Operation.WRITE_SAME_10,
]);
const BLOCKS_12: ReadonlySet<number> = new Set([Operation.READ_12, Operation.WRITE_12, Operation.VERIFY_12]);
const BLOCKS_16: ReadonlySet<number> = new Set([
  Operation.READ_16,
  Operation.WRITE_16,
  Operation.VERIFY_16,
  Operation.SYNCHRONIZE_CACHE_16,
  Operation.WRITE_SAME_16,
]);

/** Takes a command apart. `bytes`: up to 16; what is missing counts as zero. */
export function decodeCommand(bytes: Uint8Array): ScsiCommand {
  const cdb = new Uint8Array(LONGEST_CDB);
  cdb.set(bytes.subarray(0, LONGEST_CDB));
  const view = new DataView(cdb.buffer);
  const operation = view.getUint8(0);
  return { cdb, operation, name: commandName(cdb), ...placesOf(operation, view), allocation: allocationOf(operation, view) };
}

/** Whether a command says which blocks it is about. */
export function isAboutBlocks({ operation }: ScsiCommand): boolean {
  return [BLOCKS_6, BLOCKS_10, BLOCKS_12, BLOCKS_16].some((codes) => codes.has(operation));
}

function placesOf(operation: number, view: DataView): Pick<ScsiCommand, 'lba' | 'blocks'> {
  if (BLOCKS_6.has(operation)) {
    // No blocks means 256 of them here, and only here.
    return { lba: BigInt(view.getUint32(0) & 0x1f_ffff), blocks: view.getUint8(4) || 256 };
  }
  if (BLOCKS_10.has(operation)) return { lba: BigInt(view.getUint32(2)), blocks: view.getUint16(7) };
  if (BLOCKS_12.has(operation)) return { lba: BigInt(view.getUint32(2)), blocks: view.getUint32(6) };
  if (BLOCKS_16.has(operation)) return { lba: view.getBigUint64(2), blocks: view.getUint32(10) };
  return { lba: 0n, blocks: 0 };
}

function allocationOf(operation: number, view: DataView): number {
  switch (operation) {
    case Operation.REQUEST_SENSE:
    case Operation.MODE_SENSE_6:
      return view.getUint8(4);
    case Operation.INQUIRY:
      return view.getUint16(3);
    case Operation.MODE_SENSE_10:
    case Operation.UNMAP:
      return view.getUint16(7);
    case Operation.REPORT_LUNS:
      return view.getUint32(6);
    case Operation.SERVICE_ACTION_IN_16:
      return view.getUint32(10);
    default:
      return Number.MAX_SAFE_INTEGER;
  }
}

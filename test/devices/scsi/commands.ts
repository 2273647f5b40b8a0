import { imageOfBytes } from '../../../src/devices/disk-image/raw-image.ts';
import { Status } from '../../../src/devices/scsi/abi.ts';
import { decodeCommand } from '../../../src/devices/scsi/command.ts';
import { ScsiController } from '../../../src/devices/scsi/controller.ts';

export const BLOCKS = 100;

/** Each block is filled with its number. */
export function numberedBlocks(blocks = BLOCKS): Uint8Array {
  const bytes = new Uint8Array(blocks * 512);
  for (let block = 0; block < blocks; block++) bytes.fill(block, block * 512, (block + 1) * 512);
  return bytes;
}

/** A controller with one disk, and a way to send it commands. */
export function startDisk(more: { readonly isReadOnly?: boolean; readonly serial?: string } = {}) {
  const controller = new ScsiController([{ image: imageOfBytes(numberedBlocks()), ...more }]);
  const send = (cdb: readonly number[], { out = new Uint8Array(0), room = 0x1_0000, lun = 0 } = {}) => {
    const outcome = controller.execute({ path: 0, target: 0, lun }, decodeCommand(Uint8Array.from(cdb)), { out, room });
    return { ...outcome, isGood: outcome?.status === Status.GOOD, why: outcome?.sense?.text };
  };
  const [disk] = controller.disks;
  if (disk === undefined) throw new Error('no disk');
  return { controller, disk, send };
}

/** The bytes of a big-endian number. */
export function be(value: number | bigint, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, index) => Number((BigInt(value) >> BigInt(8 * (bytes - 1 - index))) & 0xffn));
}

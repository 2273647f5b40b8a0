import { BLOCK, Operation } from './abi.ts';
import type { ScsiCommand } from './command.ts';
import { modePages } from './pages.ts';
import { BAD_FIELD, NO_SAVED_PAGES, type Sense } from './sense.ts';

const WRITE_PROTECTED = 0x80;
/** Commands can say that they bypass the cache. */
const FORCED_ACCESS = 0x10;
const SAVED = 3;
const DESCRIPTOR_SIZE = 8;

/** What MODE SENSE(6) or (10) gives (SPC-4, 6.11), or why not. */
export function modeData(
  { cdb, operation }: ScsiCommand,
  disk: { readonly blocks: number; readonly isReadOnly: boolean },
): Uint8Array | Sense {
  const [, flags = 0, selection = 0, subpage = 0] = cdb;
  const control = selection >> 6;
  if (control === SAVED) return NO_SAVED_PAGES;
  const pages = subpage === 0 || subpage === 0xff ? modePages(selection & 0x3f, control) : undefined;
  if (pages === undefined) return BAD_FIELD;
  const descriptor = (flags & 8) === 0 ? blockDescriptor(disk.blocks) : new Uint8Array(0);
  const specific = FORCED_ACCESS | (disk.isReadOnly ? WRITE_PROTECTED : 0);
  const isShort = operation === Operation.MODE_SENSE_6;
  const head = new Uint8Array(isShort ? 4 : 8);
  const rest = descriptor.length + pages.length;
  if (isShort) head.set([head.length - 1 + rest, 0, specific, descriptor.length]);
  else head.set([(head.length - 2 + rest) >> 8, (head.length - 2 + rest) & 0xff, 0, specific, 0, 0, 0, descriptor.length]);
  return Uint8Array.of(...head, ...descriptor, ...pages);
}

function blockDescriptor(blocks: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(DESCRIPTOR_SIZE));
  view.setUint32(0, Math.min(blocks, 0xffff_ffff));
  view.setUint32(4, BLOCK);
  return new Uint8Array(view.buffer);
}

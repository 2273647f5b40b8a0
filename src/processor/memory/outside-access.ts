import { MASK_32, MASK_64 } from '../../x86/address.ts';
import type { Processor } from '../processor.ts';
import type { PartitionMemory } from './partition-memory.ts';

/** Whose translations and address width an access from outside goes by. */
type Translator = Pick<Processor, 'state' | 'translate'>;

const EFER_LMA = 1n << 10n;

/** Calls `part` for each piece of a range of GVAs that lies in one page, until one isn't mapped or isn't done whole. */
function forEachPage(
  vcpu: Translator,
  gva: bigint,
  length: number,
  part: (gpa: bigint, done: number, room: number) => number,
): number {
  // In compatibility mode, too, the kernel's memory lies above 4 GiB.
  const mask = (vcpu.state.efer & EFER_LMA) !== 0n ? MASK_64 : MASK_32;
  let done = 0;
  while (done < length) {
    const linear = (gva + BigInt(done)) & mask;
    const gpa = vcpu.translate(linear);
    if (gpa === undefined) break;
    const room = Math.min(length - done, 0x1000 - Number(linear & 0xfffn));
    const moved = part(gpa, done, room);
    done += moved;
    if (moved < room) break;
  }
  return done;
}

/** What a debugger sees at a GVA: no access rights, no A/D bits. Shorter than asked where a page is missing. */
export function readVirtualMemory(vcpu: Translator, memory: PartitionMemory, gva: bigint, length: number): Uint8Array {
  const result = new Uint8Array(length);
  const done = forEachPage(vcpu, gva, length, (gpa, at, room) => {
    const part = memory.read(gpa, room);
    result.set(part, at);
    return part.length;
  });
  return result.subarray(0, done);
}

/** Writes as a debugger does; gives how many bytes were written. */
export function writeVirtualMemory(vcpu: Translator, memory: PartitionMemory, gva: bigint, bytes: Uint8Array): number {
  return forEachPage(vcpu, gva, bytes.length, (gpa, at, room) => memory.write(gpa, bytes.subarray(at, at + room)));
}

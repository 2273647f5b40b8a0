import { ENABLED } from '../../../../src/platforms/hyperv/abi/synic.ts';
import type { OverlayPage } from '../../../../src/platforms/hyperv/overlay/overlays.ts';
import { VpSynic } from '../../../../src/platforms/hyperv/synic/vp-synic.ts';

const PAGE = 4096;
export const MESSAGES = 0x1000n;
export const EVENTS = 0x2000n;
export const RINGS = 0x3000n;
/** The partition that it is of. */
export const PARTITION = 9n;
/** Of source 2. */
export const VECTOR = 0x50n;

/** A page that can lie below 1 MiB. */
function overlay(name: string): OverlayPage & { readonly bytes: Uint8Array } {
  const bytes = new Uint8Array(PAGE);
  let gpa: bigint | undefined;
  return {
    name,
    writable: true,
    bytes,
    get gpa() {
      return gpa;
    },
    place(to) {
      if (to >> 20n) return false;
      gpa = to;
      return true;
    },
    remove: () => {
      gpa = undefined;
    },
    discard: () => {},
    read: (offset, length) => bytes.slice(offset, offset + length),
    write: (offset, written) => bytes.set(written, offset),
  };
}

/** A SynIC with its pages, and the interrupts that came of it. */
export function synic(set: { scontrol?: bigint; sint2?: bigint } = {}) {
  const interrupts: number[] = [];
  const messages = overlay('messages');
  const events = overlay('events');
  const rings = overlay('rings');
  const vp = new VpSynic({
    messages,
    events,
    rings,
    partitionId: PARTITION,
    interrupt: (vector) => interrupts.push(vector),
  });
  vp.simp = MESSAGES | ENABLED;
  vp.siefp = EVENTS | ENABLED;
  vp.scontrol = set.scontrol ?? ENABLED;
  vp.setSint(2, set.sint2 ?? VECTOR);
  return {
    vp,
    interrupts,
    messages,
    events,
    rings,
    slot: messages.bytes.subarray(512, 768),
    flags: events.bytes.subarray(512, 768),
  };
}

import { DmaError } from '../../../devices/dma.ts';
import { NO_TARGET_VCPU } from '../abi/vmbus.ts';
import { hasDedicatedInterrupts, type VmbusConnection } from './connection.ts';
import type { VmbusWorld } from './world.ts';

/**
 * Tells the guest that a channel has something for it: by an event flag of the channel's own at the vCPU that it was opened for, or by a bit
 * of the guest's interrupt page and flag 0. A page that isn't there tells nothing.
 */
export function interruptGuest({ dma, synic }: VmbusWorld, connection: VmbusConnection, channel: number, opener: number): void {
  const { interruptPage, vcpu, sint } = connection;
  if (hasDedicatedInterrupts(connection)) {
    if (opener !== NO_TARGET_VCPU) synic.signal(opener, sint, channel);
    return;
  }
  if (interruptPage === undefined) return;
  try {
    const at = interruptPage + BigInt(channel >> 3);
    const [flags = 0] = dma.read(at, 1);
    dma.write(at, Uint8Array.of(flags | (1 << (channel & 7))));
  } catch (error) {
    if (!(error instanceof DmaError)) throw error;
    return;
  }
  synic.signal(vcpu, sint, 0);
}

import type { GuestBuffer, GuestPacket, HostPacket, VspChannel } from '../../../../src/platforms/hyperv/vmbus/vsp.ts';
import type { Handler } from '../../../../src/stages/stage.ts';

/** A channel whose guest is a test. */
export class FakeChannel implements VspChannel {
  readonly sent: HostPacket[] = [];
  isFull = false;
  subchannels = 0;

  constructor(
    readonly id = 1,
    readonly subchannelIndex = 0,
  ) {}

  send(packet: HostPacket): boolean {
    if (this.isFull) return false;
    this.sent.push(packet);
    return true;
  }
  // biome-ignore lint/correctness/useYield: it has no stages.
  *sendInStages(packet: HostPacket): Handler<boolean> {
    return this.send(packet);
  }
  gpadl(): GuestBuffer | undefined {
    return undefined;
  }
  offerSubchannels(count: number): void {
    this.subchannels = count;
  }
  take(): HostPacket | undefined {
    return this.sent.shift();
  }
}

/** A buffer in the guest's memory. */
export function bufferOf(bytes: Uint8Array): GuestBuffer {
  return {
    length: bytes.length,
    read: (offset, length) => (offset + length > bytes.length ? undefined : bytes.slice(offset, offset + length)),
    write: (offset, data) => {
      if (offset + data.length > bytes.length) return false;
      bytes.set(data, offset);
      return true;
    },
  };
}

export function guestPacket(payload: Uint8Array, more: Partial<GuestPacket> = {}): GuestPacket {
  return { type: 6, transactionId: 0x77n, wantsCompletion: true, payload, ...more };
}

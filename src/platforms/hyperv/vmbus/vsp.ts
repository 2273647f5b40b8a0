import type { InspectNode } from '../../../devices/inspect.ts';
import type { Handler } from '../../../stages/stage.ts';

/** What the parent partition says of a device when it offers it (VMBus OFFER_CHANNEL). */
export interface ChannelOffer {
  /** What kind of device it is, as GUID text: `f8615163-df3e-46c5-913f-f2d2f965ed0e`. */
  readonly interfaceId: string;
  /** Which one of its kind. */
  readonly instanceId: string;
  /** Flags of the offer; 0 when missing. */
  readonly flags?: number;
  /** MiB of device memory that it wants. */
  readonly mmioMegabytes?: number;
  /** Up to 120 bytes that the guest's driver gets. */
  readonly userData?: Uint8Array;
  /** The guest signals it through the monitor page, with this latency in units of 100 ns. */
  readonly monitorLatency?: number;
}

/** Memory of the guest that it has described to the parent: a GPADL, or the ranges of a packet. It may be gone, or no RAM. */
export interface GuestBuffer {
  /** Bytes. */
  readonly length: number;
  /** Undefined where the buffer, or RAM behind it, ends before. */
  read(offset: number, length: number): Uint8Array | undefined;
  write(offset: number, bytes: Uint8Array): boolean;
}

/** A packet that the guest put into a channel's ring. All of it was read once, so that the guest can't change it behind a check. */
export interface GuestPacket {
  /** Packet type: 6 in-band, 7 transfer pages, 9 GPA direct, 0xB completion. */
  readonly type: number;
  readonly transactionId: bigint;
  readonly wantsCompletion: boolean;
  readonly payload: Uint8Array;
  /** What the ranges of a GPA direct packet lead to. */
  readonly buffer?: GuestBuffer;
}

/** A packet for the guest. */
export interface HostPacket {
  readonly type: number;
  readonly transactionId: bigint;
  readonly payload: Uint8Array;
  readonly wantsCompletion?: boolean;
  /** Transfer pages: where in the buffer that the guest gave for them the data is. */
  readonly transferPages?: {
    readonly set: number;
    readonly ranges: readonly { readonly count: number; readonly offset: number }[];
  };
}

/** An open channel, as the service at its parent's end sees it. */
export interface VspChannel {
  /** The number that its messages and event flags have (relid). */
  readonly id: number;
  /** 0 for the one that was offered first; subchannels from 1. */
  readonly subchannelIndex: number;
  /** Sends a packet and signals the guest as the ring's rules say. False: no room; `Vsp.hasRoom` comes once there is some. */
  send(packet: HostPacket): boolean;
  sendInStages(packet: HostPacket): Handler<boolean>;
  /** A GPADL that the guest made on this device's channels. */
  gpadl(id: number): GuestBuffer | undefined;
  /** Offers further channels of the same device, so that there are `count` of them besides the first. */
  offerSubchannels(count: number): void;
}

/** A service of the parent partition at its end of a device's channels: a VSP (virtualization service provider). */
export interface Vsp {
  /** `netvsp`. */
  readonly name: string;
  /** Driver or process of the parent partition that has it. */
  readonly component: 'vmwp.exe' | 'vmswitch.sys' | 'storvsp.sys' | 'vpcivsp.sys';
  readonly offer: ChannelOffer;
  /** The guest has opened a channel: the offered one, or a subchannel. */
  open(channel: VspChannel): void;
  /** It is closed: by the guest, or because the connection or the partition ended. */
  close(channel: VspChannel): void;
  /** Takes a packet of the guest. */
  receive(channel: VspChannel, packet: GuestPacket): void;
  receiveInStages(channel: VspChannel, packet: GuestPacket): Handler;
  /** The guest has made room in a ring that had none. */
  hasRoom?(channel: VspChannel): void;
  /**
   * The device is to be taken away: asks the guest to let go of it, and calls `gone` once it has, or had its time. False where it isn't asked:
   * nobody uses the device, or it was asked already.
   */
  eject?(gone: () => void): boolean;
  reset(): void;
  inspect(): InspectNode;
}

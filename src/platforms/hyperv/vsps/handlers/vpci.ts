import { type Handler, inFrame, type StageValue, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { NT_STATUS_NAMES, NtStatus } from '../../abi/nt-status.ts';
import { PacketType } from '../../abi/ring.ts';
import { readVpci, type VpciRequest, vpciMessageName } from '../../abi/vpci.ts';
import { parentFrame } from '../../hyperv.ts';
import type { GuestPacket, HostPacket, VspChannel } from '../../vmbus/vsp.ts';

/** What came of a message. */
export interface VpciOutcome {
  readonly status: number;
  /** What the answer has behind the status. */
  readonly more?: Uint8Array;
  /** Messages to the guest besides the answer. */
  readonly messages?: readonly HostPacket[];
  /** What there is to see of it. */
  readonly shown?: Readonly<Record<string, StageValue>>;
}

/** The virtual PCI bus as its messages are served. */
export interface VpciWork {
  /** How far the guest's driver has come. */
  readonly phaseName: string;
  /** Follows a message. */
  follow(request: VpciRequest): VpciOutcome;
  /** Enters what the guest did wrong. */
  refuse(what: string): void;
  /** Whether packets wait for room in the ring. */
  readonly isBehind: boolean;
  /** Has a packet wait for room. */
  keep(packet: HostPacket): void;
}

/** The virtual PCI bus takes a packet of the guest's driver. */
export function* serveVpci(bus: VpciWork, channel: VspChannel, packet: GuestPacket): Handler {
  const request = readVpci(packet.payload);
  yield stage('vpci.packet', {
    channel: channel.id,
    bytes: packet.payload.length,
    type: request ? vpciMessageName(request.type) : 'none',
  });
  if (request === undefined) {
    bus.refuse('sent a packet that is no whole message');
    yield* answer(bus, channel, packet, { status: NtStatus.INVALID_PARAMETER });
    return;
  }
  yield* inFrame(
    parentFrame('vpcivsp.sys', `vpci: ${vpciMessageName(request.type)}`),
    serveMessage(bus, channel, packet, request),
  );
}

function* serveMessage(bus: VpciWork, channel: VspChannel, packet: GuestPacket, request: VpciRequest): Handler {
  yield stage('vpci.message', { type: vpciMessageName(request.type), bytes: request.body.byteLength, phase: bus.phaseName });
  const outcome = bus.follow(request);
  yield stage('vpci.outcome', { status: statusName(outcome), ...outcome.shown, phase: bus.phaseName });
  yield* answer(bus, channel, packet, outcome);
  for (const message of outcome.messages ?? []) yield* send(bus, channel, message);
}

/** `SUCCESS`. */
function statusName({ status }: VpciOutcome): string {
  return NT_STATUS_NAMES[status] ?? hex(status, 8);
}

/** Answers a packet, where its sender wants that. */
function* answer(bus: VpciWork, channel: VspChannel, packet: GuestPacket, { status, more }: VpciOutcome): Handler {
  if (!packet.wantsCompletion) return;
  const payload = new Uint8Array(4 + (more?.length ?? 0));
  new DataView(payload.buffer).setUint32(0, status, true);
  payload.set(more ?? [], 4);
  yield stage('vpci.complete', { bytes: payload.length, transactionId: packet.transactionId });
  yield* send(bus, channel, { type: PacketType.COMPLETION, transactionId: packet.transactionId, payload });
}

/** A packet waits where the ring is full, and behind others that wait. */
function* send(bus: VpciWork, channel: VspChannel, packet: HostPacket): Handler {
  if (bus.isBehind) {
    bus.keep(packet);
    return;
  }
  const isSent = yield* channel.sendInStages(packet);
  if (!isSent) bus.keep(packet);
}

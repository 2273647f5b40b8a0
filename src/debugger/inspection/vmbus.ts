import type { Partition } from '../../hypervisor/partition/partition.ts';
import { interfaceName } from '../../platforms/hyperv/abi/interfaces.ts';
import { packetTypeName } from '../../platforms/hyperv/abi/ring.ts';
import { versionText } from '../../platforms/hyperv/abi/vmbus.ts';
import { HypervPlatform } from '../../platforms/hyperv/hyperv-platform.ts';
import type { Traffic, VmbusChannel } from '../../platforms/hyperv/vmbus/channel.ts';
import { explainPacket } from '../../platforms/hyperv/vmbus/explain.ts';
import { channelState } from '../../platforms/hyperv/vmbus/inspect.ts';
import { type PacketPicture, pictureRing } from '../../platforms/hyperv/vmbus/picture.ts';
import type { Ring } from '../../platforms/hyperv/vmbus/ring.ts';
import type { VmbusServer } from '../../platforms/hyperv/vmbus/server.ts';
import { hex } from '../../x86/address.ts';
import { dumpRow, PER_ROW } from './dump-row.ts';
import type { PlaceView } from './virtqueues.ts';

/** The VMBus of a guest and its channels as views and the console show them: numbers of memory as `0x…`, with a reference for each place. */

export interface VmbusView {
  /** `5.3`; undefined while the guest isn't connected. */
  readonly version?: string;
  /** Where messages to the guest go. */
  readonly vcpu?: number;
  readonly source?: number;
  /** The last message each way, with its fields. */
  readonly lastFromGuest?: string;
  readonly lastToGuest?: string;
  /** Messages each way, and those of the guest that were wrong. */
  readonly fromGuest: number;
  readonly toGuest: number;
  readonly wrong: number;
  readonly lastProblem?: string;
  readonly channels: readonly ChannelSummary[];
}

export interface ChannelSummary {
  readonly id: number;
  /** `netvsp`, `netvsp subchannel 1` */
  readonly name: string;
  /** `network card` */
  readonly kind: string;
  /** `open`, `offered`, `not offered`, `taken away`, `broken` */
  readonly state: string;
  /** Packets that the guest has written since the channel was opened, and that it was sent. */
  readonly received: number;
  readonly sent: number;
}

export interface PacketView extends PlaceView {
  /** Where it begins in the ring. */
  readonly at: number;
  /** It waits for its reader; else it was taken, and is still there. */
  readonly isWaiting: boolean;
  readonly type: string;
  readonly transaction: string;
  readonly wantsCompletion: boolean;
  /** Bytes of its payload. */
  readonly length: number;
  readonly fields: readonly { readonly name: string; readonly value: string }[];
  /** Its first bytes, where it is unfolded. */
  readonly dump?: readonly string[];
}

export interface RingView extends Partial<PlaceView> {
  readonly name: string;
  /** Bytes of data. */
  readonly size: number;
  readonly write?: number;
  readonly read?: number;
  readonly used?: number;
  /** The reader has its interrupts off. */
  readonly isMasked?: boolean;
  /** Bytes that the writer waits for. */
  readonly pendingSize?: number;
  readonly packets: readonly PacketView[];
  readonly packetsInAll: number;
  readonly bytesInAll: number;
  readonly signals: number;
  readonly problem?: string;
}

export interface ChannelView extends ChannelSummary {
  readonly interfaceId: string;
  readonly instanceId: string;
  /** The connection that signals it. */
  readonly connection: string;
  readonly gpadl?: string;
  /** Which vCPU is interrupted; undefined where none is. */
  readonly vcpu?: number;
  readonly problem?: string;
  readonly rings: readonly RingView[];
}

/** How a view refers to physical memory, and which packets it shows the bytes of: `from:OFFSET` or `to:OFFSET`. */
export interface ChannelViewOptions {
  readonly reference: (gpa: bigint) => string;
  readonly unfolded?: readonly string[];
}

/** The VMBus of a partition; undefined where it has none. */
export function vmbusOf({ server }: Pick<Partition, 'server'>): VmbusServer | undefined {
  return server instanceof HypervPlatform ? server.vmbus : undefined;
}

export function vmbusView(bus: VmbusServer): VmbusView {
  const { connection, lastMessages, messageCounts, notes } = bus;
  return {
    ...(connection ? { version: versionText(connection.version), vcpu: connection.vcpu, source: connection.sint } : {}),
    lastFromGuest: lastMessages.get('guest')?.text,
    lastToGuest: lastMessages.get('host')?.text,
    fromGuest: messageCounts.guest,
    toGuest: messageCounts.host,
    wrong: notes.total,
    lastProblem: notes.latest,
    channels: bus.channels.map(summary),
  };
}

function summary(channel: VmbusChannel): ChannelSummary {
  const { id, name, open, device } = channel;
  return {
    id,
    name,
    kind: interfaceName(device.vsp.offer.interfaceId),
    state: channelState(channel),
    received: open?.received.packets ?? 0,
    sent: open?.sent.packets ?? 0,
  };
}

/** A channel with all that is in its rings; undefined for a number that no channel has. Changes nothing. */
export function channelView(bus: VmbusServer, id: number, options: ChannelViewOptions): ChannelView | undefined {
  const channel = bus.channel(id);
  if (channel === undefined) return undefined;
  const { open, device } = channel;
  const { interfaceId, instanceId } = device.vsp.offer;
  const ring = (name: string, key: string, shown: Ring, traffic: Traffic) =>
    ringView(name, key, shown, traffic, interfaceId, options);
  return {
    ...summary(channel),
    interfaceId,
    instanceId,
    connection: hex(channel.connectionId(bus.connection?.sint ?? 0)),
    ...(open
      ? {
          gpadl: hex(open.request.gpadl.id),
          ...(open.vcpu === 0xffff_ffff ? {} : { vcpu: open.vcpu }),
          problem: open.problem,
          rings: [
            ring('guest to host', 'from', open.fromGuest, open.received),
            ring('host to guest', 'to', open.toGuest, open.sent),
          ],
        }
      : { rings: [] }),
  };
}

function ringView(
  name: string,
  key: string,
  ring: Ring,
  { packets: packetsInAll, bytes: bytesInAll, signals }: Traffic,
  interfaceId: string,
  { reference, unfolded = [] }: ChannelViewOptions,
): RingView {
  const { state, packets, problem } = pictureRing(ring);
  const place = (gpa: bigint): PlaceView => ({ address: hex(gpa), memoryReference: reference(gpa) });
  const { control } = ring;
  return {
    name,
    size: ring.size,
    ...(control === undefined ? {} : place(control)),
    ...(state
      ? {
          write: state.write,
          read: state.read,
          used: state.used,
          isMasked: state.mask !== 0,
          pendingSize: state.pendingSize,
        }
      : {}),
    packets: packets.map((packet) => ({
      ...place(packet.gpa ?? 0n),
      at: packet.at,
      isWaiting: packet.isWaiting,
      type: packetTypeName(packet.type),
      transaction: hex(packet.transaction),
      wantsCompletion: packet.wantsCompletion,
      length: packet.payloadLength,
      fields: explainPacket(interfaceId, packet).map(([field, value]) => ({ name: field, value })),
      ...(unfolded.includes(`${key}:${packet.at}`) ? { dump: dumpOf(packet) } : {}),
    })),
    packetsInAll,
    bytesInAll,
    signals,
    problem,
  };
}

/** The first bytes of a packet's payload, as rows. The addresses count from its start: it may go around the end of the ring. */
function dumpOf({ payload, payloadLength }: PacketPicture): readonly string[] {
  const rows = Array.from({ length: Math.ceil(payload.length / PER_ROW) }, (_, row) =>
    dumpRow({ space: 'gva', address: BigInt(row * PER_ROW) }, payload.subarray(row * PER_ROW, (row + 1) * PER_ROW)).slice(14),
  );
  return payload.length < payloadLength ? [...rows, `… ${payloadLength - payload.length} more bytes`] : rows;
}

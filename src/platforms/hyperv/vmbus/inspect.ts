import type { InspectNode } from '../../../devices/inspect.ts';
import { hex } from '../../../x86/address.ts';
import { versionText } from '../abi/vmbus.ts';
import type { OpenChannel, Traffic, VmbusChannel } from './channel.ts';
import { type Ring, RingError } from './ring.ts';
import type { VmbusServer } from './server.ts';

/** The bus as a live tree: what was agreed on, channels with their rings, memory that the guest has described, what went wrong. */
export function inspectVmbus(bus: VmbusServer): InspectNode {
  const { connection, channels, gpadls, lastMessages, messageCounts } = bus;
  const last = (from: 'guest' | 'host') => lastMessages.get(from)?.text ?? 'none';
  return {
    name: 'VMBus',
    value: connection ? `version ${versionText(connection.version)}` : 'not connected',
    ...(connection ? { detail: `messages to vCPU ${connection.vcpu}, SINT ${connection.sint}` } : {}),
    children: [
      { name: 'last message from the guest', value: last('guest'), detail: `of ${messageCounts.guest}` },
      { name: 'last message to the guest', value: last('host'), detail: `of ${messageCounts.host}` },
      bus.outbox.inspect(),
      bus.notes.inspect(),
      ...channels.map(inspectChannel),
      ...[...gpadls.values()].map((gpadl) => gpadl.inspect()),
    ],
  };
}

/** `open`, `offered`, `taken away`, `not offered`, `broken` */
export function channelState({ open, isOffered, isRescinded }: VmbusChannel): string {
  if (open?.problem !== undefined) return 'broken';
  if (open) return 'open';
  if (isRescinded) return 'taken away';
  return isOffered ? 'offered' : 'not offered';
}

function inspectChannel(channel: VmbusChannel): InspectNode {
  const { id, name, open, device } = channel;
  return {
    name: `channel ${id}`,
    value: name,
    detail: channelState(channel),
    children: [
      { name: 'interface', value: device.vsp.offer.interfaceId },
      { name: 'instance', value: device.vsp.offer.instanceId },
      ...(open ? inspectOpen(open) : []),
      device.vsp.inspect(),
    ],
  };
}

function inspectOpen(open: OpenChannel): readonly InspectNode[] {
  return [
    { name: 'interrupts vCPU', value: String(open.vcpu) },
    ...(open.problem === undefined ? [] : [{ name: 'broken', detail: `The guest must not do this: ${open.problem}.` }]),
    ...(open.lastRefusal === undefined
      ? []
      : [{ name: 'packets without memory', value: String(open.refused), detail: `${open.lastRefusal}.` }]),
    inspectRing('ring from the guest', open.fromGuest, open.received),
    inspectRing('ring to the guest', open.toGuest, open.sent),
  ];
}

function inspectRing(name: string, ring: Ring, { packets, bytes, signals }: Traffic): InspectNode {
  const traffic = `${packets} packets, ${bytes} bytes, ${signals} signals`;
  const { control } = ring;
  try {
    const { write, read, used, mask, pendingSize } = ring.forLooking().state();
    return {
      name,
      value: `${used} of ${ring.size} bytes`,
      detail: traffic,
      ...(control === undefined ? {} : { memory: { space: 'gpa' as const, address: control } }),
      children: [
        { name: 'write index', value: hex(write) },
        { name: 'read index', value: hex(read) },
        { name: 'interrupt mask', value: String(mask) },
        { name: 'pending send size', value: String(pendingSize) },
      ],
    };
  } catch (error) {
    if (error instanceof RingError) return { name, value: error.message, detail: traffic };
    throw error;
  }
}

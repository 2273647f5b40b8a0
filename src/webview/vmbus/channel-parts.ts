import type { ChannelView, PacketView, RingView, VmbusView } from '../../debugger/inspection/vmbus.ts';
import type { Part } from '../parts.ts';
import { type ChannelsMessage, chosenChannel } from './messages.ts';

/** What the page shows of a channel, as plain data. */

type Child = Part | string | undefined;

function part(tag: string, className: string | undefined, ...children: readonly Child[]): Part {
  const parts = children.flatMap((child) =>
    child === undefined ? [] : [typeof child === 'string' ? { tag: 'span', text: child } : child],
  );
  const [only] = children;
  return children.length === 1 && typeof only === 'string'
    ? { tag, attributes: { class: className }, text: only }
    : { tag, attributes: { class: className }, children: parts };
}

/** A button that leads to memory. */
const address = (text: string, memoryReference: string): Part => ({
  tag: 'button',
  attributes: { type: 'button', class: 'address', 'data-memory': memoryReference, title: 'Show Guest Memory' },
  text,
});

function section(title: string, ...children: readonly Part[]): Part {
  return { tag: 'section', attributes: { 'aria-label': title }, children: [part('h2', undefined, title), ...children] };
}

const list = (rows: readonly (readonly [string, Part | string])[]): Part =>
  part('dl', 'about', ...rows.flatMap(([name, value]) => [part('dt', undefined, name), part('dd', undefined, value)]));

/** All of the page below its bar. `unfolded`: packets whose bytes are shown, as `from:OFFSET` and `to:OFFSET`. */
export function channelParts(message: ChannelsMessage, unfolded: ReadonlySet<string>): readonly Part[] {
  const { partitions, chosen, channel } = message;
  const bus = partitions.find(({ id }) => id === chosen?.partition)?.bus;
  if (!bus || !channel || !chosenChannel(partitions, chosen)) return [part('p', 'empty', emptyText(message))];
  const [fromGuest, toGuest] = channel.rings;
  return [
    ...problemParts(channel),
    part(
      'div',
      'columns',
      fromGuest ? ringPart('Guest to Host', 'from', fromGuest, unfolded) : undefined,
      toGuest ? ringPart('Host to Guest', 'to', toGuest, unfolded) : undefined,
      aboutPart(channel),
      busPart(bus),
    ),
  ];
}

function emptyText({ partitions }: ChannelsMessage): string {
  return partitions.every(({ bus }) => bus.channels.length === 0)
    ? 'This guest has no VMBus channels. Run it with "platform": "hyperv" in launch.json to have some.'
    : 'That channel is no longer there.';
}

function problemParts({ problem, rings }: ChannelView): readonly Part[] {
  if (problem !== undefined) return [part('p', 'problem', `The channel is broken. The guest must not do this: ${problem}.`)];
  return rings.flatMap((ring) => (ring.problem === undefined ? [] : [part('p', 'problem', `Wrong: ${ring.problem}.`)]));
}

// --- rings -------------------------------------------------------------------------------------------------------------------------

function ringPart(title: string, key: string, ring: RingView, unfolded: ReadonlySet<string>): Part {
  const { size, write, read, used, packets } = ring;
  const indices = write === undefined || read === undefined ? 'no memory' : `write ${write}, read ${read}`;
  const waiting = packets.filter(({ isWaiting }) => isWaiting).length;
  return section(
    title,
    fillPart(size, write, read, used),
    part('p', 'note', `${indices}: ${used ?? 0} of ${size} bytes, ${waiting} packets wait${maskText(ring)}`),
    part('p', 'note', `${ring.packetsInAll} packets, ${ring.bytesInAll} bytes, ${ring.signals} signals since it was opened`),
    ring.address === undefined || ring.memoryReference === undefined
      ? part('p', 'note', 'no memory')
      : part('p', 'note', 'control page ', address(ring.address, ring.memoryReference)),
    packets.length === 0
      ? part('p', 'empty', 'Nothing was written into it yet.')
      : part('div', 'packets', ...[...packets].reverse().map((packet) => packetPart(packet, key, unfolded))),
  );
}

function maskText({ isMasked, pendingSize = 0 }: RingView): string {
  const pending = pendingSize > 0 ? `, its writer waits for ${pendingSize} bytes` : '';
  return `${isMasked ? ', interrupts of its reader masked' : ''}${pending}`;
}

/** The ring as a bar: the part between the read and the write index is filled, in two pieces where it goes around the end. */
function fillPart(size: number, write: number | undefined, read: number | undefined, used: number | undefined): Part {
  const percent = (bytes: number) => `${((bytes / size) * 100).toFixed(2)}%`;
  const piece = (from: number, bytes: number): Part => ({
    tag: 'i',
    attributes: { class: 'filled' },
    style: { left: percent(from), width: percent(bytes) },
  });
  const isShown = write !== undefined && read !== undefined && used !== undefined && used > 0;
  const pieces = !isShown ? [] : write > read ? [piece(read, used)] : [piece(read, size - read), piece(0, write)];
  return {
    tag: 'div',
    attributes: { class: 'fill', role: 'img', 'aria-label': `${used ?? 0} of ${size} bytes` },
    children: pieces,
  };
}

function packetPart(packet: PacketView, key: string, unfolded: ReadonlySet<string>): Part {
  const { at, isWaiting, type, length, transaction, wantsCompletion, fields, dump } = packet;
  const name = `${key}:${at}`;
  const isUnfolded = unfolded.has(name);
  const title: Part = {
    tag: 'button',
    attributes: { type: 'button', class: 'fold', 'data-unfold': name, 'aria-expanded': String(isUnfolded) },
    children: [
      part('b', undefined, type),
      part('span', `state ${isWaiting ? 'waiting' : 'taken'}`, isWaiting ? 'waits' : 'taken'),
      part('span', 'note', `${length} bytes, transaction ${transaction}${wantsCompletion ? ', wants completion' : ''}`),
    ],
  };
  const said = fields.map(({ name: field, value }) => part('span', 'field', part('i', undefined, field), value));
  return part(
    'div',
    isWaiting ? 'packet waiting' : 'packet',
    title,
    said.length > 0 ? part('div', 'fields', ...said) : undefined,
    isUnfolded
      ? part(
          'div',
          'links',
          part('p', 'note', `at byte ${at}, `, address(packet.address, packet.memoryReference)),
          dump && dump.length > 0 ? part('pre', undefined, dump.join('\n')) : undefined,
        )
      : undefined,
  );
}

// --- what the channel and the bus are --------------------------------------------------------------------------------------------

function aboutPart({ id, name, kind, state, interfaceId, instanceId, connection, gpadl, vcpu }: ChannelView): Part {
  return section(
    'Channel',
    list([
      ['channel', `${id}, ${state}`],
      ['service', name],
      ['kind', kind],
      ['interface', interfaceId],
      ['instance', instanceId],
      ['connection', connection],
      ...(gpadl === undefined
        ? []
        : ([
            ['rings', `GPADL ${gpadl}`],
            ['interrupts', vcpu === undefined ? 'none' : `vCPU ${vcpu}`],
          ] as const)),
    ]),
  );
}

function busPart({ version, vcpu, source, fromGuest, toGuest, lastFromGuest, lastToGuest, wrong, lastProblem }: VmbusView): Part {
  return section(
    'Bus',
    list([
      ['version', version ?? 'not connected'],
      ...(version === undefined ? [] : [['messages to', `vCPU ${vcpu}, source ${source}`] as const]),
      ['from the guest', `${fromGuest} messages, the last: ${lastFromGuest ?? 'none'}`],
      ['to the guest', `${toGuest} messages, the last: ${lastToGuest ?? 'none'}`],
      ...(wrong === 0 ? [] : [['wrong', `${wrong} messages, the last: ${lastProblem}`] as const]),
    ]),
  );
}

import type { ChainView, LinkView, PlaceView, VirtioDeviceView, VirtqueueView } from '../../debugger/inspection/virtqueues.ts';
import type { EventPicture, RingPicture } from '../../devices/virtio/picture/ring-picture.ts';
import type { Part } from '../parts.ts';
import { chosenDevice, type QueuesMessage } from './messages.ts';

/** What the page shows of a queue, as plain data. */

/** Buffers are told apart by so many colours, and by their ids. */
const COLOURS = 6;
const STATES = { waiting: 'waits', taken: 'in flight', used: 'given back' } as const;

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
const address = ({ address: text, memoryReference }: PlaceView): Part => ({
  tag: 'button',
  attributes: { type: 'button', class: 'address', 'data-memory': memoryReference, title: 'Show Guest Memory' },
  text,
});

const colour = (chain: number | undefined): string | undefined =>
  chain === undefined ? undefined : `chain chain-${chain % COLOURS}`;

/** All of the page below its bar. */
export function queueParts(message: QueuesMessage, unfolded: ReadonlySet<number>): readonly Part[] {
  const { partitions, chosen, queue } = message;
  const device = chosenDevice(partitions, chosen);
  if (!device || !queue) return [part('p', 'empty', emptyText(message))];
  return [
    ...problemParts(device, queue),
    part('div', 'columns', chainsPart(queue, unfolded), tablePart(queue), ...ringParts(queue), aboutPart(device, queue)),
  ];
}

function emptyText({ partitions }: QueuesMessage): string {
  return partitions.every(({ devices }) => devices.length === 0)
    ? 'This guest has no virtio devices. On platform kvm a disk gives it some: "disk": ["disk.img"] in launch.json. On hyperv devices are in the view VMBus Channels.'
    : 'That queue is no longer there.';
}

function problemParts({ needsReset }: VirtioDeviceView, { problems }: VirtqueueView): readonly Part[] {
  return [
    ...(needsReset === undefined
      ? []
      : [part('p', 'problem', `The device needs a reset. The driver must not do this: ${needsReset}.`)]),
    ...problems.map((problem) => part('p', 'problem', `Wrong: ${problem}.`)),
  ];
}

// --- what the queue is -------------------------------------------------------------------------------------------------------------

function aboutPart(device: VirtioDeviceView, queue: VirtqueueView): Part {
  const { isPacked, isReady, size, largest, position, areas } = queue;
  const wrap = (counter: boolean) => (isPacked ? `, wrap counter ${counter ? 1 : 0}` : '');
  const rows: readonly (readonly [string, Part | string])[] = [
    ['status', `${device.status} ${device.statusNames.join(' ') || 'reset'}`],
    ['ring', isReady ? `${isPacked ? 'packed' : 'split'}, ${size} entries` : `not ready, up to ${largest} entries`],
    ...(position
      ? ([
          ['next taken', `${position.available}${wrap(position.availableWrap)}`],
          ['next given back', `${position.used}${wrap(position.usedWrap)}`],
          ['notifications', position.wantsNotifications ? 'wanted' : 'suppressed'],
        ] as const)
      : []),
    ...areas.map(({ name, ...place }) => [name, address(place)] as const),
    ['features', device.accepted.join(' ') || 'none'],
    ['not accepted', device.declined.join(' ') || 'none'],
  ];
  return section(
    'Queue',
    part('dl', 'about', ...rows.flatMap(([name, value]) => [part('dt', undefined, name), part('dd', undefined, value)])),
  );
}

function section(title: string, ...children: readonly Part[]): Part {
  return { tag: 'section', attributes: { 'aria-label': title }, children: [part('h2', undefined, title), ...children] };
}

function table(className: string, head: readonly string[], rows: readonly Part[]): Part {
  const titles = head.map((title): Part => ({ tag: 'th', attributes: { scope: 'col' }, text: title }));
  return part(
    'table',
    className,
    { tag: 'thead', children: [{ tag: 'tr', children: titles }] },
    { tag: 'tbody', children: rows },
  );
}

// --- tables ------------------------------------------------------------------------------------------------------------------------

function tablePart({ entries, isPacked, position, chains }: VirtqueueView): Part {
  const rows = entries.map((entry, index) => {
    const { chain, length, flags, link } = entry;
    const place = isPacked && index === position?.available ? 'here' : undefined;
    const isNamed = isPacked || flags.includes('NEXT');
    const owner = chain === undefined ? undefined : chains[chain];
    return part(
      'tr',
      [colour(chain), place].filter((name) => name !== undefined).join(' ') || undefined,
      part('td', 'end', String(index)),
      part('td', undefined, address(entry)),
      part('td', 'end', String(length)),
      part('td', undefined, flags.join(' ')),
      part('td', 'end', isNamed ? String(link) : ''),
      part('td', undefined, owner ? `${owner.id} ${STATES[owner.state]}` : ''),
    );
  });
  const title = isPacked ? 'Descriptor Ring' : 'Descriptor Table';
  return section(title, table('descriptors', ['#', 'Address', 'Length', 'Flags', isPacked ? 'Id' : 'Next', 'Buffer'], rows));
}

function ringParts({ available, used, driverEvents, deviceEvents, size, position }: VirtqueueView): readonly Part[] {
  return [
    ...(available ? [ringPart('Available Ring', available, size, position?.available)] : []),
    ...(used ? [ringPart('Used Ring', used, size, position?.used)] : []),
    ...(driverEvents && deviceEvents
      ? [section('Events', part('dl', 'about', ...eventParts('driver', driverEvents), ...eventParts('device', deviceEvents)))]
      : []),
  ];
}

/** `next`: the device's own index, whose entry comes next. */
function ringPart(title: string, { index, flags, event, entries }: RingPicture, size: number, next: number | undefined): Part {
  const hasLength = entries.some(({ written }) => written !== undefined);
  const rows = entries.map(({ id, written, state }, slot) =>
    part(
      'tr',
      [state, next !== undefined && slot === next % size ? 'here' : undefined].filter((name) => name !== undefined).join(' ') ||
        undefined,
      part('td', 'end', String(slot)),
      part('td', 'end', String(id)),
      hasLength ? part('td', 'end', String(written ?? 0)) : undefined,
      part('td', undefined, state ? STATES[state] : ''),
    ),
  );
  const events = event === undefined ? '' : `, event ${event}`;
  const heads = hasLength ? ['#', 'Id', 'Written', 'State'] : ['#', 'Head', 'State'];
  return section(title, part('p', 'note', `index ${index}, flags ${flags}${events}`), table('ring', heads, rows));
}

function eventParts(side: string, { mode, place, wrap }: EventPicture): readonly Part[] {
  const value = mode === 'DESCRIPTOR' ? `from entry ${place} on, wrap counter ${wrap ? 1 : 0}` : mode.toLowerCase();
  return [part('dt', undefined, `${side} wants`), part('dd', undefined, value)];
}

// --- buffers -----------------------------------------------------------------------------------------------------------------------

function chainsPart({ chains }: VirtqueueView, unfolded: ReadonlySet<number>): Part {
  if (chains.length === 0) return section('Buffers', part('p', 'empty', 'The driver has put none into the queue.'));
  return section(
    'Buffers',
    part('div', 'chains', ...chains.map((chain, index) => chainPart(chain, index, unfolded.has(chain.id)))),
  );
}

function chainPart(chain: ChainView, index: number, isUnfolded: boolean): Part {
  const { id, state, written, fields, problem, links } = chain;
  const end = written === undefined ? '' : `, ${written} bytes written`;
  const title: Part = {
    tag: 'button',
    attributes: { type: 'button', class: 'fold', 'data-unfold': String(id), 'aria-expanded': String(isUnfolded) },
    children: [part('b', undefined, String(id)), part('span', `state ${state}`, STATES[state] + end)],
  };
  const said = fields.map(({ name, value }) => part('span', 'field', part('i', undefined, name), value));
  return part(
    'div',
    colour(index),
    title,
    said.length > 0 ? part('div', 'fields', ...said) : undefined,
    problem === undefined ? undefined : part('p', 'problem', `Wrong: ${problem}.`),
    isUnfolded ? part('div', 'links', ...links.map(linkPart)) : undefined,
  );
}

function linkPart(link: LinkView): Part {
  const { index, isIndirect, length, flags, dump = [] } = link;
  const name = `${isIndirect ? 'indirect ' : ''}${index}`;
  const text = `${length} bytes${flags.length > 0 ? `, ${flags.join(' ')}` : ''}`;
  const isTable = flags.includes('INDIRECT');
  return part(
    'div',
    'link',
    part('div', undefined, part('b', undefined, name), address(link), part('span', undefined, text)),
    isTable || dump.length === 0 ? undefined : part('pre', undefined, dump.join('\n')),
  );
}

import type { VirtioDevice } from '../../devices/virtio/virtio-device.ts';
import { hex } from '../../x86/address.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import {
  type ChainView,
  type EntryView,
  type VirtioDeviceView,
  type VirtqueueView,
  virtioDeviceView,
  virtqueueView,
} from '../inspection/virtqueues.ts';
import { type ConsoleCommand, type ConsoleSession, columns, expectNothing } from './command.ts';

const QUEUE = 'virtqueue DEVICE [QUEUE]';
const options = { reference: (gpa: bigint) => `gpa:${hex(gpa)}` };

function virtqueues({ partition }: ConsoleSession, rest: string): string {
  expectNothing('virtqueues', rest);
  const devices = partition.virtioDevices.map(virtioDeviceView);
  if (devices.length === 0) return noDevices();
  return columns(devices.flatMap(deviceRows)).join('\n');
}

const noDevices = () =>
  'This guest has no virtio devices; on platform kvm a disk gives it some, and on hyperv devices are on the VMBus (vmbus).';

function deviceRows({ name, status, statusNames, needsReset, queues }: VirtioDeviceView): string[][] {
  const state = `status ${status} ${statusNames.join(', ') || 'reset'}`;
  return [
    [name, state],
    ...(needsReset === undefined ? [] : [['', `needs a reset: ${needsReset}`]]),
    ...queues.map(({ index, name: queue, isReady, size, largest, waiting, taken }) => [
      `  ${index} ${queue}`,
      isReady ? `${size} entries, ${waiting} wait, ${taken} in flight` : `not ready, up to ${largest} entries`,
    ]),
  ];
}

function virtqueue({ partition }: ConsoleSession, rest: string): string {
  const [, name = '', text] = /^(\S*)(?:\s+(.*))?$/.exec(rest.trim()) ?? [];
  const { virtioDevices } = partition;
  if (virtioDevices.length === 0) return noDevices();
  const device = virtioDevices.find((one) => one.name === name);
  if (!device) {
    const names = virtioDevices.map((one) => one.name).join(', ');
    throw new ExpressionError(`There is no virtio device "${name}"; they are ${names}. The command is ${QUEUE}.`);
  }
  const view = virtqueueView(device, queueIndex(device, text ?? '0'), options);
  if (!view) throw noQueue(device, text ?? '0');
  const { needsReset } = virtioDeviceView(device);
  return [...(needsReset === undefined ? [] : [`needs a reset: ${needsReset}`]), ...queueLines(view)].join('\n');
}

/** A queue by its number or its name. Throws ExpressionError. */
function queueIndex(device: VirtioDevice, text: string): number {
  const named = device.session.model.queues.findIndex(({ name }) => name === text);
  if (named >= 0) return named;
  if (!/^\d{1,5}$/.test(text)) throw noQueue(device, text);
  return Number(text);
}

function noQueue(device: VirtioDevice, text: string): ExpressionError {
  const names = device.session.model.queues.map(({ name }, index) => `${index} (${name})`).join(', ');
  return new ExpressionError(`${device.name} has no queue "${text}"; it has ${names}.`);
}

function queueLines(view: VirtqueueView): string[] {
  const { isPacked, size, isReady, areas, position, chains, problems } = view;
  const wrap = (counter: boolean) => (isPacked ? `, wrap counter ${counter ? 1 : 0}` : '');
  const place = position
    ? [
        ['next taken', `${position.available}${wrap(position.availableWrap)}`],
        ['next given back', `${position.used}${wrap(position.usedWrap)}`],
      ]
    : [];
  return [
    `${view.name}: ${isPacked ? 'packed' : 'split'} ring of ${size} entries${isReady ? '' : ', not ready'}`,
    ...columns([...areas.map(({ name, address, length }) => [name, address, `${length} bytes`]), ...place, ...ringRows(view)]),
    ...problems.map((problem) => `wrong: ${problem}`),
    ...chains.flatMap((chain) => chainLines(chain, isPacked)),
  ];
}

function ringRows({ available, used, driverEvents, deviceEvents }: VirtqueueView): string[][] {
  const ring = (name: string, shown: typeof available) =>
    shown
      ? [[name, `index ${shown.index}`, `flags ${shown.flags}${shown.event === undefined ? '' : `, event ${shown.event}`}`]]
      : [];
  const events = (name: string, shown: typeof driverEvents) =>
    shown ? [[name, shown.mode, `entry ${shown.place}, wrap counter ${shown.wrap ? 1 : 0}`]] : [];
  return [
    ...ring('available', available),
    ...ring('used', used),
    ...events('driver wants', driverEvents),
    ...events('device wants', deviceEvents),
  ];
}

function chainLines({ state, id, written, fields, links, problem }: ChainView, isPacked: boolean): string[] {
  const said = fields.map(({ name, value }) => `${name} ${value}`).join(', ');
  const end = written === undefined ? '' : `, ${written} bytes written`;
  return [
    `${state} ${id}${end}${said === '' ? '' : `: ${said}`}`,
    ...columns(links.map((link) => [`  ${link.isIndirect ? 'indirect ' : ''}${link.index}`, ...entryCells(link, isPacked)])),
    ...(problem === undefined ? [] : [`  wrong: ${problem}`]),
  ];
}

function entryCells({ address, length, flags, link }: Omit<EntryView, 'chain'>, isPacked: boolean): string[] {
  const next = isPacked ? `id ${link}` : flags.includes('NEXT') ? `next ${link}` : '';
  return [address, `${length} bytes`, flags.join(' ') || '-', next];
}

export const virtqueueCommands: readonly ConsoleCommand[] = [
  {
    name: 'virtqueues',
    usage: 'virtqueues',
    summary: 'the virtio devices and their queues',
    details: ['A buffer waits until the device takes it, and is in flight until the device gives it back.'],
    whileRunning: true,
    run: virtqueues,
  },
  {
    name: 'virtqueue',
    usage: QUEUE,
    summary: 'one virtqueue: its rings, and its buffers with what they ask for',
    details: [
      'QUEUE is a number or a name, 0 when missing.',
      'For example: virtqueue virtio-blk, virtqueue virtio-console transmit',
    ],
    whileRunning: true,
    run: virtqueue,
  },
];

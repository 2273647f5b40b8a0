import type { InspectNode } from '../../devices/inspect.ts';
import { NETWORK_INPUT } from '../../devices/pc/pc.ts';
import { PAGE } from '../../devices/virtio/balloon/registers.ts';
import {
  BALLOON_HINTS,
  BALLOON_STATISTICS,
  BALLOON_TARGET,
  CONSOLE_SIZE,
  channelInput,
  encodeConsoleSize,
  encodePages,
} from '../../devices/virtio/inputs.ts';
import { encodeEvent } from '../../network/outside.ts';
import { sizeInBytes } from '../configuration/launch-configuration.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import { type ConsoleCommand, type ConsoleSession, columns } from './command.ts';
import { typedBytes } from './input.ts';

const BALLOON_NAME = 'virtio-balloon';
const CHANNEL_USAGE = 'channel NAME [-n] TEXT';
const SIZE_USAGE = 'resize COLUMNSxROWS';

/** Through the input door, so that a repeated run gets it at the same instruction. `lacks`: what to say of a machine without that. */
function send(session: ConsoleSession, to: string, bytes: Uint8Array, lacks: string): string {
  if (!session.inputTo(to, bytes)) throw new ExpressionError(lacks);
  return '';
}

function channel(session: ConsoleSession, rest: string): string {
  const [, name, text = ''] = /^(\S+)\s?(.*)$/s.exec(rest) ?? [];
  if (name === undefined) throw new ExpressionError(`The name of a channel is missing; the command is ${CHANNEL_USAGE}.`);
  const lacks = `The machine has no channel "${name}"; give it one with "channels": ["${name}"] in launch.json.`;
  return send(session, channelInput(name), typedBytes(text), lacks);
}

function consoleSize(session: ConsoleSession, rest: string): string {
  const [, columns, rows] = /^(\d{1,4})\s*[x×]\s*(\d{1,4})$/.exec(rest) ?? [];
  if (columns === undefined || rows === undefined)
    throw new ExpressionError(`"${rest}" is no size such as 132x43; the command is ${SIZE_USAGE}.`);
  const size = encodeConsoleSize({ columns: Number(columns), rows: Number(rows) });
  return send(session, CONSOLE_SIZE, size, 'The machine has no virtio console, which alone can be told a size.');
}

const BALLOON_USAGE = 'balloon [SIZE|hints]';

function balloon(session: ConsoleSession, rest: string): string {
  const lacks = 'The machine has no memory balloon; give it one with "balloon": true in launch.json.';
  if (rest === '') {
    send(session, BALLOON_STATISTICS, new Uint8Array(0), lacks);
    return shown(session, BALLOON_NAME);
  }
  if (rest === 'hints') return send(session, BALLOON_HINTS, new Uint8Array(0), lacks);
  const bytes = /^\d{1,9}[KMG]?$/i.test(rest) ? sizeInBytes(rest) : undefined;
  if (bytes === undefined || bytes % PAGE !== 0)
    throw new ExpressionError(`"${rest}" is no size of whole pages such as 32M; the command is ${BALLOON_USAGE}.`);
  return send(session, BALLOON_TARGET, encodePages(bytes / PAGE), lacks);
}

const NETWORK_USAGE = 'network [link up|link down]';
const NO_NETWORK = 'The machine has no network card; give it one with "net": "user" in launch.json.';

/** What a partition's card is plugged into, as a text; or its cable is pulled out or put back. */
function network(session: ConsoleSession, rest: string): string {
  const [, direction] = /^link\s+(up|down)$/.exec(rest) ?? [];
  const isUp = direction === 'up';
  if (direction !== undefined) return send(session, NETWORK_INPUT, encodeEvent({ kind: 'link', isUp }), NO_NETWORK);
  if (rest !== '') throw new ExpressionError(`"${rest}" is nothing to do to a network; the command is ${NETWORK_USAGE}.`);
  const node = devicesOf(session).find(({ name }) => name === 'network');
  if (node === undefined) throw new ExpressionError(NO_NETWORK);
  return columns(rowsOf(node.children ?? [], 0)).join('\n');
}

function rowsOf(nodes: readonly InspectNode[], depth: number): string[][] {
  return nodes.flatMap(({ name, value = '', detail = '', children = [] }) => [
    [`${'  '.repeat(depth)}${name}`, value, detail],
    ...rowsOf(children, depth + 1),
  ]);
}

function devicesOf({ partition }: ConsoleSession): readonly InspectNode[] {
  return partition.inspect().children?.find((node) => node.name === 'devices')?.children ?? [];
}

/** What a device shows of itself, without its queues. */
function shown(session: ConsoleSession, name: string): string {
  const nodes = devicesOf(session).find((node) => node.name === name)?.children ?? [];
  const from = nodes.findIndex((node) => node.name === 'target');
  const rows = nodes.slice(from).flatMap((node) => [node, ...(node.children ?? [])]);
  return columns(rows.map(({ name: label, value = '', detail = '' }) => [label, value, detail])).join('\n');
}

/** Commands for what devices of the machine take from outside. */
export const deviceCommands: readonly ConsoleCommand[] = [
  {
    name: 'channel',
    usage: CHANNEL_USAGE,
    summary: 'sends TEXT and a line feed to a named port of the virtio console',
    details: ['With -n, without the line feed; escapes are those of input.', 'For example: channel org.hyperscope.agent ping'],
    whileRunning: true,
    run: channel,
  },
  {
    name: 'resize',
    usage: SIZE_USAGE,
    summary: 'tells the guest another size of its virtio console',
    details: ['For example: resize 132x43'],
    whileRunning: true,
    run: consoleSize,
  },
  {
    name: 'balloon',
    usage: BALLOON_USAGE,
    summary: 'asks the guest to give back SIZE of its memory, or shows what it has given back',
    details: [
      'Without a size it shows the balloon and asks the guest for new statistics, which the next call shows; with hints it asks for free pages.',
      'For example: balloon 32M, balloon 0',
    ],
    whileRunning: true,
    run: balloon,
  },
  {
    name: 'network',
    usage: NETWORK_USAGE,
    summary: "shows what the machine's network card is plugged into, or pulls out its cable and puts it back",
    details: ['For example: network, network link down'],
    whileRunning: true,
    run: network,
  },
];

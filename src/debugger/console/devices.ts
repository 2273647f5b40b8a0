import { CONSOLE_SIZE, channelInput, encodeConsoleSize } from '../../devices/virtio/inputs.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import type { ConsoleCommand, ConsoleSession } from './command.ts';
import { typedBytes } from './input.ts';

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
];

import { runConsoleCommand } from '../debugger/console/console.ts';
import { ExpressionError } from '../debugger/expressions/evaluator.ts';
import type { GdbSession } from './gdb-session.ts';
import { bytesOfHex, bytesOfText, hexOf, PACKET_SIZE } from './packet.ts';

const FEATURES = [
  `PacketSize=${PACKET_SIZE.toString(16)}`,
  'qXfer:features:read+',
  'QStartNoAckMode+',
  'hwbreak+',
  'vContSupported+',
];

/** Answers a general query (`q` and `Q` packets); an empty answer for one that is unknown. */
export function answerQuery(session: GdbSession, text: string): string {
  if (text.startsWith('qSupported')) return FEATURES.join(';');
  if (text === 'QStartNoAckMode') {
    session.acknowledges = false;
    return 'OK';
  }
  if (text.startsWith('qXfer:features:read:')) return transfer(session.target.xml, text.slice('qXfer:features:read:'.length));
  if (text.startsWith('qRcmd,')) return monitor(session, text.slice('qRcmd,'.length));
  if (text.startsWith('qThreadExtraInfo,')) return threadInfo(session, text.slice('qThreadExtraInfo,'.length));
  if (text.startsWith('qSymbol:')) return 'OK';
  switch (text) {
    case 'qC':
      return `QC${(session.vcpu + 1).toString(16)}`;
    case 'qfThreadInfo':
      return `m${session.guest.partition.vcpus.map(({ index }) => (index + 1).toString(16)).join(',')}`;
    case 'qsThreadInfo':
      return 'l';
    // The guest was there before the client: it goes on when the client leaves.
    case 'qAttached':
      return '1';
    default:
      return '';
  }
}

/** A piece of a document: `target.xml:OFFSET,LENGTH`. */
function transfer(document: string, text: string): string {
  const [, name, offset, length] = /^([^:]*):([0-9a-f]+),([0-9a-f]+)$/i.exec(text) ?? [];
  if (name !== 'target.xml') return 'E00';
  const from = Number.parseInt(offset ?? '', 16);
  const piece = document.slice(from, from + Number.parseInt(length ?? '', 16));
  return `${from + piece.length < document.length ? 'm' : 'l'}${piece}`;
}

/** `monitor …`: the commands of the debug console. */
function monitor(session: GdbSession, hex: string): string {
  const text = new TextDecoder().decode(bytesOfHex(hex) ?? new Uint8Array());
  const reply = (answer: string) => hexOf(new TextEncoder().encode(`${answer}\n`));
  try {
    const output = runConsoleCommand(session.guest.session, text);
    return reply(output ?? `There is no command "${text}"; \`monitor help\` lists them.`);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return reply(error.message);
  }
}

function threadInfo(session: GdbSession, id: string): string {
  const vcpu = session.guest.partition.vcpus[Number.parseInt(id, 16) - 1];
  if (!vcpu) return 'E01';
  const { processor } = vcpu;
  return hexOf(bytesOfText(`vCPU ${vcpu.index}, CPL ${processor.cpl}${processor.halted ? ', halted' : ''}`));
}

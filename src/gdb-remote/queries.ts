import { runConsoleCommand } from '../debugger/console/console.ts';
import { ExpressionError } from '../debugger/expressions/evaluator.ts';
import { vcpuStatus } from '../debugger/inspection/vcpu-status.ts';
import type { VirtualCpu } from '../hypervisor/partition/partition.ts';
import type { GdbSession } from './gdb-session.ts';
import { bytesOfHex, bytesOfText, hexOf, PACKET_SIZE } from './packet.ts';
import { modeOfArchitecture } from './target-description.ts';

const FEATURES = [
  `PacketSize=${PACKET_SIZE.toString(16)}`,
  'qXfer:features:read+',
  'QStartNoAckMode+',
  'qXfer:threads:read+',
  'swbreak+',
  'hwbreak+',
  'vContSupported+',
  'binary-upload+',
];

const ARCHITECTURE = /^\s*architecture(?:\s+(\S+))?\s*$/;

/** Answers a general query (`q` and `Q` packets); an empty answer for one that is unknown. */
export function answerQuery(session: GdbSession, text: string): string {
  if (text.startsWith('qSupported')) return FEATURES.join(';');
  if (text === 'QStartNoAckMode') {
    session.acknowledges = false;
    return 'OK';
  }
  if (text.startsWith('qXfer:')) return transfer(session, text.slice('qXfer:'.length));
  if (text.startsWith('qRcmd,')) return monitor(session, text.slice('qRcmd,'.length));
  if (text.startsWith('qThreadExtraInfo,')) return threadInfo(session, text.slice('qThreadExtraInfo,'.length));
  if (text.startsWith('qSymbol:')) return 'OK';
  switch (text) {
    case 'qC':
      return `QC${(session.vcpu + 1).toString(16)}`;
    case 'qfThreadInfo':
      return threads(session).length === 0 ? 'l' : `m${threads(session).map(threadId).join(',')}`;
    case 'qsThreadInfo':
      return 'l';
    // The guest was there before the client: it goes on when the client leaves.
    case 'qAttached':
      return '1';
    // QEMU's names for a switch that every gdb of its users knows (`maintenance packet Qqemu.PhyMemMode:1`).
    case 'qqemu.PhyMemMode':
      return session.memorySpace === 'gpa' ? '1' : '0';
    case 'Qqemu.PhyMemMode:0':
    case 'Qqemu.PhyMemMode:1':
      session.memorySpace = text.endsWith('1') ? 'gpa' : 'gva';
      return 'OK';
    default:
      return '';
  }
}

/** A piece of a document: `OBJECT:read:ANNEX:OFFSET,LENGTH`. Empty for an object that isn't known. */
function transfer(session: GdbSession, text: string): string {
  const [, object, annex = '', offset, length] = /^(\w+):read:([^:]*):([0-9a-f]{1,8}),([0-9a-f]{1,8})$/i.exec(text) ?? [];
  if (object !== 'features' && object !== 'threads') return '';
  const from = Number.parseInt(offset ?? '', 16);
  const document = object === 'threads' ? threadsXml(session) : description(session, annex, from === 0);
  if (document === undefined) return 'E00';
  const piece = document.slice(from, from + Number.parseInt(length ?? '', 16));
  return `${from + piece.length < document.length ? 'm' : 'l'}${piece}`;
}

/** A client that begins to read the description gets that of the mode of now, and goes on in the same one. */
function description(session: GdbSession, annex: string, begins: boolean): string | undefined {
  if (annex !== 'target.xml') return undefined;
  return (begins ? session.describe() : session.target).xml;
}

/** A guest that has ended has no threads; a client would look at them. */
function threads({ guest }: GdbSession): readonly VirtualCpu[] {
  return guest.partition.end ? [] : guest.partition.vcpus;
}

const threadId = ({ index }: VirtualCpu) => (index + 1).toString(16);

function threadsXml(session: GdbSession): string {
  const rows = threads(session).map(
    (vcpu) => `<thread id="${threadId(vcpu)}" core="${vcpu.index}" name="vCPU ${vcpu.index}">${threadState(vcpu)}</thread>`,
  );
  return `<?xml version="1.0"?><threads>${rows.join('')}</threads>`;
}

/** `monitor …`: the commands of the debug console. */
function monitor(session: GdbSession, hex: string): string {
  const text = new TextDecoder().decode(bytesOfHex(hex) ?? new Uint8Array());
  const reply = (answer: string) => hexOf(new TextEncoder().encode(`${answer}\n`));
  const architecture = ARCHITECTURE.exec(text);
  if (architecture) return reply(chooseArchitecture(session, architecture[1] ?? ''));
  try {
    return reply(runConsoleCommand(session.guest.session, text) ?? printed(session, text));
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return reply(error.message);
  }
}

/** What is no command is an expression, as in the debug console. */
function printed({ guest, vcpu }: GdbSession, text: string): string {
  try {
    return guest.session.print(text, vcpu);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return `There is no command "${text}" (\`monitor help\` lists them), nor can it be evaluated: ${error.message}`;
  }
}

/** `monitor architecture`: which registers the client is told of when it asks next. */
function chooseArchitecture(session: GdbSession, name: string): string {
  const mode = modeOfArchitecture(name);
  if (mode === undefined && name !== 'auto')
    return `"${name}" is no architecture of this guest; they are i8086, i386, i386:x86-64, and auto for the mode that it is in.`;
  session.wantedMode = mode;
  return 'Enter `unset tdesc filename` to read the registers anew.';
}

function threadInfo(session: GdbSession, id: string): string {
  const vcpu = session.guest.partition.vcpus[Number.parseInt(id, 16) - 1];
  return vcpu ? hexOf(bytesOfText(`vCPU ${vcpu.index}, ${threadState(vcpu)}`)) : 'E01';
}

function threadState(vcpu: VirtualCpu): string {
  const status = vcpuStatus(vcpu);
  return `CPL ${vcpu.processor.cpl}${status === undefined ? '' : `, ${status}`}`;
}

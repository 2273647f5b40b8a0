import { encodePlugging, VMBUS_INPUT } from '../../platforms/hyperv/vmbus/plugging.ts';
import type { VmbusServer } from '../../platforms/hyperv/vmbus/server.ts';
import { hex } from '../../x86/address.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import {
  type ChannelView,
  channelView,
  type PacketView,
  type RingView,
  type VmbusView,
  vmbusOf,
  vmbusView,
} from '../inspection/vmbus.ts';
import { type ConsoleCommand, type ConsoleSession, columns } from './command.ts';

const USAGE = 'vmbus [CHANNEL|remove SERVICE|add SERVICE]';
const options = { reference: (gpa: bigint) => `gpa:${hex(gpa)}` };

function vmbus(session: ConsoleSession, rest: string): string {
  const { partition } = session;
  const bus = vmbusOf(partition);
  if (bus === undefined) return 'This guest has no VMBus; run it on platform hyperv to have one.';
  const text = rest.trim();
  const view = vmbusView(bus);
  if (text === '') return busLines(view).join('\n');
  const [, verb, service] = /^(remove|add)\s+(\S+)$/.exec(text) ?? [];
  if (service !== undefined) return plug(session, bus, service, verb === 'add');
  const channel = /^\d{1,4}$/.test(text)
    ? Number(text)
    : view.channels.find(({ name, kind }) => name === text || kind === text)?.id;
  const shown = channel === undefined ? undefined : channelView(bus, channel, options);
  if (shown === undefined) {
    const known = view.channels.map(({ id, name }) => `${id} (${name})`).join(', ');
    throw new ExpressionError(`There is no channel "${text}"; they are ${known || 'none'}. The command is ${USAGE}.`);
  }
  return channelLines(shown).join('\n');
}

/** Takes a device away, or gives it back, as if it were unplugged or plugged in. Throws ExpressionError. */
function plug(session: ConsoleSession, bus: VmbusServer, name: string, isIn: boolean): string {
  const device = bus.devices.find(({ vsp, isRemoved }) => vsp.name === name && !isRemoved);
  const isThere = device !== undefined;
  if (isIn && isThere) throw new ExpressionError(`The device of ${name} is there already.`);
  if (!bus.hasService(name) || (!isIn && !isThere)) {
    const names = bus.devices.map(({ vsp }) => vsp.name).join(', ');
    throw new ExpressionError(
      `There is no device of a service "${name}"; there are ${names || 'none'}. The command is ${USAGE}.`,
    );
  }
  session.inputTo(VMBUS_INPUT, encodePlugging({ isIn, name }));
  if (isIn) return `The guest is offered the device of ${name}.`;
  if (device?.vsp.eject) return `The guest is asked to let go of the device of ${name}; remove it again to take it away at once.`;
  return `The device of ${name} is taken away from the guest.`;
}

function busLines({
  version,
  vcpu,
  source,
  lastFromGuest,
  lastToGuest,
  fromGuest,
  toGuest,
  wrong,
  lastProblem,
  channels,
}: VmbusView): string[] {
  return [
    version === undefined ? 'not connected' : `version ${version}, messages to vCPU ${vcpu}, source ${source}`,
    ...columns([
      ['from the guest', `${fromGuest} messages`, lastFromGuest ?? ''],
      ['to the guest', `${toGuest} messages`, lastToGuest ?? ''],
    ]),
    ...(wrong === 0 ? [] : [`${wrong} wrong messages, the last: ${lastProblem}`]),
    ...columns(
      channels.map(({ id, name, kind, state, received, sent }) => [
        `channel ${id}`,
        name,
        kind,
        state,
        `${received} packets from the guest, ${sent} to it`,
      ]),
    ),
  ];
}

function channelLines(view: ChannelView): string[] {
  const { id, name, kind, state, interfaceId, instanceId, connection, gpadl, vcpu, problem, rings } = view;
  return [
    `channel ${id}: ${name}, ${kind}, ${state}`,
    ...columns([
      ['interface', interfaceId],
      ['instance', instanceId],
      ['connection', connection],
      ...(gpadl === undefined
        ? []
        : [
            ['rings', `GPADL ${gpadl}`],
            ['interrupts', vcpu === undefined ? 'none' : `vCPU ${vcpu}`],
          ]),
    ]),
    ...(problem === undefined ? [] : [`wrong: ${problem}`]),
    ...rings.flatMap(ringLines),
  ];
}

function ringLines({
  name,
  address,
  size,
  write,
  read,
  used,
  isMasked,
  pendingSize,
  packets,
  packetsInAll,
  bytesInAll,
  signals,
  problem,
}: RingView): string[] {
  const indices = write === undefined ? '' : `, write ${write}, read ${read}, ${used} bytes used`;
  const more = `${isMasked ? ', interrupts masked' : ''}${pendingSize ? `, ${pendingSize} bytes waited for` : ''}`;
  return [
    `${name}: ${size} bytes at ${address ?? 'no memory'}${indices}${more}; ${packetsInAll} packets, ${bytesInAll} bytes, ${signals} signals in all`,
    ...(problem === undefined ? [] : [`  wrong: ${problem}`]),
    ...columns(packets.map(packetCells)),
  ];
}

function packetCells({ at, isWaiting, type, transaction, wantsCompletion, length, fields }: PacketView): string[] {
  const said = fields.map(({ name, value }) => `${name} ${value}`).join(', ');
  return [
    `  ${isWaiting ? 'waits' : 'taken'} ${at}`,
    `${type}${wantsCompletion ? ', wants completion' : ''}`,
    `transaction ${transaction}`,
    `${length} bytes`,
    said,
  ];
}

export const vmbusCommands: readonly ConsoleCommand[] = [
  {
    name: 'vmbus',
    usage: USAGE,
    summary: 'the VMBus and its channels; one channel with its rings and the packets in them',
    details: [
      'remove takes a device away from the guest while it runs, add gives it back.',
      'CHANNEL is a number, or the name of a service. Packets that were taken are shown as long as nothing is written over them.',
      'For example: vmbus, vmbus 1, vmbus netvsp, vmbus remove netvsp',
    ],
    whileRunning: true,
    run: vmbus,
  },
];

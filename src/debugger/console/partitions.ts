import type { InspectNode } from '../../devices/inspect.ts';
import { inspectGrant, inspectRefusals } from '../../hypervisor/privileges/inspect.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import type { Guest } from '../launch-guest.ts';
import { MOTION_SCOPES } from '../run-control/control.ts';
import { type ConsoleCommand, type ConsoleSession, columns, expectNothing } from './command.ts';

const MOVES = `moves [${MOTION_SCOPES.join('|')}]`;
const MIB = 2 ** 20;

function stateOf({ partition, session }: Guest): string {
  if (partition.end) return `ended: ${partition.end.message}`;
  if (!session.running) return 'stands still';
  const held = partition.vcpus.filter(({ index }) => !session.moves(index)).map(({ index }) => index);
  return held.length === 0 ? 'runs' : `runs, but vCPU ${held.join(', ')}`;
}

function partitions({ group, partition: looked }: ConsoleSession, rest: string): string {
  expectNothing('partitions', rest);
  const rows = (group?.guests ?? []).map((guest) => {
    const { partition, configuration } = guest;
    const ram = partition.memory.regions.reduce((sum, { length }) => sum + length, 0);
    return [
      `${partition === looked ? '*' : ' '} ${partition.id}`,
      configuration.name,
      partition.platform,
      `${partition.vcpus.length} vCPU${partition.vcpus.length === 1 ? '' : 's'}`,
      `${Math.round(ram / MIB)}M`,
      `${partition.now()} ns`,
      `${partition.icount} instructions`,
      stateOf(guest),
    ];
  });
  return columns(rows).join('\n');
}

function privileges({ partition, group }: ConsoleSession, rest: string): string {
  expectNothing('privileges', rest);
  const rows = ({ children = [] }: InspectNode) =>
    columns(children.map(({ name, value = '', detail = '' }) => [name, value, detail]));
  const granted = rows(inspectGrant(partition.grant));
  if (!group) return granted.join('\n');
  const refused = inspectRefusals(group.host.journal.refusalsOf(partition.id));
  return [...granted, `${refused.name}: ${refused.value}`, ...rows(refused).map((row) => `  ${row}`)].join('\n');
}

function host({ group }: ConsoleSession, rest: string): string {
  expectNothing('host', rest);
  const rows = (group?.host.journal.latest ?? []).map(({ time, kind, text, count, lastTime }) => {
    const again = count === 1 ? '' : ` ${count} times in all, the last at ${lastTime} ns.`;
    return [`${time} ns`, kind, text + again];
  });
  return columns(rows).join('\n');
}

const MEANINGS = {
  all: 'all partitions go on and stop together',
  partition: 'the vCPUs of one partition go on and stop together',
  vcpu: 'each vCPU goes on and stops alone',
} as const;

function moves({ group }: ConsoleSession, rest: string): string {
  if (!group) throw new ExpressionError('This session has one guest only; all of it moves.');
  const scope = MOTION_SCOPES.find((name) => name === rest);
  if (rest !== '' && scope === undefined) throw new ExpressionError(`"${rest}" can't move; the command is ${MOVES}.`);
  if (scope !== undefined) group.wanted = scope;
  return `${group.wanted}: ${MEANINGS[group.wanted]}.`;
}

export const partitionCommands: readonly ConsoleCommand[] = [
  {
    name: 'partitions',
    usage: 'partitions',
    summary: 'the partitions of the session, * the one you look at',
    details: ['Columns: number, name, platform, vCPUs, RAM, guest time, retired instructions, state.'],
    whileRunning: true,
    run: partitions,
  },
  {
    name: 'privileges',
    usage: 'privileges',
    summary: 'what the partition may ask of the hypervisor, and what it was refused',
    details: [
      'Columns: privilege or limit, what it is, what it is good for; then each kind of refused request, how often, the last one.',
    ],
    whileRunning: true,
    run: privileges,
  },
  {
    name: 'host',
    usage: 'host',
    summary: "the host's journal: what became of the partitions, and what was refused to them",
    details: ['Columns: time of the host, what happened, a sentence.'],
    whileRunning: true,
    run: host,
  },
  {
    name: 'moves',
    usage: MOVES,
    summary: 'who goes on and who stops with the vCPU that you continue, step or pause',
    details: [...MOTION_SCOPES.map((scope) => `${scope}: ${MEANINGS[scope]}.`), 'It holds from the next motion on.'],
    whileRunning: true,
    run: moves,
  },
];

import type { InspectNode } from '../../devices/inspect.ts';
import type { HostEvent } from '../host/host-journal.ts';
import { portsText } from './parse-grant.ts';
import { type PartitionGrant, PRIVILEGES, USUAL_PRIVILEGES } from './privileges.ts';

/** What a partition may do, as a tree: each privilege with what it is good for, then the limits. */
export function inspectGrant({ privileges, limits: { ports, timeShare = 100 } }: PartitionGrant): InspectNode {
  const isUsual = PRIVILEGES.every(({ name }) => privileges.has(name) === USUAL_PRIVILEGES.has(name));
  return {
    name: 'privileges',
    value: isUsual ? 'usual' : `${privileges.size} of ${PRIVILEGES.length}`,
    children: [
      ...PRIVILEGES.map(({ name, grants }) => ({ name, value: privileges.has(name) ? 'yes' : 'no', detail: `to ${grants}` })),
      {
        name: 'I/O ports',
        value: ports === undefined ? 'all' : ports.map(portsText).join(', ') || 'none',
        detail: 'that it reaches',
      },
      { name: 'time share', value: `${timeShare} %`, detail: "of the host's time in which it may run" },
    ],
  };
}

/** A refusal's sentence below its partition, which need not be named again: in a narrow view its end is cut off. */
function ownWords(sentence: string): string {
  return sentence.replace(/^(vCPU \d+) of partition \d+ was refused /, '$1: ');
}

/** What a partition asked for in vain, counted by what it was about. */
export function inspectRefusals(refusals: readonly HostEvent[]): InspectNode {
  const total = refusals.reduce((sum, { count }) => sum + count, 0);
  return {
    name: 'refused requests',
    value: total === 0 ? 'none' : total.toLocaleString('en-US'),
    children: refusals.map(({ subject, count, lastText }) => ({
      name: subject ?? '',
      value: count.toLocaleString('en-US'),
      detail: ownWords(lastText),
    })),
  };
}

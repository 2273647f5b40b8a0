import type { DebugProtocol } from '@vscode/debugprotocol';
import type { ShownVariable } from '../debugger/inspection/shown.ts';
import type { AdapterSession } from './adapter-session.ts';
import { writeReference } from './references.ts';
import { locationOf } from './sources.ts';
import type { Thread } from './threads.ts';

/** What the answers about variables and about evaluated expressions have in common. */
export function describeVariable(
  adapter: AdapterSession,
  { guest, vcpu }: Thread,
  { value, type, expression, children, memory, set, assign }: ShownVariable,
): Omit<DebugProtocol.Variable, 'name' | 'value'> {
  return {
    type,
    valueLocationReference: locationOf(adapter, guest, value),
    evaluateName: expression,
    variablesReference: children ? adapter.variables.add({ guest, vcpu, get: children }) : 0,
    memoryReference: memory && writeReference({ guest: guest.index, ...memory }),
    presentationHint: set || assign || children ? undefined : { attributes: ['readOnly'] },
  };
}

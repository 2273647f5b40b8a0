import type { DebugProtocol } from '@vscode/debugprotocol';
import type { ShownVariable } from '../debugger/inspection/shown.ts';
import { hex } from '../x86/address.ts';
import type { AdapterSession } from './adapter-session.ts';
import { locationOf } from './sources.ts';

/** What the answers about variables and about evaluated expressions have in common. */
export function describeVariable(
  adapter: AdapterSession,
  { value, type, expression, children, memory, set, assign }: ShownVariable,
): Omit<DebugProtocol.Variable, 'name' | 'value'> {
  return {
    type,
    valueLocationReference: locationOf(adapter, value),
    evaluateName: expression,
    variablesReference: children ? adapter.variables.add(children) : 0,
    memoryReference: memory === undefined ? undefined : hex(memory),
    presentationHint: set || assign || children ? undefined : { attributes: ['readOnly'] },
  };
}

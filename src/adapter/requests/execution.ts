import { hex } from '../../x86/address.ts';
import type { AdapterSession } from '../adapter-session.ts';
import { errors } from '../errors.ts';
import { sourcePath } from '../sources.ts';
import { numberOf, type Parameters, type RequestHandler, vcpuOf } from './handler.ts';

/** Sets the guest moving after the response. `title` names a motion whose progress is shown when it takes long. */
function move(adapter: AdapterSession, parameters: Parameters, motion: () => void, title?: string): ReturnType<RequestHandler> {
  const { session } = adapter.still;
  if (parameters.threadId !== undefined) session.current = vcpuOf(adapter, parameters);
  adapter.moving();
  motion();
  if (title !== undefined) adapter.progress.begin(title);
  // An extension that steps by a request of its own asks for this: its editor doesn't know yet that the guest goes on.
  const announced = parameters.announce === true;
  return {
    body: { allThreadsContinued: true },
    after: announced ? () => adapter.event('continued', { threadId: session.current + 1, allThreadsContinued: true }) : undefined,
  };
}

const unitOf = (parameters: Parameters): 'instruction' | 'line' =>
  parameters.granularity === 'instruction' ? 'instruction' : 'line';

export const executionRequests: Readonly<Record<string, RequestHandler>> = {
  continue: (adapter, parameters) => move(adapter, parameters, () => adapter.launched.session.continue()),
  next: (adapter, parameters) =>
    move(adapter, parameters, () => adapter.launched.session.stepOver(unitOf(parameters)), 'Step Over'),
  stepIn: (adapter, parameters) =>
    move(adapter, parameters, () => adapter.launched.session.stepInto(unitOf(parameters)), 'Step Into'),
  stepOut: (adapter, parameters) => move(adapter, parameters, () => adapter.launched.session.stepOut(), 'Step Out'),
  pause: (adapter) => {
    adapter.launched.session.pause();
    return {};
  },
  threads: (adapter) => ({
    body: {
      threads: (adapter.guest?.partition.vcpus ?? []).map(({ index, processor, activity }) => ({
        id: index + 1,
        name: `vCPU ${index}${activity ? ' (in the hypervisor)' : processor.halted ? ' (halted)' : ''}`,
      })),
    },
  }),
  gotoTargets: (adapter, parameters) => {
    const { session } = adapter.still;
    const wanted = adapter.dialect.readLine(numberOf(parameters, 'line', 'gotoTargets'));
    const { line, addresses } = session.symbols.addressesOf(sourcePath(adapter, parameters), wanted);
    if (addresses.length === 0) throw errors.noCode(wanted);
    const targets = addresses.map((address) => ({
      id: adapter.gotoTargets.add(address),
      label: hex(address),
      line: adapter.dialect.writeLine(line),
      instructionPointerReference: hex(address),
    }));
    return { body: { targets } };
  },
  goto: (adapter, parameters) => {
    const { session } = adapter.still;
    const target = adapter.gotoTargets.get(parameters.targetId);
    if (target === undefined) throw errors.noTarget(parameters.targetId);
    session.jumpTo(target);
    return { after: () => adapter.reportStop({ reason: 'goto', vcpu: session.current, description: 'Moved' }) };
  },
};

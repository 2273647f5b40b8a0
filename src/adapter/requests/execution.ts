import { vcpuStatus } from '../../debugger/inspection/vcpu-status.ts';
import { stepTargets } from '../../debugger/run-control/step-targets.ts';
import { hex } from '../../x86/address.ts';
import type { AdapterSession } from '../adapter-session.ts';
import { errors } from '../errors.ts';
import { parseReference } from '../references.ts';
import { sourcePath } from '../sources.ts';
import { numberOf, type Parameters, type RequestHandler, vcpuOf } from './handler.ts';

/** Sets the guest moving after the response. `title` names a motion whose progress is shown when it takes long. */
function move(adapter: AdapterSession, parameters: Parameters, motion: () => void, title?: string): ReturnType<RequestHandler> {
  const { session } = adapter.still;
  if (parameters.threadId !== undefined) session.current = vcpuOf(adapter, parameters);
  motion();
  adapter.moving();
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

/** Where a jump can go: the places of a line, or an instruction that is given by its address (an addition to the protocol). */
function gotoPlaces(adapter: AdapterSession, parameters: Parameters): { line: number; addresses: readonly bigint[] } {
  const { symbols } = adapter.still.session;
  if (parameters.instructionReference !== undefined) {
    const { address } = parseReference(parameters.instructionReference, parameters.offset);
    return { line: symbols.lineAt(address)?.position.line ?? 0, addresses: [address] };
  }
  const wanted = adapter.dialect.readLine(numberOf(parameters, 'line', 'gotoTargets'));
  const found = symbols.addressesOf(sourcePath(adapter, parameters), wanted);
  if (found.addresses.length === 0) throw errors.noCode(wanted);
  return found;
}

export const executionRequests: Readonly<Record<string, RequestHandler>> = {
  continue: (adapter, parameters) => move(adapter, parameters, () => adapter.launched.session.continue()),
  next: (adapter, parameters) =>
    move(adapter, parameters, () => adapter.launched.session.stepOver(unitOf(parameters)), 'Step Over'),
  stepIn: (adapter, parameters) => {
    const { session } = adapter.launched;
    const site = parameters.targetId === undefined ? undefined : adapter.stepTargets.get(parameters.targetId);
    if (parameters.targetId !== undefined && site === undefined) throw errors.noTarget(parameters.targetId);
    const motion = () => (site === undefined ? session.stepInto(unitOf(parameters)) : session.stepIntoTarget(site));
    return move(adapter, parameters, motion, 'Step Into');
  },
  stepInTargets: (adapter, parameters) => {
    const { session } = adapter.still;
    const frame = adapter.frames.get(parameters.frameId);
    if (!frame) throw errors.unknownFrame(parameters.frameId);
    // A caller's line is in the middle of its call.
    const isNewest = frame.entry.kind === 'guest' && frame.entry.context?.isCaller !== true;
    const targets = isNewest ? stepTargets(session, frame.vcpu) : [];
    return {
      body: {
        targets: targets.map(({ label, site }) => {
          const position = session.symbols.lineAt(site)?.position;
          return { id: adapter.stepTargets.add(site), label, line: position && adapter.dialect.writeLine(position.line) };
        }),
      },
    };
  },
  stepOut: (adapter, parameters) => move(adapter, parameters, () => adapter.launched.session.stepOut(), 'Step Out'),
  pause: (adapter) => {
    adapter.launched.session.pause();
    return {};
  },
  threads: (adapter) => ({
    body: {
      threads: (adapter.guest?.partition.vcpus ?? []).map((vcpu) => {
        const status = vcpuStatus(vcpu);
        return { id: vcpu.index + 1, name: `vCPU ${vcpu.index}${status === undefined ? '' : ` (${status})`}` };
      }),
    },
  }),
  gotoTargets: (adapter, parameters) => {
    const { session } = adapter.still;
    const { line, addresses } = gotoPlaces(adapter, parameters);
    const targets = addresses.map((address) => {
      const name = session.symbols.describe(address);
      return {
        id: adapter.gotoTargets.add(address),
        label: name === undefined ? hex(address) : `${hex(address)} <${name}>`,
        line: adapter.dialect.writeLine(line),
        instructionPointerReference: hex(address),
      };
    });
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

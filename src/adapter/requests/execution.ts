import { MOTION_SCOPES } from '../../debugger/run-control/control.ts';
import { stepTargets } from '../../debugger/run-control/step-targets.ts';
import { hex } from '../../x86/address.ts';
import type { AdapterSession, CodePlace } from '../adapter-session.ts';
import { errors } from '../errors.ts';
import { gvaReference, parseMovedReference } from '../references.ts';
import { sourcePath } from '../sources.ts';
import { still, type Thread, threadName, threadOrFocus, threadsOf } from '../threads.ts';
import { guestOf, numberOf, type Parameters, type RequestHandler } from './handler.ts';

/**
 * Sets a vCPU moving after the response, and with it those that go when it goes. `title` names a motion whose progress is shown
 * when it takes long.
 */
function move(
  adapter: AdapterSession,
  parameters: Parameters,
  motion: (thread: Thread) => void,
  title?: string,
): ReturnType<RequestHandler> {
  const group = adapter.launched;
  if (adapter.isOver) throw errors.over();
  const thread = still(threadOrFocus(adapter, parameters));
  const { guest, vcpu } = thread;
  const { session } = guest;
  const goesOn = title === undefined && group.wanted === 'all' && !group.isOver;
  if (session.isOver && !goesOn) throw errors.ended(guest.configuration.name);
  const before = session.current;
  session.current = vcpu;
  try {
    group.begin(parameters.singleThread === true, () => (session.isOver ? undefined : motion(thread)));
  } catch (error) {
    session.current = before;
    throw error;
  }
  adapter.lookAt(guest);
  adapter.moving();
  if (title !== undefined) adapter.progress.begin(title);
  const allThreadsContinued = group.guests.flatMap(threadsOf).every((one) => one.guest.session.moves(one.vcpu));
  // An extension that steps by a request of its own asks for this: its editor doesn't know yet that the guest goes on.
  const announced = parameters.announce === true;
  return {
    body: { allThreadsContinued },
    after: announced ? () => adapter.event('continued', { threadId: adapter.threadId(thread), allThreadsContinued }) : undefined,
  };
}

const unitOf = (parameters: Parameters): 'instruction' | 'line' =>
  parameters.granularity === 'instruction' ? 'instruction' : 'line';

/** Where a jump can go: the places of a line, or an instruction that is given by its address (an addition to the protocol). */
function gotoPlaces(adapter: AdapterSession, parameters: Parameters): { line: number; places: readonly CodePlace[] } {
  if (parameters.instructionReference !== undefined) {
    const place = parseMovedReference(parameters.instructionReference, parameters.offset);
    const { address } = place;
    const guest = guestOf(adapter, place);
    return { line: guest.session.symbols.lineAt(address)?.position.line ?? 0, places: [{ guest, address }] };
  }
  const guest = adapter.still;
  const wanted = adapter.dialect.readLine(numberOf(parameters, 'line', 'gotoTargets'));
  const { line, addresses } = guest.session.symbols.addressesOf(sourcePath(adapter, parameters), wanted);
  if (addresses.length === 0) throw errors.noCode(wanted);
  return { line, places: addresses.map((address) => ({ guest, address })) };
}

export const executionRequests: Readonly<Record<string, RequestHandler>> = {
  continue: (adapter, parameters) => move(adapter, parameters, ({ guest: { session } }) => session.continue()),
  next: (adapter, parameters) =>
    move(adapter, parameters, ({ guest: { session } }) => session.stepOver(unitOf(parameters)), 'Step Over'),
  stepIn: (adapter, parameters) => {
    const site = parameters.targetId === undefined ? undefined : adapter.stepTargets.get(parameters.targetId);
    if (parameters.targetId !== undefined && site === undefined) throw errors.noTarget(parameters.targetId);
    const motion = ({ guest: { session } }: Thread) =>
      site === undefined ? session.stepInto(unitOf(parameters)) : session.stepIntoTarget(site);
    return move(adapter, parameters, motion, 'Step Into');
  },
  stepInTargets: (adapter, parameters) => {
    const frame = adapter.frames.get(parameters.frameId);
    if (!frame) throw errors.unknownFrame(parameters.frameId);
    const { session } = still(frame).guest;
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
  stepOut: (adapter, parameters) => move(adapter, parameters, ({ guest: { session } }) => session.stepOut(), 'Step Out'),
  pause: (adapter, parameters) => {
    adapter.launched.pause(threadOrFocus(adapter, parameters));
    return {};
  },
  threads: (adapter) => {
    const guests = adapter.group?.guests ?? [];
    const threads = guests
      .flatMap(threadsOf)
      .map((thread) => ({ id: adapter.threadId(thread), name: threadName(guests, thread) }));
    return { body: { threads } };
  },
  gotoTargets: (adapter, parameters) => {
    const { line, places } = gotoPlaces(adapter, parameters);
    const targets = places.map((place) => {
      const { guest, address } = place;
      const name = guest.session.symbols.describe(address);
      return {
        id: adapter.gotoTargets.add(place),
        label: name === undefined ? hex(address) : `${hex(address)} <${name}>`,
        line: adapter.dialect.writeLine(line),
        instructionPointerReference: gvaReference(guest.index, address),
      };
    });
    return { body: { targets } };
  },
  goto: (adapter, parameters) => {
    const target = adapter.gotoTargets.get(parameters.targetId);
    if (target === undefined) throw errors.noTarget(parameters.targetId);
    const asked = threadOrFocus(adapter, parameters);
    const { guest, vcpu } = still(
      asked.guest === target.guest ? asked : { guest: target.guest, vcpu: target.guest.session.current },
    );
    guest.session.current = vcpu;
    guest.session.jumpTo(target.address);
    return { after: () => adapter.reportStop(guest, { reason: 'goto', vcpu, description: 'Moved' }) };
  },
  'hyperscope/moves': (adapter, parameters) => {
    const scope = MOTION_SCOPES.find((name) => name === parameters.scope);
    if (parameters.scope !== undefined && scope === undefined)
      throw errors.badArguments('hyperscope/moves', `a "scope" that is one of ${MOTION_SCOPES.join(', ')}`);
    if (scope !== undefined) adapter.launched.wanted = scope;
    return { body: { scope: adapter.launched.wanted } };
  },
};

import { vcpuStatus } from '../debugger/inspection/vcpu-status.ts';
import type { Guest } from '../debugger/launch-guest.ts';
import type { AdapterSession } from './adapter-session.ts';
import { errors } from './errors.ts';
import type { Parameters } from './requests/handler.ts';

/** A vCPU of one of the guests: what the protocol calls a thread. */
export interface Thread {
  readonly guest: Guest;
  readonly vcpu: number;
}

/** Thread ids go through all guests, from 1. */
export function threadId(guests: readonly Guest[], { guest, vcpu }: Thread): number {
  const before = guests.slice(0, guest.index).reduce((sum, { partition }) => sum + partition.vcpus.length, 0);
  return before + vcpu + 1;
}

/** All threads of a guest, in the order of its vCPUs. One that was destroyed has none. */
export function threadsOf(guest: Guest): Thread[] {
  return guest.partition.vcpus.filter(({ isPresent }) => isPresent).map(({ index }) => ({ guest, vcpu: index }));
}

/** `vCPU 1 (halted)`, `vCPU 0 (init, pid 1)` where Linux runs a process, behind the name of its partition where there are several. */
export function threadName(guests: readonly Guest[], { guest, vcpu }: Thread): string {
  const status = vcpuStatus(guest.session.vcpu(vcpu));
  const ended = guest.partition.end === undefined ? status : 'ended';
  const task = guest.session.linux?.taskOf(vcpu);
  const notes = [...(task && task.pid > 0 ? [`${task.name}, pid ${task.pid}`] : []), ...(ended === undefined ? [] : [ended])];
  const name = `vCPU ${vcpu}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`;
  return guests.length > 1 ? `${guest.configuration.name}: ${name}` : name;
}

/** The vCPU of a thread id. Throws RequestError. */
export function threadOf(adapter: AdapterSession, { threadId: id }: Parameters): Thread {
  const { guests } = adapter.launched;
  const thread = guests.flatMap(threadsOf).find((one) => threadId(guests, one) === id);
  if (!thread) throw errors.unknownThread(id);
  return thread;
}

/** A vCPU that stands still, to be looked at. Throws RequestError when it moves. */
export function still(thread: Thread): Thread {
  if (thread.guest.session.moves(thread.vcpu)) throw errors.running();
  return thread;
}

/** The thread of a request that names one, else the one that the user looks at. */
export function threadOrFocus(adapter: AdapterSession, parameters: Parameters): Thread {
  return parameters.threadId === undefined ? adapter.focus : threadOf(adapter, parameters);
}

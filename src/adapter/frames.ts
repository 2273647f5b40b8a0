import { guestContext } from '../debugger/inspection/call-stack.ts';
import type { FrameContext } from '../symbols/symbol-source.ts';
import type { AdapterSession } from './adapter-session.ts';
import type { Parameters } from './requests/handler.ts';
import { still, type Thread } from './threads.ts';

/** The frame that a request is about, else the newest one of the guest. Throws RequestError when its vCPU moves. */
export function frameOf(adapter: AdapterSession, parameters: Parameters): Thread & { readonly context: FrameContext } {
  const frame = adapter.frames.get(parameters.frameId);
  const { guest, vcpu } = still(frame ?? adapter.focus);
  return { guest, vcpu, context: frame?.entry.context ?? guestContext(guest.session, vcpu) };
}

import { guestContext } from '../debugger/inspection/call-stack.ts';
import type { FrameContext } from '../symbols/symbol-source.ts';
import type { AdapterSession } from './adapter-session.ts';
import type { Parameters } from './requests/handler.ts';

/** The frame that a request is about, else the newest one of the guest. */
export function frameOf(
  adapter: AdapterSession,
  parameters: Parameters,
): { readonly vcpu: number; readonly context: FrameContext } {
  const { session } = adapter.still;
  const frame = adapter.frames.get(parameters.frameId);
  const vcpu = frame?.vcpu ?? session.current;
  return { vcpu, context: frame?.entry.context ?? guestContext(session, vcpu) };
}

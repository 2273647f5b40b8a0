import { exitLabel } from '../../debugger/inspection/call-stack.ts';
import { exitDetails } from '../../debugger/inspection/exception-details.ts';
import { describeFault } from '../../hypervisor/exits/describe.ts';
import { type RequestHandler, vcpuOf } from './handler.ts';

/** What the last stop was about: a guest exception with its page walk, or a VM exit. */
const exceptionInfo: RequestHandler = (adapter, parameters) => {
  const { session, partition } = adapter.still;
  const index = vcpuOf(adapter, parameters);
  const { processor, activity } = session.vcpu(index);
  const stop = session.lastStop?.vcpu === index ? session.lastStop : undefined;
  const exit = stop?.exit ?? activity?.exit;
  if (!exit) return { body: { exceptionId: stop?.description ?? 'none', breakMode: 'always', description: stop?.text } };
  const label = exitLabel(partition.vendor, exit).replaceAll('─', '').trim();
  const exceptionId = exit.reason === 'exception' ? describeFault(exit.vector, exit.errorCode) : label;
  return { body: { exceptionId, description: exitDetails(exit, processor).join('\n'), breakMode: 'always' } };
};

export const exceptionRequests: Readonly<Record<string, RequestHandler>> = { exceptionInfo };

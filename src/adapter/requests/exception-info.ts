import { type CrashFault, crashFaults } from '../../debugger/crash/crash-faults.ts';
import { crashTitle, isCrash } from '../../debugger/crash/crash-report.ts';
import { faultLines } from '../../debugger/crash/markdown.ts';
import { crashStory } from '../../debugger/crash/story.ts';
import { exitLabel } from '../../debugger/inspection/call-stack.ts';
import { exitDetails } from '../../debugger/inspection/exception-details.ts';
import { describeFault } from '../../hypervisor/exits/describe.ts';
import { still, threadOf } from '../threads.ts';
import type { RequestHandler } from './handler.ts';

/** What the last stop was about: a guest exception with its page walk, a crash with its chain of faults, or a VM exit. */
const exceptionInfo: RequestHandler = (adapter, parameters) => {
  const { guest, vcpu: index } = still(threadOf(adapter, parameters));
  const { session, partition } = guest;
  const { processor, activity } = session.vcpu(index);
  const stop = session.lastStop?.vcpu === index ? session.lastStop : undefined;
  const exit = stop?.exit ?? activity?.exit;
  if (!exit) return { body: { exceptionId: stop?.description ?? 'none', breakMode: 'always', description: stop?.text } };
  const label = exitLabel(partition.vendor, exit).replaceAll('─', '').trim();
  const exceptionId = exit.reason === 'exception' ? describeFault(exit.vector, exit.errorCode) : label;
  const cause = stop ? session.crashCause : undefined;
  const faults = cause ? crashFaults(processor, exit) : [];
  const title = cause ? crashTitle(session, cause) : '';
  const crashed = cause !== undefined && isCrash(cause);
  return {
    body: {
      exceptionId,
      description: (crashed ? crashStory(session, cause) : exitDetails(exit, processor, partition.platform)).join('\n'),
      breakMode: crashed ? 'unhandled' : 'always',
      details: detailsOf(faults, title),
    },
  };
};

/**
 * The chain: the last fault is the outermost, its cause the inner one. Editors show the outermost one's text below the description, which
 * has it already.
 */
function detailsOf(faults: readonly CrashFault[], title: string): object | undefined {
  let details: object | undefined;
  for (const [index, fault] of faults.entries()) {
    const message = index === faults.length - 1 ? title : faultLines(fault)[0];
    details = {
      message,
      typeName: fault.name,
      fullTypeName: fault.name,
      stackTrace: index === faults.length - 1 ? undefined : faultLines(fault).join('\n'),
      innerException: details && [details],
    };
  }
  return details;
}

export const exceptionRequests: Readonly<Record<string, RequestHandler>> = { exceptionInfo };

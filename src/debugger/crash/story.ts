import { plainRecord } from '../../hypervisor/journal/exit-journal.ts';
import { walkLines } from '../inspection/exception-details.ts';
import { crashFaults } from './crash-faults.ts';
import { type CrashCause, type CrashSession, crashNotes, crashTitle } from './crash-report.ts';
import { exitLines, faultLines } from './markdown.ts';

/** Exits in the story: a report has more of them. */
const EXITS = 4;

/**
 * A crash in a few lines, as an editor shows them at the instruction: each fault with why its handler could not be entered and the walks
 * of its addresses, the last exits before it, and how it goes on.
 */
export function crashStory(session: CrashSession, cause: CrashCause): string[] {
  const { processor } = session.vcpu(cause.vcpu);
  const isTripleFault = cause.exit?.reason === 'triple-fault';
  const faults = crashFaults(processor, cause.exit).flatMap((fault, index) => {
    const [first = '', ...rest] = faultLines(fault);
    const walks = [fault.address, fault.raised?.address].flatMap((address) =>
      address === undefined ? [] : [`Page walk of ${address}:`, ...indented(walkLines(processor.walk(BigInt(address))))],
    );
    return [`${index + 1}. ${first}`, ...indented([...rest, ...walks], 3)];
  });
  const exits = session.partition.journal.latest(EXITS, ({ reason }) => reason !== 'triple-fault').map(plainRecord);
  return [
    crashTitle(session, cause),
    ...faults,
    ...(exits.length === 0 ? [] : ['The last VM exits before it:', ...indented(exitLines(exits))]),
    ...(isTripleFault ? ['Registers, memory and frames are as they were before the first fault.'] : []),
    ...crashNotes(session, cause),
  ];
}

function indented(lines: readonly string[], spaces = 2): string[] {
  return lines.map((line) => `${' '.repeat(spaces)}${line}`);
}

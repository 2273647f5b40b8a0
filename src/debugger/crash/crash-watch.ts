import type { Partition } from '../../hypervisor/partition/partition.ts';
import type { PartitionEnd } from '../../hypervisor/partition/run.ts';
import type { StopEvent } from '../run-control/events.ts';
import { type CrashCause, type CrashReport, type CrashSession, crashReport, isCrash } from './crash-report.ts';

/** How a guest ends that goes on from a crash which was reported. */
const END_OF: Readonly<Record<string, readonly PartitionEnd['kind'][]>> = {
  'triple-fault': ['triple-fault'],
  'unhandled-exception': ['crash', 'triple-fault'],
};
const CRASHES: ReadonlySet<PartitionEnd['kind']> = new Set(['triple-fault', 'halted', 'crash', 'internal-error']);

/** What there is to report of an end; undefined for one that the guest chose. */
function endCause({ vcpus }: Partition, end: PartitionEnd): CrashCause | undefined {
  if (!CRASHES.has(end.kind)) return undefined;
  const fault = vcpus.find(({ lastExit }) => lastExit?.reason === 'triple-fault');
  return end.kind === 'triple-fault' && fault ? { vcpu: fault.index, exit: fault.lastExit, end } : { vcpu: 0, end };
}

/** Keeps what a crash report is about: the crash that the guest stands at or ended with, in the state before it went on. */
export class CrashWatch {
  private found: CrashCause | undefined;
  /** Once it is made. */
  private made: CrashReport | undefined;

  constructor(private readonly session: CrashSession) {}

  /** What the report is about, which costs nothing to ask. */
  get cause(): CrashCause | undefined {
    return this.found;
  }

  /** Undefined where there is no crash. */
  get report(): CrashReport | undefined {
    if (this.found) this.made ??= crashReport(this.session, this.found);
    return this.made;
  }

  /** The guest has stopped, at a crash if a cause is given or at an exception that a filter stops at. */
  stopped({ vcpu, exit }: StopEvent, cause?: CrashCause): void {
    this.forget();
    this.found = cause ?? (exit?.reason === 'exception' ? { vcpu, exit } : undefined);
  }

  /** The guest is about to go on, which changes the state that the report is about: it is made before. */
  goesOn(): void {
    if (this.found && isCrash(this.found)) this.made = this.report;
  }

  ended(end: PartitionEnd): void {
    // The report of the stop that led here has the state before the fault.
    const cause = endCause(this.session.partition, end);
    if (cause && this.made && END_OF[this.made.kind]?.includes(end.kind)) return;
    this.forget();
    this.found = cause;
  }

  forget(): void {
    this.found = undefined;
    this.made = undefined;
  }
}

import type { VmExit } from '../../processor/exit.ts';
import type { Processor } from '../../processor/processor.ts';
import type { ServedBy } from '../../stages/stage.ts';
import type { ExitEntry, RequestFormat, ResultFormat } from '../journal/exit-entry.ts';
import { describeFault } from './describe.ts';

const CR0_PE = 1n;

/** What an exit handler of a platform works with: the vCPU that left, why, and the journal's record of it. */
export class ExitContext<Exit extends VmExit = VmExit> {
  /** An event was injected: the next entry has no room for another. */
  injected = false;

  constructor(
    /** Number of the vCPU. */
    readonly vcpu: number,
    readonly processor: Processor,
    readonly exit: Exit,
    readonly record: ExitEntry,
  ) {}

  /** Says in the journal which handler served the exit, and where. The last word counts. */
  served(handler: string, by: ServedBy): void {
    this.record.handler = handler;
    this.record.to = by;
  }

  /** Says in the journal what was asked, where the platform knows more of it than the processor: a text, or what makes it when it is read. */
  asked(text: string | RequestFormat): void {
    this.record.asked = text;
  }

  /** Says in the journal what came of it. */
  result(text: string): void {
    this.record.outcome = text;
  }

  /** The same as values, of which a text is made when somebody reads the record: most are never read. */
  resultOf(format: ResultFormat, first: bigint, second = 0n, third = 0n, fourth = 0n): void {
    const { record } = this;
    record.outcome = format;
    record.first = first;
    record.second = second;
    record.third = third;
    record.fourth = fourth;
  }

  /** Goes past the instruction that left. */
  skip(): void {
    this.processor.skipInstruction(this.exit.instructionLength);
  }

  /**
   * Injects a hardware exception at the instruction that left, and says so in the journal. In real mode there are no error codes:
   * an entry with one would fail.
   */
  injectFault(vector: number, errorCode?: number): void {
    const { processor } = this;
    const isReal = (processor.state.cr0 & CR0_PE) === 0n;
    processor.inject({ vector, type: 'exception', errorCode: isReal ? undefined : errorCode });
    this.injected = true;
    this.result(describeFault(vector, errorCode));
  }
}

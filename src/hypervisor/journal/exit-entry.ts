import type { ExitReason, VmExit } from '../../processor/exit.ts';
import { hex } from '../../x86/address.ts';
import { describeRequest } from '../exits/describe.ts';
import { svmExitInfo, vmxQualification } from '../exits/qualification.ts';
import { exitNumbers } from '../exits/reasons.ts';
import type { ServedBy } from '../exits/stage.ts';
import { type ExitRecord, plainRecord } from './exit-journal.ts';

/** A text, or what makes it when somebody reads it. */
export type LazyText = string | (() => string);

/**
 * The record of an exit as the journal keeps it: most are never read, so their texts are made when they are. What they are made of
 * doesn't change any more.
 */
export class ExitEntry implements ExitRecord {
  handler: string | undefined;
  to: ServedBy | undefined;
  /** Why the partition's request was refused: the result, whatever the handler says besides. */
  refused: string | undefined;
  stage: string | undefined;
  private asked: string | undefined;
  private outcome: LazyText | undefined;

  /** `rax` has the number of a hypercall; `mode` is the width of the code. */
  constructor(
    readonly seq: number,
    readonly partition: number,
    readonly vcpu: number,
    private readonly vendor: 'intel' | 'amd',
    readonly exit: VmExit,
    readonly rax: bigint,
    private readonly mode: 16 | 32 | 64,
  ) {}

  get icount(): string {
    return this.exit.icount.toString();
  }
  get rip(): string {
    return hex(this.exit.rip);
  }
  get reason(): ExitReason {
    return this.exit.reason;
  }
  get vmx(): number {
    return exitNumbers(this.exit).vmx;
  }
  get svm(): number {
    return exitNumbers(this.exit).svm;
  }
  get qualification(): string {
    const { exit, vendor, mode } = this;
    if (vendor === 'intel') return hex(vmxQualification(exit));
    return hex(svmExitInfo(exit, { addressSize: mode, segment: exit.reason === 'io' && exit.write ? 3 : 0 }).info1);
  }
  get request(): string {
    return this.asked ?? describeRequest(this.exit, this.rax);
  }
  set request(text: string) {
    this.asked = text;
  }
  get result(): string | undefined {
    if (this.refused !== undefined) return this.refused;
    return typeof this.outcome === 'function' ? this.outcome() : this.outcome;
  }
  set result(text: LazyText | undefined) {
    this.outcome = text;
  }

  /** The class keeps what JSON has no form for. */
  toJSON(): ExitRecord {
    return plainRecord(this);
  }
}

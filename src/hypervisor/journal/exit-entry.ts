import type { ExitReason, VmExit } from '../../processor/exit.ts';
import type { ServedBy } from '../../stages/stage.ts';
import { hex } from '../../x86/address.ts';
import { describeRequest } from '../exits/describe.ts';
import { svmExitInfo, vmxQualification } from '../exits/qualification.ts';
import { exitNumbers } from '../exits/reasons.ts';
import { type ExitRecord, plainRecord } from './exit-journal.ts';

/**
 * Makes the text of a result out of up to four values of what came of an exit, 64 bits each, unsigned. It is a function of the
 * program, not one made for an exit: the journal keeps it.
 */
export type ResultFormat = (first: bigint, second: bigint, third: bigint, fourth: bigint) => string;

/** Makes the text of a request out of the exit and RAX, which has the number of a hypercall. As {@link ResultFormat}, of the program. */
export type RequestFormat = (exit: VmExit, rax: bigint) => string;

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
  /** What was asked, in the platform's words where they say more than the exit's. */
  asked: string | RequestFormat | undefined;
  /** What came of it: a text, or what makes it out of the values. */
  outcome: string | ResultFormat | undefined;
  first = 0n;
  second = 0n;
  third = 0n;
  fourth = 0n;

  /** `rax` has the number of a hypercall; `mode` is the width of the code. */
  constructor(
    readonly seq: number,
    readonly partition: number,
    readonly vcpu: number,
    readonly vendor: 'intel' | 'amd',
    readonly exit: VmExit,
    readonly rax: bigint,
    readonly mode: 16 | 32 | 64,
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
    const { asked } = this;
    return typeof asked === 'string' ? asked : (asked ?? describeRequest)(this.exit, this.rax);
  }
  get result(): string | undefined {
    if (this.refused !== undefined) return this.refused;
    const { outcome } = this;
    return typeof outcome === 'function' ? outcome(this.first, this.second, this.third, this.fourth) : outcome;
  }

  /** The class keeps what JSON has no form for. */
  toJSON(): ExitRecord {
    return plainRecord(this);
  }
}

/** Instructions that the vCPU had retired before an exit: exact up to 2^53. */
export function icountOf(record: ExitRecord): number {
  return Number(record instanceof ExitEntry ? record.exit.icount : record.icount);
}

/** Instructions from one exit of a vCPU to the next one. A machine that is reset counts from 0 again. */
export function instructionsBetween(before: number, icount: number): number {
  return icount < before ? icount : icount - before;
}

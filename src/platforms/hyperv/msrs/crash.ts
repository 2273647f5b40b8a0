import type { InspectNode } from '../../../devices/inspect.ts';
import type { PartitionEnd } from '../../../hypervisor/partition/run.ts';
import type { Processor } from '../../../processor/processor.ts';
import type { Handler } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { CRASH_CAPABILITIES, CRASH_PARAMETER_NAMES, CrashControl, LONGEST_CRASH_MESSAGE } from '../abi/crash.ts';
import { describeGuestOs, guestOsOf } from '../abi/guest-os-id.ts';
import { CRASH_PARAMETERS, Msr } from '../abi/msrs.ts';
import { reportCrash as reportAtOnce } from '../generated/crash.ts';
import { reportCrash } from '../handlers/crash.ts';
import type { Hyperv } from '../hyperv.ts';
import type { MsrGroup } from './msr-group.ts';

/** What a guest has said of its crash. */
export interface CrashNotice {
  readonly vcpu: number;
  readonly parameters: readonly bigint[];
  /** Its message line by line, where it sent one. */
  readonly lines: readonly string[];
}

const LONGEST_TITLE = 200;
const LINES_SHOWN = 40;

/** The MSRs by which a guest tells its host why it dies. */
export class CrashMsrs implements MsrGroup {
  readonly msrs = [...Array.from({ length: CRASH_PARAMETERS }, (_, number) => Msr.CRASH_P0 + number), Msr.CRASH_CTL];
  private readonly parameters: bigint[] = new Array<bigint>(CRASH_PARAMETERS).fill(0n);
  private notice: CrashNotice | undefined;

  constructor(private readonly hyperv: Pick<Hyperv, 'machine' | 'guestOsId' | 'vendor'>) {}

  read(_processor: Processor, msr: number): bigint {
    return msr === Msr.CRASH_CTL ? CRASH_CAPABILITIES : (this.parameters[msr - Msr.CRASH_P0] ?? 0n);
  }

  write(processor: Processor, msr: number, value: bigint): boolean {
    if (msr === Msr.CRASH_CTL) return reportAtOnce(this, this.hyperv, processor, value);
    this.parameters[msr - Msr.CRASH_P0] = value;
    return true;
  }

  *writeInStages(processor: Processor, msr: number, value: bigint): Handler<boolean> {
    if (msr === Msr.CRASH_CTL) return yield* reportCrash(this, this.hyperv, processor, value);
    this.parameters[msr - Msr.CRASH_P0] = value;
    return true;
  }

  /** Takes down what the guest says, as the write of HV_X64_MSR_CRASH_CTL has it. */
  take(processor: Processor, control: bigint): CrashNotice {
    const hasMessage = (control & CrashControl.MESSAGE) !== 0n;
    this.notice = {
      vcpu: processor.index,
      parameters: [...this.parameters],
      lines: hasMessage ? linesAt(processor, this.parameters[3] ?? 0n, this.parameters[4] ?? 0n) : [],
    };
    return this.notice;
  }

  /** The end of a partition whose guest has crashed. */
  endOf(notice: CrashNotice): PartitionEnd {
    const { vcpu, lines } = notice;
    const { guestOsId } = this.hyperv;
    const who = guestOsId === 0n ? 'The guest' : `The guest (${describeGuestOs(guestOsId)})`;
    const words = titleOf(lines);
    const what = words === undefined ? this.parametersText(notice) : `"${words}"`;
    return {
      kind: 'crash',
      status: 126,
      message: `${who} reported a crash on VP ${vcpu}: ${what}.`,
      details: lines.slice(-LINES_SHOWN),
    };
  }

  private parametersText({ parameters }: CrashNotice): string {
    const names = CRASH_PARAMETER_NAMES[guestOsOf(this.hyperv.guestOsId)];
    return parameters.map((value, number) => `${names[number] ?? ''} ${hex(value)}`).join(', ');
  }

  reset(vcpu: number): void {
    if (vcpu !== 0) return;
    this.parameters.fill(0n);
    this.notice = undefined;
  }

  inspect(): readonly InspectNode[] {
    const { notice } = this;
    if (notice === undefined) return [];
    const names = CRASH_PARAMETER_NAMES[notice.lines.length > 0 ? 'other' : guestOsOf(this.hyperv.guestOsId)];
    return [
      {
        name: 'crash report',
        value: titleOf(notice.lines) ?? this.parametersText(notice),
        detail: `by VP ${notice.vcpu}`,
        children: [
          ...notice.parameters.map((value, number) => ({ name: `P${number}`, value: hex(value), detail: names[number] })),
          ...notice.lines.map((line, number) => ({ name: `message, line ${number + 1}`, value: line })),
        ],
      },
    ];
  }
}

/** The text of a crash message; what isn't printable is left out. None where the guest has no memory. */
function linesAt(processor: Processor, gpa: bigint, length: bigint): readonly string[] {
  const size = length < BigInt(LONGEST_CRASH_MESSAGE) ? Number(length) : LONGEST_CRASH_MESSAGE;
  if (gpa >> 52n !== 0n) return [];
  const text = new TextDecoder('latin1').decode(processor.readMemory('gpa', gpa, size));
  return text
    .split(/[\r\n\0]+/)
    .map((line) => line.replaceAll(/[^\x20-\x7e]+/g, ' ').trim())
    .filter((line) => line !== '');
}

/** The line that says most: the one with a panic of Linux's, else the last one. */
function titleOf(lines: readonly string[]): string | undefined {
  // Not each line with that word: the kernel's command line may have it, too.
  const panic = lines.find((line) => /\bpanic(:| - not syncing)/i.test(line) && !/end kernel panic/i.test(line));
  const line = panic ?? lines.at(-1);
  // What printk puts before a message: level and time.
  return line?.replace(/^(<\d+>)?(\[ *\d+\.\d+\] *)?/, '').slice(0, LONGEST_TITLE);
}

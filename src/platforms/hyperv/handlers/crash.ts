import type { Processor } from '../../../processor/processor.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { CrashControl } from '../abi/crash.ts';
import { type Hyperv, parentFrame } from '../hyperv.ts';
import type { CrashMsrs } from '../msrs/crash.ts';

/** A write of HV_X64_MSR_CRASH_CTL: the hypervisor tells the worker process, which writes it down and ends the virtual machine. */
export function* reportCrash(
  crash: CrashMsrs,
  hyperv: Pick<Hyperv, 'machine'>,
  processor: Processor,
  control: bigint,
): Handler<boolean> {
  const notifies = (control & CrashControl.NOTIFY) !== 0n;
  yield stage('hyperv-crash.notify', { control, notifies, message: (control & CrashControl.MESSAGE) !== 0n });
  if (!notifies) return true;
  yield* inFrame(parentFrame('vmwp.exe', 'guest crash notification'), writeDown(crash, hyperv, processor, control));
  return true;
}

function* writeDown(crash: CrashMsrs, hyperv: Pick<Hyperv, 'machine'>, processor: Processor, control: bigint): Handler {
  const notice = crash.take(processor, control);
  const [p0 = 0n, p1 = 0n, p2 = 0n, p3 = 0n, p4 = 0n] = notice.parameters;
  yield stage('hyperv-crash.parameters', { p0, p1, p2, p3, p4, lines: notice.lines.length });
  const end = crash.endOf(notice);
  yield stage('hyperv-crash.end', { message: end.message });
  hyperv.machine.finish(end);
}

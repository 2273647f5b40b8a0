import { changedBits } from '../../../hypervisor/exits/changed-bits.ts';
import { describeFault } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { internalErrorEnd, tripleFaultEnd } from '../../../hypervisor/partition/ends.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import { Flag } from '../../../processor/state/cpu-state.ts';
import { CR0, CR2, CR3, CR4, EFER } from '../../../processor/state/layout.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { type ExitOf, type Hyperv, hypervisorFrame, parentFrame } from '../hyperv.ts';

const SLOTS = { 0: CR0, 2: CR2, 3: CR3, 4: CR4 } as const;

/** An instruction that the hypervisor lets do what it does on bare hardware: MOV DR, RDPMC, XSETBV, WBINVD, task switches … */
export function* performAsHardware(context: ExitContext): Handler {
  const { exit, processor } = context;
  yield stage('hyperv-simple.exit', { reason: exit.reason, request: context.record.request });
  const before = processor.icount;
  processor.performNatively();
  context.result(processor.icount === before ? 'fault' : 'ok');
  yield stage('hyperv-simple.complete', { result: context.record.result ?? '' });
}

/** Nothing to do: the guest has done it, or only somebody who looks wanted to see it. */
export function* goOn(context: ExitContext): Handler {
  yield stage('hyperv-seen.exit', { reason: context.exit.reason, request: context.record.request, rip: context.exit.rip });
  context.result('ok');
}

/** Control register access (VMX reason 28, SVM 0x00 to 0x1F): the hypervisor owns bits of CR0 and CR4. */
export function* handleControlRegister(hyperv: Hyperv, context: ExitContext<ExitOf<'cr'>>): Handler {
  const { register, access, value } = context.exit;
  yield stage('hyperv-cr.exit', { register: `CR${register}`, access, value });
  yield* inFrame(hypervisorFrame(hyperv, `set CR${register}`), setRegister(context));
}

function* setRegister(context: ExitContext<ExitOf<'cr'>>): Handler {
  const { exit, processor } = context;
  const { state } = processor;
  const read = () => (exit.register === 8 ? BigInt(processor.virtualTpr) : state.get64(SLOTS[exit.register]));
  const old = read();
  yield stage('hyperv-cr.check', { old, new: exit.value, changed: changedBits(exit.register, old, exit.value) });
  const before = processor.icount;
  processor.performNatively();
  context.result(processor.icount === before ? '#GP(0)' : 'ok');
  yield stage('hyperv-cr.complete', { value: read(), efer: state.get64(EFER), mode: processor.mode });
}

/** HLT (VMX reason 12, SVM 0x78): the virtual processor waits in the hypervisor until an interrupt comes. */
export function* handleHalt(hyperv: Hyperv, context: ExitContext): Handler {
  yield stage('hyperv-halt.exit', { rip: context.exit.rip });
  yield* inFrame(hypervisorFrame(hyperv, 'halt virtual processor'), halt(hyperv, context));
}

function* halt(hyperv: Hyperv, context: ExitContext): Handler {
  const { processor } = context;
  const interruptsOn = (processor.state.rflags & Flag.IF) !== 0;
  processor.performNatively();
  context.result('halted');
  yield stage('hyperv-halt.block', {
    interrupts: interruptsOn ? 'on' : 'off: only an NMI or INIT can wake it',
    pending: hyperv.apic(context.vcpu).hasInterrupt(),
  });
}

/** The guest can take an interrupt now (VMX reason 7, SVM 0x64 VINTR). It is injected at the entry that follows. */
export function* handleInterruptWindow(hyperv: Hyperv, context: ExitContext): Handler {
  context.processor.intercepts.interruptWindow = false;
  const pending = hyperv.apic(context.vcpu).hasInterrupt();
  context.result(pending ? 'interrupt to be injected' : 'nothing waits any more');
  yield stage('hyperv-interrupt-window.exit', { rip: context.exit.rip, pending });
}

/** The task priority has gone below the threshold (VMX reason 43): an interrupt that it held back can be injected. */
export function* handleTprBelowThreshold(hyperv: Hyperv, context: ExitContext): Handler {
  const apic = hyperv.apic(context.vcpu);
  context.result(apic.hasInterrupt() ? 'interrupt to be injected' : 'nothing waits any more');
  yield stage('hyperv-tpr.exit', { tpr: apic.getTpr(), threshold: context.processor.intercepts.tprThreshold });
}

/** The VMX-preemption timer has counted down. It begins anew. */
export function* handlePreemptionTimer({ machine }: Hyperv, context: ExitContext): Handler {
  const { processor } = context;
  const ticks = machine.settingsOf(context.vcpu)?.preemptionTimer ?? 0;
  yield stage('hyperv-preemption-timer.exit', { rip: context.exit.rip, ticks: BigInt(ticks) });
  processor.preemptionTimer = ticks;
  context.result('ok');
}

/** MONITOR and MWAIT do nothing: a guest could keep a processor of the host with them. */
export function* treatAsNop(context: ExitContext): Handler {
  yield stage('hyperv-nop.exit', { reason: context.exit.reason, note: 'emulated as NOP' });
  context.skip();
  context.result('nop');
}

/** VMX and SVM instructions without nested virtualization. */
export function* refuseInstruction(context: ExitContext): Handler {
  yield stage('hyperv-nested.refuse', { instruction: context.record.request, note: 'nested virtualization is off' });
  context.injectFault(Vector.UD);
}

/** Triple fault (VMX reason 2, SVM 0x7F): an unrecoverable exception, on which the worker process ends the virtual machine. */
export function* handleTripleFault(hyperv: Hyperv, context: ExitContext<ExitOf<'triple-fault'>>): Handler {
  const { chain, rip } = context.exit;
  const faults = chain.map((fault) => describeFault(fault.vector, fault.errorCode)).join(' → ');
  context.record.to = 'parent';
  context.result('HvMessageTypeUnrecoverableException');
  yield stage('hyperv-triple-fault.exit', { rip, faults });
  yield* inFrame(parentFrame('vmwp.exe', 'HvMessageTypeUnrecoverableException'), stopMachine(hyperv, context));
}

function* stopMachine(hyperv: Hyperv, context: ExitContext<ExitOf<'triple-fault'>>): Handler {
  yield stage('hyperv-triple-fault.stop', { vp: context.vcpu });
  hyperv.machine.finish(tripleFaultEnd(context.vcpu, context.exit.chain, context.exit.rip));
}

/** A VM entry that failed: the hypervisor has made a state that no processor enters. */
export function* handleFailedEntry(hyperv: Hyperv, context: ExitContext<ExitOf<'vm-entry-failure'>>): Handler {
  const { problem } = context.exit;
  yield stage('hyperv-entry.failed', { problem });
  const message = `vCPU ${context.vcpu} was given registers that no processor can run with: ${problem}.`;
  context.result('HvMessageTypeInvalidVpRegisterValue');
  hyperv.machine.finish({ kind: 'crash', status: 126, message });
}

/** An exit that the hypervisor didn't ask for. */
export function* unexpectedExit(hyperv: Hyperv, context: ExitContext): Handler {
  const { reason } = context.exit;
  yield stage('hyperv-unexpected.exit', { reason });
  hyperv.machine.finish(internalErrorEnd(new Error(`Hyper-V has no handler for an exit of reason "${reason}"`)));
}

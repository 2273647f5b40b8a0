import type { InspectNode } from '../../devices/inspect.ts';
import type { LocalApic } from '../../devices/local-apic/device.ts';
import type { ExitContext } from '../../hypervisor/exits/exit-context.ts';
import type { Machine, Platform } from '../../hypervisor/partition/platform.ts';
import type { ExitDetail, VmExit } from '../../processor/exit.ts';
import type { Processor } from '../../processor/processor.ts';
import { type Handler, type HandlerFrame, inFrame } from '../../stages/stage.ts';
import { hex } from '../../x86/address.ts';
import { isTrap } from '../exits/plain-exits.ts';
import { type Injection, injectInterrupt, VirtualInterrupts } from '../interrupt-injection.ts';
import { serve as serveAtOnce } from './generated/serve.ts';
import { serve } from './handlers/serve.ts';
import { kvmIntercepts } from './intercepts.ts';
import { freshVcpu, type Kvm, type VcpuState } from './kvm.ts';
import { tellOfReadyPages } from './paravirtual/async-pf.ts';
import { markPreempted, updateStealTime } from './paravirtual/clock.ts';
import { offerSkippedEoi, takeSkippedEoi } from './paravirtual/eoi.ts';
import { type UserSpace, VirtualMachine } from './vm/virtual-machine.ts';

/** Names of the vendor modules' functions for each reason (kernels up to 5.8 have all of them). */
const VENDOR_FUNCTIONS: Readonly<Partial<Record<ExitDetail['reason'], readonly [intel: string, amd: string]>>> = {
  cpuid: ['handle_cpuid', 'cpuid_interception'],
  io: ['handle_io', 'io_interception'],
  mmio: ['handle_ept_misconfig', 'npf_interception'],
  apic: ['handle_apic_access', 'avic_unaccelerated_access_interception'],
  'msr-read': ['handle_rdmsr', 'rdmsr_interception'],
  'msr-write': ['handle_wrmsr', 'wrmsr_interception'],
  hypercall: ['handle_vmcall', 'vmmcall_interception'],
  'second-level-violation': ['handle_ept_violation', 'npf_interception'],
  'second-level-misconfiguration': ['handle_ept_misconfig', 'npf_interception'],
  'dirty-log': ['handle_pml_full', 'svm_handle_exit'],
  'interrupt-window': ['handle_interrupt_window', 'interrupt_window_interception'],
  tpr: ['handle_tpr_below_threshold', 'cr8_write_interception'],
  'preemption-timer': ['handle_preemption_timer', 'svm_handle_exit'],
  'monitor-trap': ['handle_monitor_trap', 'db_interception'],
  hlt: ['handle_halt', 'halt_interception'],
  cr: ['handle_cr', 'cr_interception'],
  dr: ['handle_dr', 'dr_interception'],
  'triple-fault': ['handle_triple_fault', 'shutdown_interception'],
  invlpg: ['handle_invlpg', 'invlpg_interception'],
  rdpmc: ['handle_rdpmc', 'rdpmc_interception'],
  wbinvd: ['handle_wbinvd', 'wbinvd_interception'],
  xsetbv: ['handle_xsetbv', 'xsetbv_interception'],
  monitor: ['handle_monitor', 'monitor_interception'],
  mwait: ['handle_mwait', 'mwait_interception'],
  pause: ['handle_pause', 'pause_interception'],
  'task-switch': ['handle_task_switch', 'task_switch_interception'],
  vmx: ['handle_vmx_instruction', 'ud_interception'],
  svm: ['handle_exception_nmi', 'vmrun_interception'],
};

/** kvm-intel makes pages without memory misconfigured on purpose: that exit is cheaper than a violation. */
const MISCONFIGURED = { vmx: 49, svm: 0x400, qualification: 0n } as const;

interface EntryPoint {
  readonly frame: HandlerFrame;
  readonly name: string;
}

const svmEntryPoint = (name: string): EntryPoint => ({
  frame: { name, component: 'kvm-amd', servedBy: 'hypervisor' },
  name: `kvm-amd ${name}`,
});
const CR_TRAP = svmEntryPoint('cr_trap');
const EFER_TRAP = svmEntryPoint('efer_trap');

/** What may be otherwise with a virtual machine. */
export interface KvmOptions {
  /** A VMM that isn't the devices of the machine. */
  readonly userSpace?: UserSpace;
  /** The VMM has its devices' doorbells as ioeventfds. */
  readonly ioeventfd?: boolean;
}

/**
 * KVM as one virtual machine has it. Without a VMM of its own, the machine's devices are: the interrupt chip and the timer in the kernel,
 * the others in the VMM process.
 */
export class KvmPlatform implements Platform, Kvm {
  readonly name = 'kvm';
  wallClock = 0n;
  readonly hasApicv: boolean;
  readonly vm: VirtualMachine;
  private readonly states: VcpuState[] = [];
  /** Number of the vCPU that runs or ran last. */
  private running: number | undefined;
  private readonly injection: Injection;
  private readonly entryPoints = new Map<ExitDetail['reason'], EntryPoint>();

  constructor(
    readonly machine: Machine,
    readonly vendor: 'intel' | 'amd',
    readonly startSeconds: bigint,
    private readonly changes: readonly string[] = [],
    { userSpace, ioeventfd = false }: KvmOptions = {},
  ) {
    this.vm = new VirtualMachine(machine, userSpace);
    this.vm.doorbellEvents = ioeventfd;
    this.hasApicv = vendor === 'intel' && kvmIntercepts(vendor, changes).on.has('virtual-interrupts');
    machine.secondLevel.marksDevices = vendor === 'intel';
    const { vm, hasApicv } = this;
    this.injection = {
      vendor,
      hasApicv,
      get hasIrqchip() {
        return vm.hasIrqchip;
      },
    };
  }

  vcpu(index: number): VcpuState {
    const state = this.states[index] ?? freshVcpu();
    this.states[index] = state;
    return state;
  }

  apic(index: number): LocalApic {
    const apic = this.machine.devices.localApics[index];
    if (apic === undefined) throw new Error(`vCPU ${index} has no local APIC: the machine is wired wrongly.`);
    return apic;
  }

  vendorFrame(intel: string, amd: string): HandlerFrame {
    return this.vendor === 'intel'
      ? { name: intel, component: 'kvm-intel', servedBy: 'hypervisor' }
      : { name: amd, component: 'kvm-amd', servedBy: 'hypervisor' };
  }

  setUpVcpu(processor: Processor): void {
    const { index } = processor;
    processor.setInterruptSource(new VirtualInterrupts(this.injection, this.apic(index), processor));
    this.states[index] = { ...freshVcpu(), cpuid: this.states[index]?.cpuid };
    this.wallClock = 0n;
    this.running = undefined;
    this.intercept(index);
  }

  private intercept(index: number): void {
    const allows = (msr: number, write: boolean) => this.vm.msrs.allows(msr, write);
    this.machine.intercept(index, kvmIntercepts(this.vendor, this.changes, allows));
  }

  /** Has accesses leave that the guest may no longer make, and others no more (`kvm_make_all_cpus_request(KVM_REQ_MSR_FILTER_CHANGED)`). */
  msrFilterChanged(): void {
    for (const { index } of this.machine.processors) this.intercept(index);
  }

  classify({ index }: Processor, exit: VmExit): VmExit {
    if (exit.reason !== 'mmio') return exit;
    const { rip, instructionLength, icount, gpa, gva, size, write, value } = exit;
    if (exit.fetch || !this.vm.hasIrqchip || !this.apic(index).answersAt(gpa)) {
      if (this.vendor === 'amd') return exit;
      if (exit.fetch || exit.during !== undefined) return { ...exit, special: MISCONFIGURED };
      return { rip, instructionLength, icount, reason: 'mmio', gpa, gva, size, write, value, special: MISCONFIGURED };
    }
    return { rip, instructionLength, icount, reason: 'apic', gpa, gva, size, write, value };
  }

  handle(context: ExitContext): Handler {
    return inFrame(this.take(context), serve(this, context));
  }

  handleAtOnce(context: ExitContext): void {
    this.take(context);
    serveAtOnce(this, context);
  }

  /** The vendor module takes an exit over. Gives the frame of its function. */
  private take(context: ExitContext): HandlerFrame {
    const { frame, name } = this.entryPoint(context.exit);
    context.served(name, 'hypervisor');
    this.vcpu(context.vcpu).served = context;
    takeSkippedEoi(this, context.processor);
    return frame;
  }

  /** The vendor module's function for a reason, and what the journal calls it. */
  private entryPoint(exit: VmExit): EntryPoint {
    if (isTrap(exit)) return exit.reason === 'cr' ? CR_TRAP : EFER_TRAP;
    const { reason } = exit;
    const known = this.entryPoints.get(reason);
    if (known) return known;
    const frame = this.vendorFrame(...(VENDOR_FUNCTIONS[reason] ?? ['vmx_handle_exit', 'svm_handle_exit']));
    const made = { frame, name: `${frame.component} ${frame.name}` };
    this.entryPoints.set(reason, made);
    return made;
  }

  prepareEntry(processor: Processor): void {
    this.noteRunning(processor);
    tellOfReadyPages(this, processor);
    // Where a run is cut into slices must make no difference: only an interrupt that waits needs to know.
    if (this.vcpu(processor.index).eoiOffered && this.apic(processor.index).highestRequest >= 0) takeSkippedEoi(this, processor);
    const vcpu = this.vcpu(processor.index);
    const { served } = vcpu;
    vcpu.served = undefined;
    injectInterrupt(this.injection, this.apic(processor.index), processor, served);
    offerSkippedEoi(this, processor);
  }

  /** The vCPU that ran last has left the host's processor to another one. */
  private noteRunning(processor: Processor): void {
    const { index } = processor;
    if (index === this.running) return;
    const last = this.running === undefined ? undefined : this.machine.processors[this.running];
    this.running = index;
    if (last) markPreempted(this, last);
    if (this.vcpu(index).isMarked) updateStealTime(this, processor);
  }

  beforeEntry(processor: Processor): void {
    updateStealTime(this, processor);
  }

  inspect(): InspectNode {
    const vcpus = this.machine.processors.map(({ index }): InspectNode => {
      const { systemTime, stealTime, pvEoi, pollControl, tlbFlushes, asyncPageFaults } = this.vcpu(index);
      return {
        name: `vCPU ${index}`,
        children: [
          { name: 'system time (kvmclock)', value: hex(systemTime), memory: areaOf(systemTime) },
          { name: 'steal time', value: hex(stealTime), memory: areaOf(stealTime) },
          { name: 'PV TLB flushes', value: tlbFlushes.toLocaleString('en-US') },
          { name: 'PV EOI', value: hex(pvEoi), memory: areaOf(pvEoi) },
          {
            name: 'asynchronous page faults',
            value: hex(asyncPageFaults.enable),
            detail: `${asyncPageFaults.count.toLocaleString('en-US')} taken`,
            memory: areaOf(asyncPageFaults.enable & ~0x3en),
          },
          { name: 'poll control', value: hex(pollControl) },
        ],
      };
    });
    return {
      name: 'platform',
      value: 'kvm',
      detail: this.vendor === 'intel' ? 'kvm.ko with kvm-intel' : 'kvm.ko with kvm-amd',
      children: [
        ...this.vm.inspect(),
        {
          name: 'wall clock',
          value: hex(this.wallClock),
          memory: this.wallClock === 0n ? undefined : { space: 'gpa', address: this.wallClock },
        },
        ...vcpus,
      ],
    };
  }
}

/** The area of guest memory that an MSR names, while its bit 0 says that the area is in use. */
function areaOf(msr: bigint): InspectNode['memory'] {
  return (msr & 1n) === 0n ? undefined : { space: 'gpa', address: msr & ~3n };
}

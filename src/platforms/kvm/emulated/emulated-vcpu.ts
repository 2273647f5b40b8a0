import type { LocalApic } from '../../../devices/local-apic/device.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { GuestPartition } from '../../../hypervisor/partition/guest-partition.ts';
import { Activity } from '../../../hypervisor/partition/vcpu.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import { readMsr } from '../../../processor/models/msr-table.ts';
import type { Processor } from '../../../processor/processor.ts';
import { Flag } from '../../../processor/state/cpu-state.ts';
import * as L from '../../../processor/state/layout.ts';
import { isLocalApicMsr, readLocalApicMsr, writeLocalApicMsr } from '../../local-apic-msrs.ts';
import { giveMsr, littleEndian } from '../../register-values.ts';
import { MpState } from '../abi/flags.ts';
import { IO_DIRECTION, KvmExit } from '../abi/kvm-run.ts';
import { KvmError } from '../api/errors.ts';
import type {
  KvmCpuidEntry,
  KvmDebugRegs,
  KvmFpu,
  KvmMsr,
  KvmRegs,
  KvmSregs,
  KvmTranslation,
  KvmVcpuEvents,
} from '../api/registers.ts';
import type { RunExit, RunPage } from '../api/run.ts';
import type { KvmVcpu } from '../api/vcpu.ts';
import type { KvmPlatform } from '../kvm-platform.ts';
import { isKvmMsr, readKvmMsr, writeKvmMsr } from '../paravirtual/msrs.ts';
import { GuestDebugging } from './guest-debugging.ts';
import { LAPIC_SIZE, putLapic, takeLapic } from './lapic-page.ts';
import { putFpu, putRegs, putSregs, takeFpu, takeRegs, takeSregs } from './register-state.ts';

const MOST_CPUID_ENTRIES = 256;
const SHADOW = 3;
const NMI_BLOCKED = 8;
const UNMAPPED = 0xffff_ffff_ffff_ffffn;

interface Left {
  readonly context: ExitContext;
  readonly exit: RunExit;
}

/** A vCPU of an emulated virtual machine, behind the ioctls of KVM. */
export class EmulatedVcpu implements KvmVcpu {
  readonly page: RunPage;
  private readonly debugging: GuestDebugging;
  /** The exit that the VMM has and whose instruction isn't complete. */
  private left: Left | undefined;
  private lastExit: RunExit | undefined;
  private hasRun = false;
  private nmiPending = false;
  private immediateExit = false;
  private requestInterruptWindow = false;
  /** It has never been started: what tells MP states apart that the processor knows as one. */
  private isUninitialized: boolean;

  constructor(
    readonly id: number,
    private readonly partition: GuestPartition,
    private readonly platform: KvmPlatform,
    private readonly processor: Processor,
    private readonly apic: LocalApic,
    /** Instructions after which KVM_RUN comes back as if a signal had come. */
    private readonly longestRun: number,
  ) {
    this.debugging = new GuestDebugging(processor);
    this.isUninitialized = id > 0 && platform.vm.hasIrqchip;
    if (!this.isUninitialized) this.setActivity(Activity.ACTIVE);
    this.page = this.makePage();
  }

  private makePage(): RunPage {
    const self = this;
    return {
      get requestInterruptWindow() {
        return self.requestInterruptWindow;
      },
      set requestInterruptWindow(wanted) {
        self.requestInterruptWindow = wanted;
      },
      get immediateExit() {
        return self.immediateExit;
      },
      set immediateExit(wanted) {
        self.immediateExit = wanted;
      },
      get readyForInterruptInjection() {
        return self.isReady;
      },
      get ifFlag() {
        return (self.processor.state.rflags & Flag.IF) !== 0;
      },
      get cr8() {
        return self.cr8;
      },
      get apicBase() {
        return self.processor.state.get64(L.MSR_APIC_BASE);
      },
      get exit() {
        return self.lastExit;
      },
    };
  }

  // --- running --------------------------------------------------------------------------------------------------------

  /** The vCPU has left to the VMM. */
  leave(context: ExitContext, exit: RunExit): void {
    this.left = { context, exit };
    this.partition.requestStop();
  }

  run(): RunExit {
    this.hasRun = true;
    this.nmiPending = false;
    const again = this.complete();
    const { processor, debugging } = this;
    if (this.immediateExit) {
      // What is under way is done first.
      const exit = again ? this.runStretch(1) : undefined;
      if (exit) return this.comesBack(exit);
      throw this.interrupted('the VMM asked for it');
    }
    processor.intercepts.interruptWindow = this.requestInterruptWindow && !this.platform.vm.hasIrqchip;
    const exit = this.runStretch(debugging.steps ? 1 : this.longestRun);
    if (exit) return this.comesBack(exit);
    throw this.interrupted(processor.halted ? 'the vCPU waits' : 'the guest ran for long');
  }

  private get exitToVmm(): RunExit | undefined {
    return this.left?.exit;
  }

  private comesBack(exit: RunExit): RunExit {
    this.lastExit = exit;
    return exit;
  }

  private interrupted(why: string): KvmError {
    this.lastExit = { reason: KvmExit.INTR };
    return new KvmError('EINTR', `KVM_RUN came back: ${why}`);
  }

  /** Runs at most so many instructions; the exit that it left with, if it did. */
  private runStretch(instructions: number): RunExit | undefined {
    const { partition, id, processor, debugging } = this;
    const end = partition.icount + BigInt(instructions);
    while (partition.icount < end) {
      const before = partition.icount;
      const stop = partition.run({ instructions: Number(end - before), onlyVcpu: id });
      const exit = this.exitToVmm;
      if (exit) return exit;
      if (stop.kind === 'watch') {
        // The VMM hears of it behind the access, which may leave for its own.
        processor.resumePast('watch');
        partition.run({ instructions: 1, onlyVcpu: id });
        const next = this.exitToVmm;
        if (next) return next;
      }
      const debugged = debugging.exitOf(stop);
      if (debugged) return debugged;
      if (stop.kind === 'ended') return { reason: KvmExit.INTERNAL_ERROR, suberror: 0, data: [] };
      // Nothing that is to come lets it go on, or exceptions whose handlers raise the next.
      if (stop.kind === 'idle' || partition.icount === before) return undefined;
    }
    return debugging.steps ? debugging.stepped() : undefined;
  }

  /** Does what the last exit asked for with what the VMM has answered. Says whether the instruction is to be run again. */
  private complete(): boolean {
    const { left, processor } = this;
    this.left = undefined;
    if (left === undefined) return false;
    const { context, exit } = left;
    switch (exit.reason) {
      case KvmExit.IO:
        processor.completeAccess(exit.direction === IO_DIRECTION.IN ? littleEndian(exit.data.subarray(0, exit.size)) : 0n);
        return true;
      case KvmExit.MMIO:
        processor.completeAccess(exit.isWrite ? 0n : littleEndian(exit.data.subarray(0, exit.length)));
        return true;
      case KvmExit.HYPERCALL:
        processor.state.setGpr(0, BigInt.asUintN(processor.mode === 64 ? 64 : 32, exit.result));
        context.skip();
        return false;
      case KvmExit.X86_RDMSR:
      case KvmExit.X86_WRMSR:
        if (exit.error !== 0) {
          context.injectFault(Vector.GP, 0);
          return false;
        }
        if (exit.reason === KvmExit.X86_RDMSR) giveMsr(processor, exit.data);
        context.skip();
        return false;
      default:
        return false;
    }
  }

  private get isReady(): boolean {
    const { state, injected } = this.processor;
    const shadow = state.get32(L.INTERRUPTIBILITY) & SHADOW;
    return !this.platform.vm.hasIrqchip && (state.rflags & Flag.IF) !== 0 && shadow === 0 && injected === undefined;
  }

  /** What the VMM changed may let it run. */
  private changed(): void {
    const vcpu = this.partition.vcpus[this.id];
    if (vcpu) vcpu.parked = false;
  }

  // --- registers ------------------------------------------------------------------------------------------------------

  private get cr8(): bigint {
    return BigInt(this.apic.getTpr() >> 4);
  }

  getRegs(): KvmRegs {
    return takeRegs(this.processor);
  }
  setRegs(regs: KvmRegs): void {
    putRegs(this.processor, regs);
    this.changed();
  }
  getSregs(): KvmSregs {
    const { injected } = this.processor;
    const pending = injected?.type === 'external-interrupt' ? injected.vector : undefined;
    return takeSregs(this.processor, this.cr8, pending);
  }
  setSregs(sregs: KvmSregs): void {
    putSregs(this.processor, sregs);
    this.apic.setTpr(Number(sregs.cr8 & 15n) << 4);
    if (sregs.pendingInterrupt !== undefined)
      this.processor.inject({ vector: sregs.pendingInterrupt, type: 'external-interrupt' });
    this.changed();
  }
  getFpu(): KvmFpu {
    return takeFpu(this.processor);
  }
  setFpu(fpu: KvmFpu): void {
    putFpu(this.processor, fpu);
  }

  getDebugRegs(): KvmDebugRegs {
    const register = (number: number) => this.processor.state.get64(L.DR + number * 8);
    return { db: [register(0), register(1), register(2), register(3)], dr6: register(6), dr7: register(7) };
  }
  setDebugRegs({ db, dr6, dr7 }: KvmDebugRegs): void {
    if (dr6 >> 32n || dr7 >> 32n) throw new KvmError('EINVAL', 'DR6 and DR7 have 32 bits');
    const { state } = this.processor;
    for (const [number, value] of [...db.entries(), [6, dr6] as const, [7, dr7] as const])
      state.set64(L.DR + number * 8, BigInt.asUintN(64, value));
    this.processor.stateChanged();
  }

  getMsrs(indexes: readonly number[]): readonly KvmMsr[] {
    const found: KvmMsr[] = [];
    for (const index of indexes) {
      const data = this.readMsr(index);
      if (data === undefined) break;
      found.push({ index, data });
    }
    return found;
  }
  private readMsr(index: number): bigint | undefined {
    if (isKvmMsr(index)) return readKvmMsr(this.platform, this.id, index);
    return isLocalApicMsr(index) ? readLocalApicMsr(this.apic, index) : readMsr(this.processor, index);
  }
  setMsrs(msrs: readonly KvmMsr[]): number {
    const failed = msrs.findIndex(({ index, data }) => !this.writeMsr(index, BigInt.asUintN(64, data)));
    return failed < 0 ? msrs.length : failed;
  }
  private writeMsr(index: number, data: bigint): boolean {
    if (isKvmMsr(index)) return writeKvmMsr(this.platform, this.processor, index, data);
    if (isLocalApicMsr(index)) return writeLocalApicMsr(this.apic, index, data);
    return this.processor.writeRegister({ kind: 'msr', index }, data) === undefined;
  }

  setCpuid2(entries: readonly KvmCpuidEntry[]): void {
    if (entries.length > MOST_CPUID_ENTRIES) throw new KvmError('E2BIG', `CPUID has at most ${MOST_CPUID_ENTRIES} entries`);
    if (this.hasRun) throw new KvmError('EINVAL', 'CPUID stays as it is once the vCPU has run');
    this.platform.vcpu(this.id).cpuid = entries.map((entry) => ({ ...entry }));
  }
  getCpuid2(): readonly KvmCpuidEntry[] {
    return this.platform.vcpu(this.id).cpuid ?? [];
  }

  // --- interrupts and events ------------------------------------------------------------------------------------------

  private requireIrqchip(): void {
    if (!this.platform.vm.hasIrqchip) throw new KvmError('EINVAL', 'There is no local APIC in the kernel');
  }
  getLapic(): Uint8Array {
    this.requireIrqchip();
    return takeLapic(this.apic);
  }
  setLapic(registers: Uint8Array): void {
    this.requireIrqchip();
    if (registers.length < LAPIC_SIZE) throw new KvmError('EFAULT', `A local APIC has ${LAPIC_SIZE} bytes of registers`);
    putLapic(this.apic, registers);
    this.changed();
  }

  private setActivity(activity: number): void {
    this.processor.state.set32(L.ACTIVITY, activity);
    this.processor.stateChanged();
    this.changed();
  }
  getMpState(): number {
    const activity = this.processor.state.get32(L.ACTIVITY);
    if (activity === Activity.HALTED) return MpState.HALTED;
    if (activity !== Activity.WAIT_FOR_SIPI) return MpState.RUNNABLE;
    return this.isUninitialized ? MpState.UNINITIALIZED : MpState.INIT_RECEIVED;
  }
  setMpState(state: number): void {
    const known: number = Math.max(...Object.values(MpState));
    if (state < 0 || state > known || (state !== MpState.RUNNABLE && !this.platform.vm.hasIrqchip))
      throw new KvmError('EINVAL', `MP state ${state} can't be set`);
    this.isUninitialized = state === MpState.UNINITIALIZED;
    if (state === MpState.HALTED) this.setActivity(Activity.HALTED);
    else if (state === MpState.UNINITIALIZED || state === MpState.INIT_RECEIVED) this.setActivity(Activity.WAIT_FOR_SIPI);
    else this.setActivity(Activity.ACTIVE);
  }

  getVcpuEvents(): KvmVcpuEvents {
    const { injected, state } = this.processor;
    const exception = injected?.type === 'exception' ? injected : undefined;
    const interrupt = injected?.type === 'external-interrupt' ? injected : undefined;
    const interruptibility = state.get32(L.INTERRUPTIBILITY);
    // Bit 0 is STI's in a VMCS and MOV SS's here.
    const shadow = ((interruptibility & 1) << 1) | ((interruptibility >> 1) & 1);
    return {
      exception: { injected: exception !== undefined, nr: exception?.vector ?? 0, errorCode: exception?.errorCode },
      interrupt: { injected: interrupt !== undefined, nr: interrupt?.vector ?? 0, soft: false, shadow },
      nmi: { pending: this.nmiPending, masked: (interruptibility & NMI_BLOCKED) !== 0 },
    };
  }
  setVcpuEvents({ exception, interrupt, nmi }: KvmVcpuEvents): void {
    if (exception.injected && (exception.nr > 31 || exception.nr === Vector.NMI))
      throw new KvmError('EINVAL', `There is no exception ${exception.nr}`);
    const { processor } = this;
    const shadow = ((interrupt.shadow & 1) << 1) | ((interrupt.shadow >> 1) & 1);
    processor.state.set32(L.INTERRUPTIBILITY, shadow | (nmi.masked ? NMI_BLOCKED : 0));
    if (exception.injected) processor.inject({ vector: exception.nr, type: 'exception', errorCode: exception.errorCode });
    else if (interrupt.injected) processor.inject({ vector: interrupt.nr, type: 'external-interrupt' });
    if (nmi.pending) this.nmi();
    this.changed();
  }

  interrupt(vector: number): void {
    if (vector < 0 || vector > 255) throw new KvmError('EINVAL', 'Vectors go from 0 to 255');
    if (this.platform.vm.hasIrqchip) throw new KvmError('ENXIO', 'The interrupt chip is in the kernel: raise a line of it');
    this.processor.inject({ vector, type: 'external-interrupt' });
    this.changed();
  }
  nmi(): void {
    this.nmiPending = true;
    this.processor.raiseNmi();
    this.changed();
  }

  /** As the kernel has it, every translation is one for writes of the supervisor. */
  translate(linear: bigint): KvmTranslation {
    const physicalAddress = this.processor.translate(linear);
    return {
      physicalAddress: physicalAddress ?? UNMAPPED,
      valid: physicalAddress !== undefined,
      writable: true,
      userMode: false,
    };
  }

  setGuestDebug(control: number, debugRegisters: readonly bigint[] = []): void {
    this.debugging.set(control, debugRegisters);
    this.changed();
  }
}

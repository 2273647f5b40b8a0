import type {
  KvmCpuidEntry,
  KvmDebugRegs,
  KvmFpu,
  KvmMsr,
  KvmRegs,
  KvmSregs,
  KvmTranslation,
  KvmVcpuEvents,
} from './registers.ts';
import type { RunExit, RunPage } from './run.ts';

/** A vCPU's file descriptor: its ioctls, and the page that is mapped of it. Failures are thrown as KvmError. */
export interface KvmVcpu {
  readonly id: number;
  readonly page: RunPage;

  /**
   * KVM_RUN: completes the instruction of the last exit and runs the guest until the next. EINTR with `immediateExit`, and where the
   * kernel would block (halted, waiting for a start-up IPI) or go on for longer than the VMM lets it.
   */
  run(): RunExit;

  getRegs(): KvmRegs;
  setRegs(regs: KvmRegs): void;
  getSregs(): KvmSregs;
  /** EINVAL for a state that no processor can be in. */
  setSregs(sregs: KvmSregs): void;
  getFpu(): KvmFpu;
  setFpu(fpu: KvmFpu): void;
  getDebugRegs(): KvmDebugRegs;
  /** EINVAL for bits 63:32 of DR6 and DR7. */
  setDebugRegs(registers: KvmDebugRegs): void;
  /** Values up to the first MSR that isn't there, as the ioctl counts them. */
  getMsrs(indexes: readonly number[]): readonly KvmMsr[];
  /** Gives the number of those that were written, up to the first that couldn't be. */
  setMsrs(msrs: readonly KvmMsr[]): number;
  /** What its CPUID says from now on; EINVAL once it has run and something changes. */
  setCpuid2(entries: readonly KvmCpuidEntry[]): void;
  getCpuid2(): readonly KvmCpuidEntry[];

  /** The local APIC's registers, a page's first KiB. EINVAL without one in the kernel. */
  getLapic(): Uint8Array;
  setLapic(registers: Uint8Array): void;
  /** `MpState`. */
  getMpState(): number;
  setMpState(state: number): void;
  getVcpuEvents(): KvmVcpuEvents;
  setVcpuEvents(events: KvmVcpuEvents): void;

  /** Injects an external interrupt. ENXIO with an interrupt chip in the kernel, EINVAL beyond 255. */
  interrupt(vector: number): void;
  nmi(): void;
  /** How a linear address translates. */
  translate(linear: bigint): KvmTranslation;
  /** `GuestDebug` bits; `debugRegisters` are DR0 to DR7, used with USE_HW_BP. */
  setGuestDebug(control: number, debugRegisters?: readonly bigint[]): void;
}

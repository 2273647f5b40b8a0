import type { KvmExit } from '../abi/kvm-run.ts';

/**
 * Why KVM_RUN came back, as the union in struct kvm_run has it. Bytes that the VMM answers with are filled in before the next
 * KVM_RUN, which completes the instruction.
 */
export type RunExit =
  /** One access to a port; `data` is to be filled where `direction` is in. */
  | {
      readonly reason: typeof KvmExit.IO;
      /** `IO_DIRECTION`. */
      readonly direction: number;
      /** Bytes of one access. */
      readonly size: 1 | 2 | 4;
      readonly port: number;
      readonly count: number;
      readonly data: Uint8Array;
    }
  /** An access to memory without a slot, or a write to a read-only one; the first `length` bytes of `data` are to be filled by reads. */
  | {
      readonly reason: typeof KvmExit.MMIO;
      readonly physicalAddress: bigint;
      readonly data: Uint8Array;
      readonly length: number;
      readonly isWrite: boolean;
    }
  /** `exception`: 1 for #DB, 3 for #BP. */
  | {
      readonly reason: typeof KvmExit.DEBUG;
      readonly exception: number;
      /** Linear address of the instruction at which the guest stands. */
      readonly pc: bigint;
      readonly dr6: bigint;
      readonly dr7: bigint;
    }
  /** Only without an interrupt chip in the kernel. */
  | { readonly reason: typeof KvmExit.HLT }
  | { readonly reason: typeof KvmExit.IRQ_WINDOW_OPEN }
  /** A triple fault. */
  | { readonly reason: typeof KvmExit.SHUTDOWN }
  | { readonly reason: typeof KvmExit.FAIL_ENTRY; readonly hardwareReason: bigint; readonly cpu: number }
  /** KVM_RUN failed with EINTR. */
  | { readonly reason: typeof KvmExit.INTR }
  | { readonly reason: typeof KvmExit.INTERNAL_ERROR; readonly suberror: number; readonly data: readonly bigint[] }
  /** An access that the second level forbids although there is a slot. */
  | { readonly reason: typeof KvmExit.MEMORY_FAULT; readonly flags: bigint; readonly gpa: bigint; readonly size: bigint }
  /** `result` goes to RAX. */
  | {
      readonly reason: typeof KvmExit.HYPERCALL;
      readonly number: bigint;
      readonly arguments: readonly bigint[];
      result: bigint;
    }
  /** RDMSR, WRMSR: `data` is what was read or is written; an `error` that isn't 0 makes #GP of it. */
  | {
      readonly reason: typeof KvmExit.X86_RDMSR | typeof KvmExit.X86_WRMSR;
      /** `MsrExitReason`. */
      readonly cause: number;
      readonly index: number;
      data: bigint;
      error: number;
    };

/** The part of struct kvm_run beside the exits: what a VMM and KVM tell each other at each KVM_RUN. */
export interface RunPage {
  /** Set by the VMM: come back when an interrupt could be injected. */
  requestInterruptWindow: boolean;
  /** Set by the VMM: KVM_RUN only completes what is under way and fails with EINTR. */
  immediateExit: boolean;
  /** Set by KVM. */
  readonly readyForInterruptInjection: boolean;
  readonly ifFlag: boolean;
  readonly cr8: bigint;
  readonly apicBase: bigint;
  readonly exit: RunExit | undefined;
}

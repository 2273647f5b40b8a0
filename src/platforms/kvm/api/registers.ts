import type { REGS } from '../abi/structures.ts';

/** struct kvm_regs: 64 bits each. */
export type KvmRegs = Record<(typeof REGS)[number], bigint>;

/** struct kvm_segment: a segment register with its hidden part. The limit is in bytes. */
export interface KvmSegment {
  readonly base: bigint;
  readonly limit: number;
  readonly selector: number;
  readonly type: number;
  readonly present: number;
  readonly dpl: number;
  readonly db: number;
  readonly s: number;
  readonly l: number;
  readonly g: number;
  readonly avl: number;
  readonly unusable: number;
}

/** struct kvm_dtable. */
export interface KvmTable {
  readonly base: bigint;
  /** 16 bits. */
  readonly limit: number;
}

export const SEGMENT_NAMES = ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'tr', 'ldt'] as const;
export type SegmentName = (typeof SEGMENT_NAMES)[number];

/** struct kvm_sregs. */
export interface KvmSregs extends Readonly<Record<SegmentName, KvmSegment>> {
  readonly gdt: KvmTable;
  readonly idt: KvmTable;
  readonly cr0: bigint;
  readonly cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  /** Task priority, bits 3:0. */
  readonly cr8: bigint;
  readonly efer: bigint;
  readonly apicBase: bigint;
  /** Vector of the interrupt that waits to be injected; undefined without one. The kernel has a bitmap of 256 bits. */
  readonly pendingInterrupt: number | undefined;
}

/** struct kvm_fpu: x87 registers from ST0 on, of 80 bits, and XMM registers, of 128. */
export interface KvmFpu {
  readonly fpr: readonly bigint[];
  readonly fcw: number;
  readonly fsw: number;
  /** Bit i: the physical register i isn't empty. */
  readonly ftwx: number;
  readonly lastOpcode: number;
  readonly lastIp: bigint;
  readonly lastDp: bigint;
  readonly xmm: readonly bigint[];
  readonly mxcsr: number;
}

/** struct kvm_debugregs. */
export interface KvmDebugRegs {
  readonly db: readonly [bigint, bigint, bigint, bigint];
  readonly dr6: bigint;
  readonly dr7: bigint;
}

/** struct kvm_vcpu_events: what is being delivered, and what waits. */
export interface KvmVcpuEvents {
  readonly exception: {
    readonly injected: boolean;
    readonly nr: number;
    readonly errorCode: number | undefined;
  };
  readonly interrupt: {
    readonly injected: boolean;
    readonly nr: number;
    readonly soft: boolean;
    /** `InterruptShadow`. */
    readonly shadow: number;
  };
  readonly nmi: { readonly pending: boolean; readonly masked: boolean };
}

/** struct kvm_msr_entry. */
export interface KvmMsr {
  readonly index: number;
  readonly data: bigint;
}

/** struct kvm_cpuid_entry2: what CPUID answers to a function, and to an index where the flag says that it matters. */
export interface KvmCpuidEntry {
  readonly function: number;
  readonly index: number;
  /** `CpuidFlag`. */
  readonly flags: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** struct kvm_translation. */
export interface KvmTranslation {
  readonly physicalAddress: bigint;
  readonly valid: boolean;
  readonly writable: boolean;
  readonly userMode: boolean;
}

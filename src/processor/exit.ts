/**
 * Why a vCPU left guest execution. Numbers of VMX and SVM and their qualifications are made from this in
 * hypervisor/exits; here stands what the processor knows, in its own terms.
 */

import type { FaultLink } from './events/deliver.ts';
import type { EventInjection } from './processor.ts';

/** The words of the exit journal (docs/reference/exit-journal.md). */
export const EXIT_REASONS = [
  'cpuid',
  'io',
  'mmio',
  'msr-read',
  'msr-write',
  'hypercall',
  'hlt',
  'pause',
  'cr',
  'dr',
  'descriptor-table',
  'second-level-violation',
  'second-level-misconfiguration',
  'exception',
  'external-interrupt',
  'nmi',
  'interrupt-window',
  'nmi-window',
  'apic',
  'tpr',
  'invlpg',
  'rdtsc',
  'rdpmc',
  'xsetbv',
  'wbinvd',
  'monitor',
  'mwait',
  'task-switch',
  'init',
  'sipi',
  'triple-fault',
  'shutdown',
  'vmx',
  'svm',
  'vm-entry-failure',
  'dirty-log',
  'preemption-timer',
  'monitor-trap',
  'smi',
] as const;
export type ExitReason = (typeof EXIT_REASONS)[number];

export type AccessSize = 1 | 2 | 4 | 8;

/**
 * What the second level was asked for. A walk through the guest's page tables with flags in use is `read-write` (Intel SDM vol. 3,
 * 29.3.3.2); an instruction that reads and writes asks for `write`.
 */
export type SecondLevelAccess = 'read' | 'write' | 'read-write' | 'execute';

/** What each reason carries besides what all exits share. */
export type ExitDetail =
  | { readonly reason: 'cpuid'; readonly leaf: number; readonly subleaf: number }
  | {
      readonly reason: 'io';
      readonly port: number;
      readonly size: 1 | 2 | 4;
      readonly write: boolean;
      /** Zero-extended value to write; 0 for a read. */
      readonly value: number;
      readonly string: boolean;
      readonly rep: boolean;
      readonly immediate: boolean;
    }
  | {
      readonly reason: 'mmio';
      readonly gpa: bigint;
      readonly gva: bigint;
      readonly size: AccessSize;
      readonly write: boolean;
      /** Zero-extended value to write; 0n for a read. */
      readonly value: bigint;
      readonly fetch?: boolean;
    }
  | {
      /** An access to the local APIC's page, found by the hypervisor among the MMIO exits. */
      readonly reason: 'apic';
      readonly gpa: bigint;
      readonly gva: bigint;
      readonly size: AccessSize;
      readonly write: boolean;
      /** Zero-extended value to write; 0n for a read. */
      readonly value: bigint;
    }
  | { readonly reason: 'msr-read'; readonly msr: number }
  | {
      readonly reason: 'msr-write';
      readonly msr: number;
      readonly value: bigint;
      /** It has been written already. */
      readonly trap?: boolean;
    }
  | { readonly reason: 'hypercall'; readonly instruction: 'vmcall' | 'vmmcall' }
  | {
      readonly reason: 'cr';
      readonly register: 0 | 2 | 3 | 4 | 8;
      readonly access: 'mov-to' | 'mov-from' | 'clts' | 'lmsw' | 'smsw';
      /** General register number of a mov. */
      readonly gpr: number;
      readonly value: bigint;
      /** It left because it changes more of CR0 than TS and MP. */
      readonly selective?: boolean;
      /** It has been written already. */
      readonly trap?: boolean;
      /** LMSW's operand, and where it is if in memory (linear address). */
      readonly source?: bigint;
      readonly memory?: bigint;
    }
  | { readonly reason: 'dr'; readonly register: number; readonly write: boolean; readonly gpr: number }
  | {
      readonly reason: 'descriptor-table';
      readonly table: 'gdtr' | 'idtr' | 'ldtr' | 'tr';
      readonly write: boolean;
      /** Of the memory operand. */
      readonly displacement?: bigint;
    }
  | {
      readonly reason: 'invlpg';
      readonly address: bigint;
      /** INVPCID, with the displacement of its memory operand. */
      readonly invpcid?: { readonly displacement: bigint };
    }
  | { readonly reason: 'wbinvd'; readonly instruction?: 'invd' | 'wbinvd' }
  | { readonly reason: 'rdtsc'; readonly rdtscp: boolean }
  | { readonly reason: 'xsetbv'; readonly index: number; readonly value: bigint }
  | {
      readonly reason: 'exception';
      readonly vector: number;
      readonly errorCode?: number;
      /** CR2 of a #PF, the DR6 bits of a #DB. */
      readonly payload?: bigint;
      /** Type of the event: 3 hardware exception, 5 privileged software exception (INT1), 6 software exception (INT3, INTO). */
      readonly type: 3 | 5 | 6;
    }
  | {
      readonly reason: 'triple-fault';
      /** Events that led here, first one first, each with the fault that its delivery raised: e.g. [14, 8]. */
      readonly chain: readonly FaultLink[];
      /** What CR2 held before the first page fault of the chain. */
      readonly cr2?: bigint;
    }
  | {
      readonly reason: 'task-switch';
      readonly selector: number;
      readonly source: 'call' | 'iret' | 'jmp' | 'gate';
      readonly errorCode?: number;
    }
  | {
      /** Found by the hypervisor: what it asked for is none of the states that a guest can be entered in. */
      readonly reason: 'vm-entry-failure';
      readonly cause: 'control' | 'guest-state';
      readonly problem: string;
    }
  | {
      readonly reason: 'external-interrupt';
      /** Where the exit has taken it from the interrupt controller. */
      readonly vector?: number;
    }
  | { readonly reason: 'sipi'; readonly vector: number }
  | {
      readonly reason: 'second-level-violation';
      readonly gpa: bigint;
      /** Missing where no linear address led there, as when PDPTEs are loaded with CR3. */
      readonly gva?: bigint;
      readonly access: SecondLevelAccess;
      /** What the second level allowed at that address. */
      readonly allowed: { readonly read: boolean; readonly write: boolean; readonly execute: boolean };
      /** The access was to an entry of the guest's own page tables. */
      readonly duringWalk: boolean;
    }
  | {
      readonly reason: 'second-level-misconfiguration';
      readonly gpa: bigint;
      readonly gva?: bigint;
      readonly access: SecondLevelAccess;
      readonly duringWalk: boolean;
    }
  | {
      /** A page is about to be written for the first time, and the log that its address belongs into is full. */
      readonly reason: 'dirty-log';
      readonly gpa: bigint;
      readonly gva?: bigint;
    }
  | {
      readonly reason: 'vmx' | 'svm';
      readonly instruction: string;
      /** Of INT n. */
      readonly vector?: number;
    }
  | {
      readonly reason: 'hlt';
      /** It left because no virtual interrupt or NMI waits. */
      readonly idle?: boolean;
    }
  | {
      readonly reason:
        | 'pause'
        | 'nmi'
        | 'interrupt-window'
        | 'nmi-window'
        | 'tpr'
        | 'rdpmc'
        | 'monitor'
        | 'mwait'
        | 'init'
        | 'shutdown'
        | 'preemption-timer'
        | 'monitor-trap'
        | 'smi';
    };

/** Where the vCPU was when it left. */
export interface ExitPlace {
  /** RIP (offset in CS) of the instruction that left; the state is as it was before that instruction. */
  readonly rip: bigint;
  /** Bytes of that instruction, 0 where no instruction is the cause. */
  readonly instructionLength: number;
  /** Instructions retired by this vCPU before it. */
  readonly icount: bigint;
  /**
   * The event that was being delivered: injecting it delivers it anew. VMX has it as IDT-vectoring information, SVM as
   * EXITINTINFO.
   */
  readonly during?: EventInjection;
  /** It is a fault of IRET, which has ended the blocking of NMIs all the same. */
  readonly unblockedNmis?: boolean;
  /** Numbers and VMX qualification where the hypervisor sets the processor up to give others than usual. */
  readonly special?: { readonly vmx: number; readonly svm: number; readonly qualification: bigint };
}

/** A VM exit as the processor hands it to the hypervisor. */
export type VmExit = ExitPlace & ExitDetail;

/** An exit of one reason. */
export type ExitOf<Reason extends ExitDetail['reason']> = ExitPlace & Extract<ExitDetail, { readonly reason: Reason }>;

/** An access that touched a watched range. It is reported before the instruction that makes it has any effect. */
export interface WatchHit {
  readonly watch: number;
  readonly space: 'gva' | 'gpa';
  readonly address: bigint;
  readonly size: number;
  readonly write: boolean;
}

/** How a call of {@link Processor.run} ended. */
export type RunResult =
  /** The budget is used up, exactly. */
  | { readonly kind: 'budget' }
  /** RIP is at a breakpoint, whose instruction has not run. */
  | { readonly kind: 'breakpoint'; readonly rip: bigint }
  /** The next instruction would touch a watched range. `resumePast` lets it through. */
  | { readonly kind: 'watch'; readonly hit: WatchHit }
  | { readonly kind: 'exit'; readonly exit: VmExit }
  /** A device or the debugger asked the processor to come back (see {@link Processor.requestStop}). */
  | { readonly kind: 'stop-requested' }
  /** Halted (HLT not intercepted) or waiting for SIPI, and nothing is pending: time must pass first. */
  | { readonly kind: 'halted' }
  /** The vCPU shut down after a triple fault, or is in a state that only INIT or reset ends. */
  | { readonly kind: 'shutdown' };

import type { DecodedInstruction } from '../../x86/instruction.ts';
import type { GuestEvent, InterruptedDelivery } from '../events/deliver.ts';
import type { VirtualInterrupt } from '../events/virtual-interrupt.ts';
import type { ExitDetail } from '../exit.ts';
import type { InterceptSet } from '../intercepts.ts';
import type { PartitionMemory } from '../memory/partition-memory.ts';
import type { CpuModel } from '../models/cpu-model.ts';
import type { CodeMode, InterruptSource } from '../processor.ts';
import type { CpuState } from '../state/cpu-state.ts';

/**
 * What TypeScript code of the processor (system instructions, event delivery, task switches) works on. RIP and all state are
 * as before the instruction while a helper runs. A helper throws GuestFault for an exception, and must then have changed
 * nothing that the guest can see; accesses to device memory, and those that the second level of translation refuses, throw
 * AccessExit in the same way.
 */
export interface SystemContext {
  readonly state: CpuState;
  readonly memory: PartitionMemory;
  readonly model: CpuModel;
  readonly intercepts: InterceptSet;
  readonly interruptSource: InterruptSource | undefined;
  /** CR8: bits 7:4 of the task priority. */
  taskPriority: number;
  /** An interrupt of the hypervisor's waits (SVM's V_IRQ). */
  readonly virtualInterrupt: VirtualInterrupt | undefined;
  /** So does an NMI of the hypervisor's (V_NMI). */
  readonly virtualNmi: boolean;
  /** Set by PAUSE: the guest waits for something. */
  paused: boolean;
  readonly mode: CodeMode;
  /** 16, 32 or 64: width of SP in use (SS.B, or 64-bit mode). */
  readonly stackWidth: CodeMode;

  /** Offset of the instruction's memory operand, wrapped to its address size. */
  effectiveAddress(instruction: DecodedInstruction): bigint;
  /** Access through a segment register (0–5) at the current CPL: limit, type and canonical checks, then paging. */
  readVirtual(segment: number, offset: bigint, size: 1 | 2 | 4 | 8): bigint;
  writeVirtual(segment: number, offset: bigint, size: 1 | 2 | 4 | 8, value: bigint): void;
  /** Throws what a write there would throw, without writing. */
  probeWrite(segment: number, offset: bigint, size: number): void;
  /** Throws what a write to a linear address would throw, without writing. */
  probeLinear(linear: bigint, size: number, user: boolean): void;
  /** Access by linear address: `user` false is a supervisor access whatever the CPL (descriptor tables, TSS). */
  readLinear(linear: bigint, size: 1 | 2 | 4 | 8, user: boolean): bigint;
  writeLinear(linear: bigint, size: 1 | 2 | 4 | 8, value: bigint, user: boolean): void;

  /**
   * Where a range of linear addresses lies in `memory.view`, when accessing it directly makes no difference: it lies within a
   * page that was accessed before. Else 0.
   */
  place(linear: bigint, size: number, user: boolean, write: boolean): number;

  /** The same for bytes of a table whose linear address is in a slot of the state, read with supervisor rights. */
  placeOfTable(slot: number, offset: number, size: number): number;

  /**
   * An I/O port access after its permission checks: the value of a completed access (for a write: any), or undefined when the
   * instruction must leave with the detail to have it made.
   */
  portAccess(detail: PortDetail): number | undefined;

  /**
   * Does what can't be left halfway, such as the delivery of an event: device memory answers as an open bus, and watches are
   * passed.
   */
  undivided<T>(work: () => T): T;

  /** Does what is under way for good: what the second level of translation refuses is accessed all the same. */
  committed<T>(work: () => T): T;

  /** Drops all translations (`global` ones too). Changes of page tables do it by themselves (TableRegistry). */
  flushTlb(global: boolean): void;
  /** Must be called after CR3 changed, where nothing but CR3 says which tables are used: not under PAE paging. */
  addressSpaceChanged(): void;
  /** Must be called after CS, SS, CPL, CR0, CR4, EFER or a segment's hidden part changed. */
  modeChanged(): void;
  /** Must be called when IF, the interrupt shadow, TPR or TF changed, so that events are looked at again. */
  eventsChanged(): void;
  /** Must be called when DR0–DR3 or DR7 changed. */
  debugRegistersChanged(): void;
  /** Makes the vCPU leave behind the instruction at hand, before anything else. */
  leaveBehind(detail: ExitDetail): void;
  /** Current TSC value as RDTSC reads it. */
  readTsc(): bigint;
}

/** An access to I/O ports. */
export type PortDetail = Extract<ExitDetail, { readonly reason: 'io' }>;

/**
 * Leaves guest execution from the middle of an access; the instruction will be run again once the access is completed. It is
 * thrown but no Error: recording a stack would cost more than the access.
 */
export class AccessExit {
  /** The event whose delivery left. */
  during: GuestEvent | undefined;
  /** How far that delivery had come. */
  delivery: InterruptedDelivery | undefined;

  constructor(readonly detail: ExitDetail) {}
}

/**
 * A rare instruction done in TypeScript. `next`: retire, RIP goes past the instruction (`state.rip + length`).
 * `jumped`: retire, the helper has set RIP. An ExitDetail: leave without retiring.
 */
export type SystemHelper = (context: SystemContext, instruction: DecodedInstruction) => 'next' | 'jumped' | ExitDetail;

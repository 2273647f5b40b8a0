import type { VirtualInterrupt } from './events/virtual-interrupt.ts';
import type { RunResult, WatchHit } from './exit.ts';
import type { InterceptSet } from './intercepts.ts';
import type { CpuModel } from './models/cpu-model.ts';
import type { CpuState } from './state/cpu-state.ts';

/** Code size of CS: what the next instruction decodes as. */
export type CodeMode = 16 | 32 | 64;

/**
 * What the vCPU asks of its local interrupt controller. The local APIC (or the PIC pair alone) implements it; the
 * platform passes it in.
 */
export interface InterruptSource {
  /** True when an external interrupt waits that the controller's own priority rules (TPR, ISR) let through. */
  hasInterrupt(): boolean;
  /** Takes the highest one: INTA cycle. Only called after `hasInterrupt()`. Returns its vector, 0–255. */
  acknowledge(): number;
  /** Task priority, bits 7:0; CR8 is its bits 7:4. */
  getTpr(): number;
  setTpr(value: number): void;
}

/** Event injection, as VM-entry interruption information and EVENTINJ have it. */
export interface EventInjection {
  readonly vector: number;
  readonly type:
    | 'external-interrupt'
    | 'nmi'
    | 'exception'
    | 'software-interrupt'
    /** INT1. */
    | 'privileged-software-exception'
    /** INT3, INTO. */
    | 'software-exception';
  readonly errorCode?: number;
  /** CR2 for #PF, DR6 bits for #DB. */
  readonly payload?: bigint;
  /** For software events: bytes to advance RIP by first. */
  readonly instructionLength?: number;
}

/** A range that the debugger watches. Ranges may have any size and any alignment. */
export interface Watch {
  readonly id: number;
  readonly space: 'gva' | 'gpa';
  readonly address: bigint;
  readonly length: bigint;
  readonly read: boolean;
  readonly write: boolean;
}

/** A register that can't just be stored: a write of it has checks and consequences. */
export type RegisterTarget =
  /** CR0, CR2, CR3, CR4. */
  | { readonly kind: 'control'; readonly number: number }
  /** DR0–DR3, DR6, DR7. */
  | { readonly kind: 'debug'; readonly number: number }
  /** One that the processor owns. */
  | { readonly kind: 'msr'; readonly index: number }
  /** A selector, in encoding order (LDTR 6, TR 7), to be loaded from its descriptor table; not CS. */
  | { readonly kind: 'segment'; readonly number: number };

/** Why a register was not written: the fault that the guest's own instruction would raise, or there is nothing to write. */
export type WriteRefusal = { readonly vector: number; readonly errorCode?: number } | 'no such register' | 'unreadable';

/** One step of a page walk, for the debugger. */
export interface WalkStep {
  readonly level: 'PML4' | 'PDPT' | 'PD' | 'PT';
  readonly entryGpa: bigint;
  readonly entry: bigint;
  readonly flags: string;
}

/** How a linear address translates, without side effects (no A/D bits set, no TLB filled). */
export interface WalkResult {
  readonly steps: readonly WalkStep[];
  readonly gpa?: bigint;
  readonly pageSize?: bigint;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  /** Why there is no translation, as a sentence. */
  readonly problem?: string;
}

/**
 * Stops that an instruction can make, in the order in which they come: its breakpoint, a watched access, an exception that the
 * debugger wants to see. What comes before the named one is passed with it.
 */
export type PassedStop = 'breakpoint' | 'watch' | 'exception';

/** What has been translated, for people who want to know. None of it changes what a guest computes. */
export interface TranslationStatistics {
  /** Regions since the vCPU was made. */
  readonly made: number;
  /** Regions that are kept now, and the bytes of WebAssembly that they take. */
  readonly kept: number;
  readonly bytes: number;
  /** Milliseconds from when a place was hot until its code could run, of the region that took longest. */
  readonly longest: number;
}

/**
 * A vCPU that runs guest code. Two implementations are planned: the emulated processor and /dev/kvm. Platforms and the
 * debugger see only this.
 *
 * All addresses are bigint. `rip` is an offset in CS; `linearRip` adds the base of CS.
 */
export interface Processor {
  readonly index: number;
  readonly model: CpuModel;
  readonly state: CpuState;
  readonly intercepts: InterceptSet;

  /** What the translator has made of hot code so far. */
  readonly translations: TranslationStatistics;

  /** Retired instructions since reset. An instruction that faults does not count; each pass of a REP instruction does. */
  readonly icount: bigint;
  /** Guest time in TSC ticks (1 tick = 1 ns): retired instructions plus the time that was skipped while halted. */
  readonly ticks: bigint;
  /** Lets time pass without instructions: a halted vCPU jumps to the next event. */
  skipTime(ticks: bigint): void;

  readonly mode: CodeMode;
  readonly linearRip: bigint;
  readonly cpl: number;
  readonly halted: boolean;

  /** Makes PAUSE end `run`: another vCPU of the partition may be what this one waits for. */
  givesWay: boolean;
  /** The last run ended behind a PAUSE. Kept until the next one. */
  readonly gaveWay: boolean;

  /** To power-on state (Intel SDM vol. 3, table 10-1), CS:RIP F000:FFF0. */
  reset(): void;

  /**
   * Runs at most `budget` instructions (1 to 2^31-1). Ends at an instruction boundary, with all state in `state`.
   * Pending events are delivered before the first instruction; delivering one retires no instruction.
   */
  run(budget: number): RunResult;
  /** Makes the current `run` return at the next boundary; before a run: it is without effect. */
  requestStop(): void;

  // --- completing exits -------------------------------------------------------------------------------------------

  /**
   * Gives the value that an I/O or MMIO read delivers (for a write: any value, says that it is done), after an exit
   * `io` or `mmio`. The instruction runs again and takes its accesses from what was completed, in order.
   */
  completeAccess(value: bigint): void;
  /** Advances RIP past the instruction of an exit and retires it (clears the interrupt shadow, arms the TF trap). */
  skipInstruction(length: number): void;
  /** Does what the intercepted instruction would have done on bare hardware (CPUID, MSR, CR …), and retires it. */
  performNatively(): void;
  /** Injects an event at the next entry. Delivery happens in the next `run`; a debug trap that waits is lost with it. */
  inject(event: EventInjection): void;
  /** What the next entry injects. */
  readonly injected: EventInjection | undefined;
  /** Makes a monitor trap wait for the boundary behind the next entry, whether it is intercepted or not (Intel SDM vol. 3, 27.6.2). */
  injectMonitorTrap(): void;
  /** An interrupt that waits in the guest, until it takes it. */
  virtualInterrupt: VirtualInterrupt | undefined;
  /** An NMI that waits in the guest until NMIs aren't blocked there (SVM's V_NMI), where it has NMIs of its own. */
  virtualNmi: boolean;
  /** The task priority of virtual interrupts and of the threshold, 0 to 15: VTPR[7:4], V_TPR[3:0]. */
  virtualTpr: number;
  /** Ticks that VMX's preemption timer counts down from at the next entry (0 to 2^32-1), where it is intercepted. */
  preemptionTimer: number;
  /** Ticks at which it will have counted down; undefined while the vCPU isn't in the guest. */
  readonly preemptionDeadline: bigint | undefined;
  /** DR6 bits of debug exceptions that wait for the next boundary: BS (bit 14) and B0–B3. */
  pendingDebug: bigint;
  setInterruptSource(source: InterruptSource | undefined): void;
  raiseNmi(): void;
  raiseInit(): void;
  raiseSmi(): void;
  /** Start-up IPI: starts at `vector << 12` when waiting for it. */
  raiseSipi(vector: number): void;

  // --- debugging, invisible to the guest ----------------------------------------------------------------------------

  /** Stops before the instruction at each of these linear addresses. Replaces the earlier set. */
  setBreakpoints(linear: ReadonlySet<bigint>): void;
  setWatches(watches: readonly Watch[]): void;
  /** The next `run` passes what the instruction at RIP would stop for, once: up to the kind of stop that was taken there. */
  resumePast(upTo?: PassedStop): void;
  /** While true, external interrupts and NMIs are held back (stepping would land in their handlers). */
  holdInterrupts: boolean;
  /** Guest exceptions (bit = vector) that end `run` with an exit `exception` before delivery, although not intercepted. */
  debugExceptions: number;

  /** Translates a linear address as a data read at CPL 0 would be, without side effects. */
  translate(linear: bigint): bigint | undefined;
  walk(linear: bigint): WalkResult;
  /**
   * Reads memory by address without side effects. Returns as many bytes as can be read from the start, at most `length`.
   */
  readMemory(space: 'gva' | 'gpa', address: bigint, length: number): Uint8Array;
  /** Writes and drops decoded code; returns the number of bytes written from the start. */
  writeMemory(space: 'gva' | 'gpa', address: bigint, bytes: Uint8Array): number;
  /**
   * Writes a register as the instruction for it would at CPL 0, without exits. What would fault is refused and changes nothing.
   */
  writeRegister(target: RegisterTarget, value: bigint): WriteRefusal | undefined;
  /** Must be called after registers in `state` were changed from outside (mode, segments, paging, RIP may have). */
  stateChanged(): void;

  /** FNV-1a, 64 bit, of all architectural state (not memory). */
  stateHash(): bigint;
  lastWatchHit?: WatchHit;
}

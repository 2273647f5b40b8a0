import { CpuCore, PASSED } from './cpu-core.ts';
import type { Decoded } from './decoder/decode.ts';
import { dataBreakpointHit, executeBreakpoints, hasDataBreakpoints, portBreakpointHit } from './events/debug-registers.ts';
import { Activity, EventUnit, MOV_SS_SHADOW, SHADOW } from './events/event-unit.ts';
import type { VirtualInterrupt } from './events/virtual-interrupt.ts';
import type { RunResult, VmExit, WatchHit } from './exit.ts';
import { GuestFault, pushesErrorCode, Vector } from './faults/guest-fault.ts';
import { type InterceptSet, isVmExit } from './intercepts.ts';
import * as O from './interpreter/operation.ts';
import { WatchStop } from './memory/linear-access.ts';
import { readVirtualMemory, writeVirtualMemory } from './memory/outside-access.ts';
import type { PartitionMemory } from './memory/partition-memory.ts';
import type { CpuModel } from './models/cpu-model.ts';
import type {
  CodeMode,
  EventInjection,
  InterruptSource,
  PassedStop,
  Processor,
  RegisterTarget,
  TranslationStatistics,
  WalkResult,
  Watch,
  WriteRefusal,
} from './processor.ts';
import { type CpuState, Flag } from './state/cpu-state.ts';
import * as L from './state/layout.ts';
import { resetState } from './state/reset.ts';
import { hashState } from './state/state-hash.ts';
import { AccessExit } from './system/context.ts';
import { systemHelpers } from './system/helpers.ts';
import { softwareException, trapsAfter } from './system/interrupts.ts';
import { writeFromOutside } from './system/outside-writes.ts';
import type { TranslatorOptions } from './translator/translator.ts';

/** Events delivered without an instruction between them before the run loop comes back. */
const MOST_DELIVERIES = 5000;
const DR6_BS = 1n << 14n;
/** Instructions in one call of generated code: a region only changes to better machine code when it is called anew. */
const SLICE = 500_000;

export interface ProcessorOptions {
  readonly index: number;
  readonly memory: PartitionMemory;
  readonly model: CpuModel;
  /** When hot code is translated, and how much of it is kept. */
  readonly translator?: Partial<TranslatorOptions>;
}

/** Makes an emulated vCPU in power-on state. */
export function createProcessor(options: ProcessorOptions): Processor {
  return new Cpu(options);
}

/** The run loop of the emulated processor: generated code, helpers, faults, events and exits in their order. */
class Cpu implements Processor {
  private readonly core: CpuCore;
  private readonly events: EventUnit;
  readonly state: CpuState;
  readonly model: CpuModel;
  readonly index: number;
  lastWatchHit: WatchHit | undefined;
  givesWay = false;
  private stopRequested = false;
  /** The instruction that left the guest last, with its RIP: as it was fetched then, until the guest runs or its state is changed. */
  private leaver: Decoded | undefined;
  private leaverRip = 0n;
  /** An exit that {@link performNatively} met, and that nobody has been told of. */
  private unserved: RunResult | undefined;
  /** Instructions that the current run may still retire. */
  private left = 0;
  /** The last VM exit was an access that the hypervisor makes in the guest's place: so it does what is left of that instruction. */
  private emulates = false;

  constructor(options: ProcessorOptions) {
    this.core = new CpuCore(options.index, options.memory, options.model, options.translator);
    this.state = this.core.state;
    this.model = options.model;
    this.index = options.index;
    this.events = new EventUnit(this.core, () => this.stateChanged());
    this.core.onDebugRegisters = () => this.debugRegistersChanged();
    this.core.onPortAccess = (port, size) => {
      this.events.pendingDebug |= portBreakpointHit(this.state, port, size);
    };
    this.reset();
  }

  get intercepts(): InterceptSet {
    return this.core.wanted;
  }
  get translations(): TranslationStatistics {
    return this.core.code.translator.statistics;
  }
  get icount(): bigint {
    return this.state.icount;
  }
  get ticks(): bigint {
    return this.state.ticks;
  }
  skipTime(ticks: bigint): void {
    this.state.set64(L.IDLE_TICKS, this.state.get64(L.IDLE_TICKS) + ticks);
  }
  get mode(): CodeMode {
    return this.core.mode;
  }
  get linearRip(): bigint {
    return this.core.linearRip;
  }
  get cpl(): number {
    return this.state.cpl;
  }
  get holdInterrupts(): boolean {
    return this.events.holdInterrupts;
  }
  set holdInterrupts(hold: boolean) {
    this.events.holdInterrupts = hold;
  }
  get debugExceptions(): number {
    return this.events.debugExceptions;
  }
  set debugExceptions(vectors: number) {
    this.events.debugExceptions = vectors;
  }
  get halted(): boolean {
    return this.events.halted;
  }
  get gaveWay(): boolean {
    return this.givesWay && this.core.paused;
  }

  reset(): void {
    resetState(this.state, this.model, this.index);
    this.events.reset();
    this.stopRequested = false;
    this.core.passing = 0;
    this.core.access.forgetCompleted();
    this.core.code.dropAll();
    this.stateChanged();
  }

  // --- running --------------------------------------------------------------------------------------------------------

  run(budget: number): RunResult {
    this.left = budget;
    this.leaver = undefined;
    this.stopRequested = false;
    this.events.interrupted = undefined;
    this.core.paused = false;
    if (this.unserved) {
      const result = this.unserved;
      this.unserved = undefined;
      return result;
    }
    this.events.enter();
    const result = this.runToStop();
    if (result.kind === 'exit' && isVmExit(this.core.wanted, result.exit)) this.leave(result.exit);
    return result;
  }

  private leave(exit: VmExit): void {
    this.emulates = exit.reason === 'io' || 'gpa' in exit;
    this.events.leave();
  }

  private runToStop(): RunResult {
    for (;;) {
      const event = this.events.boundary();
      const result = event === 'delivered' ? undefined : (event ?? this.runStretch());
      if (result) return result;
      if (this.left <= 0 || this.gaveWay) return { kind: 'budget' };
      // Faults whose handlers fault at once, without end: whoever runs the guest gets a say now and then.
      if (this.events.deliveries > MOST_DELIVERIES) {
        this.events.deliveries = 0;
        // They take time as well, or the guest would keep others from their turns for ever.
        this.skipTime(BigInt(MOST_DELIVERIES));
        return { kind: 'stop-requested' };
      }
      if (this.stopRequested) return { kind: 'stop-requested' };
    }
  }

  /** Runs generated code, and says whether the guest itself has ended an instruction with it. */
  private runStretch(): RunResult | undefined {
    const { left } = this;
    const completes = this.emulates && this.core.access.completed.length > 0;
    const result = this.stretch(left);
    if (this.left < left && !completes) this.events.trapBehind();
    return result;
  }

  requestStop(): void {
    this.stopRequested = true;
  }

  /** Runs generated code until something must be decided. `undefined`: go on with the next boundary. */
  private stretch(budget: number): RunResult | undefined {
    const { state, core } = this;
    const { access } = core;
    const interruptibility = state.get32(L.INTERRUPTIBILITY);
    const shadow = interruptibility & SHADOW;
    const flags = state.get32(L.EFLAGS);
    const trap = (flags & Flag.TF) !== 0;
    const again = access.completed.length > 0;
    const { monitorTrap } = core.wanted;
    const single = shadow !== 0 || trap || again || monitorTrap || core.passing > 0 || access.onAccess !== undefined;
    access.taken = 0;
    access.ignoreWatches = core.passesWatches;
    state.set32(O.ENGINE_ABORT, 0);
    const count = single ? 1 : Math.min(budget, SLICE, this.events.room);
    let operation = 0;
    if ((core.passing > 0 || again) && core.hasBreakpoints) {
      try {
        operation = core.code.single(state.rip).operation;
      } catch (error) {
        return this.failed(error);
      }
    }
    const rip = state.rip;
    // With IF set, those that wait have been taken or are held.
    state.set32(O.ENGINE_INTERRUPTS_WAIT, flags & Flag.IF ? 0 : 1);
    // The shadow covers one instruction, which may cast it again.
    if (shadow) state.set32(L.INTERRUPTIBILITY, interruptibility & ~SHADOW);
    const left = core.runGenerated(operation, count);
    const executed = count - state.get32(O.ENGINE_BUDGET);
    if (executed > 0) this.retired(executed, 0, trap, rip);
    else if (shadow) state.set32(L.INTERRUPTIBILITY, interruptibility);
    switch (left) {
      case O.Left.BUDGET:
        return undefined;
      case O.Left.MISS:
        // What happens at the boundary comes before a fault of the next fetch.
        return executed > 0 ? undefined : this.decodeNext();
      case O.Left.BREAK:
        return this.breakpoint();
      case O.Left.HELPER:
        return this.help(shadow, trap);
      case O.Left.HOT:
        core.code.translate(state.rip);
        return undefined;
      case O.Left.CONTEXT:
        core.code.confirmRegion(state.rip);
        return undefined;
      case O.Left.EVENTS:
        core.eventsChanged();
        return undefined;
      case O.Left.RAISE:
        return this.failed(this.generatedFault());
      default:
        return this.failed(this.abortReason(), core.code.lengthOf(state.get32(O.ENGINE_OPERATION)));
    }
  }

  private abortReason(): unknown {
    const { state, core } = this;
    return state.get32(O.ENGINE_ABORT) === 2 ? this.generatedFault() : core.pendingError;
  }
  private generatedFault(): GuestFault {
    const vector = this.state.get32(O.ENGINE_VECTOR);
    return new GuestFault(vector, pushesErrorCode(vector) ? 0 : undefined);
  }

  private decodeNext(): RunResult | undefined {
    try {
      this.core.code.enter(this.state.rip);
      return undefined;
    } catch (error) {
      return this.failed(error);
    }
  }

  private breakpoint(): RunResult | undefined {
    const { core, state } = this;
    const linear = core.linearRip;
    if (core.breakpoints.has(linear)) return { kind: 'breakpoint', rip: state.rip };
    // Loading SS holds back breakpoints of the next instruction (Intel SDM vol. 3, 6.8.3).
    const masked = (state.get32(L.INTERRUPTIBILITY) & MOV_SS_SHADOW) !== 0;
    if ((state.rflags & Flag.RF) === 0 && !masked) {
      const dr6 = executeBreakpoints(state, linear);
      if (dr6 !== 0n) return this.failed(new GuestFault(Vector.DB, undefined, undefined, dr6));
    }
    // RF, MOV SS, or a breakpoint that is gone: this instruction passes.
    this.resumePast('breakpoint');
    return undefined;
  }

  private help(shadow: number, trap: boolean): RunResult | undefined {
    const decoded = this.core.code.instructionAt(this.state.get32(O.ENGINE_OPERATION));
    return this.perform(decoded, shadow, trap);
  }

  private perform(decoded: Decoded, shadow: number, trap: boolean): RunResult | undefined {
    const { state, core } = this;
    const helperName = decoded.form.definition.helper ?? '';
    const helper = systemHelpers[helperName];
    if (!helper) return this.failed(new GuestFault(Vector.UD));
    const { instruction } = decoded;
    const event = softwareException(helperName, state);
    if (event !== undefined && this.events.debugExceptions & (1 << event) && !core.passesExceptions && !core.native)
      return this.core.exit({ reason: 'exception', vector: event, type: event === Vector.DB ? 5 : 6 }, instruction.length);
    const rip = state.rip;
    const before = state.get32(L.INTERRUPTIBILITY);
    // The shadow covers one instruction; the helper may cast it again.
    state.set32(L.INTERRUPTIBILITY, before & ~SHADOW);
    // RF covers one instruction too, and IRET or a task switch may set it again for the next.
    const resume = state.get32(L.EFLAGS) & Flag.RF;
    state.set32(L.EFLAGS, state.get32(L.EFLAGS) & ~Flag.RF);
    try {
      const outcome = helper(core, instruction);
      if (typeof outcome === 'object') {
        this.undo(before, resume);
        this.leaver = decoded;
        this.leaverRip = rip;
        if (outcome.reason === 'exception') this.forgetResume();
        if (outcome.reason === 'triple-fault') return this.events.tripleFault(outcome);
        return this.core.exit(outcome, instruction.length);
      }
      if (outcome === 'next') state.rip = core.advance(rip, instruction.length);
      const cast = state.get32(L.INTERRUPTIBILITY) & SHADOW;
      const resumesNext = state.get32(L.EFLAGS) & Flag.RF;
      // There is no step over an instruction that loads SS (Intel SDM vol. 3, 6.8.3).
      const trapped = trapsAfter(helperName, trap, state) && !(cast & MOV_SS_SHADOW);
      this.retired(1, shadow, trapped, rip);
      if (helperName === 'int1') this.joinPendingDebug();
      state.set32(L.INTERRUPTIBILITY, (state.get32(L.INTERRUPTIBILITY) & ~SHADOW) | cast);
      state.set32(L.EFLAGS, state.get32(L.EFLAGS) | resumesNext);
      return undefined;
    } catch (error) {
      this.undo(before, resume);
      if (error instanceof GuestFault && helperName === 'iret') this.events.faultOfIret(error);
      const isDelivery = (error instanceof GuestFault || error instanceof AccessExit) && error.during !== undefined;
      if (isDelivery) this.forgetResume();
      // The instruction is known here: no need to decode it again for its length.
      if (error instanceof AccessExit) return this.core.exit(error.detail, instruction.length, error.during);
      return this.failed(error);
    }
  }

  /** Puts the shadow and RF back that covered an instruction which has no effect. */
  private undo(interruptibility: number, resume: number): void {
    const { state } = this;
    state.set32(L.INTERRUPTIBILITY, interruptibility);
    state.set32(L.EFLAGS, state.get32(L.EFLAGS) | resume);
  }

  /** RFLAGS at an exit for a software event is what its handler would find: without RF (Intel SDM vol. 3, 28.3.3). */
  private forgetResume(): void {
    this.state.set32(L.EFLAGS, this.state.get32(L.EFLAGS) & ~Flag.RF);
  }

  /** INT1 has been delivered: a trap that MOV SS held back for this boundary is the same debug exception. */
  private joinPendingDebug(): void {
    const { state, events } = this;
    state.set64(L.DR + 6 * 8, state.get64(L.DR + 6 * 8) | events.takePendingDebug());
  }

  /** Bookkeeping after instructions that ran to their end. */
  private retired(count: number, shadow: number, trap: boolean, rip: bigint): void {
    const { state, core } = this;
    state.addInstructions(count);
    this.left -= count;
    this.events.deliveries = 0;
    core.access.forgetCompleted();
    // A REP instruction that goes on is still the one that the breakpoint let pass.
    if (core.passing > 0 && (state.rip !== rip || !this.repeats())) core.passing = 0;
    if (shadow) state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) & ~SHADOW);
    if (trap) this.events.pendingDebug |= DR6_BS;
    const flags = state.get32(L.EFLAGS);
    if (flags & Flag.RF) state.set32(L.EFLAGS, flags & ~Flag.RF);
  }

  private repeats(): boolean {
    try {
      return this.core.code.decodeAt(this.state.rip).instruction.rep !== 'none';
    } catch {
      return false;
    }
  }

  // --- faults and events -----------------------------------------------------------------------------------------------

  /**
   * An instruction ended early: a guest exception, an access that leaves, a watch, or an error of our own. `length`: of the
   * instruction, where that is known without decoding it again.
   */
  private failed(error: unknown, length?: number): RunResult | undefined {
    if (error instanceof GuestFault) {
      this.core.access.forgetCompleted();
      return this.events.deliverFault(error, false);
    }
    if (error instanceof AccessExit) return this.core.exit(error.detail, length ?? this.core.currentLength());
    if (error instanceof WatchStop) {
      this.lastWatchHit = error.hit;
      return { kind: 'watch', hit: error.hit };
    }
    throw error;
  }

  // --- completing exits ------------------------------------------------------------------------------------------------

  completeAccess(value: bigint): void {
    this.core.access.completed.push(value);
  }

  skipInstruction(length: number): void {
    const { state } = this;
    const rip = state.rip;
    const shadow = state.get32(L.INTERRUPTIBILITY) & SHADOW;
    const trap = (state.get32(L.EFLAGS) & Flag.TF) !== 0;
    state.rip = this.core.advance(rip, length);
    this.retired(1, shadow, trap, rip);
  }

  performNatively(): void {
    const { state, core } = this;
    const decoded = this.leaver && this.leaverRip === state.rip ? this.leaver : undefined;
    const shadow = state.get32(L.INTERRUPTIBILITY) & SHADOW;
    const trap = (state.get32(L.EFLAGS) & Flag.TF) !== 0;
    const event = this.events.interrupted;
    this.events.interrupted = undefined;
    core.native = true;
    try {
      const left = event ? this.events.deliver(event) : this.perform(decoded ?? core.code.decodeAt(state.rip), shadow, trap);
      const refused = left?.kind === 'exit' && (left.exit.reason === 'msr-read' || left.exit.reason === 'msr-write');
      // An MSR that isn't there.
      this.keepUnserved(refused ? this.failed(new GuestFault(Vector.GP, 0)) : left);
    } catch (error) {
      this.keepUnserved(this.failed(error));
    } finally {
      core.native = false;
    }
  }

  /** The next run tells of what came of an instruction that was done natively, where somebody must see to it before it can be run again. */
  private keepUnserved(left: RunResult | undefined): void {
    this.unserved = left && (isMemoryExit(left) || isException(left)) ? left : undefined;
  }

  inject(event: EventInjection): void {
    this.core.access.forgetCompleted();
    this.events.injected = event;
  }
  injectMonitorTrap(): void {
    this.events.injectMonitorTrap();
  }
  get virtualInterrupt(): VirtualInterrupt | undefined {
    return this.core.virtualInterrupt;
  }
  set virtualInterrupt(interrupt: VirtualInterrupt | undefined) {
    this.core.virtualInterrupt = interrupt;
  }
  get virtualNmi(): boolean {
    return this.core.virtualNmi;
  }
  set virtualNmi(waits: boolean) {
    this.core.virtualNmi = waits;
  }
  get virtualTpr(): number {
    return this.core.virtualTpr;
  }
  set virtualTpr(value: number) {
    this.core.virtualTpr = value;
  }
  get preemptionTimer(): number {
    return this.events.preemptionTimer.value;
  }
  set preemptionTimer(value: number) {
    this.events.preemptionTimer.value = value;
  }
  get preemptionDeadline(): bigint | undefined {
    return this.events.preemptionTimer.deadline;
  }
  get injected(): EventInjection | undefined {
    return this.events.injected;
  }
  get pendingDebug(): bigint {
    return this.events.pendingDebug;
  }
  set pendingDebug(bits: bigint) {
    this.events.pendingDebug = bits;
  }
  setInterruptSource(source: InterruptSource | undefined): void {
    this.core.interruptSource = source;
  }
  raiseNmi(): void {
    this.events.nmiPending = true;
  }
  raiseSmi(): void {
    this.events.smiPending = true;
  }
  raiseInit(): void {
    this.events.raiseInit();
  }
  raiseSipi(vector: number): void {
    this.events.raiseSipi(vector);
  }

  // --- debugging -------------------------------------------------------------------------------------------------------

  setBreakpoints(linear: ReadonlySet<bigint>): void {
    this.core.breakpoints = new Set(linear);
    this.core.code.dropAll();
  }
  setWatches(watches: readonly Watch[]): void {
    this.core.access.watches = [...watches];
    this.core.access.tlb.flush();
  }
  resumePast(upTo: PassedStop = 'exception'): void {
    this.core.passing = Math.max(this.core.passing, PASSED[upTo]);
  }
  translate(linear: bigint): bigint | undefined {
    return this.walk(linear).gpa;
  }
  walk(linear: bigint): WalkResult {
    return this.core.mmu.walk(linear);
  }

  readMemory(space: 'gva' | 'gpa', address: bigint, length: number): Uint8Array {
    return space === 'gpa' ? this.core.memory.read(address, length) : readVirtualMemory(this, this.core.memory, address, length);
  }
  writeMemory(space: 'gva' | 'gpa', address: bigint, bytes: Uint8Array): number {
    return space === 'gpa' ? this.core.memory.write(address, bytes) : writeVirtualMemory(this, this.core.memory, address, bytes);
  }

  writeRegister(target: RegisterTarget, value: bigint): WriteRefusal | undefined {
    const refusal = writeFromOutside(this.core, target, value);
    this.stateChanged();
    return refusal;
  }

  stateChanged(): void {
    const { core, state } = this;
    this.leaver = undefined;
    this.unserved = undefined;
    this.debugRegistersChanged();
    core.flushTlb(true);
    core.segments.forget();
    core.modeChanged();
    core.access.selectTables();
    if (state.get32(L.ACTIVITY) > Activity.WAIT_FOR_SIPI) state.set32(L.ACTIVITY, Activity.ACTIVE);
  }

  /** Takes over DR7: breakpoints for execution go into decoded code, those for data make every access ask. */
  private debugRegistersChanged(): void {
    const { core, state } = this;
    const execute = new Set(executeBreakpointAddresses(state));
    const same =
      execute.size === core.hardwareBreakpoints.size && [...execute].every((address) => core.hardwareBreakpoints.has(address));
    core.hardwareBreakpoints = execute;
    if (!same) core.code.dropAll();
    core.access.onAccess = hasDataBreakpoints(state)
      ? (linear, size, write) => {
          this.events.pendingDebug |= dataBreakpointHit(state, linear, size, write);
        }
      : undefined;
    core.access.selectTables();
  }

  stateHash(): bigint {
    return hashState(this.state, this.events.hashed);
  }
}

/** Somebody must serve an access before the instruction can be run again. */
function isMemoryExit(result: RunResult): boolean {
  if (result.kind !== 'exit') return false;
  const { reason } = result.exit;
  return reason === 'mmio' || reason === 'dirty-log' || reason.startsWith('second-level');
}

/** A debugger looks at an exception before it is delivered. */
function isException(result: RunResult): boolean {
  return result.kind === 'exit' && result.exit.reason === 'exception';
}

function executeBreakpointAddresses(state: CpuState): bigint[] {
  return [0, 1, 2, 3]
    .map((index) => state.get64(L.DR + index * 8))
    .filter((address) => executeBreakpoints(state, address) !== 0n);
}

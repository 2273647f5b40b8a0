import { MASK_32, MASK_64 } from '../x86/address.ts';
import { CpuCore } from './cpu-core.ts';
import type { Decoded } from './decoder/decode.ts';
import { dataBreakpointHit, executeBreakpoints, hasDataBreakpoints } from './events/debug-registers.ts';
import { deliverEvent, type GuestEvent } from './events/deliver.ts';
import type { ExitDetail, RunResult, VmExit, WatchHit } from './exit.ts';
import { GuestFault, pushesErrorCode, Vector } from './faults/guest-fault.ts';
import * as O from './interpreter/operation.ts';
import { WatchStop } from './memory/linear-access.ts';
import type { PartitionMemory } from './memory/partition-memory.ts';
import type { CpuModel } from './models/cpu-model.ts';
import type {
  CodeMode,
  EventInjection,
  InterceptSet,
  InterruptSource,
  PassedStop,
  Processor,
  RegisterTarget,
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

/** Events delivered without an instruction between them before the run loop comes back. */
const MOST_DELIVERIES = 5000;
const PASSED: Readonly<Record<PassedStop, number>> = { breakpoint: 1, watch: 2, exception: 3 };
const SHADOW = 3;
const NMI_BLOCKED = 8;
const MOV_SS_SHADOW = 2;
const Activity = { ACTIVE: 0, HALTED: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;
const DR6_BS = 1n << 14n;

export interface ProcessorOptions {
  readonly index: number;
  readonly memory: PartitionMemory;
  readonly model: CpuModel;
}

/** Makes an emulated vCPU in power-on state. */
export function createProcessor(options: ProcessorOptions): Processor {
  return new Cpu(options);
}

/** The run loop of the emulated processor: generated code, helpers, faults, events and exits in their order. */
class Cpu implements Processor {
  private readonly core: CpuCore;
  readonly state: CpuState;
  readonly model: CpuModel;
  readonly index: number;
  holdInterrupts = false;
  debugExceptions = 0;
  lastWatchHit: WatchHit | undefined;
  private injected: EventInjection | undefined;
  private nmiPending = false;
  private initPending = false;
  private sipiVector: number | undefined;
  /** DR6 bits of a debug trap that waits for the next boundary. */
  private pendingDebug = 0n;
  /** An event whose delivery left for a task switch. */
  private interrupted: GuestEvent | undefined;
  /** What the instruction at RIP is let through: 0 nothing, else a value of PASSED. */
  private passing = 0;
  /** Events delivered since an instruction retired. */
  private deliveries = 0;
  private stopRequested = false;

  constructor(options: ProcessorOptions) {
    this.core = new CpuCore(options.index, options.memory, options.model);
    this.state = this.core.state;
    this.model = options.model;
    this.index = options.index;
    this.core.onDebugRegisters = () => this.debugRegistersChanged();
    this.reset();
  }

  get intercepts(): InterceptSet {
    return this.core.wanted;
  }
  get icount(): bigint {
    return this.state.icount;
  }
  get ticks(): bigint {
    return this.state.icount + this.state.get64(L.IDLE_TICKS);
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
  get halted(): boolean {
    return this.state.get32(L.ACTIVITY) === Activity.HALTED;
  }

  reset(): void {
    resetState(this.state, this.model, this.index);
    this.injected = undefined;
    this.nmiPending = this.initPending = this.stopRequested = false;
    this.passing = 0;
    this.sipiVector = undefined;
    this.pendingDebug = 0n;
    this.deliveries = 0;
    this.core.access.completed.length = 0;
    this.core.code.dropAll();
    this.stateChanged();
  }

  // --- running --------------------------------------------------------------------------------------------------------

  run(budget: number): RunResult {
    const end = this.state.icount + BigInt(budget);
    this.stopRequested = false;
    this.interrupted = undefined;
    for (;;) {
      const result = this.boundary() ?? this.stretch(Number(end - this.state.icount));
      if (result) return result;
      if (this.state.icount >= end) return { kind: 'budget' };
      // Faults whose handlers fault at once, without end: whoever runs the guest gets a say now and then.
      if (this.deliveries > MOST_DELIVERIES) {
        this.deliveries = 0;
        return { kind: 'stop-requested' };
      }
      if (this.stopRequested) return { kind: 'stop-requested' };
    }
  }

  requestStop(): void {
    this.stopRequested = true;
  }

  /** What happens between two instructions: injected events, INIT, debug traps, NMI, interrupts, waking from HLT. */
  private boundary(): RunResult | undefined {
    const { state, core } = this;
    // In the middle of an instruction that is run again nothing comes between.
    if (core.access.completed.length > 0) return undefined;
    if (this.initPending) return this.initialize();
    const activity = state.get32(L.ACTIVITY);
    if (activity === Activity.WAIT_FOR_SIPI) return this.waitForSipi();
    if (this.injected) return this.deliverInjected(this.injected);
    if (activity === Activity.SHUTDOWN) return { kind: 'shutdown' };
    const shadow = state.get32(L.INTERRUPTIBILITY) & SHADOW;
    if (this.pendingDebug !== 0n && !(shadow & MOV_SS_SHADOW)) {
      const dr6 = this.pendingDebug;
      this.pendingDebug = 0n;
      return this.deliverFault(new GuestFault(Vector.DB, undefined, undefined, dr6), true);
    }
    const held = this.holdInterrupts && !this.halted;
    if (!held && !shadow) {
      const result = this.takeInterrupts();
      if (result !== 'none') return result;
    }
    return this.halted ? { kind: 'halted' } : undefined;
  }

  private takeInterrupts(): RunResult | undefined | 'none' {
    const { state, core } = this;
    const blocked = (state.get32(L.INTERRUPTIBILITY) & NMI_BLOCKED) !== 0;
    if (core.wanted.nmiWindow && !blocked) {
      core.wanted.nmiWindow = false;
      return this.exit({ reason: 'nmi-window' }, 0);
    }
    if (this.nmiPending && !blocked) {
      this.nmiPending = false;
      if (core.wanted.nmi) return this.exit({ reason: 'nmi' }, 0);
      this.wake();
      const delivered = this.deliver({ vector: Vector.NMI, kind: 'nmi' });
      state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) | NMI_BLOCKED);
      return delivered;
    }
    if ((state.get32(L.EFLAGS) & Flag.IF) === 0) return 'none';
    if (core.wanted.interruptWindow) {
      core.wanted.interruptWindow = false;
      return this.exit({ reason: 'interrupt-window' }, 0);
    }
    const source = core.interruptSource;
    if (!source?.hasInterrupt()) return 'none';
    const vector = source.acknowledge();
    this.wake();
    if (core.wanted.externalInterrupt) return this.exit({ reason: 'external-interrupt', vector }, 0);
    return this.deliver({ vector, kind: 'external' });
  }

  private wake(): void {
    if (this.halted) this.state.set32(L.ACTIVITY, Activity.ACTIVE);
  }

  private initialize(): RunResult | undefined {
    this.initPending = false;
    const time = [L.ICOUNT, L.IDLE_TICKS, L.TSC_OFFSET].map((offset) => this.state.get64(offset));
    resetState(this.state, this.model, this.index);
    [L.ICOUNT, L.IDLE_TICKS, L.TSC_OFFSET].forEach((offset, index) => {
      this.state.set64(offset, time[index] ?? 0n);
    });
    if (this.index > 0) this.state.set32(L.ACTIVITY, Activity.WAIT_FOR_SIPI);
    this.stateChanged();
    return undefined;
  }

  private waitForSipi(): RunResult | undefined {
    if (this.sipiVector === undefined) return { kind: 'halted' };
    const vector = this.sipiVector;
    this.sipiVector = undefined;
    this.state.setSegment(L.Segment.CS, { selector: vector << 8, base: BigInt(vector << 12), limit: 0xffff, rights: 0x93 });
    this.state.rip = 0n;
    this.state.set32(L.ACTIVITY, Activity.ACTIVE);
    this.stateChanged();
    return undefined;
  }

  /** Runs generated code until something must be decided. `undefined`: go on with the next boundary. */
  private stretch(budget: number): RunResult | undefined {
    const { state, core } = this;
    const { access } = core;
    const shadow = state.get32(L.INTERRUPTIBILITY) & SHADOW;
    const trap = (state.get32(L.EFLAGS) & Flag.TF) !== 0;
    const again = access.completed.length > 0;
    const single = shadow !== 0 || trap || again || this.passing > 0 || access.onAccess !== undefined;
    access.taken = 0;
    access.ignoreWatches = this.passing >= PASSED.watch;
    state.set32(O.ENGINE_ABORT, 0);
    const count = single ? 1 : budget;
    let operation = 0;
    if (this.passing > 0 || (again && core.breakpoints.size > 0)) {
      try {
        operation = core.code.single(state.rip).operation;
      } catch (error) {
        return this.failed(error);
      }
    }
    const rip = state.rip;
    const left = core.runGenerated(operation, count);
    const executed = count - state.get32(O.ENGINE_BUDGET);
    if (executed > 0) this.retired(executed, shadow, trap, rip);
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
      case O.Left.RAISE:
        return this.failed(this.generatedFault());
      default:
        return this.failed(this.abortReason());
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
    if ((state.rflags & Flag.RF) === 0) {
      const dr6 = executeBreakpoints(state, linear);
      if (dr6 !== 0n) return this.failed(new GuestFault(Vector.DB, undefined, undefined, dr6));
    }
    // RF, or a breakpoint that is gone: this instruction passes.
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
    if (event !== undefined && this.debugExceptions & (1 << event) && this.passing < PASSED.exception && !core.native)
      return this.exit({ reason: 'exception', vector: event, type: event === Vector.DB ? 5 : 6 }, instruction.length);
    const rip = state.rip;
    const before = state.get32(L.INTERRUPTIBILITY);
    // The shadow covers one instruction; the helper may cast it again.
    state.set32(L.INTERRUPTIBILITY, before & ~SHADOW);
    // RF covers one instruction too, and IRET or a task switch may set it again for the next.
    const resume = state.get32(L.EFLAGS) & Flag.RF;
    state.set32(L.EFLAGS, state.get32(L.EFLAGS) & ~Flag.RF);
    const undo = () => {
      state.set32(L.INTERRUPTIBILITY, before);
      state.set32(L.EFLAGS, state.get32(L.EFLAGS) | resume);
    };
    try {
      const outcome = helper(core, instruction);
      if (typeof outcome === 'object') {
        undo();
        if (outcome.reason === 'triple-fault') return this.tripleFault(outcome.chain);
        return this.exit(outcome, instruction.length);
      }
      if (outcome === 'next') state.rip = core.advance(rip, instruction.length);
      const cast = state.get32(L.INTERRUPTIBILITY) & SHADOW;
      const resumesNext = state.get32(L.EFLAGS) & Flag.RF;
      this.retired(1, shadow, trapsAfter(helperName, trap, state), rip);
      state.set32(L.INTERRUPTIBILITY, (state.get32(L.INTERRUPTIBILITY) & ~SHADOW) | cast);
      state.set32(L.EFLAGS, state.get32(L.EFLAGS) | resumesNext);
      return undefined;
    } catch (error) {
      undo();
      // The instruction is known here: no need to decode it again for its length.
      if (error instanceof AccessExit) return this.exit(error.detail, instruction.length);
      return this.failed(error);
    }
  }

  /** Bookkeeping after instructions that ran to their end. */
  private retired(count: number, shadow: number, trap: boolean, rip: bigint): void {
    const { state, core } = this;
    state.set64(L.ICOUNT, state.icount + BigInt(count));
    this.deliveries = 0;
    core.access.completed.length = 0;
    core.access.taken = 0;
    // A REP instruction that goes on is still the one that the breakpoint let pass.
    if (this.passing > 0 && (state.rip !== rip || !this.repeats())) this.passing = 0;
    if (shadow) state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) & ~SHADOW);
    if (trap) this.pendingDebug |= DR6_BS;
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

  /** An instruction ended early: a guest exception, an access that leaves, a watch, or an error of our own. */
  private failed(error: unknown): RunResult | undefined {
    if (error instanceof GuestFault) {
      this.core.access.completed.length = 0;
      return this.deliverFault(error, false);
    }
    if (error instanceof AccessExit) return this.exit(error.detail, this.currentLength());
    if (error instanceof WatchStop) {
      this.lastWatchHit = error.hit;
      return { kind: 'watch', hit: error.hit };
    }
    throw error;
  }

  private deliverFault(fault: GuestFault, isTrap: boolean): RunResult | undefined {
    const { core } = this;
    const bit = 1 << fault.vector;
    const wanted = (core.native ? 0 : core.wanted.exceptions) & bit;
    if (wanted || (this.debugExceptions & bit && this.passing < PASSED.exception)) {
      if (isTrap && !wanted) this.pendingDebug = fault.dr6 ?? 0n;
      const payload = fault.linearAddress ?? fault.dr6;
      const length = isTrap ? 0 : this.currentLength();
      return this.exit({ reason: 'exception', vector: fault.vector, errorCode: fault.errorCode, payload, type: 3 }, length);
    }
    this.passing = 0;
    return this.deliver({
      vector: fault.vector,
      kind: 'exception',
      errorCode: fault.errorCode,
      linearAddress: fault.linearAddress,
      dr6: fault.dr6,
    });
  }

  private deliver(event: GuestEvent): RunResult | undefined {
    this.deliveries++;
    try {
      const outcome = this.core.undivided(() => deliverEvent(this.core, event));
      if (outcome === 'delivered') return undefined;
      return this.tripleFault(outcome.chain);
    } catch (error) {
      // Only a task switch through a gate leaves: a hypervisor does it, or has it done by `performNatively`.
      if (!(error instanceof AccessExit)) throw error;
      this.interrupted = event;
      return this.exit(error.detail, 0);
    }
  }

  private tripleFault(chain: Extract<ExitDetail, { reason: 'triple-fault' }>['chain']): RunResult {
    this.state.set32(L.ACTIVITY, Activity.SHUTDOWN);
    if (this.core.wanted.tripleFault) return this.exit({ reason: 'triple-fault', chain }, 0);
    return { kind: 'shutdown' };
  }

  private deliverInjected(event: EventInjection): RunResult | undefined {
    this.injected = undefined;
    this.wake();
    const { state } = this;
    if (event.type === 'software-interrupt' || event.type === 'software-exception')
      state.rip = this.core.advance(state.rip, event.instructionLength ?? 0);
    const kinds = {
      'external-interrupt': 'external',
      nmi: 'nmi',
      exception: 'exception',
      'software-interrupt': 'software',
      'software-exception': 'int3',
    } as const;
    const isPageFault = event.vector === Vector.PF;
    const result = this.deliver({
      vector: event.vector,
      kind: kinds[event.type],
      errorCode: event.errorCode,
      linearAddress: isPageFault ? event.payload : undefined,
      dr6: event.vector === Vector.DB ? event.payload : undefined,
    });
    if (event.type === 'nmi') state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) | NMI_BLOCKED);
    return result;
  }

  private currentLength(): number {
    try {
      return this.core.code.decodeAt(this.state.rip).instruction.length;
    } catch {
      return 0;
    }
  }

  private exit(detail: ExitDetail, instructionLength: number): RunResult {
    const exit: VmExit = { ...detail, rip: this.state.rip, instructionLength, icount: this.state.icount };
    return { kind: 'exit', exit };
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
    const shadow = state.get32(L.INTERRUPTIBILITY) & SHADOW;
    const trap = (state.get32(L.EFLAGS) & Flag.TF) !== 0;
    const event = this.interrupted;
    this.interrupted = undefined;
    core.native = true;
    try {
      const left = event ? this.deliver(event) : this.perform(core.code.decodeAt(state.rip), shadow, trap);
      const refused = left?.kind === 'exit' && (left.exit.reason === 'msr-read' || left.exit.reason === 'msr-write');
      // An MSR that isn't there.
      if (refused) this.failed(new GuestFault(Vector.GP, 0));
    } catch (error) {
      this.failed(error);
    } finally {
      core.native = false;
    }
  }

  inject(event: EventInjection): void {
    this.core.access.completed.length = 0;
    this.injected = event;
  }
  setInterruptSource(source: InterruptSource | undefined): void {
    this.core.interruptSource = source;
  }
  raiseNmi(): void {
    this.nmiPending = true;
  }
  raiseInit(): void {
    this.initPending = true;
  }
  raiseSipi(vector: number): void {
    if (this.initPending || this.state.get32(L.ACTIVITY) === Activity.WAIT_FOR_SIPI) this.sipiVector = vector & 0xff;
  }

  // --- debugging -------------------------------------------------------------------------------------------------------

  setBreakpoints(linear: ReadonlySet<bigint>): void {
    this.core.breakpoints = new Set(linear);
    this.core.code.dropAll();
  }
  setWatches(watches: readonly Watch[]): void {
    this.core.access.watches = [...watches];
    this.core.access.flushTlb();
  }
  resumePast(upTo: PassedStop = 'exception'): void {
    this.passing = Math.max(this.passing, PASSED[upTo]);
  }
  translate(linear: bigint): bigint | undefined {
    return this.walk(linear).gpa;
  }
  walk(linear: bigint): WalkResult {
    return this.core.mmu.walk(linear);
  }

  readMemory(space: 'gva' | 'gpa', address: bigint, length: number): Uint8Array {
    const { memory } = this.core;
    if (space === 'gpa') return memory.read(address, length);
    const result = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const linear = (address + BigInt(done)) & (this.mode === 64 ? MASK_64 : MASK_32);
      const gpa = this.translate(linear);
      if (gpa === undefined) break;
      const part = memory.read(gpa, Math.min(length - done, 0x1000 - Number(linear & 0xfffn)));
      result.set(part, done);
      done += part.length;
      if (part.length === 0) break;
    }
    return result.subarray(0, done);
  }

  writeMemory(space: 'gva' | 'gpa', address: bigint, bytes: Uint8Array): number {
    const { memory } = this.core;
    if (space === 'gpa') return memory.write(address, bytes);
    let done = 0;
    while (done < bytes.length) {
      const linear = (address + BigInt(done)) & (this.mode === 64 ? MASK_64 : MASK_32);
      const gpa = this.translate(linear);
      if (gpa === undefined) break;
      const room = Math.min(bytes.length - done, 0x1000 - Number(linear & 0xfffn));
      const written = memory.write(gpa, bytes.subarray(done, done + room));
      done += written;
      if (written < room) break;
    }
    return done;
  }

  writeRegister(target: RegisterTarget, value: bigint): WriteRefusal | undefined {
    const refusal = writeFromOutside(this.core, target, value);
    this.stateChanged();
    return refusal;
  }

  stateChanged(): void {
    const { core, state } = this;
    this.debugRegistersChanged();
    core.flushTlb(true);
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
          this.pendingDebug |= dataBreakpointHit(state, linear, size, write);
        }
      : undefined;
    core.access.selectTables();
  }

  stateHash(): bigint {
    return hashState(this.state, [
      this.nmiPending ? 1 : 0,
      this.initPending ? 1 : 0,
      Number(this.pendingDebug),
      this.sipiVector ?? -1,
    ]);
  }
}

function executeBreakpointAddresses(state: CpuState): bigint[] {
  return [0, 1, 2, 3]
    .map((index) => state.get64(L.DR + index * 8))
    .filter((address) => executeBreakpoints(state, address) !== 0n);
}

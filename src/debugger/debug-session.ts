import type { Partition, VirtualCpu } from '../hypervisor/partition/partition.ts';
import type { PartitionEnd, RunStop } from '../hypervisor/partition/run.ts';
import type { VmExit, WatchHit } from '../processor/exit.ts';
import type { SymbolSource } from '../symbols/symbol-source.ts';
import { hex } from '../x86/address.ts';
import { type CodeBreakpoint, type DataBreakpoint, judge, type Verdict } from './breakpoints/breakpoint.ts';
import { type ExitBreakpoint, matchesPattern } from './breakpoints/exit-breakpoints.ts';
import { filterById, matchingFilters } from './breakpoints/exit-filters.ts';
import type { StageBreakpoint } from './breakpoints/stage-breakpoints.ts';
import { evaluateNumber } from './expressions/evaluate.ts';
import { ExpressionError } from './expressions/evaluator.ts';
import { type RunControl, SLICE_INSTRUCTIONS, type Step } from './run-control/control.ts';
import type { SessionEvent, StepUnit, StopEvent } from './run-control/events.ts';
import { GuestStep } from './run-control/guest-step.ts';
import { HandlerStep } from './run-control/handler-step.ts';
import { StepOut } from './run-control/step-out.ts';

const ALL_EXCEPTIONS = -1;
/** Single steps have no breakpoints, but watches and what comes before the delivery of an exception. */
const PASSED_BY_STEPS = ({ reason }: StopEvent) => reason === 'data breakpoint' || reason === 'exception';
const NO_ADDRESSES: ReadonlySet<bigint> = new Set();

/** Run control over one partition: breakpoints, steps through guest code and through exit handlers. Knows no protocol. */
export class DebugSession implements RunControl {
  /** The vCPU that the last stop was about. */
  current = 0;
  running = false;
  /** Nothing can go on until input comes from outside. */
  idle = false;
  lastStop: StopEvent | undefined;
  interruptsWhileStepping = false;
  private readonly codeBreakpoints = new Map<string, readonly CodeBreakpoint[]>();
  private readonly stageBreakpoints = new Map<string, readonly StageBreakpoint[]>();
  private exitBreakpoints: readonly ExitBreakpoint[] = [];
  private dataBreakpoints: readonly DataBreakpoint[] = [];
  private filters = new Map<string, string | undefined>();
  /** Addresses that a motion runs to, besides the breakpoints. */
  private targets = NO_ADDRESSES;
  /** What the processors have been given. */
  private applied = NO_ADDRESSES;
  private step: Step | undefined;
  private pauseWanted = false;
  private pendingStop: StopEvent | undefined;
  private endReported = false;
  /** Events that wait for their slice: what logpoints print comes before the stop. */
  private readonly waiting: SessionEvent[] = [];

  constructor(
    readonly partition: Partition,
    readonly symbols: SymbolSource,
  ) {
    partition.setDebugHooks({ stopAtExit: (vcpu, exit) => this.wantsExit(vcpu, exit) });
    this.setFilters(new Map([['triple-fault', undefined]]));
  }

  vcpu(index = this.current): VirtualCpu {
    const vcpu = this.partition.vcpus[index] ?? this.partition.vcpus[0];
    if (!vcpu) throw new Error('a partition without vCPUs');
    return vcpu;
  }

  // --- breakpoints -------------------------------------------------------------------------------------------------------

  /** Replaces the code breakpoints of one group (a source file, the functions, the instructions). */
  setCodeBreakpoints(group: string, breakpoints: readonly CodeBreakpoint[]): void {
    this.codeBreakpoints.set(group, breakpoints);
    this.applyBreakpoints();
  }

  /** Replaces the breakpoints in one source file of exit handlers. */
  setStageBreakpoints(group: string, breakpoints: readonly StageBreakpoint[]): void {
    this.stageBreakpoints.set(group, breakpoints);
  }

  setExitBreakpoints(breakpoints: readonly ExitBreakpoint[]): void {
    this.exitBreakpoints = breakpoints;
  }

  setDataBreakpoints(breakpoints: readonly DataBreakpoint[]): void {
    this.dataBreakpoints = breakpoints;
    const watches = breakpoints.map(({ id, space, address, length, access }) => ({
      id,
      space,
      address,
      length,
      read: access !== 'write',
      write: access !== 'read',
    }));
    for (const { processor } of this.partition.vcpus) processor.setWatches(watches);
  }

  /** Exit filters by id, each with its condition. */
  setFilters(filters: ReadonlyMap<string, string | undefined>): void {
    this.filters = new Map(filters);
    this.askForExceptions();
  }

  /** Lets the guest run past everything, as a run without debugging does. */
  forgetStops(): void {
    this.codeBreakpoints.clear();
    this.stageBreakpoints.clear();
    this.setExitBreakpoints([]);
    this.setDataBreakpoints([]);
    this.setFilters(new Map());
    this.applyBreakpoints();
  }

  private askForExceptions(): void {
    const exceptions = [...this.filters.keys()].reduce((bits, id) => bits | (filterById(id)?.exceptions ?? 0), 0);
    for (const { processor } of this.partition.vcpus) processor.debugExceptions = exceptions;
  }

  private breakpointsAt(address: bigint): CodeBreakpoint[] {
    const found: CodeBreakpoint[] = [];
    for (const group of this.codeBreakpoints.values())
      for (const breakpoint of group) if (breakpoint.addresses.includes(address)) found.push(breakpoint);
    return found;
  }

  private applyBreakpoints(): void {
    const all = new Set(this.targets);
    for (const group of this.codeBreakpoints.values())
      for (const { addresses } of group) for (const address of addresses) all.add(address);
    this.giveProcessors(all);
  }

  /** A processor drops its decoded code when it gets breakpoints, so it gets them only when they are others. */
  private giveProcessors(addresses: ReadonlySet<bigint>): void {
    const isSame = addresses.size === this.applied.size && [...addresses].every((address) => this.applied.has(address));
    if (isSame) return;
    this.applied = addresses;
    for (const { processor } of this.partition.vcpus) processor.setBreakpoints(addresses);
  }

  // --- for steps ---------------------------------------------------------------------------------------------------------

  enterSingleSteps(): void {
    this.targets = NO_ADDRESSES;
    this.giveProcessors(NO_ADDRESSES);
    this.vcpu().processor.debugExceptions = ALL_EXCEPTIONS;
  }

  enterRun(addresses: readonly bigint[]): void {
    this.targets = new Set(addresses);
    this.applyBreakpoints();
    this.askForExceptions();
  }

  stepDone(description = 'Step'): SessionEvent {
    return this.stopped({ reason: 'step', vcpu: this.current, description });
  }

  // --- expressions -------------------------------------------------------------------------------------------------------

  /**
   * Evaluates over registers, flags, MSRs, symbols, memory, C variables and, at an exit, what the exit carries. Throws
   * ExpressionError.
   */
  evaluate(text: string, vcpu = this.current, exit?: VmExit): bigint {
    return evaluateNumber(this, text, vcpu, exit);
  }

  /** Asks a breakpoint; what it logs waits for the next slice. */
  private ask(breakpoint: Parameters<typeof judge>[0], vcpu: number, exit?: VmExit): Verdict {
    const verdict = judge(breakpoint, (text) => this.evaluate(text, vcpu, exit));
    if (verdict.kind === 'log') this.waiting.push({ kind: 'log', text: verdict.text });
    return verdict;
  }

  // --- motions -----------------------------------------------------------------------------------------------------------

  continue(): void {
    this.begin(() => true);
    this.enterRun([]);
  }

  /** Steps one line or one instruction; `enter` names the one function that is gone into. */
  stepInto(unit: StepUnit): void {
    this.stepBy('into', unit);
  }
  stepOver(unit: StepUnit, enter?: bigint): void {
    this.stepBy('over', unit, enter);
  }
  stepOut(): void {
    this.begin(PASSED_BY_STEPS);
    this.step = this.vcpu().activity ? new HandlerStep(this, 'out') : new StepOut(this);
  }

  private stepBy(motion: 'into' | 'over', unit: StepUnit, enter?: bigint): void {
    const { lastStop } = this;
    this.begin(PASSED_BY_STEPS);
    if (this.vcpu().activity) {
      this.step = new HandlerStep(this, motion);
      return;
    }
    const exit = lastStop?.vcpu === this.current && lastStop.exit?.reason === 'exception' ? lastStop.exit : undefined;
    const isHere = exit?.rip === this.vcpu().processor.state.rip;
    this.step = new GuestStep(this, { unit, into: motion === 'into', enter, exception: isHere ? exit?.vector : undefined });
  }

  pause(): void {
    this.pauseWanted = true;
  }

  /** Stands still at the first instruction: what a launch with a stop on entry begins with. */
  stopAtEntry(): StopEvent {
    this.lastStop = { reason: 'entry', vcpu: 0, description: 'Entry' };
    return this.lastStop;
  }

  private begin(passes: (stop: StopEvent) => boolean): void {
    this.step = undefined;
    this.running = true;
    this.idle = false;
    this.pauseWanted = false;
    const { lastStop } = this;
    this.lastStop = undefined;
    // What the stop was about lies at the current instruction and shall not stop again at once.
    if (lastStop && passes(lastStop) && !this.vcpu().activity)
      for (const { processor } of this.partition.vcpus) processor.resumePast();
  }

  /** Runs to an address, or to whatever stops before. */
  runTo(address: bigint): void {
    this.begin(() => true);
    this.enterRun([address]);
  }

  /** Sets RIP to a linear address. */
  jumpTo(address: bigint): void {
    const { processor } = this.vcpu();
    processor.state.rip = BigInt.asUintN(64, address - (processor.linearRip - processor.state.rip));
    processor.stateChanged();
  }

  /** Back to the first instruction, with all breakpoints. */
  restart(): void {
    this.partition.reset();
    this.endReported = false;
    this.running = false;
    this.idle = false;
    this.step = undefined;
    this.lastStop = undefined;
    this.current = 0;
    this.waiting.length = 0;
    this.applied = NO_ADDRESSES;
    for (const { processor } of this.partition.vcpus) processor.setBreakpoints(NO_ADDRESSES);
    this.enterRun([]);
    this.setDataBreakpoints(this.dataBreakpoints);
  }

  /** True when another slice has something to do at once. */
  get hasWork(): boolean {
    return this.waiting.length > 0 || (this.running && !this.idle);
  }

  /** Runs for one slice of a few milliseconds. Returns what happened, if anything did that the user should see. */
  slice(): SessionEvent | undefined {
    const before = this.waiting.shift();
    if (before || !this.running) return before;
    const event = this.pauseWanted
      ? this.stopped({ reason: 'pause', vcpu: this.current, description: 'Paused' })
      : this.advance();
    if (event) this.waiting.push(event);
    return this.waiting.shift();
  }

  private advance(): SessionEvent | undefined {
    const held = this.step !== undefined && !this.interruptsWhileStepping;
    for (const { processor } of this.partition.vcpus) processor.holdInterrupts = held;
    if (this.step) return this.step.slice();
    const stopAtStage = [...this.stageBreakpoints.values()].some((group) => group.length > 0);
    return this.after(this.partition.run({ instructions: SLICE_INSTRUCTIONS, stopAtStage }));
  }

  // --- stops -------------------------------------------------------------------------------------------------------------

  after(stop: RunStop): SessionEvent | undefined {
    this.idle = stop.kind === 'idle';
    switch (stop.kind) {
      case 'budget':
      case 'stop-requested':
      case 'idle':
      case 'entry':
        return undefined;
      case 'stage':
        return this.reachedStage(stop.vcpu);
      case 'ended':
        return this.ended(stop.end);
      case 'breakpoint':
        return this.reachedBreakpoint(stop.vcpu);
      case 'watch':
        return this.reachedWatch(stop.vcpu, stop.hit);
      case 'exit':
        return this.stopped(this.takePending() ?? this.exitStop(stop.vcpu, stop.exit));
      case 'exception':
        return this.reachedException(stop.vcpu, stop.exit);
    }
  }

  private takePending(): StopEvent | undefined {
    const stop = this.pendingStop;
    this.pendingStop = undefined;
    return stop;
  }

  private exitStop(vcpu: number, exit: VmExit, text?: string): StopEvent {
    const isFault = exit.reason === 'exception';
    return { reason: 'exception', vcpu, description: isFault ? 'Guest exception' : `VM exit: ${exit.reason}`, text, exit };
  }

  private ended(end: PartitionEnd): SessionEvent | undefined {
    this.running = false;
    if (this.endReported) return undefined;
    this.endReported = true;
    return { kind: 'ended', end };
  }

  /** Whether a filter or an exit breakpoint stops at an exit; what it says is kept for the stop that follows. */
  private wantsExit(vcpu: number, exit: VmExit): boolean {
    this.pendingStop = this.judgeFilters(vcpu, exit) ?? this.judgeExitBreakpoints(vcpu, exit);
    return this.pendingStop !== undefined;
  }

  private judgeFilters(vcpu: number, exit: VmExit): StopEvent | undefined {
    if (this.filters.size === 0) return undefined;
    for (const { filter, condition } of matchingFilters(exit, this.filters)) {
      try {
        if (condition && this.evaluate(condition, vcpu, exit) === 0n) continue;
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        const text = `The condition \`${condition}\` of ${filter.label} can't be evaluated: ${error.message}`;
        return this.exitStop(vcpu, exit, text);
      }
      return this.exitStop(vcpu, exit, filter.description);
    }
    return undefined;
  }

  private judgeExitBreakpoints(vcpu: number, exit: VmExit): StopEvent | undefined {
    if (this.exitBreakpoints.length === 0) return undefined;
    const { processor } = this.vcpu(vcpu);
    const rax = BigInt.asUintN(processor.mode === 64 ? 64 : 32, processor.state.gpr(0));
    for (const breakpoint of this.exitBreakpoints) {
      if (!matchesPattern(breakpoint.pattern, exit, rax)) continue;
      const verdict = this.ask(breakpoint, vcpu, exit);
      if (verdict.kind !== 'stop') continue;
      const stop = this.exitStop(vcpu, exit, verdict.problem);
      return { ...stop, reason: 'breakpoint', hitBreakpoints: [breakpoint.id] };
    }
    return undefined;
  }

  private reachedStage(index: number): SessionEvent | undefined {
    const { activity } = this.vcpu(index);
    const stage = activity?.frames.at(-1)?.stage?.id;
    if (stage === undefined) return undefined;
    for (const breakpoint of [...this.stageBreakpoints.values()].flat()) {
      if (!breakpoint.stages.includes(stage)) continue;
      const verdict = this.ask(breakpoint, index, activity?.exit);
      if (verdict.kind === 'stop')
        return this.stopped({
          reason: 'breakpoint',
          vcpu: index,
          description: 'Breakpoint in an exit handler',
          text: verdict.problem,
          hitBreakpoints: [breakpoint.id],
        });
    }
    return undefined;
  }

  judgeHere(index: number): SessionEvent | undefined {
    const hit: number[] = [];
    let problem: string | undefined;
    for (const breakpoint of this.breakpointsAt(this.vcpu(index).processor.linearRip)) {
      const verdict = this.ask(breakpoint, index);
      if (verdict.kind !== 'stop') continue;
      hit.push(breakpoint.id);
      problem ??= verdict.problem;
    }
    if (hit.length === 0) return undefined;
    return this.stopped({ reason: 'breakpoint', vcpu: index, description: 'Breakpoint', text: problem, hitBreakpoints: hit });
  }

  private reachedBreakpoint(index: number): SessionEvent | undefined {
    const event = this.judgeHere(index);
    if (event) return event;
    const { processor } = this.vcpu(index);
    if (!this.step && this.targets.has(processor.linearRip))
      return this.stopped({ reason: 'goto', vcpu: index, description: 'Reached' });
    processor.resumePast();
    return undefined;
  }

  private reachedWatch(index: number, hit: WatchHit): SessionEvent | undefined {
    const breakpoint = this.dataBreakpoints.find(({ id }) => id === hit.watch);
    const verdict: Verdict = breakpoint ? this.ask(breakpoint, index) : { kind: 'stop' };
    if (verdict.kind !== 'stop') {
      this.vcpu(index).processor.resumePast();
      return undefined;
    }
    const text = `About to ${hit.write ? 'write' : 'read'} ${hit.size} byte${hit.size === 1 ? '' : 's'} at ${hex(hit.address)}.`;
    return this.stopped({
      reason: 'data breakpoint',
      vcpu: index,
      description: 'Data breakpoint',
      text: verdict.problem ?? text,
      hitBreakpoints: breakpoint ? [breakpoint.id] : [],
    });
  }

  private reachedException(index: number, exit: VmExit): SessionEvent | undefined {
    const stop = this.judgeFilters(index, exit);
    if (stop) return this.stopped(stop);
    this.vcpu(index).processor.resumePast();
    return undefined;
  }

  private stopped(stop: StopEvent): SessionEvent {
    this.running = false;
    this.step = undefined;
    this.current = stop.vcpu;
    this.lastStop = stop;
    this.pendingStop = undefined;
    this.targets = NO_ADDRESSES;
    this.askForExceptions();
    for (const { processor } of this.partition.vcpus) processor.holdInterrupts = false;
    return { kind: 'stopped', stop };
  }
}

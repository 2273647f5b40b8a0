import type { Partition, VirtualCpu } from '../hypervisor/partition/partition.ts';
import type { PartitionEnd, RunRequest, RunStop } from '../hypervisor/partition/run.ts';
import type { VmExit, WatchHit } from '../processor/exit.ts';
import type { PassedStop } from '../processor/processor.ts';
import { LinuxSymbols } from '../symbols/linux/linux-symbols.ts';
import { EvaluationError, type SymbolSource } from '../symbols/symbol-source.ts';
import { hex } from '../x86/address.ts';
import type { CodeBreakpoint, DataBreakpoint } from './breakpoints/breakpoint.ts';
import type { ExitBreakpoint } from './breakpoints/exit-breakpoints.ts';
import type { StageBreakpoint } from './breakpoints/stage-breakpoints.ts';
import { exitStop, StopRules } from './breakpoints/stop-rules.ts';
import { type CrashCause, type CrashReport, crashTitle } from './crash/crash-report.ts';
import { CrashWatch } from './crash/crash-watch.ts';
import { hasDefaultIdt, isUnhandled } from './crash/unhandled.ts';
import { evaluateNumber, evaluateTyped } from './expressions/evaluate.ts';
import { ExpressionError } from './expressions/evaluator.ts';
import { guestContext } from './inspection/call-stack.ts';
import { waitsForStartUp } from './inspection/vcpu-status.ts';
import { LinuxGuest, type Observer } from './linux/linux-guest.ts';
import type { SymbolFile } from './linux/symbol-files.ts';
import { type RunControl, SLICE_INSTRUCTIONS, type Step } from './run-control/control.ts';
import type { SessionEvent, StepUnit, StopEvent } from './run-control/events.ts';
import { GuestStep } from './run-control/guest-step.ts';
import { HandlerStep } from './run-control/handler-step.ts';
import { HeldVcpus } from './run-control/held-vcpus.ts';
import { RunTo } from './run-control/run-until.ts';
import { SeenPlaces } from './run-control/seen-places.ts';
import { StepOut } from './run-control/step-out.ts';

const ALL_EXCEPTIONS = -1;
/** Single steps have no breakpoints, but watches and what comes before the delivery of an exception. */
const PASSED_BY_STEPS = ({ reason }: StopEvent) => reason === 'data breakpoint' || reason === 'exception';
/** What a stop has shown of the instruction at RIP: the rest of its stops are still to come. */
function passed({ reason }: StopEvent): PassedStop {
  return reason === 'data breakpoint' ? 'watch' : reason === 'exception' ? 'exception' : 'breakpoint';
}

const NO_ADDRESSES: ReadonlySet<bigint> = new Set();
/** Filters for where a guest is lost: a session stops there unasked. */
export const LOST_GUEST: ReadonlyMap<string, undefined> = new Map(
  ['triple-fault', 'unhandled', 'guest-panic'].map((id) => [id, undefined]),
);
const NO_OBSERVERS: ReadonlyMap<bigint, Observer> = new Map();

/** Run control over one partition: breakpoints, steps through guest code and through exit handlers. Knows no protocol. */
export class DebugSession implements RunControl {
  /** The vCPU that the last stop was about, and that steps. */
  current = 0;
  /** Some vCPU moves. */
  running = false;
  /** Nothing can go on until input comes from outside. */
  idle = false;
  /** The guest waits for time to pass outside: another slice has nothing to do in the next milliseconds. */
  isWaiting = false;
  lastStop: StopEvent | undefined;
  interruptsWhileStepping = false;
  private readonly rules = new StopRules(this);
  private readonly held: HeldVcpus;
  private readonly seen = new SeenPlaces();
  /** Guest time at which the partition's turn ends, where it shares a host. */
  private until: bigint | undefined;
  /** Addresses that a motion runs to, besides the breakpoints. */
  private targets = NO_ADDRESSES;
  /** What the processors have been given. */
  private applied = NO_ADDRESSES;
  private step: Step | undefined;
  /** The vCPU that the user wants to pause. */
  private pauseWanted: number | undefined;
  private pendingStop: StopEvent | undefined;
  private endReported = false;
  private readonly crashes = new CrashWatch(this);
  /** What is known of the guest as a Linux system; undefined where it can't be one. */
  readonly linux: LinuxGuest | undefined;
  private looksAtLinux = true;
  /** Where the debugger looks at a Linux kernel by itself. */
  private observers = NO_OBSERVERS;
  /** Events that wait for their slice: what logpoints print comes before the stop. */
  private readonly waiting: SessionEvent[] = [];

  constructor(
    readonly partition: Partition,
    readonly symbols: SymbolSource,
  ) {
    this.held = new HeldVcpus(partition.vcpus);
    this.linux = symbols instanceof LinuxSymbols ? new LinuxGuest(this, symbols) : undefined;
    partition.onWake(() => {
      this.idle = false;
    });
    partition.setDebugHooks({ stopAtExit: (vcpu, exit) => this.wantsExit(vcpu, exit) });
    this.setFilters(LOST_GUEST);
  }

  vcpu(index = this.current): VirtualCpu {
    const vcpu = this.partition.vcpus[index] ?? this.partition.vcpus[0];
    if (!vcpu) throw new Error('a partition without vCPUs');
    return vcpu;
  }

  // --- what to stop at ---------------------------------------------------------------------------------------------------

  /** Replaces the code breakpoints of one group (a source file, the functions, the instructions). */
  setCodeBreakpoints(group: string, breakpoints: readonly CodeBreakpoint[]): void {
    this.rules.setCode(group, breakpoints);
    this.applyBreakpoints();
  }

  /** Replaces the breakpoints in one source file of exit handlers. */
  setStageBreakpoints(group: string, breakpoints: readonly StageBreakpoint[]): void {
    this.rules.setStages(group, breakpoints);
  }

  setExitBreakpoints(breakpoints: readonly ExitBreakpoint[]): void {
    this.rules.setExits(breakpoints);
  }

  setDataBreakpoints(breakpoints: readonly DataBreakpoint[]): void {
    this.rules.setData(breakpoints);
    this.applyWatches();
  }

  /** Exit filters by id, each with its condition. */
  setFilters(filters: ReadonlyMap<string, string | undefined>): void {
    this.rules.setFilters(filters);
    this.askForExceptions();
  }

  /** Looks for a Linux kernel where the program was loaded. `files`: of the user, with symbols of the kernel and of programs. */
  findLinux(program: readonly { readonly gpa: bigint; readonly size: number }[], files: readonly SymbolFile[]): void {
    if (!this.linux) return;
    this.linux.files = files;
    if (this.linux.start(program)) this.observe();
  }

  isPlace(vcpu: number, address: bigint): boolean {
    return this.linux?.isPlace(vcpu, address) ?? true;
  }

  private observe(): void {
    this.observers = this.linux?.observers ?? NO_OBSERVERS;
    this.applyBreakpoints();
  }

  /** Lets the guest run past everything, as a run without debugging does. */
  forgetStops(): void {
    this.looksAtLinux = false;
    this.observers = NO_OBSERVERS;
    this.rules.clear();
    this.applyWatches();
    this.askForExceptions();
    this.applyBreakpoints();
  }

  private askForExceptions(): void {
    const { exceptions, wantsUnhandled } = this.rules;
    for (const { processor } of this.partition.vcpus)
      processor.debugExceptions = wantsUnhandled && hasDefaultIdt(processor) ? ALL_EXCEPTIONS : exceptions;
  }

  private applyWatches(): void {
    const { watches } = this.rules;
    for (const { processor } of this.partition.vcpus) processor.setWatches(watches);
  }

  private applyBreakpoints(): void {
    this.giveProcessors(new Set([...this.targets, ...this.rules.addresses, ...this.observers.keys()]));
  }

  /** A processor drops its decoded code when it gets breakpoints, so it gets them only when they are others. */
  private giveProcessors(addresses: ReadonlySet<bigint>): void {
    const isSame = addresses.size === this.applied.size && [...addresses].every((address) => this.applied.has(address));
    if (isSame) return;
    this.applied = addresses;
    for (const { processor } of this.partition.vcpus) processor.setBreakpoints(addresses);
  }

  /** Whether a vCPU moves: the state of one that doesn't can be looked at. */
  moves(vcpu: number): boolean {
    return this.running && !this.held.vcpus.has(vcpu);
  }

  /** A motion or a stop is about one vCPU, and the others stay as they are; else it is about all of them. */
  get alone(): boolean {
    return this.held.alone;
  }
  set alone(alone: boolean) {
    this.held.alone = alone;
  }

  /** The guest has ended, and the session has said so. */
  get isOver(): boolean {
    return this.endReported;
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

  run({ instructions, onlyVcpu, stopAtStage, stopAtEntry }: RunRequest): RunStop {
    // Single steps are made whole: a turn that is over ends behind them.
    const until = onlyVcpu === undefined ? this.until : undefined;
    this.holdInterrupts(onlyVcpu);
    return this.partition.run({ instructions, onlyVcpu, stopAtStage, stopAtEntry, until, held: this.held.vcpus });
  }

  /**
   * An interrupt would lead a vCPU astray that is single-stepped, so it waits. What runs at full speed takes its interrupts: a call that
   * is stepped over, and the other vCPUs, may wait for nothing else.
   */
  private holdInterrupts(stepper: number | undefined): void {
    for (const { index, processor } of this.partition.vcpus)
      processor.holdInterrupts = index === stepper && !this.interruptsWhileStepping;
  }

  stepDone(description = 'Step'): SessionEvent {
    return this.stopped({ reason: 'step', vcpu: this.current, description });
  }

  handOver(): SessionEvent {
    this.step = undefined;
    this.enterRun([]);
    return { kind: 'handed-over', vcpu: this.current };
  }

  // --- expressions -------------------------------------------------------------------------------------------------------

  /**
   * Evaluates over registers, flags, MSRs, symbols, memory, C variables and, at an exit, what the exit carries. Throws
   * ExpressionError.
   */
  evaluate(text: string, vcpu = this.current, exit?: VmExit): bigint {
    return evaluateNumber(this, text, vcpu, exit);
  }

  print(text: string, vcpu = this.current, exit?: VmExit): string {
    const typed = exit ? undefined : evaluateTyped(this, text, guestContext(this, vcpu));
    return typed === undefined || typed instanceof EvaluationError ? hex(this.evaluate(text, vcpu, exit)) : typed.text;
  }

  log(text: string): void {
    this.waiting.push({ kind: 'log', text });
  }

  // --- motions -----------------------------------------------------------------------------------------------------------

  continue(): void {
    this.begin(() => true);
    this.enterRun([]);
  }

  stepInto(unit: StepUnit): void {
    this.stepBy('into', unit);
  }
  stepOver(unit: StepUnit): void {
    this.stepBy('over', unit);
  }
  /** One instruction as the guest sees it: into calls, and over VM exits. An exit's handler in progress is finished first. */
  stepInstruction(): void {
    if (this.vcpu().activity) this.stepOut('instruction');
    else this.stepBy('into', 'instruction', undefined, true);
  }
  /** Goes into the call or the VM exit of one instruction on the current line, over all others. */
  stepIntoTarget(site: bigint): void {
    this.stepBy('over', 'line', site);
  }
  /** Goes on to the first of some addresses that a vCPU comes to, as the end of a step that began elsewhere. */
  runTo(vcpu: number, addresses: readonly bigint[], description: string): void {
    this.current = vcpu;
    this.begin(() => true);
    this.step = new RunTo(this, addresses, description);
  }
  /** Throws ExpressionError for a vCPU that can't be stepped. */
  stepOut(unit: StepUnit = 'line'): void {
    this.checkStep();
    this.begin(PASSED_BY_STEPS);
    this.step = this.vcpu().activity ? new HandlerStep(this, 'out', unit) : new StepOut(this);
  }

  private stepBy(motion: 'into' | 'over', unit: StepUnit, site?: bigint, exitsAreOne = false): void {
    this.checkStep();
    const { lastStop } = this;
    this.begin(PASSED_BY_STEPS);
    if (this.vcpu().activity) {
      this.step = new HandlerStep(this, motion, unit);
      return;
    }
    const exit = lastStop?.vcpu === this.current && lastStop.exit?.reason === 'exception' ? lastStop.exit : undefined;
    const isHere = exit?.rip === this.vcpu().processor.state.rip;
    const exception = isHere ? exit?.vector : undefined;
    this.step = new GuestStep(this, { unit, into: motion === 'into', exitsAreOne, site, exception });
  }

  private checkStep(): void {
    if (this.running && this.step)
      throw new ExpressionError(
        `Another vCPU of this partition is being stepped; pause it before you step vCPU ${this.current}.`,
      );
    if (waitsForStartUp(this.vcpu()))
      throw new ExpressionError(
        `vCPU ${this.current} waits for a start-up IPI; it can be stepped once another vCPU has started it.`,
      );
  }

  /** Stops before the next slice; the stop is about the vCPU that is given, else about the current one. */
  pause(vcpu = this.current): void {
    this.pauseWanted = vcpu;
    // A guest that waits for input stops, too.
    this.idle = false;
  }

  /** Types into the guest's serial console, through the partition's door for what comes from outside. */
  input(bytes: Uint8Array): void {
    this.partition.sendConsole(bytes);
  }

  /** The same for a device that takes input by a name of its own; false where none has it. */
  inputTo(device: string, bytes: Uint8Array): boolean {
    return this.partition.sendToDevice(device, bytes);
  }

  /** Stands still at the first instruction: what a launch with a stop on entry begins with. */
  stopAtEntry(): StopEvent {
    this.lastStop = { reason: 'entry', vcpu: 0, description: 'Entry' };
    return this.lastStop;
  }

  /** The report of the crash that the guest stands at or ended with; undefined where there is none. */
  get crash(): CrashReport | undefined {
    return this.crashes.report;
  }

  /** What that report is about, which costs nothing to ask. */
  get crashCause(): CrashCause | undefined {
    return this.crashes.cause;
  }

  private begin(passes: (stop: StopEvent) => boolean): void {
    this.symbols.lookFrom?.(this.current);
    this.crashes.goesOn();
    const { current } = this;
    const stop = this.held.stopOf(current) ?? this.lastStop;
    const released = this.held.release(current, this.running);
    this.step = undefined;
    this.running = true;
    this.idle = false;
    this.pauseWanted = undefined;
    this.lastStop = undefined;
    // What a vCPU has stopped for lies at its instruction and shall not stop it again at once. Others may stand at a breakpoint, too, which
    // nobody has seen yet.
    const own = stop?.vcpu === current ? stop : undefined;
    for (const one of released) {
      const upTo = own && one.index === current ? passes(own) && passed(own) : this.seen.at(one);
      if (upTo && !one.activity) one.processor.resumePast(upTo);
    }
  }

  /** Sets RIP to a linear address. Throws ExpressionError while an exit is served: its handler goes on from the old place. */
  jumpTo(address: bigint): void {
    const { processor, activity } = this.vcpu();
    if (activity) throw new ExpressionError('A VM exit is being served; step out to the guest before you jump.');
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
    this.held.clear();
    this.seen.clear();
    this.crashes.forget();
    this.current = 0;
    this.waiting.length = 0;
    this.applied = NO_ADDRESSES;
    for (const { processor } of this.partition.vcpus) processor.setBreakpoints(NO_ADDRESSES);
    this.linux?.forget();
    this.observers = NO_OBSERVERS;
    this.enterRun([]);
    this.applyWatches();
  }

  /** True when another slice has something to do at once. */
  get hasWork(): boolean {
    return this.hasEvents || (this.running && !this.idle);
  }

  /** True when the next slice tells of something that has happened already. */
  get hasEvents(): boolean {
    return this.waiting.length > 0;
  }

  /**
   * Runs for one slice of a few milliseconds, and not past a guest time where one is given. Returns what happened, if anything did
   * that the user should see.
   */
  slice(until?: bigint): SessionEvent | undefined {
    const before = this.waiting.shift();
    if (before || !this.running) return before;
    if (this.symbols.hasChanged?.()) return { kind: 'symbols' };
    if (this.looksAtLinux && this.linux?.poll()) {
      this.observe();
      return { kind: 'symbols' };
    }
    this.until = until;
    const event = this.pauseWanted === undefined ? this.advance() : this.paused(this.pauseWanted);
    if (event) this.waiting.push(event);
    return this.waiting.shift();
  }

  private paused(vcpu: number): SessionEvent | undefined {
    this.pauseWanted = undefined;
    return this.moves(vcpu) ? this.stopped({ reason: 'pause', vcpu, description: 'Paused' }) : undefined;
  }

  private advance(): SessionEvent | undefined {
    if (this.step) return this.step.slice();
    return this.after(this.run({ instructions: SLICE_INSTRUCTIONS, stopAtStage: this.rules.hasStages }));
  }

  /** Stands still because another partition has stopped; a step in progress is given up. */
  halt(): void {
    if (!this.running || this.partition.end?.kind === 'destroyed') return;
    this.running = false;
    this.standStill();
  }

  // --- stops -------------------------------------------------------------------------------------------------------------

  after(stop: RunStop): SessionEvent | undefined {
    this.idle = stop.kind === 'idle';
    this.isWaiting = stop.kind === 'waiting';
    switch (stop.kind) {
      case 'budget':
      case 'time':
      case 'stop-requested':
      case 'idle':
      case 'waiting':
      case 'entry':
        return undefined;
      case 'stage':
        return this.stoppedBy(this.rules.judgeStage(stop.vcpu));
      case 'ended':
        return this.ended(stop.end);
      case 'breakpoint':
        return this.reachedBreakpoint(stop.vcpu);
      case 'watch':
        return this.reachedWatch(stop.vcpu, stop.hit);
      case 'exit':
        return this.reachedExit(stop.vcpu, stop.exit);
      case 'exception':
        return this.reachedException(stop.vcpu, stop.exit);
    }
  }

  private takePending(): StopEvent | undefined {
    const stop = this.pendingStop;
    this.pendingStop = undefined;
    return stop;
  }

  private reachedExit(vcpu: number, exit: VmExit): SessionEvent {
    const stop = this.takePending() ?? exitStop(vcpu, exit);
    if (exit.reason !== 'triple-fault') return this.stopped(stop);
    const cause = { vcpu, exit };
    return this.stopped({ ...stop, text: stop.text ?? crashTitle(this, cause) }, cause);
  }

  /** The partition was destroyed while the session goes on: nothing of it can be looked at any more. */
  vanished(end: PartitionEnd): SessionEvent | undefined {
    this.running = false;
    this.idle = false;
    this.step = undefined;
    this.waiting.length = 0;
    if (this.endReported) return undefined;
    this.endReported = true;
    return { kind: 'ended', end };
  }

  private ended(end: PartitionEnd): SessionEvent | undefined {
    this.running = false;
    if (this.endReported) return undefined;
    this.endReported = true;
    this.crashes.ended(end);
    return { kind: 'ended', end };
  }

  /** Whether the user wants to stop at an exit; what says so is kept for the stop that follows. */
  private wantsExit(vcpu: number, exit: VmExit): boolean {
    this.pendingStop = this.rules.judgeExit(vcpu, exit);
    return this.pendingStop !== undefined;
  }

  judgeHere(index: number): SessionEvent | undefined {
    const observation = this.observers.get(this.vcpu(index).processor.linearRip)?.(index);
    if (observation?.kind === 'symbols') this.waiting.push(observation);
    if (observation?.kind === 'panic' && this.rules.wantsPanics) {
      const { description, text } = observation;
      return this.stopped({ reason: 'exception', vcpu: index, description, text }, { vcpu: index, panic: text });
    }
    return this.stoppedBy(this.rules.judgeCode(index, this.vcpu(index).processor.linearRip));
  }

  private reachedBreakpoint(index: number): SessionEvent | undefined {
    const event = this.judgeHere(index);
    if (event) return event;
    const { processor } = this.vcpu(index);
    if (!this.step && this.targets.has(processor.linearRip))
      return this.stopped({ reason: 'goto', vcpu: index, description: 'Reached' });
    processor.resumePast('breakpoint');
    return undefined;
  }

  private reachedWatch(index: number, hit: WatchHit): SessionEvent | undefined {
    return this.stoppedOrPast(index, this.rules.judgeWatch(index, hit), 'watch');
  }

  private reachedException(index: number, exit: VmExit): SessionEvent | undefined {
    const { processor } = this.vcpu(index);
    const unhandled = exit.reason === 'exception' && this.rules.wantsUnhandled && isUnhandled(processor, exit.vector);
    const judged = this.rules.judgeFilters(index, exit);
    if (unhandled) {
      const cause = { vcpu: index, exit, unhandled };
      return this.stopped({ ...exitStop(index, exit, crashTitle(this, cause)), description: 'Unhandled exception' }, cause);
    }
    // A guest that has loaded an IDT of its own isn't asked any more.
    if (!judged && !this.step) this.askForExceptions();
    return this.stoppedOrPast(index, judged, 'exception');
  }

  private stoppedOrPast(index: number, stop: StopEvent | undefined, upTo: PassedStop): SessionEvent | undefined {
    if (!stop) this.vcpu(index).processor.resumePast(upTo);
    return this.stoppedBy(stop);
  }

  private stoppedBy(stop: StopEvent | undefined): SessionEvent | undefined {
    return stop && this.stopped(stop);
  }

  private stopped(stop: StopEvent, cause?: CrashCause): SessionEvent {
    // A step that is in progress ends with the stop, whichever vCPU that is about.
    const stepper = this.step ? this.current : stop.vcpu;
    this.running = this.held.hold(stop, stepper);
    if (this.linux?.refresh()) this.waiting.push({ kind: 'symbols' });
    this.crashes.stopped(stop, cause);
    this.current = stop.vcpu;
    this.lastStop = stop;
    this.seen.note(this.vcpu(), passed(stop));
    this.standStill();
    if (this.running && stepper !== stop.vcpu)
      this.waiting.push({ kind: 'stopped', stop: { reason: 'step', vcpu: stepper, description: 'Step interrupted' } });
    return { kind: 'stopped', stop };
  }

  private standStill(): void {
    this.step = undefined;
    this.pendingStop = undefined;
    this.targets = NO_ADDRESSES;
    this.askForExceptions();
    this.holdInterrupts(undefined);
    if (this.running) this.applyBreakpoints();
  }
}

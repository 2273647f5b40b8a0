import type { Partition, VirtualCpu } from '../hypervisor/partition/partition.ts';
import type { PartitionEnd, RunStop } from '../hypervisor/partition/run.ts';
import type { VmExit } from '../processor/exit.ts';
import type { Watch } from '../processor/processor.ts';
import type { SymbolSource } from '../symbols/symbol-source.ts';
import { hex } from '../x86/address.ts';
import { type CodeBreakpoint, judge } from './breakpoints/breakpoint.ts';
import { filterById, matchingFilters } from './breakpoints/exit-filters.ts';
import { ExpressionError, evaluateExpression } from './expressions/evaluator.ts';
import { guestScope } from './expressions/guest-scope.ts';
import { instructionAt } from './inspection/disassembly.ts';

/** Why the guest stands still now. */
export interface StopEvent {
  readonly reason: 'entry' | 'step' | 'breakpoint' | 'data breakpoint' | 'exception' | 'pause' | 'goto';
  readonly vcpu: number;
  /** One line for the editor's call stack. */
  readonly description: string;
  /** A longer text, where there is one. */
  readonly text?: string;
  readonly hitBreakpoints?: readonly number[];
  readonly exit?: VmExit;
}

export type SessionEvent =
  | { readonly kind: 'stopped'; readonly stop: StopEvent }
  | { readonly kind: 'ended'; readonly end: PartitionEnd }
  | { readonly kind: 'log'; readonly text: string };

export interface DataBreakpoint {
  readonly id: number;
  readonly space: 'gva' | 'gpa';
  readonly address: bigint;
  readonly length: bigint;
  readonly access: 'read' | 'write' | 'readWrite';
  readonly condition?: string;
  readonly hitCondition?: string;
  hits: number;
}

/** How the guest runs until the next stop. */
type Motion =
  | { readonly kind: 'continue' }
  | { readonly kind: 'into'; readonly unit: 'instruction' | 'line' }
  | { readonly kind: 'over'; readonly unit: 'instruction' | 'line' }
  | { readonly kind: 'out' };

const SLICE_INSTRUCTIONS = 2_000_000;
/** A line step that meets no new line for this long goes on as "continue" would, with the breakpoints of the step set. */
const LINE_STEP_LIMIT = 5_000_000;
const CALLS: ReadonlySet<string> = new Set(['call', 'int', 'int3', 'into', 'syscall', 'sysenter', 'rep', 'repe', 'repne']);
const RETURNS: ReadonlySet<string> = new Set(['ret', 'retf', 'iret', 'iretd', 'iretq', 'sysret', 'sysexit']);

/** Run control over one partition: breakpoints, steps through guest code and through exit handlers. Knows no protocol. */
export class DebugSession {
  /** The vCPU that the last stop was about. */
  current = 0;
  running = false;
  lastStop: StopEvent | undefined;
  interruptsWhileStepping = false;
  readonly codeBreakpoints = new Map<string, CodeBreakpoint[]>();
  private dataBreakpoints: DataBreakpoint[] = [];
  private filters = new Map<string, string | undefined>();
  private temporary = new Set<bigint>();
  private motion: Motion = { kind: 'continue' };
  /** Where a step began: how deep, on which line. */
  private origin = { line: undefined as string | undefined, depth: 0, frames: 0, pending: 0 };
  private stepped = 0;
  private pauseWanted = false;
  private pendingExitStop: StopEvent | undefined;
  private endReported = false;

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

  /** Replaces the breakpoints of one group (a source file, the functions, the instructions). */
  setCodeBreakpoints(group: string, breakpoints: CodeBreakpoint[]): void {
    this.codeBreakpoints.set(group, breakpoints);
    this.applyBreakpoints();
  }

  setDataBreakpoints(breakpoints: DataBreakpoint[]): void {
    this.dataBreakpoints = breakpoints;
    const watches = breakpoints.map(
      ({ id, space, address, length, access }): Watch => ({
        id,
        space,
        address,
        length,
        read: access !== 'write',
        write: access !== 'read',
      }),
    );
    for (const { processor } of this.partition.vcpus) processor.setWatches(watches);
  }

  /** Exit filters by id, each with its condition. */
  setFilters(filters: ReadonlyMap<string, string | undefined>): void {
    this.filters = new Map(filters);
    const exceptions = [...filters.keys()].reduce((bits, id) => bits | (filterById(id)?.exceptions ?? 0), 0);
    for (const { processor } of this.partition.vcpus) processor.debugExceptions = exceptions;
  }

  /** Lets the guest run past everything, as a run without debugging does. */
  forgetStops(): void {
    for (const group of this.codeBreakpoints.keys()) this.codeBreakpoints.set(group, []);
    this.applyBreakpoints();
    this.setDataBreakpoints([]);
    this.setFilters(new Map());
  }

  private applyBreakpoints(): void {
    const all = new Set(this.temporary);
    for (const group of this.codeBreakpoints.values())
      for (const { addresses } of group) for (const address of addresses) all.add(address);
    for (const { processor } of this.partition.vcpus) processor.setBreakpoints(all);
  }

  private setTemporary(addresses: readonly bigint[]): void {
    if (addresses.length === 0 && this.temporary.size === 0) return;
    this.temporary = new Set(addresses);
    this.applyBreakpoints();
  }

  // --- expressions -------------------------------------------------------------------------------------------------------

  /** Evaluates over registers, flags, MSRs, symbols, memory and, at an exit, what the exit carries. Throws ExpressionError. */
  evaluate(text: string, vcpuIndex = this.current, exit?: VmExit): bigint {
    return evaluateExpression(text, guestScope(this.vcpu(vcpuIndex), this.symbols, exit));
  }

  private wantsExit(vcpu: number, exit: VmExit): boolean {
    for (const { filter, condition } of matchingFilters(exit, this.filters)) {
      try {
        if (condition && this.evaluate(condition, vcpu, exit) === 0n) continue;
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        this.pendingExitStop = {
          reason: 'exception',
          vcpu,
          description: 'VM exit',
          text: `The condition \`${condition}\` of ${filter.label} can't be evaluated: ${error.message}`,
          exit,
        };
        return true;
      }
      this.pendingExitStop = {
        reason: 'exception',
        vcpu,
        description: `VM exit: ${exit.reason}`,
        text: filter.description,
        exit,
      };
      return true;
    }
    return false;
  }

  // --- motions -----------------------------------------------------------------------------------------------------------

  continue(): void {
    this.setTemporary([]);
    this.begin({ kind: 'continue' });
  }
  stepInto(unit: 'instruction' | 'line'): void {
    this.begin({ kind: 'into', unit });
  }
  stepOver(unit: 'instruction' | 'line'): void {
    this.begin({ kind: 'over', unit });
  }
  stepOut(): void {
    this.begin({ kind: 'out' });
  }
  pause(): void {
    this.pauseWanted = true;
  }

  private begin(motion: Motion): void {
    const { processor, activity } = this.vcpu();
    this.motion = motion;
    this.running = true;
    this.stepped = 0;
    this.pauseWanted = false;
    this.origin = { line: this.lineKey(processor.linearRip), depth: 0, frames: activity?.frames.length ?? 0, pending: 0 };
    // What the stop was about lies at the current instruction and shall not stop again at once.
    if (!activity) for (const vcpu of this.partition.vcpus) vcpu.processor.resumePast();
  }

  private lineKey(address: bigint): string | undefined {
    const line = this.symbols.lineAt(address);
    return line && `${line.position.path}:${line.position.line}`;
  }

  /** Runs for one slice. Returns what happened, if anything did that the user should see. */
  slice(): SessionEvent | undefined {
    if (!this.running) return undefined;
    if (this.pauseWanted) return this.stopped({ reason: 'pause', vcpu: this.current, description: 'Paused' });
    const stepping = this.motion.kind !== 'continue';
    for (const { processor } of this.partition.vcpus) processor.holdInterrupts = stepping && !this.interruptsWhileStepping;
    switch (this.motion.kind) {
      case 'continue':
        return this.after(this.partition.run({ instructions: SLICE_INSTRUCTIONS }));
      case 'into':
        return this.stepSlice(this.motion.unit, true);
      case 'over':
        return this.stepSlice(this.motion.unit, false);
      default:
        return this.outSlice();
    }
  }

  /** A stop of the partition that has nothing to do with a step. */
  private after(stop: RunStop): SessionEvent | undefined {
    switch (stop.kind) {
      case 'budget':
      case 'stop-requested':
      case 'idle':
      case 'stage':
      case 'entry':
        return undefined;
      case 'ended':
        return this.ended(stop.end);
      case 'breakpoint':
        return this.reachedBreakpoint(stop.vcpu);
      case 'watch':
        return this.reachedWatch(stop.vcpu, stop.hit);
      case 'exit':
        return this.stopped(
          this.pendingExitStop ?? {
            reason: 'exception',
            vcpu: stop.vcpu,
            description: `VM exit: ${stop.exit.reason}`,
            exit: stop.exit,
          },
        );
      case 'exception':
        return this.reachedException(stop.vcpu, stop.exit);
    }
  }

  private ended(end: PartitionEnd): SessionEvent | undefined {
    this.running = false;
    if (this.endReported) return undefined;
    this.endReported = true;
    return { kind: 'ended', end };
  }

  private reachedBreakpoint(index: number): SessionEvent | undefined {
    const { processor } = this.vcpu(index);
    const address = processor.linearRip;
    const here = [...this.codeBreakpoints.values()].flat().filter(({ addresses }) => addresses.includes(address));
    const hit: number[] = [];
    let problem: string | undefined;
    for (const breakpoint of here) {
      const verdict = judge(breakpoint, (text) => this.evaluate(text, index));
      if (verdict.kind === 'log') {
        processor.resumePast();
        return { kind: 'log', text: verdict.text };
      }
      if (verdict.kind === 'pass') continue;
      hit.push(breakpoint.id);
      if (verdict.kind === 'stop-with') problem = verdict.problem;
    }
    if (hit.length > 0)
      return this.stopped({ reason: 'breakpoint', vcpu: index, description: 'Breakpoint', text: problem, hitBreakpoints: hit });
    if (this.temporary.has(address))
      return this.stopped({ reason: this.motion.kind === 'continue' ? 'goto' : 'step', vcpu: index, description: 'Step' });
    processor.resumePast();
    return undefined;
  }

  private reachedWatch(
    index: number,
    hit: { watch: number; address: bigint; write: boolean; size: number },
  ): SessionEvent | undefined {
    const breakpoint = this.dataBreakpoints.find(({ id }) => id === hit.watch);
    const { processor } = this.vcpu(index);
    if (breakpoint) {
      const verdict = judge(breakpoint, (text) => this.evaluate(text, index));
      if (verdict.kind === 'pass') {
        processor.resumePast();
        return undefined;
      }
    }
    const text = `About to ${hit.write ? 'write' : 'read'} ${hit.size} byte${hit.size === 1 ? '' : 's'} at ${hex(hit.address)}.`;
    return this.stopped({
      reason: 'data breakpoint',
      vcpu: index,
      description: 'Data breakpoint',
      text,
      hitBreakpoints: breakpoint ? [breakpoint.id] : [],
    });
  }

  private reachedException(index: number, exit: VmExit): SessionEvent | undefined {
    if (this.wantsExit(index, exit))
      return this.stopped({
        ...(this.pendingExitStop ?? { reason: 'exception', vcpu: index, description: 'Guest exception' }),
        description: 'Guest exception',
        exit,
      });
    this.vcpu(index).processor.resumePast();
    return undefined;
  }

  private stopped(stop: StopEvent): SessionEvent {
    this.running = false;
    this.current = stop.vcpu;
    this.lastStop = stop;
    this.pendingExitStop = undefined;
    this.setTemporary([]);
    for (const { processor } of this.partition.vcpus) processor.holdInterrupts = false;
    return { kind: 'stopped', stop };
  }

  private stepDone(description = 'Step'): SessionEvent {
    return this.stopped({ reason: 'step', vcpu: this.current, description });
  }

  // --- steps -------------------------------------------------------------------------------------------------------------

  private stepSlice(unit: 'instruction' | 'line', into: boolean): SessionEvent | undefined {
    const vcpu = this.vcpu();
    if (vcpu.activity) return this.stepHandler(into);
    if (this.temporary.size > 0) return this.runToTemporary();
    for (let count = 0; count < 2000; count++) {
      const event = this.stepOne(into);
      if (event !== 'stepped') return event;
      this.stepped++;
      if (unit === 'instruction' || this.onNewLine() || this.stepped > LINE_STEP_LIMIT) return this.stepDone();
    }
    return undefined;
  }

  private onNewLine(): boolean {
    const here = this.lineKey(this.vcpu().processor.linearRip);
    // Code without lines is left behind as long as the step began on one.
    if (here === undefined) return this.origin.line === undefined;
    return here !== this.origin.line || this.isLoopedBack();
  }

  /** The step came back to the start of the line it began on: a loop of one line. */
  private isLoopedBack(): boolean {
    const { processor } = this.vcpu();
    return this.symbols.lineAt(processor.linearRip)?.low === processor.linearRip;
  }

  private stepOne(into: boolean): SessionEvent | undefined | 'stepped' {
    const vcpu = this.vcpu();
    const { processor } = vcpu;
    if (!into) {
      const instruction = instructionAt(processor);
      if (instruction && CALLS.has(instruction.flow)) {
        // A call is one step: its return is waited for, at this depth of the stack.
        this.origin = { ...this.origin, depth: Number(BigInt.asUintN(53, processor.state.gpr(4))) };
        this.setTemporary([BigInt.asUintN(64, processor.linearRip + BigInt(instruction.length))]);
        processor.resumePast();
        return this.runToTemporary();
      }
    }
    const rip = processor.state.rip;
    processor.resumePast();
    const stop = this.partition.run({ instructions: 1, onlyVcpu: vcpu.index, stopAtStage: into, stopAtEntry: into });
    if (stop.kind === 'stage') return this.stepDone('VM exit');
    if (stop.kind === 'entry') return this.finishExit(rip);
    const event = this.after(stop);
    if (event) return event;
    return stop.kind === 'idle' ? undefined : 'stepped';
  }

  /** After a handler: an access that was completed needs its instruction to run again. */
  private finishExit(rip: bigint): SessionEvent | undefined | 'stepped' {
    const { processor } = this.vcpu();
    if (processor.state.rip !== rip) return 'stepped';
    const stop = this.partition.run({ instructions: 1, onlyVcpu: this.current });
    return this.after(stop) ?? 'stepped';
  }

  private runToTemporary(): SessionEvent | undefined {
    const stop = this.partition.run({ instructions: SLICE_INSTRUCTIONS });
    if (stop.kind === 'breakpoint') {
      const { processor } = this.vcpu(stop.vcpu);
      const isOwn = this.temporary.has(processor.linearRip) && stop.vcpu === this.current;
      const others = [...this.codeBreakpoints.values()].flat().some(({ addresses }) => addresses.includes(processor.linearRip));
      if (isOwn && !others) {
        // A recursive call passes here too, deeper on the stack.
        if (Number(BigInt.asUintN(53, processor.state.gpr(4))) < this.origin.depth) {
          processor.resumePast();
          return undefined;
        }
        this.setTemporary([]);
        const unit = this.motion.kind === 'over' ? this.motion.unit : 'instruction';
        if (unit === 'instruction' || this.onNewLine()) return this.stepDone();
        return undefined;
      }
    }
    return this.after(stop);
  }

  /** Steps among the stages of an exit handler. */
  private stepHandler(into: boolean): SessionEvent | undefined {
    const vcpu = this.vcpu();
    const exitRip = vcpu.activity?.exit.rip;
    const stop = this.partition.run({ instructions: 1, onlyVcpu: vcpu.index, stopAtStage: true, stopAtEntry: true });
    if (stop.kind === 'stage') {
      const depth = this.vcpu().activity?.frames.length ?? 0;
      return into || depth <= Math.max(this.origin.frames, 1) ? this.stepDone('VM exit') : undefined;
    }
    if (stop.kind === 'entry') {
      const event = this.finishExit(exitRip ?? -1n);
      return event === 'stepped' ? this.stepDone('VM entry') : event;
    }
    return this.after(stop) ?? this.stepDone();
  }

  private outSlice(): SessionEvent | undefined {
    const vcpu = this.vcpu();
    if (vcpu.activity) {
      const exitRip = vcpu.activity.exit.rip;
      const stop = this.partition.run({ instructions: 1, onlyVcpu: vcpu.index, stopAtEntry: true });
      if (stop.kind !== 'entry') return this.after(stop) ?? this.stepDone();
      const event = this.finishExit(exitRip);
      return event === 'stepped' ? this.stepDone('VM entry') : event;
    }
    // Steps with a count of calls against returns, so that it works without unwind information.
    for (let count = 0; count < 20_000; count++) {
      const { processor } = this.vcpu();
      const flow = instructionAt(processor)?.flow ?? '';
      const rip = processor.state.rip;
      processor.resumePast();
      const stop = this.partition.run({ instructions: 1, onlyVcpu: this.current });
      const event = this.after(stop);
      if (event) return event;
      if (stop.kind === 'idle' || processor.state.rip === rip) return undefined;
      if (flow === 'call') this.origin.pending++;
      else if (RETURNS.has(flow) && --this.origin.pending < 0) return this.stepDone();
    }
    return undefined;
  }

  /** Runs to an address, or to whatever stops before. */
  runTo(address: bigint): void {
    this.begin({ kind: 'continue' });
    this.setTemporary([address]);
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
    this.current = 0;
    this.applyBreakpoints();
    this.setDataBreakpoints(this.dataBreakpoints);
    this.setFilters(this.filters);
  }
}

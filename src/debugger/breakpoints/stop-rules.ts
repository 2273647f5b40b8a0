import type { VirtualCpu } from '../../hypervisor/partition/partition.ts';
import type { VmExit, WatchHit } from '../../processor/exit.ts';
import type { Watch } from '../../processor/processor.ts';
import { hex } from '../../x86/address.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import type { StopEvent } from '../run-control/events.ts';
import { type CodeBreakpoint, type DataBreakpoint, judge, type Verdict } from './breakpoint.ts';
import { type ExitBreakpoint, matchesPattern } from './exit-breakpoints.ts';
import { filterById, matchingFilters } from './exit-filters.ts';
import { isStageMeant, type StageBreakpoint } from './stage-breakpoints.ts';

/** What judging needs of the session. */
interface Session {
  vcpu(index?: number): VirtualCpu;
  /** Throws ExpressionError. */
  evaluate(text: string, vcpu?: number, exit?: VmExit): bigint;
  /** The value of an expression as a log message shows it. Throws ExpressionError. */
  print(text: string, vcpu: number, exit?: VmExit): string;
  /** Whether an address means for a vCPU what its symbol does: a program's address belongs to its process. */
  isPlace(vcpu: number, address: bigint): boolean;
  /** Prints what a logpoint says. */
  log(text: string): void;
}

/**
 * What the user wants to stop at: breakpoints in code, in the sources of exit handlers, on data and on exits, and exit
 * filters. Judging one that was reached counts the hit, prints logs and gives the stop, if it is one.
 */
export class StopRules {
  private readonly code = new Map<string, readonly CodeBreakpoint[]>();
  private readonly stages = new Map<string, readonly StageBreakpoint[]>();
  private exits: readonly ExitBreakpoint[] = [];
  private data: readonly DataBreakpoint[] = [];
  private filters = new Map<string, string | undefined>();

  constructor(private readonly session: Session) {}

  // --- what is wanted ----------------------------------------------------------------------------------------------------

  /** Replaces the code breakpoints of one group (a source file, the functions, the instructions). */
  setCode(group: string, breakpoints: readonly CodeBreakpoint[]): void {
    this.code.set(group, breakpoints);
  }
  /** Replaces the breakpoints in one source file of exit handlers. */
  setStages(group: string, breakpoints: readonly StageBreakpoint[]): void {
    this.stages.set(group, breakpoints);
  }
  setExits(breakpoints: readonly ExitBreakpoint[]): void {
    this.exits = breakpoints;
  }
  setData(breakpoints: readonly DataBreakpoint[]): void {
    this.data = breakpoints;
  }
  /** Exit filters by id, each with its condition. */
  setFilters(filters: ReadonlyMap<string, string | undefined>): void {
    this.filters = new Map(filters);
  }
  clear(): void {
    this.code.clear();
    this.stages.clear();
    this.exits = [];
    this.data = [];
    this.filters.clear();
  }

  /** Linear addresses of all code breakpoints. */
  get addresses(): ReadonlySet<bigint> {
    return new Set([...this.code.values()].flat().flatMap(({ addresses }) => addresses));
  }
  get watches(): readonly Watch[] {
    return this.data.map(({ id, space, address, length, access }) => ({
      id,
      space,
      address,
      length,
      read: access !== 'write',
      write: access !== 'read',
    }));
  }
  /** Guest exceptions that a filter wants, as a bit for each vector. */
  get exceptions(): number {
    return [...this.filters.keys()].reduce((bits, id) => bits | (filterById(id)?.exceptions ?? 0), 0);
  }
  /** Whether to stop at an exception that only the handlers of the boot protocol would take. */
  get wantsUnhandled(): boolean {
    return this.filters.has('unhandled');
  }
  /** Whether to stop where the guest's own kernel gives up. */
  get wantsPanics(): boolean {
    return this.filters.has('guest-panic');
  }
  get hasStages(): boolean {
    return [...this.stages.values()].some((group) => group.length > 0);
  }

  // --- judging -----------------------------------------------------------------------------------------------------------

  private ask(breakpoint: Parameters<typeof judge>[0], vcpu: number, exit?: VmExit): Verdict {
    const verdict = judge(
      breakpoint,
      (text) => this.session.evaluate(text, vcpu, exit),
      (text) => this.session.print(text, vcpu, exit),
    );
    if (verdict.kind === 'log') this.session.log(verdict.text);
    return verdict;
  }

  /** The code breakpoints at an address. */
  judgeCode(vcpu: number, address: bigint): StopEvent | undefined {
    const hit: number[] = [];
    let text: string | undefined;
    for (const [name, group] of this.code)
      for (const breakpoint of group) {
        if (!breakpoint.addresses.includes(address)) continue;
        if (name !== 'instructions' && !this.session.isPlace(vcpu, address)) continue;
        const verdict = this.ask(breakpoint, vcpu);
        if (verdict.kind !== 'stop') continue;
        hit.push(breakpoint.id);
        text ??= verdict.problem;
      }
    return hit.length === 0 ? undefined : { reason: 'breakpoint', vcpu, description: 'Breakpoint', text, hitBreakpoints: hit };
  }

  /** The breakpoints at the stage that a vCPU's exit handler is at. */
  judgeStage(vcpu: number): StopEvent | undefined {
    const { activity } = this.session.vcpu(vcpu);
    const stage = activity?.frames.at(-1)?.stage;
    if (stage === undefined) return undefined;
    for (const breakpoint of [...this.stages.values()].flat()) {
      if (!isStageMeant(breakpoint, stage)) continue;
      const verdict = this.ask(breakpoint, vcpu, activity?.exit);
      if (verdict.kind === 'stop')
        return {
          reason: 'breakpoint',
          vcpu,
          description: breakpoint.where ? 'Breakpoint on a message' : 'Breakpoint in an exit handler',
          text: verdict.problem,
          hitBreakpoints: [breakpoint.id],
        };
    }
    return undefined;
  }

  /** Filters and breakpoints on an exit whose handler has not begun. */
  judgeExit(vcpu: number, exit: VmExit): StopEvent | undefined {
    return this.judgeFilters(vcpu, exit) ?? this.judgeExitBreakpoints(vcpu, exit);
  }

  judgeFilters(vcpu: number, exit: VmExit): StopEvent | undefined {
    if (this.filters.size === 0) return undefined;
    for (const { filter, condition } of matchingFilters(exit, this.filters)) {
      try {
        if (condition && this.session.evaluate(condition, vcpu, exit) === 0n) continue;
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        const text = `The condition \`${condition}\` of ${filter.label} can't be evaluated: ${error.message}`;
        return exitStop(vcpu, exit, text);
      }
      // A triple fault has a story of its own.
      return exitStop(vcpu, exit, exit.reason === 'triple-fault' ? undefined : filter.description);
    }
    return undefined;
  }

  private judgeExitBreakpoints(vcpu: number, exit: VmExit): StopEvent | undefined {
    if (this.exits.length === 0) return undefined;
    const { processor } = this.session.vcpu(vcpu);
    for (const breakpoint of this.exits) {
      if (!matchesPattern(breakpoint.pattern, exit, processor)) continue;
      const verdict = this.ask(breakpoint, vcpu, exit);
      if (verdict.kind !== 'stop') continue;
      return { ...exitStop(vcpu, exit, verdict.problem), reason: 'breakpoint', hitBreakpoints: [breakpoint.id] };
    }
    return undefined;
  }

  /** The data breakpoint whose range is about to be accessed. */
  judgeWatch(vcpu: number, hit: WatchHit): StopEvent | undefined {
    const hitBreakpoints: number[] = [];
    let text = `About to ${hit.write ? 'write' : 'read'} ${hit.size} byte${hit.size === 1 ? '' : 's'} at ${hex(hit.address)}.`;
    // The processor names the first; others may watch the same bytes under other conditions.
    const gpa = hit.space === 'gva' ? this.session.vcpu(vcpu).processor.translate(hit.address) : undefined;
    for (const breakpoint of this.data) {
      if (breakpoint.id !== hit.watch && !isWatched(breakpoint, hit, gpa)) continue;
      const verdict = this.ask(breakpoint, vcpu);
      if (verdict.kind !== 'stop') continue;
      hitBreakpoints.push(breakpoint.id);
      text = verdict.problem ?? text;
    }
    return hitBreakpoints.length === 0
      ? undefined
      : { reason: 'data breakpoint', vcpu, description: 'Data breakpoint', text, hitBreakpoints, watch: hit };
  }
}

/** Whether a data breakpoint watches an access, whose physical address is `gpa` where it was made by a virtual one. */
function isWatched({ space, address, length, access }: DataBreakpoint, hit: WatchHit, gpa: bigint | undefined): boolean {
  const start = space === hit.space ? hit.address : space === 'gpa' ? gpa : undefined;
  if (start === undefined || access === (hit.write ? 'read' : 'write')) return false;
  return address < start + BigInt(hit.size) && start < address + length;
}

/** A stop at an exit, or before the delivery of a guest exception. */
export function exitStop(vcpu: number, exit: VmExit, text?: string): StopEvent {
  const isFault = exit.reason === 'exception';
  return { reason: 'exception', vcpu, description: isFault ? 'Guest exception' : `VM exit: ${exit.reason}`, text, exit };
}

import { type BreakpointRules, type HitCounter, isHitCondition } from '../../debugger/breakpoints/breakpoint.ts';
import { splitAssignment } from '../../debugger/expressions/assignment.ts';
import type { Guest } from '../../debugger/launch-guest.ts';
import { optionalText, type Parameters } from '../requests/handler.ts';

/** A breakpoint as the client asked for it. */
export interface AskedBreakpoint {
  readonly id: number;
  readonly item: Parameters;
  readonly counter: HitCounter;
  /** Name of the partition that it is bound to. */
  readonly partition?: string;
}

/** Gives one group of breakpoints to a guest's session. Returns what the client is told of each, in order. */
export type GiveBreakpoints = (guest: Guest, asked: readonly AskedBreakpoint[]) => readonly BreakpointAnswer[];

/** What a client is told of a breakpoint. */
export interface BreakpointAnswer {
  readonly id: number;
  readonly verified: boolean;
  readonly message?: string;
}

interface Group {
  readonly asked: readonly AskedBreakpoint[];
  readonly give: GiveBreakpoints;
}

/**
 * What the client asked for, by group (a source file, the functions …). It outlives the guests: those that are started anew, from
 * edited programs, get the same breakpoints with the same ids.
 */
export class BreakpointBook {
  private readonly groups = new Map<string, Group>();
  /** What the client was told last of each breakpoint. */
  private readonly told = new Map<number, string>();
  private nextId = 1;

  /** Replaces a group. What was asked for before in the same words keeps its id and its count of hits. */
  ask(guests: readonly Guest[], group: string, items: readonly Parameters[], give: GiveBreakpoints): readonly BreakpointAnswer[] {
    const old = new Map((this.groups.get(group)?.asked ?? []).map((asked) => [JSON.stringify(asked.item), asked]));
    const asked = items.map((item) => {
      const key = JSON.stringify(item);
      const known = old.get(key);
      old.delete(key);
      return known ?? { id: this.nextId++, item, counter: { hits: 0 }, partition: boundTo(item)?.partition };
    });
    this.groups.set(group, { asked, give });
    return this.tell(giveAll(guests, { asked, give }));
  }

  /** Gives what hangs on symbols again to guests that have others than before. Returns the breakpoints that this changes. */
  refresh(guests: readonly Guest[]): readonly BreakpointAnswer[] {
    const before = new Map(this.told);
    const groups = [...this.groups].filter(([name]) => name === 'functions' || name.startsWith('source:'));
    const answers = groups.flatMap(([, group]) => this.tell(giveAll(guests, group)));
    return answers.filter((one) => before.get(one.id) !== JSON.stringify(one));
  }

  /** Gives everything to guests of which some are new, and counts on. Returns the breakpoints that this changes. */
  include(guests: readonly Guest[]): readonly BreakpointAnswer[] {
    const before = new Map(this.told);
    const answers = [...this.groups.values()].flatMap((group) => this.tell(giveAll(guests, group)));
    return answers.filter((one) => before.get(one.id) !== JSON.stringify(one));
  }

  private tell(answers: readonly BreakpointAnswer[]): readonly BreakpointAnswer[] {
    for (const one of answers) this.told.set(one.id, JSON.stringify(one));
    return answers;
  }

  /** Gives everything to new guests, with no hits yet. Returns what has become of each breakpoint. */
  renew(guests: readonly Guest[]): readonly BreakpointAnswer[] {
    return [...this.groups.values()].flatMap((group) => {
      for (const { counter } of group.asked) counter.hits = 0;
      return this.tell(giveAll(guests, group));
    });
  }
}

/** Gives each guest those that are not bound to another one. One that is good in any of them is good. */
function giveAll(guests: readonly Guest[], { asked, give }: Group): readonly BreakpointAnswer[] {
  const answers = new Map<number, BreakpointAnswer>();
  for (const guest of guests) {
    if (guest.partition.end?.kind === 'destroyed') continue;
    const own = asked.filter(({ partition }) => partition === undefined || partition === guest.configuration.name);
    for (const told of give(guest, own)) if (answers.get(told.id)?.verified !== true) answers.set(told.id, told);
  }
  const names = guests.map(({ configuration }) => configuration.name).join(', ');
  return asked.map((one) => {
    const nowhere =
      guests.length === 0 ? 'No guest is loaded yet.' : `There is no partition "${one.partition}"; there is ${names}.`;
    return answers.get(one.id) ?? answer(one, nowhere);
  });
}

/** A breakpoint is bound to a partition by `@name` before its condition, or by `name!` before the name of its function. */
function boundTo(item: Parameters): { readonly partition: string; readonly item: Parameters } | undefined {
  const [, inCondition, condition = ''] = /^\s*@([\w.-]+)\s*(.*)$/s.exec(optionalText(item, 'condition') ?? '') ?? [];
  if (inCondition !== undefined) return { partition: inCondition, item: { ...item, condition } };
  const [, inName, name = ''] = /^\s*([\w.-]+)!(.+)$/s.exec(optionalText(item, 'name') ?? '') ?? [];
  return inName === undefined ? undefined : { partition: inName, item: { ...item, name } };
}

/** What is asked for but the partition that it is bound to. */
export function itemOf({ item }: AskedBreakpoint): Parameters {
  return boundTo(item)?.item ?? item;
}

/** The part of an engine's breakpoint that is the same for every kind. */
export function rulesOf(asked: AskedBreakpoint): BreakpointRules & { readonly id: number } {
  const { id, counter } = asked;
  const item = itemOf(asked);
  return {
    id,
    counter,
    condition: optionalText(item, 'condition'),
    hitCondition: optionalText(item, 'hitCondition'),
    logMessage: optionalText(item, 'logMessage'),
  };
}

/** Why the rules of a breakpoint can't be followed; undefined when they can. */
export function problemOf(asked: AskedBreakpoint): string | undefined {
  const item = itemOf(asked);
  const condition = optionalText(item, 'condition');
  if (condition !== undefined && splitAssignment(condition))
    return `"${condition}" sets something; a condition compares with ==.`;
  const hitCondition = optionalText(item, 'hitCondition');
  return hitCondition === undefined || isHitCondition(hitCondition)
    ? undefined
    : `"${hitCondition}" is no hit condition; write a number, or one after ==, >=, >, <=, < or %.`;
}

/** What the client is told: verified, or why not. */
export function answer({ id }: AskedBreakpoint, problem: string | undefined, more: object = {}): BreakpointAnswer {
  return { id, verified: problem === undefined, message: problem, ...more };
}

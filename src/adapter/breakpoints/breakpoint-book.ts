import { type BreakpointRules, type HitCounter, isHitCondition } from '../../debugger/breakpoints/breakpoint.ts';
import { splitAssignment } from '../../debugger/expressions/assignment.ts';
import type { Guest } from '../../debugger/launch-guest.ts';
import { optionalText, type Parameters } from '../requests/handler.ts';

/** A breakpoint as the client asked for it. */
export interface AskedBreakpoint {
  readonly id: number;
  readonly item: Parameters;
  readonly counter: HitCounter;
}

/** Gives one group of breakpoints to the guest's session. Returns what the client is told of each, in order. */
export type GiveBreakpoints = (guest: Guest, asked: readonly AskedBreakpoint[]) => readonly object[];

/**
 * What the client asked for, by group (a source file, the functions …). It outlives the guest: one that is started anew, from
 * an edited program, gets the same breakpoints with the same ids.
 */
export class BreakpointBook {
  private readonly groups = new Map<string, { readonly asked: readonly AskedBreakpoint[]; readonly give: GiveBreakpoints }>();
  private nextId = 1;

  /** Replaces a group. What was asked for before in the same words keeps its id and its count of hits. */
  ask(guest: Guest | undefined, group: string, items: readonly Parameters[], give: GiveBreakpoints): readonly object[] {
    const old = new Map((this.groups.get(group)?.asked ?? []).map((asked) => [JSON.stringify(asked.item), asked]));
    const asked = items.map((item) => {
      const key = JSON.stringify(item);
      const known = old.get(key);
      old.delete(key);
      return known ?? { id: this.nextId++, item, counter: { hits: 0 } };
    });
    this.groups.set(group, { asked, give });
    return guest ? give(guest, asked) : asked.map((one) => answer(one, 'No guest is loaded yet.'));
  }

  /** Gives everything to a new guest, with no hits yet. Returns what has become of each breakpoint. */
  renew(guest: Guest): readonly object[] {
    return [...this.groups.values()].flatMap(({ asked, give }) => {
      for (const { counter } of asked) counter.hits = 0;
      return give(guest, asked);
    });
  }
}

/** The part of an engine's breakpoint that is the same for every kind. */
export function rulesOf({ id, item, counter }: AskedBreakpoint): BreakpointRules & { readonly id: number } {
  return {
    id,
    counter,
    condition: optionalText(item, 'condition'),
    hitCondition: optionalText(item, 'hitCondition'),
    logMessage: optionalText(item, 'logMessage'),
  };
}

/** Why the rules of a breakpoint can't be followed; undefined when they can. */
export function problemOf({ item }: AskedBreakpoint): string | undefined {
  const condition = optionalText(item, 'condition');
  if (condition !== undefined && splitAssignment(condition))
    return `"${condition}" sets something; a condition compares with ==.`;
  const hitCondition = optionalText(item, 'hitCondition');
  return hitCondition === undefined || isHitCondition(hitCondition)
    ? undefined
    : `"${hitCondition}" is no hit condition; write a number, or one after ==, >=, >, <=, < or %.`;
}

/** What the client is told: verified, or why not. */
export function answer({ id }: AskedBreakpoint, problem: string | undefined, more: object = {}): object {
  return { id, verified: problem === undefined, message: problem, ...more };
}

import * as O from '../interpreter/operation.ts';
import type { PageRange } from '../memory/table-registry.ts';
import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';

interface Context {
  readonly mode: number;
  readonly user: boolean;
  /** Halves of CR3 and of the base of CS. */
  readonly tableLow: number;
  readonly tableHigh: number;
  readonly baseLow: number;
  readonly baseHigh: number;
  readonly number: number;
  /** Where code was fetched from. */
  halves: number;
}

/** Halves of the linear address space. */
const Half = { LOWER: 1, UPPER: 2 } as const;
const UPPER_HALF = 0x8000_0000_0000n;
/** Number of the first page of the upper half. */
const UPPER_PAGES = 2 ** 35;

const MOST_CONTEXTS = 64;
const LARGEST_NUMBER = 0x7fff_ff00;

/**
 * Numbers for what decides which code an RIP leads to: address space, mode, privilege and base of CS. Entries of the jump cache
 * are marked with them.
 */
export class Contexts {
  /** Those that were asked for last are in front. */
  private contexts: Context[] = [];
  private counter = 0;
  private current: Context | undefined;

  /** `onReuse` must drop all that is marked with a number: they begin anew. */
  constructor(private readonly onReuse: () => void) {}

  /** The number for the state's CR3 and CS, in a mode that the caller has made a number of. */
  numberOf(mode: number, user: boolean, state: CpuState): number {
    const tableLow = state.get32(L.CR3);
    const tableHigh = state.get32(L.CR3 + 4);
    const baseLow = state.get32(O.ENGINE_BASES + L.Segment.CS * 8);
    const baseHigh = state.get32(O.ENGINE_BASES + L.Segment.CS * 8 + 4);
    const { contexts, current } = this;
    // Most changes of the mode lead to where they came from, such as an interrupt of the kernel.
    if (current?.tableLow === tableLow && current.mode === mode && current.user === user)
      if (current.tableHigh === tableHigh && current.baseLow === baseLow && current.baseHigh === baseHigh) return current.number;
    for (let index = 0; index < contexts.length; index++) {
      const context = contexts[index];
      if (context?.tableLow !== tableLow || context.mode !== mode || context.user !== user) continue;
      if (context.tableHigh !== tableHigh || context.baseLow !== baseLow || context.baseHigh !== baseHigh) continue;
      const before = contexts[index - 1];
      if (before) {
        contexts[index - 1] = context;
        contexts[index] = before;
      }
      this.current = context;
      return context.number;
    }
    // Numbers are never used twice while an entry with them may stand in the cache.
    if (++this.counter > LARGEST_NUMBER) {
      this.counter = 1;
      this.clear();
      this.onReuse();
    }
    if (contexts.length >= MOST_CONTEXTS) this.clear();
    this.current = { mode, user, tableLow, tableHigh, baseLow, baseHigh, number: this.counter, halves: 0 };
    this.contexts.push(this.current);
    return this.counter;
  }

  /** Code is looked for at a linear address, in the context that was asked for last. */
  fetches(linear: bigint): void {
    if (this.current) this.current.halves |= linear < UPPER_HALF ? Half.LOWER : Half.UPPER;
  }

  /**
   * Translations of a range have changed: the contexts that code was fetched in from its half of the address space will have new
   * numbers. Programs and systems are in different halves.
   */
  forget({ first, count }: PageRange): void {
    const halves = (first < UPPER_PAGES ? Half.LOWER : 0) | (first + count > UPPER_PAGES ? Half.UPPER : 0);
    this.contexts = this.contexts.filter((context) => (context.halves & halves) === 0);
    if (this.current && (this.current.halves & halves) !== 0) this.current = undefined;
  }

  /** Translations have changed: all numbers will be new ones. */
  clear(): void {
    this.contexts = [];
    this.current = undefined;
  }
}

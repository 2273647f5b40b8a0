import * as O from '../interpreter/operation.ts';
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
}

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

  /** `forget` must drop all that is marked with a number: they begin anew. */
  constructor(private readonly forget: () => void) {}

  /** The number for the state's CR3 and CS, in a mode that the caller has made a number of. */
  numberOf(mode: number, user: boolean, state: CpuState): number {
    const tableLow = state.get32(L.CR3);
    const tableHigh = state.get32(L.CR3 + 4);
    const baseLow = state.get32(O.ENGINE_BASES + L.Segment.CS * 8);
    const baseHigh = state.get32(O.ENGINE_BASES + L.Segment.CS * 8 + 4);
    const { contexts } = this;
    for (let index = 0; index < contexts.length; index++) {
      const context = contexts[index];
      if (context?.tableLow !== tableLow || context.mode !== mode || context.user !== user) continue;
      if (context.tableHigh !== tableHigh || context.baseLow !== baseLow || context.baseHigh !== baseHigh) continue;
      const before = contexts[index - 1];
      if (before) {
        contexts[index - 1] = context;
        contexts[index] = before;
      }
      return context.number;
    }
    // Numbers are never used twice while an entry with them may stand in the cache.
    if (++this.counter > LARGEST_NUMBER) {
      this.counter = 1;
      this.clear();
      this.forget();
    }
    if (contexts.length >= MOST_CONTEXTS) this.clear();
    this.contexts.push({ mode, user, tableLow, tableHigh, baseLow, baseHigh, number: this.counter });
    return this.counter;
  }

  /** In every context, offsets in CS are linear addresses. */
  get areFlat(): boolean {
    return this.contexts.every(({ baseLow, baseHigh }) => baseLow === 0 && baseHigh === 0);
  }

  /** Translations have changed: all numbers will be new ones. */
  clear(): void {
    this.contexts = [];
  }
}

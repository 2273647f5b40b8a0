import type { MemoryPlace } from '../../x86/address.ts';

/** A variable as the debugger shows it. Children are made only when asked for. */
export interface ShownVariable {
  readonly name: string;
  readonly value: string;
  readonly type?: string;
  /** An expression that gives the same value. */
  readonly expression?: string;
  /** The memory that it leads to: what a pointer points at, else where it lies. */
  readonly memory?: MemoryPlace;
  readonly children?: () => readonly ShownVariable[];
  /** Sets it from a number. Throws ExpressionError with a sentence for what it can't be. */
  readonly set?: (value: bigint) => void;
  /** A number to set for a text that is no expression; undefined for one that is. */
  readonly parse?: (text: string) => bigint | undefined;
  /** Sets it from an expression of the guest's language. Throws ExpressionError. */
  readonly assign?: (text: string) => void;
  /** Where it lies, and in how many bytes: what a data breakpoint on it watches. */
  readonly place?: { readonly address: bigint; readonly size: number };
  /** Why it can't be set, as a sentence, where there is more to say. */
  readonly fixed?: string;
}

export interface ShownScope {
  readonly name: string;
  readonly hint?: 'registers' | 'locals' | 'arguments';
  readonly expensive: boolean;
  readonly variables: () => readonly ShownVariable[];
}

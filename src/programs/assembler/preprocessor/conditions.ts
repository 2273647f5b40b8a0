import { AssemblyError } from '../diagnostic.ts';

interface Condition {
  /** Lines are taken. */
  active: boolean;
  /** Some branch was taken already. */
  done: boolean;
  readonly outer: boolean;
}

/** The %if, %elif, %else and %endif of one run of lines. `test` answers `%if…` by its kind (`def`, `num`, … or none). */
export class Conditions {
  private readonly stack: Condition[] = [];

  constructor(private readonly test: (kind: string, rest: string) => boolean) {}

  get active(): boolean {
    return this.stack.every((condition) => condition.active);
  }
  get isOpen(): boolean {
    return this.stack.length > 0;
  }

  /** Takes a directive; false when it isn't one of them. */
  take(word: string, rest: string): boolean {
    const found = /^(if|elif)(n?)(def|macro|ctx|idni?|num|id|str|empty|token)?$/.exec(word);
    if (found) {
      const evaluate = () => this.test(found[3] ?? '', rest) !== (found[2] === 'n');
      if (found[1] === 'if') this.open(evaluate);
      else this.branch(word, evaluate);
      return true;
    }
    if (word === 'else') {
      this.branch(word, () => true);
      return true;
    }
    if (word !== 'endif') return false;
    if (!this.stack.pop())
      throw new AssemblyError('An %endif stands without its %if.', 'Remove it, or look for an %if that is ended twice.');
    return true;
  }

  private open(evaluate: () => boolean): void {
    const outer = this.active;
    const value = outer && evaluate();
    this.stack.push({ active: value, done: value, outer });
  }

  private branch(word: string, evaluate: () => boolean): void {
    const top = this.stack.at(-1);
    if (!top) throw new AssemblyError(`An %${word} stands without its %if.`, 'Remove it, or begin with %if.');
    top.active = top.outer && !top.done && evaluate();
    top.done ||= top.active || word === 'else';
  }
}

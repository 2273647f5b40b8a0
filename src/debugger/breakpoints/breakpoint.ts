import { ExpressionError } from '../expressions/evaluator.ts';

/** What decides whether reaching a breakpoint stops. */
export interface BreakpointRules {
  /** An expression: stop when it isn't 0. */
  readonly condition?: string;
  /** `5`, `>= 5`, `% 10`. */
  readonly hitCondition?: string;
  /** Print this instead of stopping; `{expression}` is replaced. */
  readonly logMessage?: string;
  /** How often it was reached with its condition true. Whoever made the breakpoint keeps the count over its changes. */
  readonly counter: HitCounter;
}

export interface HitCounter {
  hits: number;
}

export interface CodeBreakpoint extends BreakpointRules {
  readonly id: number;
  readonly addresses: readonly bigint[];
}

/** Stops before an access to a range of memory, of any size. */
export interface DataBreakpoint extends BreakpointRules {
  readonly id: number;
  readonly space: 'gva' | 'gpa';
  readonly address: bigint;
  readonly length: bigint;
  readonly access: 'read' | 'write' | 'readWrite';
}

/** What a breakpoint wants when it is reached. `problem`: why it stops although its condition can't be evaluated. */
export type Verdict =
  | { readonly kind: 'stop'; readonly problem?: string }
  | { readonly kind: 'pass' }
  | { readonly kind: 'log'; readonly text: string };

const HIT = /^\s*(==|=|>=|>|<=|<|%)?\s*(\d+)\s*$/;

/** True when the text is a hit condition. */
export function isHitCondition(text: string): boolean {
  return HIT.test(text);
}

function hitHolds(text: string, hits: number): boolean {
  const parsed = HIT.exec(text);
  if (!parsed) return true;
  const wanted = Number(parsed[2]);
  switch (parsed[1]) {
    case '>=':
      return hits >= wanted;
    case '>':
      return hits > wanted;
    case '<=':
      return hits <= wanted;
    case '<':
      return hits < wanted;
    case '%':
      return wanted > 0 && hits % wanted === 0;
    default:
      return hits === wanted;
  }
}

/** Decides about a breakpoint that was reached; counts the hit. `print` gives what a log message shows of an expression. */
export function judge(
  breakpoint: BreakpointRules,
  evaluate: (expression: string) => bigint,
  print: (expression: string) => string,
): Verdict {
  if (breakpoint.condition) {
    try {
      if (evaluate(breakpoint.condition) === 0n) return { kind: 'pass' };
    } catch (error) {
      // A condition that can't be evaluated stops: silence would hide the mistake.
      if (error instanceof ExpressionError)
        return { kind: 'stop', problem: `The condition \`${breakpoint.condition}\` can't be evaluated: ${error.message}` };
      throw error;
    }
  }
  breakpoint.counter.hits++;
  if (breakpoint.hitCondition && !hitHolds(breakpoint.hitCondition, breakpoint.counter.hits)) return { kind: 'pass' };
  if (breakpoint.logMessage === undefined || breakpoint.logMessage === '') return { kind: 'stop' };
  const text = breakpoint.logMessage.replaceAll(/\{([^{}]*)\}/g, (_whole, expression: string) => {
    try {
      return print(expression);
    } catch (error) {
      return error instanceof Error ? `<${error.message}>` : '<?>';
    }
  });
  return { kind: 'log', text };
}

import type { VmExit } from '../../processor/exit.ts';
import { EvaluationError, type FrameContext, type TypedValue } from '../../symbols/symbol-source.ts';
import { guestContext } from '../inspection/call-stack.ts';
import { isAssembly } from '../inspection/source-kind.ts';
import type { RunControl } from '../run-control/control.ts';
import { ExpressionError, evaluateExpression } from './evaluator.ts';
import { guestScope } from './guest-scope.ts';

type Evaluating = Pick<RunControl, 'partition' | 'symbols' | 'vcpu'>;

/** The language's own value of an expression, where the frame's code is of a language with variables. */
export function evaluateTyped(
  session: Evaluating,
  text: string,
  context: FrameContext,
): TypedValue | EvaluationError | undefined {
  const place = context.isCaller ? context.pc - 1n : context.pc;
  const path = session.symbols.lineAt(place)?.position.path;
  if (path === undefined || isAssembly(path)) return undefined;
  try {
    return session.symbols.evaluate(text, context);
  } catch (error) {
    if (error instanceof EvaluationError) return error;
    throw error;
  }
}

/**
 * Evaluates an expression to a number. In a C frame a variable hides a register or a flag of its name, and `$rax` is the
 * register; everywhere else, and for what C doesn't know, the expression is one of the machine. Throws ExpressionError.
 */
export function evaluateNumber(session: Evaluating, text: string, vcpu: number, exit?: VmExit): bigint {
  const typed = exit ? undefined : evaluateTyped(session, text, guestContext(session, vcpu));
  const scalar = typed instanceof EvaluationError ? undefined : typed?.scalar;
  if (scalar !== undefined) return BigInt.asUintN(64, typeof scalar === 'bigint' ? scalar : BigInt(Math.trunc(scalar)));
  try {
    return evaluateExpression(text, guestScope(session.vcpu(vcpu), session.symbols, exit, session.partition));
  } catch (error) {
    if (error instanceof ExpressionError && typed instanceof EvaluationError) throw new ExpressionError(typed.message);
    throw error;
  }
}

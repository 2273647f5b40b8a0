import type { TypedValue } from '../../symbols/symbol-source.ts';
import { hex } from '../../x86/address.ts';
import type { DebugSession } from '../debug-session.ts';
import type { StackEntry } from './call-stack.ts';
import { outerRegisters, registerScopes } from './register-scopes.ts';
import type { ShownScope, ShownVariable } from './shown.ts';

/** Members and elements are read only when they are looked at; a long array shows its beginning. */
const MOST_CHILDREN = 1000;
const STAGE_FIXED = "A handler's values can't be changed; registers and memory of the guest can.";

function typed(name: string, expression: string, value: TypedValue): ShownVariable {
  return {
    name,
    value: value.text,
    type: value.typeName,
    memory: value.address,
    expression,
    children: value.hasChildren
      ? () => value.children(0, MOST_CHILDREN).map((child) => typed(child.name, child.expression, child.value))
      : undefined,
  };
}

/** The scopes of a frame: the stage's values in a handler, the registers in the guest. Only the first is cheap. */
export function scopesOf(session: DebugSession, vcpu: number, entry: StackEntry): ShownScope[] {
  const { context } = entry;
  const isOuter = context?.isOuter === true;
  const now = registerScopes(session, vcpu);
  const registers = isOuter ? [outerRegisters(session, vcpu, context), ...now.slice(1)] : now;
  if (entry.kind === 'handler') {
    const values = entry.handler?.stage?.values ?? {};
    const variables = () =>
      Object.entries(values).map(([name, value]): ShownVariable => ({ name, value: stageValue(value), fixed: STAGE_FIXED }));
    return [
      { name: 'Stage', hint: 'locals', expensive: false, variables },
      ...registers.map((scope) => ({ ...scope, expensive: true })),
    ];
  }
  const locals = context ? session.symbols.variables(context) : [];
  const shown = (kinds: readonly string[]) => () =>
    locals.filter(({ kind }) => kinds.includes(kind)).map((variable) => typed(variable.name, variable.name, variable.read()));
  const own: ShownScope[] = [];
  if (locals.some(({ kind }) => kind === 'argument'))
    own.push({ name: 'Arguments', hint: 'arguments', expensive: false, variables: shown(['argument']) });
  if (locals.some(({ kind }) => kind !== 'argument'))
    own.push({ name: 'Locals', hint: 'locals', expensive: false, variables: shown(['local', 'static']) });
  return own.length > 0 ? [...own, ...registers.map((scope) => ({ ...scope, expensive: true }))] : registers;
}

function stageValue(value: string | number | bigint | boolean): string {
  if (typeof value === 'bigint') return hex(value);
  if (typeof value === 'number') return value > 9 || value < 0 ? `${hex(value >>> 0)} (${value})` : String(value);
  return String(value);
}

import type { FrameContext, TypedValue } from '../../symbols/symbol-source.ts';
import { hex } from '../../x86/address.ts';
import type { DebugSession } from '../debug-session.ts';
import { assign } from '../expressions/assignment.ts';
import { placeHeld } from './address-values.ts';
import type { StackEntry } from './call-stack.ts';
import { outerRegisters, registerScopes } from './register-scopes.ts';
import type { ShownScope, ShownVariable } from './shown.ts';

/** Members and elements are read only when they are looked at; a long array shows its beginning. */
const MOST_CHILDREN = 1000;
const STAGE_FIXED = "A handler's values can't be changed; registers and memory of the guest can.";

/** Where a value of the guest's language is looked at. */
export interface LanguageFrame {
  readonly session: DebugSession;
  readonly vcpu: number;
  readonly context: FrameContext;
}

/** A value of the guest's language as a variable. `expression` gives the same value. */
export function languageVariable(frame: LanguageFrame, name: string, expression: string, value: TypedValue): ShownVariable {
  const { text, typeName, address, byteSize } = value;
  // A pointer leads to the memory that it points at.
  const shown = value.target ?? address;
  return {
    name,
    value: text,
    type: typeName,
    expression,
    memory: shown === undefined ? undefined : { space: 'gva', address: shown },
    place: address === undefined ? undefined : { address, size: byteSize },
    children: value.hasChildren
      ? () => value.children(0, MOST_CHILDREN).map((child) => languageVariable(frame, child.name, child.expression, child.value))
      : undefined,
    assign: value.encode && ((written) => assignTo(frame, expression, written)),
    fixed: value.encode ? undefined : `${name} is no single value; change its parts.`,
  };
}

function assignTo({ session, vcpu, context }: LanguageFrame, target: string, value: string): void {
  assign(session, { target, value }, vcpu, context);
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
      Object.entries(values).map(
        ([name, value]): ShownVariable => ({
          name,
          value: stageValue(value),
          memory: typeof value === 'bigint' ? placeHeld(session.vcpu(vcpu).processor, name, value) : undefined,
          fixed: STAGE_FIXED,
        }),
      );
    return [
      { name: 'Stage', hint: 'locals', expensive: false, variables },
      ...registers.map((scope) => ({ ...scope, expensive: true })),
    ];
  }
  const locals = context ? session.symbols.variables(context) : [];
  const shown = (kinds: readonly string[]) => () =>
    context === undefined
      ? []
      : locals
          .filter(({ kind }) => kinds.includes(kind))
          .map((variable) => languageVariable({ session, vcpu, context }, variable.name, variable.name, variable.read()));
  const own: ShownScope[] = [];
  // Editors unfold the first scope by themselves.
  if (locals.some(({ kind }) => kind !== 'argument'))
    own.push({ name: 'Locals', hint: 'locals', expensive: false, variables: shown(['local', 'static']) });
  if (locals.some(({ kind }) => kind === 'argument'))
    own.push({ name: 'Arguments', hint: 'arguments', expensive: false, variables: shown(['argument']) });
  return own.length > 0 ? [...own, ...registers.map((scope) => ({ ...scope, expensive: true }))] : registers;
}

function stageValue(value: string | number | bigint | boolean): string {
  if (typeof value === 'bigint') return hex(value);
  if (typeof value === 'number') return value > 9 || value < 0 ? `${hex(value >>> 0)} (${value})` : String(value);
  return String(value);
}

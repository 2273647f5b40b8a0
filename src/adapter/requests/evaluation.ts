import type { DebugProtocol } from '@vscode/debugprotocol';
import { consoleCommands, runConsoleCommand } from '../../debugger/console/console.ts';
import { type Assignment, assign, splitAssignment, type WrittenMemory } from '../../debugger/expressions/assignment.ts';
import { evaluateTyped } from '../../debugger/expressions/evaluate.ts';
import { ExpressionError } from '../../debugger/expressions/evaluator.ts';
import { guestContext } from '../../debugger/inspection/call-stack.ts';
import { findRegister, generalRegisters } from '../../debugger/inspection/registers.ts';
import { languageVariable } from '../../debugger/inspection/scopes.ts';
import { EvaluationError, type FrameContext } from '../../symbols/symbol-source.ts';
import { hex } from '../../x86/address.ts';
import type { AdapterSession } from '../adapter-session.ts';
import { errors } from '../errors.ts';
import { writeReference } from '../references.ts';
import { locationOf } from '../sources.ts';
import { describeVariable } from '../variables.ts';
import { optionalNumber, optionalText, type Parameters, type RequestHandler, textOf } from './handler.ts';

/** The frame that a request is about, else the newest one of the guest. */
function frameOf(adapter: AdapterSession, parameters: Parameters): { readonly vcpu: number; readonly context: FrameContext } {
  const { session } = adapter.still;
  const frame = adapter.frames.get(parameters.frameId);
  const vcpu = frame?.vcpu ?? session.current;
  return { vcpu, context: frame?.entry.context ?? guestContext(session, vcpu) };
}

/** Views that show what was changed ask again. */
function changed(adapter: AdapterSession, written?: WrittenMemory): void {
  if (written) adapter.event('memory', { memoryReference: writeReference(written), offset: 0, count: written.length });
  adapter.event('invalidated', { areas: ['variables', 'stacks'] });
}

const setVariable: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.still;
  const name = textOf(parameters, 'name', 'setVariable');
  const text = textOf(parameters, 'value', 'setVariable');
  const find = () =>
    adapter.variables
      .get(parameters.variablesReference)?.()
      .find((candidate) => candidate.name === name);
  const variable = find();
  if (!variable?.set && !variable?.assign) throw errors.notSettable(name, variable?.fixed);
  variable.assign?.(text);
  // What the Variables view shows is edited: `0x5  <label>` or `0x1 PE` ends at its value.
  variable.set?.(session.evaluate(/^\s*(0x[0-9a-f]+)\s{2,}\S/i.exec(text)?.[1] ?? text));
  const { value = '', type, memory } = find() ?? {};
  const memoryReference = memory === undefined ? undefined : hex(memory);
  return { body: { value, type, memoryReference }, after: () => changed(adapter) };
};

/** Sets what an expression names; gives its new value and what follows. */
function set(adapter: AdapterSession, parameters: Parameters, assignment: Assignment): { value: string; after: () => void } {
  const { vcpu, context } = frameOf(adapter, parameters);
  const { session } = adapter.still;
  const written = assign(session, assignment, vcpu, context);
  return { value: evaluated(adapter, parameters, assignment.target, '').result, after: () => changed(adapter, written) };
}

const setExpression: RequestHandler = (adapter, parameters) => {
  const target = textOf(parameters, 'expression', 'setExpression').trim();
  const { value, after } = set(adapter, parameters, { target, value: textOf(parameters, 'value', 'setExpression') });
  return { body: { value }, after };
};

const evaluate: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.launched;
  const text = textOf(parameters, 'expression', 'evaluate');
  const context = optionalText(parameters, 'context') ?? 'repl';
  if (context === 'repl') {
    const output = runConsoleCommand(session, text);
    if (output !== undefined) return { body: { result: output, variablesReference: 0 } };
  }
  adapter.still;
  const assignment = splitAssignment(text);
  if (assignment && context !== 'repl') throw errors.onlyInConsole(text);
  if (assignment) {
    const { value, after } = set(adapter, parameters, assignment);
    return { body: { result: value, variablesReference: 0 }, after };
  }
  return { body: evaluated(adapter, parameters, text, context) };
};

/** What an expression gives, as it is shown in a context. The clipboard gets the bare value. */
function evaluated(
  adapter: AdapterSession,
  parameters: Parameters,
  text: string,
  context: string,
): DebugProtocol.EvaluateResponse['body'] {
  const { session } = adapter.still;
  const { vcpu, context: frame } = frameOf(adapter, parameters);
  const exit = session.vcpu(vcpu).activity?.exit;
  // In C, a variable hides a register or a flag of its name; `$rax` is the register.
  const isMachine = exit !== undefined && adapter.frames.get(parameters.frameId)?.entry.kind !== 'guest';
  const typed = isMachine ? undefined : evaluateTyped(session, text, frame);
  if (typed !== undefined && !(typed instanceof EvaluationError)) {
    const variable = languageVariable({ session, vcpu, context: frame }, text, text, typed);
    return { ...describeVariable(adapter, variable), result: variable.value };
  }
  try {
    const value = session.evaluate(text, vcpu, exit);
    const register = findRegister(session.vcpu(vcpu).processor, text.trim().replace(/^\$/, ''));
    const isBare = context === 'clipboard';
    const name = isBare || value === 0n ? undefined : session.symbols.describe(value);
    const decimal = isBare || value < 10n ? '' : ` (${BigInt.asIntN(64, value)})`;
    const result = register?.bits === 1 ? value.toString() : `${hex(value)}${decimal}${name === undefined ? '' : ` <${name}>`}`;
    const valueLocationReference = locationOf(adapter, result);
    return { result, variablesReference: 0, memoryReference: hex(value), valueLocationReference };
  } catch (error) {
    if (error instanceof ExpressionError && typed) throw new ExpressionError(typed.message);
    throw error;
  }
}

const completions: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.still;
  const text = textOf(parameters, 'text', 'completions');
  const asked = optionalNumber(parameters, 'column');
  const column = asked === undefined ? text.length : adapter.dialect.readColumn(asked) - 1;
  const prefix = /[\w.$@]*$/.exec(text.slice(0, column))?.[0] ?? '';
  const plain = prefix.replace(/^\$/, '').toLowerCase();
  const { processor } = session.vcpu();
  const names = [
    ...(column === prefix.length ? consoleCommands.map(({ name }) => ({ name, type: 'function' })) : []),
    ...generalRegisters(processor).map(({ name }) => ({ name, type: 'variable' })),
    ...['cf', 'zf', 'sf', 'of', 'if', 'df', 'cr0', 'cr2', 'cr3', 'cr4', 'efer', 'cs', 'ds', 'es', 'ss', 'fs', 'gs', 'cpl'].map(
      (name) => ({ name, type: 'variable' }),
    ),
    ...session.symbols.functionsNamed('/./').map(({ name }) => ({ name, type: 'function' })),
  ];
  const targets = names
    .filter(({ name }) => name.toLowerCase().startsWith(plain))
    .slice(0, 200)
    .map(({ name, type }) => ({ label: name, type, start: column - prefix.length, length: prefix.length }));
  return { body: { targets } };
};

export const evaluationRequests: Readonly<Record<string, RequestHandler>> = {
  setVariable,
  setExpression,
  evaluate,
  completions,
};

import type { DebugProtocol } from '@vscode/debugprotocol';
import { type Completion, completionsFor } from '../../debugger/console/completions.ts';
import { runConsoleCommand } from '../../debugger/console/console.ts';
import { type Assignment, assign, splitAssignment, type WrittenMemory } from '../../debugger/expressions/assignment.ts';
import { evaluateTyped } from '../../debugger/expressions/evaluate.ts';
import { ExpressionError } from '../../debugger/expressions/evaluator.ts';
import { leadsTo } from '../../debugger/expressions/leads-to.ts';
import { findRegister } from '../../debugger/inspection/registers.ts';
import { languageVariable } from '../../debugger/inspection/scopes.ts';
import type { ShownVariable } from '../../debugger/inspection/shown.ts';
import type { Guest } from '../../debugger/launch-guest.ts';
import { EvaluationError } from '../../symbols/symbol-source.ts';
import { hex } from '../../x86/address.ts';
import type { AdapterSession } from '../adapter-session.ts';
import { errors } from '../errors.ts';
import { frameOf } from '../frames.ts';
import { writeReference } from '../references.ts';
import { locationOf } from '../sources.ts';
import { still } from '../threads.ts';
import { describeVariable } from '../variables.ts';
import { optionalNumber, optionalText, type Parameters, type RequestHandler, textOf } from './handler.ts';

/** Views that show what was changed ask again. */
function changed(adapter: AdapterSession, { index }: Guest, written?: WrittenMemory): void {
  const range = written && { memoryReference: writeReference({ guest: index, ...written }), offset: 0, count: written.length };
  adapter.tellChangedMemory(range && [range]);
  adapter.event('invalidated', { areas: ['variables', 'stacks'] });
}

const setVariable: RequestHandler = (adapter, parameters) => {
  const name = textOf(parameters, 'name', 'setVariable');
  const text = textOf(parameters, 'value', 'setVariable');
  const handle = adapter.variables.get(parameters.variablesReference);
  const { guest, vcpu } = still(handle ?? adapter.focus);
  const find = () => handle?.get().find((candidate) => candidate.name === name);
  const variable = find();
  if (!variable?.set && !variable?.assign) throw errors.notSettable(name, variable?.fixed);
  variable.assign?.(text);
  const typed = withoutNotes(variable.value, text);
  variable.set?.(variable.parse?.(typed) ?? guest.session.evaluate(typed, vcpu));
  const { value = '', type, memory } = find() ?? {};
  const memoryReference = memory && writeReference({ guest: guest.index, ...memory });
  return {
    body: { value, type, memoryReference },
    after: () => changed(adapter, guest, variable.assign && variable.place && writtenAt(variable.place)),
  };
};

/** A user edits the text that was shown, with what stands behind the value: `0x5  <label>`, `0x0018 base 0x0 limit …`. */
function withoutNotes(shown: string, edited: string): string {
  const notes = /^\s*0x[0-9a-f]+(\s.*)$/is.exec(shown)?.[1];
  return notes !== undefined && edited.endsWith(notes) ? edited.slice(0, -notes.length) : edited;
}

function writtenAt({ address, size }: NonNullable<ShownVariable['place']>): WrittenMemory {
  return { space: 'gva', address, length: size };
}

/** Sets what an expression names; gives what it is then, and what follows. */
function set(
  adapter: AdapterSession,
  parameters: Parameters,
  assignment: Assignment,
): { now: DebugProtocol.EvaluateResponse['body']; after: () => void } {
  const { guest, vcpu, context } = frameOf(adapter, parameters);
  const written = assign(guest.session, assignment, vcpu, context);
  return { now: evaluated(adapter, parameters, assignment.target, ''), after: () => changed(adapter, guest, written) };
}

const setExpression: RequestHandler = (adapter, parameters) => {
  const target = textOf(parameters, 'expression', 'setExpression').trim();
  const { now, after } = set(adapter, parameters, { target, value: textOf(parameters, 'value', 'setExpression') });
  const { result, ...rest } = now;
  return { body: { value: result, ...rest }, after };
};

const evaluate: RequestHandler = (adapter, parameters) => {
  const text = textOf(parameters, 'expression', 'evaluate');
  const context = optionalText(parameters, 'context') ?? 'repl';
  if (context === 'repl') {
    const { guest, vcpu } = adapter.frames.get(parameters.frameId) ?? adapter.focus;
    const output = runConsoleCommand(guest.session, text, vcpu, adapter.options.writeFile, adapter.launched);
    if (output !== undefined) return { body: { result: output, variablesReference: 0 } };
  }
  const assignment = splitAssignment(text);
  if (assignment && context !== 'repl') throw errors.onlyInConsole(text);
  if (assignment) {
    const { now, after } = set(adapter, parameters, assignment);
    return { body: now, after };
  }
  return { body: evaluated(adapter, parameters, text, context) };
};

/** What an expression gives, as it is shown in a context. The clipboard gets the bare value. */
export function evaluated(
  adapter: AdapterSession,
  parameters: Parameters,
  text: string,
  context: string,
): DebugProtocol.EvaluateResponse['body'] {
  const { guest, vcpu, context: frame } = frameOf(adapter, parameters);
  const { session } = guest;
  const exit = session.vcpu(vcpu).activity?.exit;
  // In C, a variable hides a register or a flag of its name; `$rax` is the register.
  const isMachine = exit !== undefined && adapter.frames.get(parameters.frameId)?.entry.kind !== 'guest';
  const typed = isMachine ? undefined : evaluateTyped(session, text, frame);
  if (typed !== undefined && !(typed instanceof EvaluationError)) {
    const variable = languageVariable({ session, vcpu, context: frame }, text, text, typed);
    return { ...describeVariable(adapter, { guest, vcpu }, variable), result: variable.value };
  }
  try {
    const register = findRegister(session.vcpu(vcpu).processor, text.trim().replace(/^\$/, ''));
    // Expressions have 64 bits; a wider register alone is shown whole.
    const isWide = register !== undefined && register.bits > 64;
    const value = isWide ? register.get() : session.evaluate(text, vcpu, exit);
    const isBare = context === 'clipboard';
    const name = isBare || value === 0n ? undefined : session.symbols.describe(value);
    const decimal = isBare || isWide || value < 10n ? '' : ` (${BigInt.asIntN(64, value)})`;
    const note = isBare || name !== undefined ? undefined : register?.note?.();
    const meaning = note === undefined ? `${decimal}${name === undefined ? '' : ` <${name}>`}` : ` (${note})`;
    const memory = leadsTo(session, text, value, vcpu);
    const result = register?.bits === 1 ? value.toString() : `${hex(value)}${meaning}`;
    const valueLocationReference = locationOf(adapter, guest, result);
    return {
      result,
      variablesReference: 0,
      memoryReference: memory && writeReference({ guest: guest.index, ...memory }),
      valueLocationReference,
    };
  } catch (error) {
    if (error instanceof ExpressionError && typed) throw new ExpressionError(typed.message);
    throw error;
  }
}

const KINDS: Readonly<Record<Completion['kind'], DebugProtocol.CompletionItemType>> = {
  command: 'keyword',
  register: 'variable',
  symbol: 'function',
  variable: 'field',
};

const completions: RequestHandler = (adapter, parameters) => {
  const { dialect } = adapter;
  const all = textOf(parameters, 'text', 'completions');
  const line = all.split('\n')[dialect.readLine(optionalNumber(parameters, 'line') ?? dialect.writeLine(1)) - 1] ?? '';
  const asked = optionalNumber(parameters, 'column');
  const column = asked === undefined ? line.length : Math.max(0, dialect.readColumn(asked) - 1);
  const { guest, vcpu, context } = frameOf(adapter, parameters);
  const before = line.slice(0, column);
  const { replaced, items } = completionsFor(guest.session, before, guest.program.symbols, vcpu, context);
  const start = dialect.writeColumn(Math.min(column, line.length) - replaced + 1);
  const targets = items.map(({ text, kind, detail }) => ({ label: text, type: KINDS[kind], detail, start, length: replaced }));
  return { body: { targets } };
};

export const evaluationRequests: Readonly<Record<string, RequestHandler>> = {
  setVariable,
  setExpression,
  evaluate,
  completions,
};

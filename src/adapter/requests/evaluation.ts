import { consoleCommands, runConsoleCommand } from '../../debugger/console/console.ts';
import { ExpressionError } from '../../debugger/expressions/evaluator.ts';
import { guestContext } from '../../debugger/inspection/call-stack.ts';
import { findRegister, generalRegisters } from '../../debugger/inspection/registers.ts';
import { EvaluationError } from '../../symbols/symbol-source.ts';
import { hex } from '../../x86/address.ts';
import { errors } from '../errors.ts';
import { optionalNumber, optionalText, type RequestHandler, textOf } from './handler.ts';

const setVariable: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.still;
  const name = textOf(parameters, 'name', 'setVariable');
  const get = adapter.variables.get(parameters.variablesReference);
  const variable = get?.().find((candidate) => candidate.name === name);
  if (!variable?.set) throw errors.notSettable(name);
  variable.set(session.evaluate(textOf(parameters, 'value', 'setVariable')));
  const after = get?.().find((candidate) => candidate.name === name);
  return { body: { value: after?.value ?? '' }, after: () => adapter.event('invalidated', { areas: ['variables', 'stacks'] }) };
};

const setExpression: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.still;
  const expression = textOf(parameters, 'expression', 'setExpression').trim();
  const value = session.evaluate(textOf(parameters, 'value', 'setExpression'));
  const { processor } = session.vcpu();
  const register = findRegister(processor, expression.replace(/^\$/, ''));
  const memory = /^(byte|word|dword|qword)?\s*\[(.*)\]$/.exec(expression);
  if (register) {
    register.set(value);
    processor.stateChanged();
  } else if (memory?.[2] !== undefined) {
    const bytes = { byte: 1, word: 2, dword: 4, qword: 8 }[memory[1] ?? 'qword'] ?? 8;
    const data = Uint8Array.from({ length: bytes }, (_, index) => Number((value >> BigInt(index * 8)) & 0xffn));
    if (processor.writeMemory('gva', session.evaluate(memory[2]), data) < bytes) throw errors.notSettable(expression);
  } else throw errors.notSettable(expression);
  return {
    body: { value: hex(session.evaluate(expression)) },
    after: () => adapter.event('invalidated', { areas: ['variables'] }),
  };
};

const evaluate: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.still;
  const text = textOf(parameters, 'expression', 'evaluate');
  const context = optionalText(parameters, 'context') ?? 'repl';
  if (context === 'repl') {
    const output = runConsoleCommand(session, text);
    if (output !== undefined) return { body: { result: output, variablesReference: 0 } };
    const assignment = /^([^=!<>]+?)\s*=(?!=)\s*(.+)$/.exec(text);
    if (assignment)
      return {
        body: {
          ...setExpression(adapter, { expression: assignment[1], value: assignment[2] }).body,
          result: hex(session.evaluate(assignment[1] ?? '')),
          variablesReference: 0,
        },
      };
  }
  const frame = adapter.frames.get(parameters.frameId);
  const vcpu = frame?.vcpu ?? session.current;
  const exit = session.vcpu(vcpu).activity?.exit;
  try {
    const value = session.evaluate(text, vcpu, exit);
    const register = findRegister(session.vcpu(vcpu).processor, text.trim().replace(/^\$/, ''));
    const name = session.symbols.describe(value);
    const decimal = value < 10n ? '' : ` (${BigInt.asIntN(64, value)})`;
    const result =
      register?.bits === 1
        ? value.toString()
        : `${hex(value)}${context === 'clipboard' ? '' : decimal}${name === undefined || context === 'clipboard' || value === 0n ? '' : ` <${name}>`}`;
    return { body: { result, variablesReference: 0, memoryReference: hex(value) } };
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    try {
      const typed = session.symbols.evaluate(text, frame?.entry.context ?? guestContext(session, vcpu));
      return {
        body: {
          result: typed.text,
          type: typed.typeName,
          variablesReference: 0,
          memoryReference: typed.address === undefined ? undefined : hex(typed.address),
        },
      };
    } catch (other) {
      if (other instanceof EvaluationError) throw error;
      throw other;
    }
  }
};

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

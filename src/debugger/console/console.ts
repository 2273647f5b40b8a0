import type { DebugSession } from '../debug-session.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import type { GuestGroup } from '../guest-group.ts';
import { type ConsoleCommand, type ConsoleSession, columns, type WriteFile } from './command.ts';
import { deviceCommands } from './devices.ts';
import { exitCommands } from './exits.ts';
import { findCommands } from './find.ts';
import { inputCommands } from './input.ts';
import { integrationCommands } from './integration.ts';
import { keyboardCommands } from './keyboard.ts';
import { memoryCommands } from './memory.ts';
import { pagingCommands } from './paging.ts';
import { partitionCommands } from './partitions.ts';
import { processCommands } from './processes.ts';
import { registerCommands } from './registers.ts';
import { reportCommands } from './report.ts';
import { symbolCommands } from './symbols.ts';
import { tableCommands } from './tables.ts';
import { virtqueueCommands } from './virtqueues.ts';
import { vmbusCommands } from './vmbus.ts';

const help: ConsoleCommand = {
  name: 'help',
  usage: 'help [COMMAND]',
  summary: 'this list, or more about one command',
  details: ['For example: help mem'],
  whileRunning: true,
  run: (_session, rest) => (rest === '' ? overview() : helpOn(rest)),
};

const commands: readonly ConsoleCommand[] = [
  ...registerCommands,
  ...exitCommands,
  ...pagingCommands,
  ...memoryCommands,
  ...findCommands,
  ...symbolCommands,
  ...tableCommands,
  ...reportCommands,
  ...inputCommands,
  ...deviceCommands,
  ...integrationCommands,
  ...keyboardCommands,
  ...partitionCommands,
  ...processCommands,
  ...virtqueueCommands,
  ...vmbusCommands,
  help,
];

/** Every command's name and what it is good for. */
export const consoleCommands: readonly Pick<ConsoleCommand, 'name' | 'usage' | 'summary'>[] = commands;

/** Runs a command of the debug console for a vCPU; undefined when the text is no command. Throws ExpressionError. */
export function runConsoleCommand(
  session: DebugSession,
  text: string,
  vcpu = session.current,
  writeFile?: WriteFile,
  group?: GuestGroup,
): string | undefined {
  const [, word, rest = ''] = /^\s*(\w+)(?:\s+(.*?))?\s*$/s.exec(text) ?? [];
  const command = commands.find(({ name }) => name === word);
  if (command && session.moves(vcpu) && !command.whileRunning)
    throw new ExpressionError(`The guest is running; pause it before you ask for ${command.name}.`);
  const { partition, symbols, linux } = session;
  const seen: ConsoleSession = {
    partition,
    symbols,
    linux,
    vcpu: () => session.vcpu(vcpu),
    evaluate: (expression) => session.evaluate(expression, vcpu, session.vcpu(vcpu).activity?.exit),
    input: (bytes) => session.input(bytes),
    inputTo: (device, bytes) => session.inputTo(device, bytes),
    get crash() {
      return session.crash;
    },
    writeFile,
    group,
  };
  return command?.run(seen, rest);
}

function overview(): string {
  return [
    ...columns(commands.map(({ usage, summary }) => [usage, summary])),
    'Anything else is an expression: rax + 8, dword [rsp], fs:[0x28], byte gpa:[0x1000], zf, a symbol. With = it sets: rax = 5.',
  ].join('\n');
}

function helpOn(text: string): string {
  const found = commands.find(({ name }) => name === text.toLowerCase());
  if (!found)
    throw new ExpressionError(`There is no command "${text}"; they are ${commands.map(({ name }) => name).join(', ')}.`);
  return [`${found.usage}: ${found.summary}.`, ...found.details].join('\n');
}

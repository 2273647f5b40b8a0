import type { VirtualCpu } from '../../hypervisor/partition/partition.ts';
import type { DebugSession } from '../debug-session.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import type { GuestGroup } from '../guest-group.ts';

/** The guest as a command sees it: from the vCPU that the user looks at. */
export interface ConsoleSession extends Pick<DebugSession, 'partition' | 'symbols' | 'linux' | 'input' | 'inputTo' | 'crash'> {
  vcpu(): VirtualCpu;
  /** At a VM exit, what the exit carries has names, too. Throws ExpressionError. */
  evaluate(text: string): bigint;
  /** Writes a file of the user's; undefined where there are none. Throws ExpressionError. */
  readonly writeFile?: WriteFile;
  /** All guests of the session. */
  readonly group?: GuestGroup;
}

/** Writes a text file. Throws ExpressionError. */
export type WriteFile = (path: string, text: string) => void;

/** A command of the debug console. */
export interface ConsoleCommand {
  readonly name: string;
  readonly usage: string;
  /** One line for the list. */
  readonly summary: string;
  /** What `help COMMAND` adds: examples, what the columns are. */
  readonly details: readonly string[];
  /** True for what also works while the guest runs. */
  readonly whileRunning?: boolean;
  /** Gives the output. Throws ExpressionError with a sentence for what can't be done. */
  readonly run: (session: ConsoleSession, rest: string) => string;
}

/** Rows with their cells padded to columns; numbers that shall stand to the right are padded by their writer. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** For a command that takes nothing. Throws ExpressionError. */
export function expectNothing(name: string, rest: string): void {
  if (rest !== '') throw new ExpressionError(`${name} takes no "${rest}"; write ${name} alone.`);
}

/** A whole number from 1 on that a command takes. Throws ExpressionError. */
export function countOf(text: string, usage: string): number {
  const value = /^(0x[0-9a-f]{1,8}|\d{1,9})$/i.test(text) ? Number(text) : 0;
  if (value < 1) throw new ExpressionError(`"${text}" is no count; the command is ${usage}.`);
  return value;
}

export interface CommandAddress {
  readonly space: 'gva' | 'gpa';
  readonly address: bigint;
}

/** The address that an expression gives, physical behind `gpa:`. Throws ExpressionError. */
export function addressOf(session: ConsoleSession, text: string, usage: string): CommandAddress {
  const [, prefix, expression = ''] = /^\s*(gva:|gpa:)?(.*)$/is.exec(text) ?? [];
  if (expression.trim() === '') throw new ExpressionError(`An address is missing; the command is ${usage}.`);
  // `gpa:[0x1000]` is memory: its value is the address, not its place.
  if (expression.trimStart().startsWith('[')) return { space: 'gva', address: session.evaluate(text) };
  return { space: prefix?.toLowerCase() === 'gpa:' ? 'gpa' : 'gva', address: session.evaluate(expression) };
}

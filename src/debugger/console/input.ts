import { ExpressionError } from '../expressions/evaluator.ts';
import type { ConsoleCommand, ConsoleSession } from './command.ts';

const USAGE = 'input [-n] TEXT';
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', e: '\x1b', '0': '\0', '\\': '\\' };

/** Text with `\n`, `\r`, `\t`, `\e`, `\0`, `\\` and `\xNN` for what can't be typed. Throws ExpressionError for others. */
function unescaped(text: string): string {
  return text.replaceAll(/\\(x[0-9a-f]{2}|.|$)/gi, (whole, code: string) => {
    const known = code.length === 3 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : ESCAPES[code];
    if (known === undefined) throw new ExpressionError(`"${whole}" is no escape; they are \\n \\r \\t \\e \\0 \\\\ and \\xNN.`);
    return known;
  });
}

/** What a command that takes `[-n] TEXT` types. Throws ExpressionError. */
export function typedBytes(rest: string): Uint8Array {
  const [, bare, text = ''] = /^(-n(?:\s|$))?(.*)$/s.exec(rest) ?? [];
  return new TextEncoder().encode(unescaped(text) + (bare === undefined ? '\n' : ''));
}

function input(session: ConsoleSession, rest: string): string {
  session.input(typedBytes(rest));
  return '';
}

export const inputCommands: readonly ConsoleCommand[] = [
  {
    name: 'input',
    usage: USAGE,
    summary: "types TEXT and a line feed into the guest's serial console",
    details: [
      'With -n, without the line feed. \\n \\r \\t \\e \\0 \\\\ and \\xNN stand for what can not be typed.',
      'For example: input help, input -n \\x03',
    ],
    whileRunning: true,
    run: input,
  },
];

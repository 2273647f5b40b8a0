import { crashMarkdown } from '../crash/markdown.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import type { ConsoleCommand, ConsoleSession } from './command.ts';

const USAGE = 'report [FILE]';

function report(session: ConsoleSession, file: string): string {
  const { crash } = session;
  if (!crash) throw new ExpressionError('There is nothing to report: the guest stands at no exception, triple fault or end.');
  const text = crashMarkdown(crash);
  if (file === '') return text.trimEnd();
  if (!session.writeFile) throw new ExpressionError('This debugger has no files to write; use report alone and copy its text.');
  session.writeFile(file, text);
  return `The crash report is in ${file}.`;
}

export const reportCommands: readonly ConsoleCommand[] = [
  {
    name: 'report',
    usage: USAGE,
    summary: 'the crash that the guest stands at, as Markdown; FILE gets it as a file',
    details: [
      'It has the chain of faults with why each could not be delivered, the state before the first, page walks, code, stack and exits.',
      'For example: report crash.md',
    ],
    run: report,
  },
];

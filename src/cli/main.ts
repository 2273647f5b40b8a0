import { AdapterSession } from '../adapter/adapter-session.ts';
import { LaunchError } from '../debugger/configuration/launch-configuration.ts';
import { ExpressionError } from '../debugger/expressions/evaluator.ts';
import type { Capture } from '../network/partition-network.ts';
import { ConfigurationError } from '../platforms/configuration.ts';
import { ProgramError } from '../programs/program.ts';
import { asmCommand } from './asm.ts';
import { benchCommand } from './bench/bench-command.ts';
import { captureFile } from './capture-file.ts';
import { dapCommand } from './dap.ts';
import { exitsCommand } from './exits.ts';
import { gdbserverCommand } from './gdbserver.ts';
import { JournalFile } from './journal-file.ts';
import { loopbackSockets } from './loopback-sockets.ts';
import { nodeFiles, writeText } from './node-files.ts';
import { RealTime } from './real-time.ts';
import { runCommand } from './run.ts';
import { shippedSources } from './shipped-sources.ts';
import { helpText, UsageError } from './usage.ts';
import { version } from './version.ts';

/** Bad usage, or a program that can't be run. */
const BAD_USAGE = 2;
/** A defect of Hyperscope itself. */
const DEFECT = 70;

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (rest.includes('--help') && !rest.slice(0, rest.indexOf('--help')).includes('--')) {
    process.stdout.write(helpText(command));
    return 0;
  }
  switch (command) {
    case 'run':
      return runCommand(rest);
    case 'exits':
      return exitsCommand(rest);
    case 'asm':
      return asmCommand(rest);
    case 'dap':
      return dapCommand(
        rest,
        () =>
          new AdapterSession({
            files: nodeFiles,
            sourceRoot: shippedSources(),
            openJournal,
            writeFile,
            pace: () => new RealTime(),
            openOutside: loopbackSockets,
            openCapture,
          }),
      );
    case undefined:
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(helpText(rest[0]));
      return command === undefined ? BAD_USAGE : 0;
    case '--version':
      process.stdout.write(`hyperscope ${version}\n`);
      return 0;
    case 'gdbserver':
      return gdbserverCommand(rest);
    case 'bench':
      return benchCommand(rest);
    default:
      throw new UsageError(`There is no command "${command}"; \`hyperscope help\` lists them.`);
  }
}

/** The file of a debug session's exit journal. Throws LaunchError. */
function openJournal(file: string): JournalFile {
  return launching(() => new JournalFile(file, 'The file of "exits",'));
}

/** The file of the frames of a network card. Throws LaunchError. */
function openCapture(file: string): Capture {
  return launching(() => captureFile(file, 'The file of "pcap",'));
}

/** What can't be opened is told in answer to the launch. */
function launching<Result>(open: () => Result): Result {
  try {
    return open();
  } catch (error) {
    throw error instanceof UsageError ? new LaunchError(error.message) : error;
  }
}

/** The file of the Debug Console's `report`. Throws ExpressionError. */
function writeFile(file: string, text: string): void {
  try {
    writeText(file, text, 'The report');
  } catch (error) {
    throw error instanceof UsageError ? new ExpressionError(error.message) : error;
  }
}

/** One line on stderr: what is wrong, where, and how to mend it. */
function explain(error: unknown): { readonly status: number; readonly text: string } {
  if (error instanceof ProgramError) {
    const place = error.line === undefined ? '' : `${error.path ?? ''}:${error.line}:${error.column ?? 1}: `;
    const hint = error.hint === undefined ? '' : ` (${error.hint})`;
    return { status: BAD_USAGE, text: `${place}${error.message}${hint}` };
  }
  if (error instanceof UsageError || error instanceof ConfigurationError || error instanceof LaunchError)
    return { status: BAD_USAGE, text: error.message };
  return { status: DEFECT, text: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

// A reader that goes away (`| head`) is no failure.
process.stdout.on('error', () => process.exit(0));

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status;
  },
  (error) => {
    const { status, text } = explain(error);
    process.stderr.write(`hyperscope: ${text}\n`);
    process.exitCode = status;
  },
);

import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { onTestFinished } from 'vitest';

const CLI = path.resolve(import.meta.dirname, '../../dist/cli.js');
/** Milliseconds that a guest may say nothing of what is awaited. */
const PATIENCE = 1_500_000;

/** A guest of `hyperscope run` that somebody types to, for as long as the test runs that makes it. */
export class ConsoleGuest {
  /** What it printed, without carriage returns. */
  text = '';
  private errors = '';
  private seen = 0;
  private wake: () => void = () => {};
  private readonly child: ChildProcess;
  private readonly ended: Promise<number | null>;

  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [CLI, 'run', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    onTestFinished(() => {
      this.child.kill('SIGKILL');
    });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1').replaceAll('\r', '');
      this.wake();
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString('latin1');
    });
    this.ended = new Promise((resolve) => {
      this.child.on('close', (status) => {
        resolve(status);
        this.wake();
      });
    });
  }

  /**
   * Waits until the guest has printed something behind what was awaited before; gives what it printed on the way, without
   * what tells a terminal how to show it.
   */
  async until(expected: string): Promise<string> {
    const patience = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE);
    try {
      for (;;) {
        const at = this.text.indexOf(expected, this.seen);
        if (at >= 0) {
          const before = this.text.slice(this.seen, at);
          this.seen = at + expected.length;
          return stripVTControlCharacters(before);
        }
        if (this.child.exitCode !== null || this.child.signalCode !== null)
          throw new Error(`the guest ended before it printed "${expected}": ${this.text.slice(-2000)}${this.errors}`);
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
    } finally {
      clearTimeout(patience);
    }
  }

  /** Types a line and waits for the next prompt; gives what was printed between. */
  async run(line: string, prompt: string): Promise<string> {
    this.type(line);
    // What is typed is shown as it comes.
    await this.until(`${line}\n`);
    return this.until(prompt);
  }

  type(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  /** Sends the signal that ends programs. */
  stop(): void {
    this.child.kill('SIGTERM');
  }

  /** Waits for the end; gives the exit status and what stood on stderr. */
  async end(): Promise<{ readonly status: number | null; readonly errors: string }> {
    const status = await this.ended;
    return { status, errors: this.errors };
  }
}

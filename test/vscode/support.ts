import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';

export const EXTENSION_ID = 'hyperscope.hyperscope';

/** A file of the workspace, which is a copy of samples/. */
export function sample(name: string): vscode.Uri {
  const folder = vscode.workspace.workspaceFolders?.[0];
  assert(folder, 'the tests run with the samples as their workspace');
  return vscode.Uri.joinPath(folder.uri, name);
}

/** The line, from 1, on which a sample has a text for the first time. */
export function lineOf(uri: vscode.Uri, text: string | RegExp): number {
  const lines = readFileSync(uri.fsPath, 'utf8').split('\n');
  const found = lines.findIndex((line) => (typeof text === 'string' ? line.includes(text) : text.test(line)));
  assert(found >= 0, `${path.basename(uri.fsPath)} has no ${text}`);
  return found + 1;
}

export async function open(uri: vscode.Uri): Promise<vscode.TextEditor> {
  return vscode.window.showTextDocument(uri);
}

/** Asks again until there is an answer; throws after `limit` milliseconds. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined> | T | undefined, limit = 15_000): Promise<T> {
  const end = Date.now() + limit;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`${what}: nothing within ${limit / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export interface Stop {
  readonly reason: string;
  readonly threadId?: number;
  readonly description?: string;
  readonly text?: string;
}
export interface Frame {
  readonly id: number;
  readonly name: string;
  readonly line: number;
  readonly source?: { readonly path?: string; readonly name?: string };
  readonly instructionPointerReference?: string;
}

/** Watches what the debug adapter says. */
export class Adapter implements vscode.Disposable {
  readonly output: string[] = [];
  private readonly stops: Stop[] = [];
  private readonly waiting: ((stop: Stop) => void)[] = [];
  private readonly registration: vscode.Disposable;
  session: vscode.DebugSession | undefined;
  terminated = false;

  constructor() {
    this.registration = vscode.debug.registerDebugAdapterTrackerFactory('hyperscope', {
      createDebugAdapterTracker: (session) => {
        this.session = session;
        return { onDidSendMessage: (message) => this.take(message) };
      },
    });
  }

  private take(message: { readonly type: string; readonly event?: string; readonly body?: unknown }): void {
    if (message.type !== 'event') return;
    if (message.event === 'terminated') this.terminated = true;
    if (message.event === 'output') this.output.push((message.body as { output: string }).output);
    if (message.event !== 'stopped') return;
    const stop = message.body as Stop;
    const waiter = this.waiting.shift();
    if (waiter) waiter(stop);
    else this.stops.push(stop);
  }

  /** The next stop that hasn't been looked at yet, once the workbench shows it: before that it takes no commands. */
  async nextStop(): Promise<Stop> {
    const stop = await this.nextStopEvent();
    const { instructionPointerReference, line } = await this.topFrame();
    await eventually(`the workbench at ${instructionPointerReference}, line ${line}`, () => {
      const item = vscode.debug.activeStackItem;
      return item instanceof vscode.DebugStackFrame ? item : undefined;
    });
    return stop;
  }

  private nextStopEvent(): Promise<Stop> {
    const stop = this.stops.shift();
    if (stop) return Promise.resolve(stop);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`The guest did not stop. Output: ${this.output.join('')}`)), 20_000);
      this.waiting.push((stopped) => {
        clearTimeout(timer);
        resolve(stopped);
      });
    });
  }

  async request<T>(command: string, args: object = {}): Promise<T> {
    assert(this.session, 'no session');
    return this.session.customRequest(command, args);
  }

  async frames(): Promise<readonly Frame[]> {
    const { threads } = await this.request<{ threads: readonly { readonly id: number }[] }>('threads');
    const { stackFrames } = await this.request<{ stackFrames: readonly Frame[] }>('stackTrace', { threadId: threads[0]?.id });
    return stackFrames;
  }

  async topFrame(): Promise<Frame> {
    const [frame] = await this.frames();
    assert(frame, 'the call stack is empty');
    return frame;
  }

  async evaluate(expression: string, context = 'watch'): Promise<string> {
    const { id } = await this.topFrame();
    const { result } = await this.request<{ result: string }>('evaluate', { expression, frameId: id, context });
    return result;
  }

  dispose(): void {
    this.registration.dispose();
  }
}

/** Ends whatever is being debugged. */
export async function stopDebugging(): Promise<void> {
  if (vscode.debug.activeDebugSession) {
    const ended = new Promise<void>((resolve) => {
      const registration = vscode.debug.onDidTerminateDebugSession(() => {
        registration.dispose();
        resolve();
      });
    });
    await vscode.debug.stopDebugging();
    await ended;
  }
  vscode.debug.removeBreakpoints(vscode.debug.breakpoints);
}

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type AdapterOptions, AdapterSession } from '../../src/adapter/adapter-session.ts';
import { nodeFiles } from '../../src/cli/node-files.ts';

export const root = path.resolve(import.meta.dirname, '../..');
export const sample = (name: string): string => path.join(root, 'samples', name);

export interface Response {
  readonly success: boolean;
  readonly message?: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever the protocol carries
  readonly body: any;
}

interface Event {
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever the protocol carries
  readonly body: any;
}

/** A client of the debug adapter without any transport: requests are answered at once, the guest runs when asked to. */
export class Client {
  readonly session: AdapterSession;
  readonly events: Event[] = [];
  private readonly responses = new Map<number, Response>();
  private seq = 1;

  constructor(openJournal?: AdapterOptions['openJournal']) {
    this.session = new AdapterSession({ files: nodeFiles, sourceRoot: root, openJournal });
    this.session.onMessage((message) => {
      const { type } = message as { type: string };
      if (type === 'event') this.events.push(message as Event);
      else this.responses.set((message as { request_seq: number }).request_seq, message as Response);
    });
  }

  request(command: string, parameters: object = {}): Response {
    const seq = this.seq++;
    this.session.handle({ seq, type: 'request', command, arguments: parameters });
    const response = this.responses.get(seq);
    if (!response) throw new Error(`no response to ${command}`);
    return response;
  }

  /** A request that must succeed; gives its body. */
  ask(command: string, parameters: object = {}) {
    const response = this.request(command, parameters);
    if (!response.success) throw new Error(`${command}: ${response.message}`);
    return response.body;
  }

  launch(program: string, options: object = {}): void {
    this.ask('initialize', { adapterID: 'hyperscope', supportsMemoryEvent: true, supportsInvalidatedEvent: true });
    this.ask('launch', { program, ...options });
  }

  /** Runs slices until the guest stands still or has ended; gives the last stop or the end. */
  run(limit = 2000): Event {
    for (let slice = 0; slice < limit; slice++) if (!this.session.slice()) break;
    const last = [...this.events].reverse().find(({ event }) => event === 'stopped' || event === 'terminated');
    if (!last) throw new Error('the guest neither stopped nor ended');
    return last;
  }

  /** A motion, run to its stop. */
  move(command: string, granularity: 'instruction' | 'line' = 'line'): Event {
    this.ask(command, { threadId: 1, granularity });
    return this.run();
  }

  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever the protocol carries
  frames(): any[] {
    return this.ask('stackTrace', { threadId: 1 }).stackFrames;
  }

  /** Variables of a scope of the top frame, as name → value. */
  scope(name: string): Record<string, string> {
    const { scopes } = this.ask('scopes', { frameId: this.frames()[0].id });
    const scope = scopes.find((candidate: { name: string }) => candidate.name === name);
    if (!scope) throw new Error(`no scope ${name}`);
    const { variables } = this.ask('variables', { variablesReference: scope.variablesReference });
    return Object.fromEntries(variables.map((variable: { name: string; value: string }) => [variable.name, variable.value]));
  }

  evaluate(expression: string, context = 'watch'): string {
    return this.ask('evaluate', { expression, context }).result;
  }

  get output(): string {
    return this.events
      .filter(({ event, body }) => event === 'output' && body.category === 'stdout')
      .map(({ body }) => body.output)
      .join('');
  }
}

/** Number of the `occurrence`-th line of a file that contains a text, from 1. */
export function lineOf(file: string, text: string, occurrence = 1): number {
  const lines = readFileSync(file, 'utf8').split('\n');
  let seen = 0;
  for (const [index, line] of lines.entries()) if (line.includes(text) && ++seen === occurrence) return index + 1;
  throw new Error(`${file} has no line ${occurrence} with ${text}`);
}

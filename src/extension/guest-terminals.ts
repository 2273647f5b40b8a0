import * as vscode from 'vscode';
import { GuestTerminal, type TerminalGuest } from './guest-terminal.ts';
import { DEBUG_TYPE } from './names.ts';

/** What the adapter's event `hyperscope/console` carries. */
interface ConsoleOutput {
  readonly guest: number;
  readonly partition: number;
  readonly name: string;
  readonly begins: boolean;
  readonly text: string;
}

function isConsoleOutput(body: unknown): body is ConsoleOutput {
  if (typeof body !== 'object' || body === null) return false;
  if (!('guest' in body && 'partition' in body && 'name' in body && 'begins' in body && 'text' in body)) return false;
  return typeof body.name === 'string' && typeof body.text === 'string' && typeof body.guest === 'number';
}

/** Shows the consoles of guests that the adapter sends to terminals: one for each partition, named after it. */
export function registerGuestTerminals(): vscode.Disposable {
  const terminals = new GuestTerminals();
  return vscode.Disposable.from(
    terminals,
    vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
      if (session.type === DEBUG_TYPE && event === 'hyperscope/console' && isConsoleOutput(body)) terminals.take(session, body);
    }),
    vscode.debug.onDidTerminateDebugSession((session) => terminals.ended(session)),
  );
}

class GuestTerminals {
  /** By session and guest. A terminal whose user has closed it stays closed until the guest begins anew. */
  private readonly used = new Map<string, GuestTerminal>();
  /** All that are open, by name. */
  private readonly open = new Map<GuestTerminal, string>();

  take(session: vscode.DebugSession, output: ConsoleOutput): void {
    const key = `${session.id} ${output.guest}`;
    if (output.begins) {
      const terminal = this.used.get(key) ?? this.terminalFor(`Guest: ${output.name}`);
      this.used.set(key, terminal);
      terminal.begin(guestOf(session, output.partition));
    } else this.used.get(key)?.print(output.text);
  }

  /** One that a guest of that name has left, or a new one. */
  private terminalFor(name: string): GuestTerminal {
    for (const [terminal, own] of this.open) if (own === name && terminal.isFree) return terminal;
    const terminal = new GuestTerminal(name);
    this.open.set(terminal, name);
    terminal.onDidGo(() => this.forget(terminal));
    return terminal;
  }

  private forget(terminal: GuestTerminal): void {
    this.open.delete(terminal);
    for (const [key, one] of this.used) if (one === terminal) this.used.delete(key);
    terminal.dispose();
  }

  ended({ id }: vscode.DebugSession): void {
    for (const [key, terminal] of this.used) {
      if (!key.startsWith(`${id} `)) continue;
      terminal.end();
      this.used.delete(key);
    }
  }

  dispose(): void {
    for (const terminal of [...this.open.keys()]) this.forget(terminal);
  }
}

/** A guest that ends in this moment takes nothing any more; its terminal says so soon. */
function guestOf(session: vscode.DebugSession, partition: number): TerminalGuest {
  const ask = (command: string, parameters: object) =>
    void session.customRequest(command, { ...parameters, partition }).then(undefined, () => undefined);
  return {
    type: (text) => ask('hyperscope/input', { text }),
    resize: (columns, rows) => ask('hyperscope/consoleSize', { columns, rows }),
  };
}

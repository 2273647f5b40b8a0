import * as vscode from 'vscode';
import { DEBUG_TYPE } from '../names.ts';
import { motionAfter } from './motion.ts';

/** The session that views show, and whether guests move in it: what the editor's own API doesn't tell. */
export class GuestActivity implements vscode.Disposable {
  private readonly moving = new WeakSet<vscode.DebugSession>();
  private readonly changed = new vscode.EventEmitter<void>();
  /** Another session is looked at, a guest has stopped, goes on or has ended, or something of it was set. */
  readonly onDidChange = this.changed.event;
  private readonly registrations: vscode.Disposable;

  constructor() {
    this.registrations = vscode.Disposable.from(
      this.changed,
      vscode.debug.onDidChangeActiveDebugSession(() => this.changed.fire()),
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: (session) => ({
          onDidSendMessage: (message: unknown) => {
            const motion = motionAfter(message);
            if (motion === undefined) return;
            if (motion === 'moving') this.moving.add(session);
            if (motion === 'still') this.moving.delete(session);
            this.changed.fire();
          },
        }),
      }),
    );
  }

  /** The session of guests that the user looks at; undefined when that is another debugger's, or there is none. */
  get session(): vscode.DebugSession | undefined {
    const session = vscode.debug.activeDebugSession;
    return session?.type === DEBUG_TYPE ? session : undefined;
  }

  get isMoving(): boolean {
    const { session } = this;
    return session !== undefined && this.moving.has(session);
  }

  dispose(): void {
    this.registrations.dispose();
  }
}

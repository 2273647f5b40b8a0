import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import { Command } from '../names.ts';
import type { GuestActivity } from './guest-activity.ts';
import { Refresher } from './refresher.ts';

/** What a page that shows one ring of many tells the extension. */
export type RingPageMessage<Choice, Key> =
  /** The page begins and shows nothing yet. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'choose'; readonly choice: Choice }
  /** Entries whose bytes are wanted. */
  | { readonly kind: 'unfold'; readonly keys: readonly Key[] }
  | { readonly kind: 'showMemory'; readonly memoryReference: string };

/** What sort of rings a view shows: those of virtqueues, those of VMBus channels. */
export interface RingKind<Choice, Key> {
  /** Id of the view, and the context key that has it shown. */
  readonly view: string;
  readonly context: string;
  page(webview: vscode.Webview, folder: vscode.Uri, nonce: string): string;
  /** Whether the guests have any. */
  hasAny(session: vscode.DebugSession): Promise<boolean>;
  /** What the page is to show: the chosen ring, or another one where that isn't there any more. */
  look(
    session: vscode.DebugSession,
    choice: Choice | undefined,
    unfolded: readonly Key[],
    moving: boolean,
  ): Promise<{ readonly kind: string }>;
}

/** A view in the panel that shows one of the guests' rings, and follows it. It is there for guests that have one. */
export class RingView<Choice, Key> implements vscode.WebviewViewProvider, vscode.Disposable {
  private readonly refresher = new Refresher(() => this.refresh());
  private view: vscode.WebviewView | undefined;
  private session: vscode.DebugSession | undefined;
  private choice: Choice | undefined;
  private unfolded: readonly Key[] = [];
  /** What the page was told last, where telling it again would change nothing. */
  private told = '';
  /** The session whose rings were asked for. */
  private known: vscode.DebugSession | undefined;

  constructor(
    private readonly kind: RingKind<Choice, Key>,
    private readonly context: vscode.ExtensionContext,
    private readonly activity: GuestActivity,
  ) {}

  /** Makes the view known to the editor. */
  register(): vscode.Disposable {
    return vscode.Disposable.from(
      this,
      vscode.window.registerWebviewViewProvider(this.kind.view, this),
      this.activity.onDidChange(() => this.changed()),
    );
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const folder = vscode.Uri.joinPath(this.context.extensionUri, 'dist');
    view.webview.options = { enableScripts: true, localResourceRoots: [folder] };
    const subscriptions = [
      view.webview.onDidReceiveMessage((message: RingPageMessage<Choice, Key>) => this.take(message)),
      // A page that is hidden is thrown away; it says when it is there again.
      view.onDidChangeVisibility(() => this.refresher.setVisible(false)),
    ];
    view.onDidDispose(() => {
      vscode.Disposable.from(...subscriptions).dispose();
      if (this.view !== view) return;
      this.view = undefined;
      this.refresher.setVisible(false);
    });
    view.webview.html = this.kind.page(view.webview, folder, randomBytes(16).toString('hex'));
  }

  /** Something happened to the guests. */
  private changed(): void {
    const { session } = this.activity;
    if (session !== this.session) {
      this.session = session;
      this.told = '';
    }
    if (session && session !== this.known) void this.lookForAny(session);
    this.refresher.changed(this.activity.isMoving);
  }

  /** Shows the view for a guest that has something to show in it. */
  private async lookForAny(session: vscode.DebugSession): Promise<void> {
    try {
      const hasAny = await this.kind.hasAny(session);
      if (session !== this.activity.session || session === this.known) return;
      this.known = session;
      await vscode.commands.executeCommand('setContext', this.kind.context, hasAny);
    } catch {
      // The guest isn't loaded yet, or the session has just ended: asked again when something happens.
    }
  }

  /** Brings the view into sight, with a ring where one was meant. */
  async show(choice: Choice | undefined): Promise<void> {
    if (choice) this.choose(choice);
    await vscode.commands.executeCommand(`${this.kind.view}.focus`);
  }

  private choose(choice: Choice): void {
    this.choice = choice;
    this.changed();
  }

  private take(message: RingPageMessage<Choice, Key>): void {
    switch (message.kind) {
      case 'ready':
        this.told = '';
        this.refresher.setVisible(true);
        this.changed();
        return;
      case 'choose':
        this.choose(message.choice);
        return;
      case 'unfold':
        this.unfolded = message.keys;
        this.changed();
        return;
      case 'showMemory':
        void vscode.commands.executeCommand(Command.SHOW_MEMORY, message.memoryReference);
    }
  }

  private async refresh(): Promise<void> {
    const { session } = this;
    if (!session) return;
    try {
      const message = await this.kind.look(session, this.choice, this.unfolded, this.activity.isMoving);
      if (session === this.session) this.tell(message);
    } catch (error) {
      // A session that has just ended answers nothing; the view goes with it.
      if (session === this.activity.session)
        this.tell({ kind: 'problem', text: error instanceof Error ? error.message : String(error) });
    }
  }

  private tell(message: { readonly kind: string; readonly text?: string }): void {
    const text = JSON.stringify(message);
    if (text === this.told) return;
    this.told = text;
    void this.view?.webview.postMessage(message);
  }

  dispose(): void {
    this.refresher.dispose();
  }
}

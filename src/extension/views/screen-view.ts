import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { ScreenBody } from '../../adapter/requests/screen.ts';
import { type HostMessage, type PageMessage, shownScreen } from '../../webview/screen/messages.ts';
import { Command, Context, View } from '../names.ts';
import type { GuestActivity } from './guest-activity.ts';
import { Refresher } from './refresher.ts';
import { screenPage } from './screen-page.ts';

const REQUEST = 'hyperscope/screen';

/** The view of a guest's screen, in the panel. It is there for guests that have one. */
export function registerScreenView(context: vscode.ExtensionContext, activity: GuestActivity): vscode.Disposable {
  const view = new ScreenView(context, activity);
  return vscode.Disposable.from(
    view,
    vscode.window.registerWebviewViewProvider(View.SCREEN, view),
    activity.onDidChange(() => view.changed()),
    vscode.commands.registerCommand(Command.SHOW_SCREEN, () => vscode.commands.executeCommand(`${View.SCREEN}.focus`)),
  );
}

class ScreenView implements vscode.WebviewViewProvider, vscode.Disposable {
  private readonly refresher = new Refresher(() => this.refresh());
  private view: vscode.WebviewView | undefined;
  private session: vscode.DebugSession | undefined;
  private choice: number | undefined;
  /** The picture that the page has: which screen it is of, and its mark. */
  private shown: { readonly partition: number; readonly mark: number } | undefined;
  /** The session whose screens were asked for. */
  private known: vscode.DebugSession | undefined;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly activity: GuestActivity,
  ) {}

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const folder = vscode.Uri.joinPath(this.context.extensionUri, 'dist');
    view.webview.options = { enableScripts: true, localResourceRoots: [folder] };
    const subscriptions = [
      view.webview.onDidReceiveMessage((message: PageMessage) => this.take(message)),
      // A page that is hidden is thrown away; it says when it is there again.
      view.onDidChangeVisibility(() => this.refresher.setVisible(false)),
    ];
    view.onDidDispose(() => {
      vscode.Disposable.from(...subscriptions).dispose();
      if (this.view !== view) return;
      this.view = undefined;
      this.refresher.setVisible(false);
    });
    view.webview.html = screenPage(view.webview, folder, randomBytes(16).toString('hex'));
  }

  /** Something happened to the guests. */
  changed(): void {
    const { session } = this.activity;
    if (session !== this.session) {
      this.session = session;
      this.shown = undefined;
      this.choice = undefined;
    }
    if (session && session !== this.known) void this.lookForScreens(session);
    this.refresher.changed(this.activity.isMoving);
  }

  /** Shows the view for a guest that has something to show in it. */
  private async lookForScreens(session: vscode.DebugSession): Promise<void> {
    try {
      const { screens }: ScreenBody = await session.customRequest(REQUEST);
      if (session !== this.activity.session || session === this.known) return;
      this.known = session;
      await vscode.commands.executeCommand('setContext', Context.HAS_SCREEN, screens.length > 0);
    } catch {
      // The guest isn't loaded yet, or the session has just ended: asked again when something happens.
    }
  }

  private take(message: PageMessage): void {
    this.shown = undefined;
    if (message.kind === 'choose') this.choice = message.partition;
    else this.refresher.setVisible(true);
    this.changed();
  }

  private async refresh(): Promise<void> {
    const { session } = this;
    if (!session) return;
    try {
      const moving = this.activity.isMoving;
      const { screens }: ScreenBody = await session.customRequest(REQUEST);
      const partition = shownScreen(screens, this.choice)?.partition;
      const since = this.shown?.partition === partition ? this.shown?.mark : undefined;
      const answer: ScreenBody =
        partition === undefined ? { screens } : await session.customRequest(REQUEST, { partition, since });
      if (session !== this.session) return;
      const { picture } = answer;
      if (picture && partition !== undefined) this.shown = { partition, mark: picture.mark };
      this.tell({ kind: 'screen', moving, screens: answer.screens, chosen: partition, picture });
    } catch (error) {
      // A session that has just ended answers nothing; the view goes with it.
      if (session === this.activity.session)
        this.tell({ kind: 'problem', text: error instanceof Error ? error.message : String(error) });
    }
  }

  private tell(message: HostMessage): void {
    void this.view?.webview.postMessage(message);
  }

  dispose(): void {
    this.refresher.dispose();
  }
}

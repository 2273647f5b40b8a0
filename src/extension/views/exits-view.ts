import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import { whyNoFilter } from '../../hypervisor/journal/exit-filter.ts';
import type { HostMessage, PageMessage, RowReference, TableChoice } from '../../webview/exits-table/messages.ts';
import { Context, View } from '../names.ts';
import { actOn, registerExitCommands } from './exit-commands.ts';
import { exitFields, keptChoice } from './exits-choice.ts';
import { exitsPage } from './exits-page.ts';
import { ExitsSource } from './exits-source.ts';
import type { GuestActivity } from './guest-activity.ts';
import { Refresher } from './refresher.ts';

/** Where the choice is kept from one window to the next. */
const KEPT = 'exits.choice';

/** The view of VM exits: a table that follows the run, in the panel. */
export function registerExitsView(context: vscode.ExtensionContext, activity: GuestActivity): vscode.Disposable {
  const view = new ExitsView(context, activity);
  return vscode.Disposable.from(
    view,
    vscode.window.registerWebviewViewProvider(View.EXITS, view),
    activity.onDidChange(() => view.changed()),
    registerExitCommands(view),
  );
}

/** The extension's half of the table: asks the debug adapter, and does what the page and the commands want. */
export class ExitsView implements vscode.WebviewViewProvider, vscode.Disposable {
  choice: TableChoice;
  readonly source = new ExitsSource();
  selected: RowReference | undefined;
  private readonly refresher = new Refresher(() => this.refresh());
  private view: vscode.WebviewView | undefined;
  private session: vscode.DebugSession | undefined;
  /** The page takes messages. */
  private isReady = false;
  /** The filter gets the focus once the page is there. */
  private wantsFilter = false;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly activity: GuestActivity,
  ) {
    this.choice = keptChoice(context.workspaceState.get(KEPT));
    this.tellFiltered();
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    this.isReady = false;
    const folder = vscode.Uri.joinPath(this.context.extensionUri, 'dist');
    view.webview.options = { enableScripts: true, localResourceRoots: [folder] };
    const subscriptions = [
      view.webview.onDidReceiveMessage((message: PageMessage) => this.told(message)),
      view.onDidChangeVisibility(() => this.visibilityChanged()),
    ];
    view.onDidDispose(() => {
      vscode.Disposable.from(...subscriptions).dispose();
      if (this.view !== view) return;
      this.view = undefined;
      this.visibilityChanged();
    });
    view.webview.html = exitsPage(view.webview, folder, randomBytes(16).toString('hex'));
  }

  private visibilityChanged(): void {
    // A page that is hidden is thrown away; it says when it is there again.
    if (!this.view?.visible) {
      this.isReady = false;
      setContext(Context.EXITS_TABLE_FOCUSED, false);
    }
    this.refresher.setVisible(this.isReady);
  }

  /** Something happened to the guests. */
  changed(): void {
    const { session } = this.activity;
    if (session !== this.session) {
      this.session = session;
      this.selected = undefined;
      this.source.reset();
    }
    this.refresher.changed(this.activity.isMoving);
  }

  /** Shows other exits, or the same in another way. */
  choose(change: Partial<TableChoice>): void {
    const { by, filter } = this.choice;
    this.choice = { ...this.choice, ...change };
    void this.context.workspaceState.update(KEPT, this.choice);
    this.tellFiltered();
    this.tellChoice();
    if (by === this.choice.by && filter === this.choice.filter) return;
    this.source.reset();
    this.changed();
  }

  /** Brings the table into sight, with the focus in its filter. */
  async showFilter(): Promise<void> {
    this.wantsFilter = true;
    await vscode.commands.executeCommand(`${View.EXITS}.focus`);
    this.focusFilter();
  }

  private focusFilter(): void {
    if (!this.isReady || !this.wantsFilter) return;
    this.wantsFilter = false;
    this.tell({ kind: 'focusFilter' });
  }

  private tell(message: HostMessage): void {
    if (this.isReady) void this.view?.webview.postMessage(message);
  }

  private tellChoice(): void {
    this.tell({ kind: 'choice', choice: this.choice, fields: exitFields() });
  }

  private tellFiltered(): void {
    setContext(Context.EXITS_FILTERED, this.choice.filter !== '');
  }

  private told(message: PageMessage): void {
    switch (message.kind) {
      case 'ready':
        this.isReady = true;
        this.source.renew();
        this.tellChoice();
        this.refresher.setVisible(true);
        this.changed();
        this.focusFilter();
        return;
      case 'choose':
        this.choose(message.choice);
        return;
      case 'filter': {
        const text = whyNoFilter(message.text);
        this.tell({ kind: 'filterProblem', text });
        if (text === undefined) this.choose({ filter: message.text.trim() });
        return;
      }
      case 'follow':
        this.source.following = message.follow;
        if (!message.follow) return;
        // What was on its way when the table ceased to follow is not in it.
        this.source.renew();
        this.changed();
        return;
      case 'unfold':
        this.source.unfolded = message.values;
        this.changed();
        return;
      case 'focus':
        setContext(Context.EXITS_TABLE_FOCUSED, message.focused);
        return;
      case 'select':
        this.selected = message.row;
        return;
      case 'act':
        void actOn(this, message.action, message.row);
    }
  }

  private async refresh(): Promise<void> {
    const { session } = this;
    if (!session) return;
    const ask = (parameters: object) => session.customRequest('hyperscope/exits', parameters);
    try {
      const isMoving = this.activity.isMoving;
      const message = await this.source.next({ records: ask, groups: ask }, this.choice, isMoving);
      if (message && session === this.session) this.tell(message);
    } catch (error) {
      // A session that has just ended answers nothing; the view goes with it.
      if (session === this.activity.session)
        this.tell({ kind: 'problem', text: error instanceof Error ? error.message : String(error) });
    }
  }

  dispose(): void {
    this.refresher.dispose();
  }
}

function setContext(name: string, value: boolean): void {
  void vscode.commands.executeCommand('setContext', name, value);
}

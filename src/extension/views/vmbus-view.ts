import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { VmbusBody } from '../../adapter/requests/vmbus.ts';
import {
  type ChannelChoice,
  chosenChannel,
  firstChoice,
  type HostMessage,
  type PageMessage,
} from '../../webview/vmbus/messages.ts';
import { Command, Context, View } from '../names.ts';
import type { GuestActivity } from './guest-activity.ts';
import type { PartitionRow } from './partition-rows.ts';
import { channelOfRow } from './partition-rows.ts';
import { Refresher } from './refresher.ts';
import { vmbusPage } from './vmbus-page.ts';

const REQUEST = 'hyperscope/vmbus';

/** The view of VMBus channels: the rings of one channel with their packets, in the panel. It is there for guests that have a VMBus. */
export function registerVmbusView(context: vscode.ExtensionContext, activity: GuestActivity): vscode.Disposable {
  const view = new VmbusView(context, activity);
  return vscode.Disposable.from(
    view,
    vscode.window.registerWebviewViewProvider(View.VMBUS, view),
    activity.onDidChange(() => view.changed()),
    vscode.commands.registerCommand(Command.SHOW_CHANNEL, (row?: PartitionRow) => view.show(row && channelOfRow(row.id))),
  );
}

class VmbusView implements vscode.WebviewViewProvider, vscode.Disposable {
  private readonly refresher = new Refresher(() => this.refresh());
  private view: vscode.WebviewView | undefined;
  private session: vscode.DebugSession | undefined;
  private choice: ChannelChoice | undefined;
  private unfolded: readonly string[] = [];
  /** What the page was told last, where telling it again would change nothing. */
  private told = '';
  /** The session whose channels were asked for. */
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
    view.webview.html = vmbusPage(view.webview, folder, randomBytes(16).toString('hex'));
  }

  /** Something happened to the guests. */
  changed(): void {
    const { session } = this.activity;
    if (session !== this.session) {
      this.session = session;
      this.told = '';
    }
    if (session && session !== this.known) void this.lookForChannels(session);
    this.refresher.changed(this.activity.isMoving);
  }

  /** Shows the view for a guest that has something to show in it. */
  private async lookForChannels(session: vscode.DebugSession): Promise<void> {
    try {
      const { partitions }: VmbusBody = await session.customRequest(REQUEST);
      if (session !== this.activity.session || session === this.known) return;
      this.known = session;
      const hasChannels = partitions.some(({ bus }) => bus.channels.length > 0);
      await vscode.commands.executeCommand('setContext', Context.HAS_VMBUS, hasChannels);
    } catch {
      // The guest isn't loaded yet, or the session has just ended: asked again when something happens.
    }
  }

  /** Brings the view into sight, with a channel where one was meant. */
  async show(choice: ChannelChoice | undefined): Promise<void> {
    if (choice) this.choose(choice);
    await vscode.commands.executeCommand(`${View.VMBUS}.focus`);
  }

  private choose(choice: ChannelChoice): void {
    this.choice = choice;
    this.changed();
  }

  private take(message: PageMessage): void {
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
      const isMoving = this.activity.isMoving;
      const { partitions }: VmbusBody = await session.customRequest(REQUEST);
      const isThere = chosenChannel(partitions, this.choice) !== undefined;
      const chosen = isThere ? this.choice : firstChoice(partitions);
      const answer: VmbusBody = chosen
        ? await session.customRequest(REQUEST, { ...chosen, unfold: this.unfolded })
        : { partitions };
      if (session === this.session)
        this.tell({ kind: 'channels', moving: isMoving, partitions: answer.partitions, chosen, channel: answer.channel });
    } catch (error) {
      // A session that has just ended answers nothing; the view goes with it.
      if (session === this.activity.session)
        this.tell({ kind: 'problem', text: error instanceof Error ? error.message : String(error) });
    }
  }

  private tell(message: HostMessage): void {
    const text = JSON.stringify(message);
    if (text === this.told) return;
    this.told = text;
    void this.view?.webview.postMessage(message);
  }

  dispose(): void {
    this.refresher.dispose();
  }
}

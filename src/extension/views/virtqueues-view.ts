import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { VirtqueuesBody } from '../../adapter/requests/virtqueues.ts';
import {
  chosenDevice,
  firstChoice,
  type HostMessage,
  type PageMessage,
  type QueueChoice,
} from '../../webview/virtqueues/messages.ts';
import { Command, Context, View } from '../names.ts';
import type { GuestActivity } from './guest-activity.ts';
import type { PartitionRow } from './partition-rows.ts';
import { queueOfRow } from './partition-rows.ts';
import { Refresher } from './refresher.ts';
import { virtqueuesPage } from './virtqueues-page.ts';

const REQUEST = 'hyperscope/virtqueues';

/** The view of virtqueues: the rings of one queue as tables, in the panel. It is there for guests that have virtio devices. */
export function registerVirtqueuesView(context: vscode.ExtensionContext, activity: GuestActivity): vscode.Disposable {
  const view = new VirtqueuesView(context, activity);
  return vscode.Disposable.from(
    view,
    vscode.window.registerWebviewViewProvider(View.VIRTQUEUES, view),
    activity.onDidChange(() => view.changed()),
    vscode.commands.registerCommand(Command.SHOW_VIRTQUEUE, (row?: PartitionRow) => view.show(row && queueOfRow(row.id))),
  );
}

class VirtqueuesView implements vscode.WebviewViewProvider, vscode.Disposable {
  private readonly refresher = new Refresher(() => this.refresh());
  private view: vscode.WebviewView | undefined;
  private session: vscode.DebugSession | undefined;
  private choice: QueueChoice | undefined;
  private unfolded: readonly number[] = [];
  /** What the page was told last, where telling it again would change nothing. */
  private told = '';
  /** The session whose devices were asked for. */
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
    view.webview.html = virtqueuesPage(view.webview, folder, randomBytes(16).toString('hex'));
  }

  /** Something happened to the guests. */
  changed(): void {
    const { session } = this.activity;
    if (session !== this.session) {
      this.session = session;
      this.told = '';
    }
    if (session && session !== this.known) void this.lookForDevices(session);
    this.refresher.changed(this.activity.isMoving);
  }

  /** Shows the view for a guest that has something to show in it. */
  private async lookForDevices(session: vscode.DebugSession): Promise<void> {
    try {
      const { partitions }: VirtqueuesBody = await session.customRequest(REQUEST);
      if (session !== this.activity.session || session === this.known) return;
      this.known = session;
      const hasDevices = partitions.some(({ devices }) => devices.length > 0);
      await vscode.commands.executeCommand('setContext', Context.HAS_VIRTQUEUES, hasDevices);
    } catch {
      // The guest isn't loaded yet, or the session has just ended: asked again when something happens.
    }
  }

  /** Brings the view into sight, with a queue where one was meant. */
  async show(choice: QueueChoice | undefined): Promise<void> {
    if (choice) this.choose(choice);
    await vscode.commands.executeCommand(`${View.VIRTQUEUES}.focus`);
  }

  private choose(choice: QueueChoice): void {
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
        this.unfolded = message.ids;
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
      const { partitions }: VirtqueuesBody = await session.customRequest(REQUEST);
      const isThere = chosenDevice(partitions, this.choice) !== undefined;
      const chosen = isThere ? this.choice : firstChoice(partitions);
      const answer: VirtqueuesBody = chosen
        ? await session.customRequest(REQUEST, { ...chosen, unfold: this.unfolded })
        : { partitions };
      if (session === this.session)
        this.tell({ kind: 'queues', moving: isMoving, partitions: answer.partitions, chosen, queue: answer.queue });
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

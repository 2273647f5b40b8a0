import { randomBytes } from 'node:crypto';
import path from 'node:path';
import * as vscode from 'vscode';
import type { ExitProfileAnswer, PartitionProfile } from '../../adapter/requests/exit-profile.ts';
import { ExitProfile } from '../../hypervisor/journal/exit-profile.ts';
import { JournalError, journalRecords } from '../../hypervisor/journal/read-journal.ts';
import { Command, DEBUG_TYPE } from '../names.ts';
import { type ProfiledRun, profilePage } from './exit-profile-html.ts';
import type { GuestActivity } from './guest-activity.ts';
import { Refresher } from './refresher.ts';

/** Runs that have ended and journal files that are kept. */
const MOST_KEPT = 6;

/** The Exit Profile: charts of the exits of runs, in an editor of its own. */
export function registerExitProfile(activity: GuestActivity): vscode.Disposable {
  const profile = new ExitProfileView(activity);
  return vscode.Disposable.from(
    profile,
    vscode.commands.registerCommand(Command.SHOW_EXIT_PROFILE, () => profile.show()),
    vscode.commands.registerCommand(Command.ADD_JOURNAL, () => profile.addJournal()),
    activity.onDidChange(() => profile.changed()),
    vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
      if (session.type === DEBUG_TYPE && event === 'hyperscope/exitProfile') profile.keep(titleOf(session, body), 'ended', body);
    }),
  );
}

/** A run is called by its guest; one of several by its launch configuration. */
function titleOf({ name }: vscode.DebugSession, { partitions }: ExitProfileAnswer): string {
  const [first] = partitions;
  return first && partitions.length === 1 ? first.name : name;
}

class ExitProfileView implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  private readonly refresher: Refresher;
  /** The oldest first. */
  private kept: ProfiledRun[] = [];
  private current: ProfiledRun | undefined;
  private nextId = 1;
  /** What the page shows: it is left alone while nothing is new. */
  private shown = '';

  constructor(private readonly activity: GuestActivity) {
    this.refresher = new Refresher(() => this.refresh());
  }

  show(): void {
    if (this.panel) {
      this.panel.reveal();
      return;
    }
    const panel = vscode.window.createWebviewPanel(
      'hyperscope.exitProfile',
      'Exit Profile',
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
      { enableScripts: true, localResourceRoots: [] },
    );
    this.panel = panel;
    this.shown = '';
    panel.webview.html = frame(randomBytes(16).toString('hex'));
    panel.webview.onDidReceiveMessage((message: unknown) => this.asked(message));
    panel.onDidChangeViewState(() => this.refresher.setVisible(panel.visible));
    panel.onDidDispose(() => {
      this.panel = undefined;
      this.refresher.setVisible(false);
    });
    this.refresher.setVisible(true);
  }

  changed(): void {
    this.refresher.changed(this.activity.isMoving);
  }

  /** Keeps a run that is over. */
  keep(title: string, state: string, { partitions }: ExitProfileAnswer): void {
    if (partitions.every(({ total }) => total === 0)) return;
    const again = this.kept.filter((run) => run.title.replace(/ #\d+$/, '') === title).length;
    this.kept.push({ id: this.nextId++, title: again > 0 ? `${title} #${again + 1}` : title, state, partitions });
    if (this.kept.length > MOST_KEPT) this.kept.shift();
    this.current = undefined;
    this.changed();
  }

  async addJournal(): Promise<void> {
    const filters = { 'Exit journals': ['jsonl', 'json', 'log', 'txt'], 'All files': ['*'] };
    const files = await vscode.window.showOpenDialog({ title: 'Add an exit journal', canSelectMany: true, filters });
    for (const file of files ?? []) {
      try {
        const text = new TextDecoder().decode(await vscode.workspace.fs.readFile(file));
        this.keep(path.basename(file.fsPath), 'journal file', { partitions: profilesIn(text, file.fsPath) });
      } catch (error) {
        const why = error instanceof JournalError ? error.message : `${file.fsPath} can't be read: ${String(error)}`;
        void vscode.window.showErrorMessage(why);
      }
    }
    if (files) this.show();
  }

  private asked(message: unknown): void {
    if (typeof message !== 'object' || message === null) return;
    if ('remove' in message) this.kept = this.kept.filter(({ id }) => id !== Number(message.remove));
    if ('add' in message) void this.addJournal();
    this.shown = '';
    this.changed();
  }

  private async refresh(): Promise<void> {
    const { session } = this.activity;
    this.current = undefined;
    try {
      if (session) {
        const answer: ExitProfileAnswer = await session.customRequest('hyperscope/exitProfile');
        this.current = { id: 0, title: titleOf(session, answer), state: 'running', ...answer };
      }
    } catch {
      // The session is about to end or has not launched yet.
    }
    const page = profilePage(this.current ? [...this.kept, this.current] : this.kept);
    if (page === this.shown) return;
    this.shown = page;
    await this.panel?.webview.postMessage({ page });
  }

  dispose(): void {
    this.refresher.dispose();
    this.panel?.dispose();
  }
}

/** The profiles of the partitions in a journal. Throws JournalError for a text that is none. */
function profilesIn(text: string, file: string): PartitionProfile[] {
  const profiles = new Map<number, ExitProfile>();
  const onProblem = (sentence: string) => void vscode.window.showWarningMessage(sentence);
  for (const record of journalRecords([text], file, onProblem)) {
    const profile = profiles.get(record.partition) ?? new ExitProfile();
    profiles.set(record.partition, profile);
    profile.add(record);
  }
  return [...profiles].map(([id, profile]) => ({ id, name: `partition ${id}`, platform: 'of a journal', ...profile.data() }));
}

/** The page around what is shown. Its script puts in what it is sent, and sends what is pressed. */
function frame(nonce: string): string {
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-${nonce}'">
<title>Exit Profile</title><style>
body { color: var(--vscode-foreground); font-family: var(--vscode-font-family); font-size: var(--vscode-font-size); padding: 0 16px 16px; }
h2 { font-size: 1.15em; margin: 16px 0 4px; } h3 { font-size: 1em; margin: 12px 0 4px; }
.state, .ratio, figcaption, .empty { color: var(--vscode-descriptionForeground); font-weight: normal; }
.runs { display: flex; flex-wrap: wrap; gap: 8px 32px; } .run { flex: 1 1 360px; min-width: 280px; max-width: 760px; }
figure { margin: 4px 0 8px; } svg { width: 100%; height: 120px; display: block; border-bottom: 1px solid var(--vscode-charts-lines); }
rect { stroke: var(--vscode-editor-background); stroke-width: 1; vector-effect: non-scaling-stroke; } figcaption { display: flex; justify-content: space-between; }
table { border-collapse: collapse; } th, td { padding: 2px 16px 2px 0; text-align: right; font-variant-numeric: tabular-nums; }
tbody th, th:first-child { text-align: left; font-weight: normal; } thead th { font-weight: 600; } tfoot td, tfoot th { border-top: 1px solid var(--vscode-charts-lines); text-align: right; }
tfoot th { text-align: left; font-weight: 600; } .bars { width: 140px; text-align: left; padding: 0; }
.bar { display: inline-block; height: 0.8em; min-width: 1px; border: 1px solid var(--vscode-contrastBorder, transparent); }
.swatch { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 6px; border: 1px solid var(--vscode-contrastBorder, transparent); }
button { color: var(--vscode-button-secondaryForeground); background: var(--vscode-button-secondaryBackground); border: 1px solid var(--vscode-contrastBorder, var(--vscode-button-border, var(--vscode-input-border, currentColor))); padding: 2px 8px; font: var(--vscode-font-size) var(--vscode-font-family); cursor: pointer; }
button:hover { background: var(--vscode-button-secondaryHoverBackground); } button:focus-visible { outline: 1px solid var(--vscode-focusBorder); outline-offset: 2px; }
.toolbar { margin-top: 12px; }
</style></head><body><div class="toolbar"><button data-add="1">Add Journal File…</button></div><main id="page"></main><script nonce="${nonce}">
const editor = acquireVsCodeApi();
const page = document.getElementById('page');
window.addEventListener('message', ({ data }) => {
  const focused = document.activeElement?.dataset?.remove;
  page.innerHTML = data.page;
  if (focused) page.querySelector('[data-remove="' + focused + '"]')?.focus();
});
document.body.addEventListener('click', ({ target }) => {
  const button = target instanceof Element ? target.closest('button') : null;
  if (button) editor.postMessage({ ...button.dataset });
});
</script></body></html>`;
}

import * as vscode from 'vscode';
import type { ExitGroupsAnswer, ExitRecordsAnswer } from '../../adapter/requests/exits.ts';
import { Command, Context, View } from '../names.ts';
import { LOOK, registerExitCommands } from './exit-commands.ts';
import { type ExitRow, type ExitsChoice, exitsTitle, type GroupRow, groupRows, recordRows } from './exit-rows.ts';
import type { GuestActivity } from './guest-activity.ts';
import { Refresher } from './refresher.ts';

/** Groups that are shown, and the newest records of one that is unfolded. */
const MOST_GROUPS = 200;
const MOST_RECORDS = 50;

/** The view of VM exits by what the user chooses, with the newest records of each group. */
export function registerExitsView(activity: GuestActivity): vscode.Disposable {
  const provider = new ExitsProvider(activity);
  const view = vscode.window.createTreeView(View.EXITS, { treeDataProvider: provider, showCollapseAll: true });
  const refresher = new Refresher(async () => {
    view.message = await provider.refresh();
    view.description = provider.title;
  });
  return vscode.Disposable.from(
    view,
    refresher,
    view.onDidChangeVisibility(({ visible }) => refresher.setVisible(visible)),
    activity.onDidChange(() => refresher.changed(activity.isMoving)),
    registerExitCommands({
      get choice() {
        return provider.choice;
      },
      choose: (choice) => {
        provider.choice = { ...provider.choice, ...choice };
        void vscode.commands.executeCommand('setContext', Context.EXITS_FILTERED, provider.choice.filter !== '');
        refresher.changed(activity.isMoving);
      },
      get selected() {
        return view.selection[0];
      },
    }),
  );
}

class ExitsProvider implements vscode.TreeDataProvider<ExitRow> {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  choice: ExitsChoice = { by: 'reason', sort: 'count', filter: '' };
  title: string | undefined;
  private rows: readonly GroupRow[] = [];
  /** The last answer as text: the tree is left alone while nothing is new. */
  private shown = '';

  constructor(private readonly activity: GuestActivity) {}

  /** Asks for the groups as they are now. Returns what the view says where there are none. */
  async refresh(): Promise<string | undefined> {
    const { session } = this.activity;
    const { by, sort, filter } = this.choice;
    let answer: ExitGroupsAnswer = { total: 0, run: 0, counted: 0, groupCount: 0, groups: [] };
    let problem: string | undefined;
    try {
      if (session) answer = await session.customRequest('hyperscope/exits', { by, filter, count: MOST_GROUPS });
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    const text = JSON.stringify([session?.id, this.choice, answer]);
    if (text !== this.shown) {
      this.shown = text;
      this.rows = groupRows(answer.groups, by, sort);
      this.changed.fire();
    }
    this.title = answer.total === 0 ? undefined : exitsTitle(answer, this.choice);
    return problem ?? whyEmpty(answer, this.choice);
  }

  async getChildren(row?: ExitRow): Promise<ExitRow[]> {
    if (!row) return [...this.rows];
    const { session } = this.activity;
    if (row.kind !== 'group' || !session) return [];
    const { by, value } = row;
    const { filter } = this.choice;
    const asked = session.customRequest('hyperscope/exits', { by, value, filter, count: MOST_RECORDS });
    // A session that has just ended answers nothing; the view goes with it.
    const { records }: Pick<ExitRecordsAnswer, 'records'> = await asked.then(undefined, () => ({ records: [] }));
    return recordRows(records);
  }

  getTreeItem(row: ExitRow): vscode.TreeItem {
    const { None, Collapsed } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(row.name, row.kind === 'group' ? Collapsed : None);
    item.id = row.id;
    item.description = row.description;
    item.tooltip = row.tooltip;
    item.contextValue = row.kind;
    if (row.kind === 'record')
      item.command = { command: Command.GO_TO_INSTRUCTION, title: 'Go to Guest Instruction', arguments: [row, LOOK] };
    return item;
  }
}

function whyEmpty({ total, groups, groupCount }: ExitGroupsAnswer, { by, filter }: ExitsChoice): string | undefined {
  if (total === 0) return 'No VM exit yet.';
  if (groups.length === 0)
    return filter === '' ? `No exit so far has a ${by}.` : `No exit with a ${by} is one of these: ${filter}`;
  return groupCount > groups.length ? `The ${groups.length} most frequent of ${groupCount} are shown.` : undefined;
}

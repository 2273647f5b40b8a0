import * as vscode from 'vscode';
import type { PartitionRoot } from '../../adapter/requests/partitions.ts';
import { Command, View } from '../names.ts';
import type { GuestActivity } from './guest-activity.ts';
import { channelOfRow, type PartitionRow, partitionRows, queueOfRow } from './partition-rows.ts';
import { Refresher } from './refresher.ts';

/** The view of the partitions with their vCPUs, memory maps and devices. */
export function registerPartitionsView(activity: GuestActivity): vscode.Disposable {
  const provider = new PartitionsProvider(activity);
  const view = vscode.window.createTreeView(View.PARTITIONS, { treeDataProvider: provider, showCollapseAll: true });
  const refresher = new Refresher(async () => {
    view.message = await provider.refresh();
  });
  return vscode.Disposable.from(
    view,
    refresher,
    view.onDidChangeVisibility(({ visible }) => refresher.setVisible(visible)),
    activity.onDidChange(() => refresher.changed(activity.isMoving)),
    vscode.commands.registerCommand(Command.COPY_PARTITION_VALUE, async (row: PartitionRow | undefined = view.selection[0]) => {
      if (row) await vscode.env.clipboard.writeText(row.value ?? row.name);
    }),
  );
}

class PartitionsProvider implements vscode.TreeDataProvider<PartitionRow> {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  private rows: readonly PartitionRow[] = [];
  /** The last answer as text: the tree is left alone while nothing is new. */
  private shown = '';

  constructor(private readonly activity: GuestActivity) {}

  /** Asks for the tree as it is now. Returns what the view says in its place when there is none. */
  async refresh(): Promise<string | undefined> {
    const { session } = this.activity;
    let problem: string | undefined;
    let partitions: readonly PartitionRoot[] = [];
    try {
      if (session) ({ partitions } = await session.customRequest('hyperscope/partitions'));
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    const text = JSON.stringify(partitions);
    if (text !== this.shown) {
      this.shown = text;
      this.rows = partitionRows(partitions);
      this.changed.fire();
    }
    return problem;
  }

  getChildren(row?: PartitionRow): PartitionRow[] {
    return [...(row ? row.children : this.rows)];
  }

  getTreeItem({ id, name, description, tooltip, value, memoryReference, icon, children }: PartitionRow): vscode.TreeItem {
    const { None, Collapsed, Expanded } = vscode.TreeItemCollapsibleState;
    const isPartition = !id.includes('/');
    const item = new vscode.TreeItem(name, children.length === 0 ? None : isPartition ? Expanded : Collapsed);
    item.id = id;
    item.description = description;
    item.tooltip = tooltip;
    item.iconPath = icon === undefined ? undefined : new vscode.ThemeIcon(icon);
    const kinds = [
      value !== undefined && 'value',
      memoryReference !== undefined && 'memory',
      queueOfRow(id) !== undefined && 'virtqueue',
      channelOfRow(id) !== undefined && 'vmbusChannel',
    ];
    item.contextValue = ['node', ...kinds].filter(Boolean).join(' ');
    return item;
  }
}

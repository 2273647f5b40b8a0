import * as vscode from 'vscode';
import type { PageWalkBody } from '../../adapter/requests/paging.ts';
import { activeGuest, LiveDocuments, selectedFrame } from '../live-documents.ts';
import { Command, DEBUG_TYPE, View } from '../names.ts';
import { failedNode, type PageWalkNode, pageWalkNode } from './page-walk-nodes.ts';

/** What the view begins with. */
const DEFAULT_ADDRESSES: readonly string[] = ['rip', 'rsp', 'cr2'];
const STORED = 'hyperscope.pageTables.addresses';
const MAP_SCHEME = 'hyperscope-map';
/** Several events come at a stop; one look is enough. */
const SETTLE_MS = 50;
const FOLLOWED: ReadonlySet<unknown> = new Set(['stopped', 'invalidated', 'memory']);

/** The Page Tables view: how addresses are translated, followed at each stop while the view is visible. */
export function registerPageTables(context: vscode.ExtensionContext): vscode.Disposable {
  const provider = new PageTables(context.workspaceState);
  const view = vscode.window.createTreeView(View.PAGE_TABLES, { treeDataProvider: provider, showCollapseAll: true });
  provider.isVisible = () => view.visible;
  const maps = new LiveDocuments(MAP_SCHEME, mapText);
  return vscode.Disposable.from(
    view,
    provider,
    maps,
    view.onDidChangeVisibility(() => provider.refresh()),
    vscode.debug.onDidChangeActiveStackItem(() => provider.refresh()),
    vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
      createDebugAdapterTracker: () => ({
        onDidSendMessage: (message: unknown) => {
          if (typeof message === 'object' && message !== null && 'event' in message && FOLLOWED.has(message.event))
            provider.refresh();
        },
      }),
    }),
    vscode.commands.registerCommand(Command.LOOK_UP_ADDRESS, async (from?: unknown) => {
      const text = expressionOf(from) ?? (await askForAddress());
      if (text === undefined || text.trim() === '') return;
      provider.add(text.trim());
      await vscode.commands.executeCommand(`${View.PAGE_TABLES}.focus`);
    }),
    vscode.commands.registerCommand(Command.FORGET_ADDRESS, (node?: PageWalkNode) => node && provider.remove(node.id)),
    vscode.commands.registerCommand(Command.COPY_PAGE_TABLE_VALUE, (node?: PageWalkNode) =>
      vscode.env.clipboard.writeText(node?.value ?? node?.label ?? ''),
    ),
    vscode.commands.registerCommand(Command.SHOW_ADDRESS_MAP, async () => {
      if (activeGuest('No guest is being debugged; start one with F5, then look at its address space.'))
        await maps.show('Address Map');
    }),
  );
}

class PageTables implements vscode.TreeDataProvider<PageWalkNode>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  isVisible: () => boolean = () => false;
  private timer: NodeJS.Timeout | undefined;
  /** What is shown of a session while its guest runs: how it stood at its last stop. */
  private last: { readonly session: string; readonly nodes: PageWalkNode[] } | undefined;

  constructor(private readonly store: vscode.Memento) {}

  private get addresses(): readonly string[] {
    return this.store.get<readonly string[]>(STORED, DEFAULT_ADDRESSES);
  }

  add(expression: string): void {
    const others = this.addresses.filter((address) => address !== expression);
    void this.keep([...others, expression]);
  }
  remove(expression: string): void {
    void this.keep(this.addresses.filter((address) => address !== expression));
  }
  private async keep(addresses: readonly string[]): Promise<void> {
    await this.store.update(STORED, addresses);
    this.refresh();
  }

  /** A hidden view asks for nothing. */
  refresh(): void {
    if (!this.isVisible() || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.changed.fire(undefined);
    }, SETTLE_MS);
  }

  async getChildren(node?: PageWalkNode): Promise<PageWalkNode[]> {
    if (node) return [...(node.children ?? [])];
    const session = activeGuest();
    if (!session) return [];
    // While the guest runs there is no frame, and nothing to be asked.
    if (selectedFrame() === undefined) return this.last?.session === session.id ? this.last.nodes : [];
    const nodes = await Promise.all(this.addresses.map((address) => lookUp(session, address)));
    this.last = { session: session.id, nodes };
    return nodes;
  }

  getTreeItem(node: PageWalkNode): vscode.TreeItem {
    const { id, label, description, hover, icon, children, memoryReference } = node;
    const state = children?.length ? vscode.TreeItemCollapsibleState.Collapsed : vscode.TreeItemCollapsibleState.None;
    const item = new vscode.TreeItem(label, state);
    item.id = id;
    item.description = description ?? false;
    item.tooltip = hover && new vscode.MarkdownString(hover.join('\n'));
    if (icon !== undefined) item.iconPath = iconOf(icon);
    const kinds = [this.addresses.includes(id) ? 'address' : 'part', memoryReference === undefined ? '' : 'memory'];
    item.contextValue = kinds.filter((kind) => kind !== '').join(' ');
    return item;
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.changed.dispose();
  }
}

/** What is allowed and what isn't differ by more than their colour. */
function iconOf(name: string): vscode.ThemeIcon {
  const color = { pass: 'testing.iconPassed', error: 'testing.iconFailed' }[name];
  return new vscode.ThemeIcon(name, color === undefined ? undefined : new vscode.ThemeColor(color));
}

async function lookUp(session: vscode.DebugSession, address: string): Promise<PageWalkNode> {
  try {
    const walk: PageWalkBody = await session.customRequest('hyperscope/pageWalk', { address, frameId: selectedFrame() });
    return pageWalkNode(address, walk);
  } catch (error) {
    return failedNode(address, error instanceof Error ? error.message : String(error));
  }
}

/** What the command was chosen on: a variable that leads to memory, or a text. */
function expressionOf(from: unknown): string | undefined {
  if (typeof from === 'string') return from;
  if (typeof from !== 'object' || from === null || !('variable' in from)) return undefined;
  const { variable } = from;
  if (typeof variable !== 'object' || variable === null) return undefined;
  const text = (name: 'evaluateName' | 'memoryReference') => {
    const value: unknown = Reflect.get(variable, name);
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  // An expression follows the variable; a reference is where it leads now.
  return text('evaluateName') ?? text('memoryReference');
}

function askForAddress(): Thenable<string | undefined> {
  return vscode.window.showInputBox({
    title: 'Look up an Address in the Page Tables',
    prompt: 'A linear address (0x100000), a register, a symbol, a memory operand ([rsp]); gpa:0x1000 for the second level',
  });
}

async function mapText(): Promise<string> {
  const session = activeGuest();
  if (!session) return 'The guest has ended.\n';
  try {
    const map: { readonly mode: string; readonly lines: readonly string[]; readonly unfinishedAt?: string } =
      await session.customRequest('hyperscope/addressMap', { frameId: selectedFrame() });
    const head =
      map.mode === 'off' ? 'Paging is off.' : `${map.mode} paging. Rights: r, w, x; u for the user, s for the supervisor alone.`;
    const end = map.unfinishedAt === undefined ? '' : `Given up at ${map.unfinishedAt}: there is more.\n`;
    return `${head}\n\n${map.lines.join('\n')}\n${end}`;
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}\n`;
  }
}

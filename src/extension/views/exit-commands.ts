import * as vscode from 'vscode';
import type { ShownExit, SourcePlace } from '../../adapter/requests/exits.ts';
import { facetByName } from '../../hypervisor/journal/exit-facets.ts';
import { columnsOf, sortedBy } from '../../webview/exits-table/columns.ts';
import { ACTIONS, type Action, type RowReference, type TableChoice } from '../../webview/exits-table/messages.ts';
import { Command } from '../names.ts';
import { groupRow, recordRow } from './exit-rows.ts';
import { GROUPINGS, narrowedFilter } from './exits-choice.ts';
import type { ExitsSource } from './exits-source.ts';

/** The VM Exits view as its commands see it. */
export interface ExitsCommanded {
  readonly choice: TableChoice;
  readonly source: Pick<ExitsSource, 'exitOf' | 'groupOf'>;
  readonly selected: RowReference | undefined;
  choose(choice: Partial<TableChoice>): void;
  showFilter(): Promise<void>;
}

const COMMANDS: Readonly<Record<Action, string>> = {
  goToInstruction: Command.GO_TO_INSTRUCTION,
  goToHandler: Command.GO_TO_HANDLER,
  breakOnLikeThis: Command.BREAK_ON_EXITS_LIKE_THIS,
  showOnlyThese: Command.SHOW_ONLY_THESE_EXITS,
};

/** The commands of the VM Exits view. One that no row is given takes the selected row. */
export function registerExitCommands(view: ExitsCommanded): vscode.Disposable {
  const onRow = (command: string, act: (row: RowReference) => unknown) =>
    vscode.commands.registerCommand(command, async (given?: unknown) => {
      const row = rowIn(given) ?? view.selected;
      if (row) await act(row);
    });
  return vscode.Disposable.from(
    vscode.commands.registerCommand(Command.GROUP_EXITS, (name?: unknown) => group(view, name)),
    vscode.commands.registerCommand(Command.SORT_EXITS, () => sort(view)),
    vscode.commands.registerCommand(Command.FILTER_EXITS, (text?: unknown) =>
      typeof text === 'string' ? view.choose({ filter: text.trim() }) : view.showFilter(),
    ),
    vscode.commands.registerCommand(Command.SHOW_ALL_EXITS, () => view.choose({ filter: '' })),
    ...ACTIONS.map((action) => onRow(COMMANDS[action], (row) => actOn(view, action, row))),
    onRow(Command.COPY_EXIT, (row) => copy(view, row)),
  );
}

/** The row that a context menu or another extension names. */
function rowIn(given: unknown): RowReference | undefined {
  if (typeof given !== 'object' || given === null) return undefined;
  if ('exit' in given && typeof given.exit === 'number') return { exit: given.exit };
  return 'group' in given && typeof given.group === 'string' ? { group: given.group } : undefined;
}

/** Does something with a row of the table. */
export async function actOn(view: ExitsCommanded, action: Action, row: RowReference): Promise<void> {
  const { source } = view;
  if (action === 'showOnlyThese') return showOnly(view, row);
  const exit = source.exitOf(row);
  if (!exit) return;
  if (action === 'goToInstruction') await goToInstruction(exit);
  else if (action === 'goToHandler') await goToHandler(exit);
  else breakOnLike(exit);
}

function showOnly({ source, choice, choose }: ExitsCommanded, row: RowReference): void {
  const { filter, by } = choice;
  const subject = source.exitOf(row)?.subject;
  if ('group' in row) choose({ filter: narrowedFilter(filter, by, row.group) });
  else if (subject !== undefined) choose({ filter: narrowedFilter(filter, 'subject', subject) });
}

async function copy({ source, choice }: ExitsCommanded, row: RowReference): Promise<void> {
  const [exit, group] = [source.exitOf(row), source.groupOf(row)];
  if (exit) await vscode.env.clipboard.writeText(recordRow(exit).details);
  else if (group) await vscode.env.clipboard.writeText(groupRow(choice.by, group).details);
}

async function group({ choice, choose }: ExitsCommanded, name: unknown): Promise<void> {
  const given = typeof name === 'string' ? facetByName(name) : undefined;
  const items = GROUPINGS.map(({ name: by, description }) => ({
    by,
    label: by === '' ? 'Nothing' : by,
    description,
    picked: by === choice.by,
  }));
  const picked = given?.name ?? (await vscode.window.showQuickPick(items, { title: 'Group VM Exits By' }))?.by;
  if (picked !== undefined) choose({ by: picked });
}

async function sort({ choice, choose }: ExitsCommanded): Promise<void> {
  const columns = columnsOf(choice, true).filter(({ sorts }) => sorts !== undefined);
  const items = columns.map((column) => ({ column, label: column.title, description: column.about }));
  const title = 'Sort VM Exits By (again for the other direction)';
  const picked = await vscode.window.showQuickPick(items, { title });
  if (picked) choose(sortedBy(choice, picked.column));
}

/** The focus stays in the table, so that the arrow keys go on to the next row. */
async function goToInstruction({ guestPlace, rip, instructionReference }: ShownExit): Promise<void> {
  if (guestPlace) return show(guestPlace, true);
  const memory = 'Show Guest Memory';
  if ((await vscode.window.showInformationMessage(`No source is known for the instruction at ${rip}.`, memory)) === memory)
    await vscode.commands.executeCommand(Command.SHOW_MEMORY, instructionReference);
}

async function goToHandler({ handlerPlace, handler }: ShownExit): Promise<void> {
  if (handlerPlace) return show(handlerPlace);
  void vscode.window.showInformationMessage(
    handler === undefined ? 'Nobody took this exit: it ended the guest.' : `${handler} has no source to show.`,
  );
}

async function show({ source, line }: SourcePlace, preserveFocus = false): Promise<void> {
  const position = new vscode.Position(Math.max(0, line - 1), 0);
  await vscode.window.showTextDocument(vscode.Uri.file(source.path), {
    selection: new vscode.Range(position, position),
    preserveFocus,
  });
}

function breakOnLike({ breakpoint: { name, condition } }: ShownExit): void {
  const isThere = vscode.debug.breakpoints.some(
    (known) => known instanceof vscode.FunctionBreakpoint && known.functionName === name && known.condition === condition,
  );
  if (!isThere) vscode.debug.addBreakpoints([new vscode.FunctionBreakpoint(name, true, condition)]);
}

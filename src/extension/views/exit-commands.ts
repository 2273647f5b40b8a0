import * as vscode from 'vscode';
import type { SourcePlace } from '../../adapter/requests/exits.ts';
import { FACETS, facetByName } from '../../hypervisor/journal/exit-facets.ts';
import { ExitFilterError, parseExitFilter } from '../../hypervisor/journal/exit-filter.ts';
import { Command } from '../names.ts';
import { type ExitRow, type ExitsChoice, type RecordRow, SORTS, type Sort } from './exit-rows.ts';

/** What a click on a row gives with it. */
export const LOOK = 'look';

/** The VM Exits view as its commands see it. */
export interface ExitsCommanded {
  readonly choice: ExitsChoice;
  choose(choice: Partial<ExitsChoice>): void;
  readonly selected: ExitRow | undefined;
}

/** The commands in the title of the VM Exits view and on its rows. A command that no row is given takes the selected one. */
export function registerExitCommands(view: ExitsCommanded): vscode.Disposable {
  const onRecord = (command: string, act: (row: RecordRow, look: unknown) => unknown) =>
    vscode.commands.registerCommand(command, async (row: ExitRow | undefined = view.selected, look?: unknown) => {
      if (row?.kind === 'record') await act(row, look);
    });
  return vscode.Disposable.from(
    vscode.commands.registerCommand(Command.GROUP_EXITS, (name?: unknown) => group(view, name)),
    vscode.commands.registerCommand(Command.SORT_EXITS, () => sort(view)),
    vscode.commands.registerCommand(Command.FILTER_EXITS, (text?: unknown) => filter(view, text)),
    vscode.commands.registerCommand(Command.SHOW_ALL_EXITS, () => view.choose({ filter: '' })),
    vscode.commands.registerCommand(Command.SHOW_ONLY_THESE_EXITS, (row: ExitRow | undefined = view.selected) => {
      if (row?.kind === 'group') view.choose({ filter: `${view.choice.filter} ${row.by}="${row.value}"`.trim() });
    }),
    onRecord(Command.GO_TO_INSTRUCTION, goToInstruction),
    onRecord(Command.GO_TO_HANDLER, goToHandler),
    onRecord(Command.BREAK_ON_EXITS_LIKE_THIS, breakOnLike),
    vscode.commands.registerCommand(Command.COPY_EXIT, async (row: ExitRow | undefined = view.selected) => {
      if (row) await vscode.env.clipboard.writeText(row.tooltip);
    }),
  );
}

async function group({ choice, choose }: ExitsCommanded, name: unknown): Promise<void> {
  const given = typeof name === 'string' ? facetByName(name) : undefined;
  const items = FACETS.map(({ name: label, description }) => ({ label, description, picked: label === choice.by }));
  const picked = given?.name ?? (await vscode.window.showQuickPick(items, { title: 'Group VM Exits By' }))?.label;
  if (picked !== undefined) choose({ by: picked });
}

async function sort({ choose }: ExitsCommanded): Promise<void> {
  const items = Object.entries(SORTS).map(([label, description]) => ({ label: label as Sort, description }));
  const picked = await vscode.window.showQuickPick(items, { title: 'Sort VM Exits By' });
  if (picked) choose({ sort: picked.label });
}

async function filter({ choice, choose }: ExitsCommanded, given: unknown): Promise<void> {
  const text =
    typeof given === 'string'
      ? given
      : await vscode.window.showInputBox({
          title: 'Filter VM Exits',
          prompt: 'Terms that must all hold: reason=io,mmio  port=0x3f8  !to=device  rip=0x1000..0x1fff  request~"out 0x3f8"',
          value: choice.filter,
          validateInput: whyNoFilter,
        });
  if (text !== undefined) choose({ filter: text.trim() });
}

/** What is wrong with a filter, as a sentence. */
function whyNoFilter(text: string): string | undefined {
  try {
    parseExitFilter(text);
    return undefined;
  } catch (error) {
    if (error instanceof ExitFilterError) return error.message;
    throw error;
  }
}

/** `look`: the focus stays in the view, so that the arrow keys go on to the next row. */
async function goToInstruction({ record }: RecordRow, look: unknown): Promise<void> {
  const { guestPlace, rip, instructionReference } = record;
  if (guestPlace) return show(guestPlace, look === LOOK);
  const memory = 'Show Guest Memory';
  if ((await vscode.window.showInformationMessage(`No source is known for the instruction at ${rip}.`, memory)) === memory)
    await vscode.commands.executeCommand(Command.SHOW_MEMORY, instructionReference);
}

async function goToHandler({ record: { handlerPlace, handler } }: RecordRow): Promise<void> {
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

function breakOnLike({ record: { breakpoint } }: RecordRow): void {
  const { name, condition } = breakpoint;
  const isThere = vscode.debug.breakpoints.some(
    (known) => known instanceof vscode.FunctionBreakpoint && known.functionName === name && known.condition === condition,
  );
  if (!isThere) vscode.debug.addBreakpoints([new vscode.FunctionBreakpoint(name, true, condition)]);
}

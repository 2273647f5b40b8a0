import type { Part } from '../parts.ts';
import { type Column, sortOf } from './columns.ts';
import type { Action, GroupRow, RecordRow, RowReference, TableChoice } from './messages.ts';
import { type Line, number, referenceOf } from './table-model.ts';
import { ROW_HEIGHT } from './visible-rows.ts';

/** Shapes of the buttons on a row, in a square of 16. */
const ICONS: Readonly<Record<Action, string>> = {
  goToInstruction: 'M3 2h6l4 4v8H3zM9 2v4h4',
  goToHandler: 'M2 3h12v4H2zM2 9h12v4H2zM4 5h1M4 11h1',
  breakOnLikeThis: 'M8 3l5.5 10h-11z',
  showOnlyThese: 'M2 3h12l-4.5 5.5V13l-3-1.5v-3z',
};
const TITLES: Readonly<Record<Action, string>> = {
  goToInstruction: 'Go to Guest Instruction (Enter)',
  goToHandler: 'Go to Handler (Ctrl+Enter)',
  breakOnLikeThis: 'Break on Exits Like This (F9)',
  showOnlyThese: 'Show Only These (Shift+Enter)',
};
const RECORD_ACTIONS: readonly Action[] = ['goToHandler', 'breakOnLikeThis', 'showOnlyThese'];
const GROUP_ACTIONS: readonly Action[] = ['showOnlyThese'];

/** Columns whose text is code. */
const CODE: ReadonlySet<string> = new Set(['request', 'where', 'handler', 'group']);

const span = (className: string, text: string): Part => ({ tag: 'span', attributes: { class: className }, text });
const plain = (text: string): Part => ({ tag: 'span', text });

/** The head of the table: a button in each column that gives an order. */
export function headParts(columns: readonly Column[], choice: TableChoice): readonly Part[] {
  const sort = sortOf(choice);
  return columns.map((column) => {
    const isSorted = column.id === sort.column && column.sorts !== undefined;
    const direction = sort.descending ? 'descending' : 'ascending';
    const arrow: Part = {
      tag: 'span',
      attributes: { class: 'arrow', 'aria-hidden': 'true' },
      text: isSorted ? { ascending: '▴', descending: '▾' }[direction] : '',
    };
    // One stop for the tab key; the arrow keys go from column to column.
    const button = { type: 'button', 'data-sort': column.id, title: column.about, tabindex: isSorted ? '0' : '-1' };
    return {
      tag: 'div',
      attributes: {
        class: classes('cell', column.isNumber && 'end'),
        role: 'columnheader',
        'aria-sort': isSorted ? direction : column.sorts && 'none',
      },
      children: [
        column.sorts
          ? { tag: 'button', attributes: button, children: [plain(column.title), arrow] }
          : { tag: 'span', attributes: { class: 'title', title: column.about }, text: column.title },
        { tag: 'span', attributes: { class: 'edge', 'data-resize': column.id, 'aria-hidden': 'true' } },
      ],
    };
  });
}

/** A line of the table at its place. `index`: among all lines, from 0. */
export function linePart(line: Line, index: number, columns: readonly Column[], isSelected: boolean): Part {
  const isGroup = line.kind === 'group';
  const cells = columns.map((column, at) =>
    cell(column, at, isGroup ? groupCell(line.row, column) : recordCell(line.row, column)),
  );
  return {
    tag: 'div',
    attributes: {
      id: `line-${index}`,
      class: classes('row', isSelected && 'selected', isGroup && 'group', index % 2 === 1 && 'odd'),
      role: 'row',
      'data-key': line.key,
      'data-vscode-context': contextOf(line),
      // The head is the first row.
      'aria-rowindex': String(index + 2),
      'aria-selected': String(isSelected),
      'aria-expanded': isGroup ? String(line.isUnfolded) : undefined,
      'aria-level': isGroup ? '1' : line.parent === undefined ? undefined : '2',
      'aria-posinset': isGroup || line.parent !== undefined ? String(line.position) : undefined,
      'aria-setsize': isGroup || line.parent !== undefined ? String(line.siblings) : undefined,
    },
    style: { top: `${index * ROW_HEIGHT}px` },
    children: [...cells, actions(isGroup ? GROUP_ACTIONS : RECORD_ACTIONS)],
  };
}

/** What the editor's context menu and its commands know of a line. */
export function contextOf(line: Line): string {
  const reference: RowReference = referenceOf(line);
  return JSON.stringify({
    webviewSection: line.kind === 'group' ? 'group' : 'exit',
    preventDefaultContextMenuItems: true,
    ...reference,
  });
}

/** The parts of a cell, and what it says to the pointer. */
interface Cell {
  readonly parts: readonly Part[];
  readonly title?: string;
}

function cell({ id, isNumber }: Column, at: number, { parts, title }: Cell): Part {
  return {
    tag: 'div',
    // The buttons share the row's cells.
    style: { 'grid-column': String(at + 1) },
    attributes: { class: classes('cell', isNumber && 'end', CODE.has(id) && 'code'), role: 'gridcell', title },
    children: parts,
  };
}

function recordCell(row: RecordRow, { id }: Column): Cell {
  switch (id) {
    case 'group':
      return { parts: [span('indent', ''), plain(`#${number(row.seq)}`), span('dim', `vCPU ${row.vcpu}`)] };
    case 'number':
      return { parts: [plain(number(row.seq))] };
    case 'partition':
      return { parts: [plain(row.partition)], title: row.partition };
    case 'vcpu':
      return { parts: [plain(row.vcpu)] };
    case 'reason':
      return { parts: [plain(row.reason)], title: `${row.reason}: ${row.numbers}` };
    case 'request': {
      const result = row.result === undefined ? [] : [span('result', `→ ${row.result}`)];
      const meaning = row.meaning === undefined ? [] : [span('dim', row.meaning)];
      const text = row.result === undefined ? row.request : `${row.request} → ${row.result}`;
      return { parts: [plain(row.request), ...result, ...meaning], title: lines(text, row.meaning) };
    }
    case 'where': {
      const line = row.line === undefined ? [] : [span('dim', row.line)];
      return { parts: [plain(row.symbol ?? row.rip), ...line], title: lines(row.symbol, `RIP ${row.rip}`, row.line) };
    }
    case 'handler':
      return { parts: handlerParts(row.handler), title: lines(row.handler, row.to && `served by ${row.to}`) };
    case 'to':
      return { parts: [plain(row.to ?? '')] };
    case 'instructions':
      return { parts: [plain(row.instructions === undefined ? '' : number(row.instructions))] };
    default:
      return { parts: [] };
  }
}

/** The function of a handler's name, and behind it the component. */
function handlerParts(handler = ''): readonly Part[] {
  const [, component, name] = /^(\S+) (.+)$/.exec(handler) ?? [];
  return component === undefined || name === undefined ? [plain(handler)] : [plain(name), span('dim', component)];
}

function groupCell(row: GroupRow, { id }: Column): Cell {
  switch (id) {
    case 'group': {
      const value = row.label === undefined ? [] : [span('dim', row.value)];
      const fold: Part = { tag: 'span', attributes: { class: 'fold', 'data-fold': '', 'aria-hidden': 'true' } };
      return { parts: [fold, plain(row.label ?? row.value), ...value], title: lines(row.label, row.value) };
    }
    case 'count':
      return { parts: [plain(number(row.count))] };
    case 'share': {
      const percent = `${(row.share * 100).toFixed(1)}`;
      const bar: Part = {
        tag: 'span',
        attributes: { class: 'share', 'aria-hidden': 'true' },
        style: { '--share': `${percent}%` },
      };
      return { parts: [bar, span('percent', `${percent} %`)] };
    }
    case 'instructions':
      return {
        parts: row.meanInstructions === undefined ? [] : [plain(mean(row.meanInstructions))],
        title: row.meanInstructions === undefined ? undefined : `${number(row.meanInstructions)} on average`,
      };
    case 'request':
      return { parts: [span('dim', `e.g. ${row.example}`)], title: `for example ${row.example}` };
    default:
      return { parts: [] };
  }
}

/** Small means have a decimal: whether it is 1.0 or 1.4 matters. */
function mean(value: number): string {
  return value < 100 && !Number.isInteger(value) ? value.toFixed(1) : number(Math.round(value));
}

function actions(of: readonly Action[]): Part {
  return {
    tag: 'div',
    attributes: { class: 'actions', role: 'presentation' },
    children: of.map((action) => ({
      tag: 'button',
      attributes: {
        type: 'button',
        tabindex: '-1',
        class: action,
        'data-action': action,
        title: TITLES[action],
        'aria-label': TITLES[action],
      },
      children: [
        {
          tag: 'svg',
          attributes: { viewBox: '0 0 16 16', 'aria-hidden': 'true' },
          children: [{ tag: 'path', attributes: { d: ICONS[action] } }],
        },
      ],
    })),
  };
}

const classes = (...names: readonly (string | false | undefined)[]) => names.filter(Boolean).join(' ');
const lines = (...parts: readonly (string | undefined)[]) => parts.filter((part) => part !== undefined).join('\n');

import { describe, expect, test } from 'vitest';
import { columnsOf, columnWidths, sortedBy, USUAL_CHOICE } from '../../src/webview/exits-table/columns.ts';
import { headParts, linePart } from '../../src/webview/exits-table/line-parts.ts';
import type { Line } from '../../src/webview/exits-table/table-model.ts';
import { isAtEdge, ROW_HEIGHT, rowsInSight, scrolledTo } from '../../src/webview/exits-table/visible-rows.ts';
import type { Part } from '../../src/webview/parts.ts';
import { exit, group, groups, records, table } from './rows.ts';

const columns = columnsOf({ by: '' }, false);
const groupColumns = columnsOf({ by: 'rip' }, false);

function textOf({ text = '', children = [] }: Part): string {
  return [text, ...children.map(textOf)].filter((part) => part !== '').join(' ');
}
function cells(line: Line | undefined, of = columns): string[] {
  if (!line) throw new Error('no line');
  const part = linePart(line, 0, of, false);
  return (part.children ?? []).filter(({ attributes }) => attributes?.role === 'gridcell').map(textOf);
}
const [line] = table(
  {},
  records([], {
    reset: true,
    rows: [
      exit(1234, {
        symbol: 'print+0x4',
        line: 'guest.asm:12',
        result: 'ok',
        meaning: 'COM1: data',
        handler: 'kvm-intel handle_io',
        to: 'device',
        instructions: 4_000_004,
      }),
    ],
  }),
).lines;

describe('a row', () => {
  test('of an exit has what happened, where, who served it and after how many instructions', () => {
    expect(cells(line)).toEqual([
      '1,234',
      '0',
      '4,000,004',
      'io',
      'out 0x3f8, 0x48 → ok COM1: data',
      'print+0x4 guest.asm:12',
      'handle_io kvm-intel',
      'device',
    ]);
    expect(columnsOf({ by: '' }, true).map(({ id }) => id)).toContain('partition');
  });

  test('of a group has its count, its share and the mean of the instructions', () => {
    const model = table({ by: 'rip' }, groups([group('0x100010', 75, { label: 'print+0x4', meanInstructions: 4.66 })]));
    expect(cells(model.lines[0], groupColumns).slice(0, 5)).toEqual([
      'print+0x4 0x100010',
      '75',
      '75.0 %',
      '4.7',
      'e.g. out 0x3f8, 0x48',
    ]);
  });

  test('says to a screen reader where it is and what it is', () => {
    const model = table({ by: 'rip' }, groups([group('io', 75, { records: [exit(4)] }), group('hlt', 1)]));
    model.setUnfolded('io', true);
    const attributes = model.lines.map((one, index) => linePart(one, index, groupColumns, index === 1).attributes);
    expect(attributes).toMatchObject([
      { 'aria-rowindex': '2', 'aria-level': '1', 'aria-expanded': 'true', 'aria-selected': 'false', 'aria-setsize': '2' },
      { 'aria-rowindex': '3', 'aria-level': '2', 'aria-selected': 'true', 'aria-posinset': '1', 'aria-setsize': '1' },
      { 'aria-rowindex': '4', 'aria-level': '1', 'aria-expanded': 'false', 'aria-posinset': '2' },
    ]);
    expect(attributes[1]).not.toHaveProperty('aria-expanded', 'false');
  });

  test('has what a guest calls something as text alone', () => {
    const attack = '<img src=x onerror="document.title=1">';
    const rows = [exit(1, { symbol: attack, partition: attack, request: attack, result: attack, handler: attack, line: attack })];
    const model = table({ by: 'rip' }, groups([group(attack, 1, { label: attack, records: rows, example: attack })]));
    model.setUnfolded(attack, true);
    const tags = new Set<string>();
    const names = new Set<string>();
    const collect = ({ tag, attributes = {}, children = [] }: Part) => {
      tags.add(tag);
      for (const name of Object.keys(attributes)) names.add(name);
      children.forEach(collect);
    };
    for (const [index, one] of model.lines.entries())
      for (const of of [columnsOf({ by: '' }, true), groupColumns]) {
        collect(linePart(one, index, of, true));
        expect(textOf(linePart(one, index, of, true))).toContain(attack);
      }
    expect([...tags].sort()).toEqual(['button', 'div', 'path', 'span', 'svg']);
    expect([...names].filter((name) => /^on|href|src/.test(name))).toEqual([]);
  });
});

describe('the head', () => {
  const sorts = (choice: Partial<typeof USUAL_CHOICE>) =>
    headParts(columns, { ...USUAL_CHOICE, ...choice }).map(({ attributes }) => attributes?.['aria-sort']);

  test('says by what the rows are sorted, with one stop for the tab key', () => {
    expect(sorts({})).toEqual(['descending', ...columns.slice(1).map(() => 'none')]);
    expect(sorts({ recordSort: { column: 'to', descending: false } }).filter((sort) => sort !== 'none')).toEqual(['ascending']);
    const buttons = headParts(columns, USUAL_CHOICE).map(({ children = [] }) => children[0]?.attributes?.tabindex);
    expect(buttons.filter((tabindex) => tabindex === '0')).toHaveLength(1);
  });

  test('sorts by a column at a click, the other way round at the next', () => {
    const column = (id: string) => columns.find((one) => one.id === id) ?? groupColumns.find((one) => one.id === id);
    const clicked = (choice: typeof USUAL_CHOICE, id: string) => {
      const found = column(id);
      if (!found) throw new Error(id);
      return { ...choice, ...sortedBy(choice, found) };
    };
    const once = clicked(USUAL_CHOICE, 'instructions');
    expect(once.recordSort).toEqual({ column: 'instructions', descending: false });
    expect(clicked(once, 'instructions').recordSort).toEqual({ column: 'instructions', descending: true });
    // Groups have an order of their own.
    const grouped = clicked({ ...once, by: 'rip' }, 'count');
    expect([grouped.groupSort, grouped.recordSort]).toEqual([{ column: 'count', descending: false }, once.recordSort]);
  });

  test('has the widths that the user gave, the rest of the room where none was', () => {
    const { template, least } = columnWidths(columns, { number: 3, handler: 99.6 });
    expect(template).toMatch(/^32px .* minmax\(\d+px, 5fr\) .* 100px /);
    expect(least).toBe(columnWidths(columns, {}).least - 64 + 32 - 136 + 100);
    expect(columnWidths(columns, { request: 400 }).template).not.toContain('5fr');
  });
});

describe('rows in sight', () => {
  test('are few, however many there are', () => {
    const { first, end } = rowsInSight(100_000 * ROW_HEIGHT, 300, 1_000_000);
    expect(first).toBeLessThanOrEqual(100_000);
    expect(end).toBeGreaterThanOrEqual(100_000 + Math.ceil(300 / ROW_HEIGHT));
    expect(end - first).toBeLessThan(40);
    expect(rowsInSight(0, 300, 3)).toEqual({ first: 0, end: 3 });
    expect(rowsInSight(9999, 300, 3)).toEqual({ first: 3, end: 3 });
  });

  test('are scrolled to by as little as it takes', () => {
    expect(scrolledTo(5, 0, 300)).toBe(0);
    expect(scrolledTo(0, 100, 300)).toBe(0);
    expect(scrolledTo(20, 0, 300)).toBe(21 * ROW_HEIGHT - 300);
  });

  test('the edge where new ones come in is at the top or at the bottom', () => {
    expect([isAtEdge(true, 0, 300, 1000), isAtEdge(true, 100, 300, 1000)]).toEqual([true, false]);
    expect([isAtEdge(false, 700, 300, 1000), isAtEdge(false, 0, 300, 1000)]).toEqual([true, false]);
  });
});

import { describe, expect, test } from 'vitest';
import type { TableModel } from '../../src/webview/exits-table/table-model.ts';
import { MOST_ROWS } from '../../src/webview/exits-table/table-model.ts';
import { exit, group, groups, records, table } from './rows.ts';

const keys = (model: TableModel) => model.lines.map(({ key }) => key);
const orders = (model: TableModel) => model.lines.map(({ row }) => ('order' in row ? row.order : row.value));

describe('a table with a row for each exit', () => {
  test('has new ones above those that are there, or in their place', () => {
    const model = table({}, records([3, 2, 1], { reset: true }));
    model.take(records([5, 4]));
    expect(orders(model)).toEqual([5, 4, 3, 2, 1]);
    model.take(records([9, 8], { reset: true }));
    expect(orders(model)).toEqual([9, 8]);
  });

  test('keeps no more than so many', () => {
    const many = Array.from({ length: MOST_ROWS }, (_, index) => MOST_ROWS - index);
    const model = table({}, records(many, { reset: true }));
    model.take(records([MOST_ROWS + 2, MOST_ROWS + 1]));
    expect(model.lines).toHaveLength(MOST_ROWS);
    expect(orders(model).slice(0, 2)).toEqual([MOST_ROWS + 2, MOST_ROWS + 1]);
  });

  test('says how many it shows, of how many', () => {
    const model = table({}, records([3, 2, 1], { reset: true, total: 3 }));
    expect(model.countText).toBe('3 exits');
    model.take(records([], { total: 1234 }));
    expect(model.countText).toBe('newest 3 of 1,234 exits');
    const filtered = table({ filter: 'reason=io' }, records([3], { reset: true, total: 1234 }));
    expect(filtered.countText).toBe('1 of 1,234 exits');
    filtered.take(records([4], { hasMore: true, reset: true, total: 1234 }));
    expect(filtered.countText).toBe('newest 1 that pass, of 1,234 exits');
  });

  test('says why it is empty, once that is known', () => {
    expect(table({}).emptyText).toBeUndefined();
    expect(table({}, records([], { total: 0 })).emptyText).toBe('No VM exit yet.');
    expect(table({ filter: 'reason=io' }, records([])).emptyText).toBe('No exit passes the filter.');
    expect(table({}, records([])).emptyText).toBe('No record of an exit is kept.');
    expect(table({}, { kind: 'problem', text: 'No guest.' }).emptyText).toBe('No guest.');
  });

  test.each<[string, boolean, (number | string)[]]>([
    ['number', true, [4, 3, 2, 1]],
    ['number', false, [1, 2, 3, 4]],
    ['instructions', false, [2, 4, 1, 3]],
    ['instructions', true, [1, 4, 2, 3]],
    ['request', false, [4, 3, 1, 2]],
    ['to', true, [3, 4, 2, 1]],
  ])('is sorted by %s, descending: %s', (column, descending, order) => {
    const model = table({ recordSort: { column, descending } });
    const rows = [
      exit(4, { instructions: 5, request: '0x21', to: 'device' }),
      exit(3, { request: '0x80', to: 'hypervisor' }),
      exit(2, { instructions: 4, request: 'others', to: 'device' }),
      exit(1, { instructions: 12, request: '0x3f8' }),
    ];
    model.take(records([], { rows, reset: true }));
    expect(orders(model)).toEqual(order);
  });
});

describe('following', () => {
  test('ends when a row of a guest that runs is selected, and not while it stands still', () => {
    const model = table({}, records([3, 2, 1], { reset: true, moving: true, total: 3 }));
    model.select('exit 2');
    expect(model.following).toBe(false);
    model.take({ kind: 'total', moving: true, total: 1003 });
    expect(model.newer).toBe(1000);
    // What was on its way.
    model.take(records([9, 8], { reset: true, moving: true }));
    expect(orders(model)).toEqual([3, 2, 1]);
    const still = table({}, records([3, 2, 1], { reset: true }));
    still.select('exit 2');
    expect(still.following).toBe(true);
    still.take(records([4]));
    expect([still.selected, still.selectedIndex]).toEqual(['exit 2', 2]);
  });

  test('begins anew with another run', () => {
    const model = table({}, records([3, 2, 1], { reset: true, moving: true }));
    model.select('exit 2');
    model.take(records([1], { reset: true, run: 2 }));
    expect([model.following, model.lines.length, model.selected]).toEqual([true, 1, undefined]);
  });

  test('begins anew when other exits are wanted, without those so far', () => {
    const model = table({}, records([3, 2, 1], { reset: true, moving: true }));
    model.select('exit 2');
    model.take({ kind: 'choice', choice: { ...model.choice, filter: 'reason=io' }, fields: [] });
    expect([model.following, model.selected, model.lines.length, model.emptyText]).toEqual([true, undefined, 0, undefined]);
  });

  test('stays as it is when only the widths or the order change', () => {
    const model = table({}, records([3, 2, 1], { reset: true, moving: true }));
    model.select('exit 2');
    model.take({ kind: 'choice', choice: { ...model.choice, widths: { to: 99 } }, fields: [] });
    expect([model.following, model.lines.length]).toEqual([false, 3]);
  });

  test('a selected row that is no longer there is selected no more', () => {
    const model = table({}, records([3, 2, 1], { reset: true }));
    model.select('exit 2');
    model.take(records([9], { reset: true }));
    expect(model.selected).toBeUndefined();
  });
});

describe('the keyboard', () => {
  const model = () => table({}, records([9, 8, 7, 6, 5, 4, 3, 2, 1], { reset: true }));

  test.each([
    ['down', 'exit 4', 'exit 3'],
    ['up', 'exit 4', 'exit 5'],
    ['pageDown', 'exit 4', 'exit 1'],
    ['pageUp', 'exit 4', 'exit 7'],
    ['first', 'exit 4', 'exit 9'],
    ['last', 'exit 4', 'exit 1'],
    ['up', 'exit 9', 'exit 9'],
    ['down', 'exit 1', 'exit 1'],
    ['down', undefined, 'exit 9'],
    ['up', undefined, 'exit 1'],
  ] as const)('%s goes from %s to %s', (move, from, to) => {
    const moved = model();
    moved.select(from);
    moved.move(move, 3);
    expect(moved.selected).toBe(to);
  });

  test('moves nothing in an empty table', () => {
    const empty = table({}, records([]));
    empty.move('down', 3);
    expect(empty.selected).toBeUndefined();
  });
});

describe('a table of groups', () => {
  const model = () =>
    table(
      { by: 'reason' },
      groups([group('io', 75, { records: [exit(4), exit(3)], meanInstructions: 5 }), group('0x9', 5), group('hlt', 20)]),
    );

  test('has the most frequent first, the records of those that are unfolded below them', () => {
    const shown = model();
    expect(orders(shown)).toEqual(['io', 'hlt', '0x9']);
    expect(shown.setUnfolded('io', true)).toBe(true);
    expect(shown.setUnfolded('io', true)).toBe(false);
    expect(keys(shown)).toEqual(['group io', 'exit 4', 'exit 3', 'group hlt', 'group 0x9']);
    expect(shown.lines[2]).toMatchObject({ parent: 'group io', position: 2, siblings: 2 });
    expect(shown.lines[3]).toMatchObject({ isUnfolded: false, position: 2, siblings: 3 });
    expect(shown.countText).toBe('100 exits in 3 groups');
  });

  test('is sorted by value with numbers by their size, and by what few have', () => {
    const sorted = (column: string, descending: boolean) => {
      const shown = model();
      shown.take({ kind: 'choice', choice: { ...shown.choice, groupSort: { column, descending } }, fields: [] });
      return orders(shown);
    };
    expect(sorted('group', false)).toEqual(['0x9', 'hlt', 'io']);
    expect(sorted('count', false)).toEqual(['0x9', 'hlt', 'io']);
    expect(sorted('instructions', true)[0]).toBe('io');
  });

  test('unfolds and folds by the arrow keys, and goes in and out', () => {
    const shown = model();
    shown.select('group io');
    expect(shown.unfoldOrEnter()).toBe(true);
    expect(shown.unfoldOrEnter()).toBe(false);
    expect(shown.selected).toBe('exit 4');
    expect(shown.foldOrLeave()).toBe(false);
    expect(shown.selected).toBe('group io');
    expect(shown.foldOrLeave()).toBe(true);
    expect(keys(shown)).toEqual(['group io', 'group hlt', 'group 0x9']);
    // A table of groups follows, whatever is selected.
    expect(shown.following).toBe(true);
  });

  test('says that there is nothing by the field', () => {
    expect(table({ by: 'msr' }, groups([])).emptyText).toBe('No exit so far has a msr.');
    expect(table({ by: 'msr', filter: 'to=device' }, groups([])).emptyText).toBe('No exit with a msr passes the filter.');
  });
});

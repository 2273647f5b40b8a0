import type { GroupRow, HostMessage, RecordRow } from '../../src/webview/exits-table/messages.ts';
import { TableModel } from '../../src/webview/exits-table/table-model.ts';

/** A row as the extension sends it. */
export function exit(order: number, changes: Partial<RecordRow> = {}): RecordRow {
  return {
    order,
    seq: order,
    partition: 'guest',
    vcpu: '0',
    reason: 'io',
    numbers: 'VMX reason 30',
    request: 'out 0x3f8, 0x48',
    rip: '0x100010',
    details: `all of ${order}`,
    ...changes,
  };
}

export function group(value: string, count: number, changes: Partial<GroupRow> = {}): GroupRow {
  return { value, count, share: count / 100, example: 'out 0x3f8, 0x48', records: [], details: `all of ${value}`, ...changes };
}

/** New exits, newest first, by their places in the order. */
export function records(
  orders: readonly number[],
  changes: Partial<Extract<HostMessage, { kind: 'records' }>> = {},
): HostMessage {
  const rows = orders.map((order) => exit(order));
  return {
    kind: 'records',
    moving: false,
    run: 1,
    total: 100,
    reset: false,
    rows,
    hasMore: false,
    severalPartitions: false,
    ...changes,
  };
}

export function groups(rows: readonly GroupRow[]): HostMessage {
  const counts = { total: 100, counted: 100, groupCount: rows.length, severalPartitions: false };
  return { kind: 'groups', moving: true, groups: rows, ...counts };
}

/** A table that has been told some things. */
export function table(choice: Partial<TableModel['choice']>, ...messages: readonly HostMessage[]): TableModel {
  const model = new TableModel();
  model.take({ kind: 'choice', choice: { ...model.choice, ...choice }, fields: [] });
  for (const message of messages) model.take(message);
  return model;
}

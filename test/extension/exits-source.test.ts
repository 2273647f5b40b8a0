import { describe, expect, test } from 'vitest';
import type { ExitGroupsAnswer, ExitRecordsAnswer, ShownExit, ShownGroup } from '../../src/adapter/requests/exits.ts';
import { groupRow, recordRow } from '../../src/extension/views/exit-rows.ts';
import { exitFields, keptChoice, narrowedFilter } from '../../src/extension/views/exits-choice.ts';
import { type ExitsSession, ExitsSource } from '../../src/extension/views/exits-source.ts';
import { whyNoFilter } from '../../src/hypervisor/journal/exit-filter.ts';
import { USUAL_CHOICE } from '../../src/webview/exits-table/columns.ts';

function shown(order: number, changes: Partial<ShownExit> = {}): ShownExit {
  return {
    seq: order,
    order,
    partition: 2,
    vcpu: 0,
    icount: '17',
    rip: '0x100010',
    reason: 'io',
    vmx: 30,
    svm: 0x7b,
    qualification: '0x3f80040',
    handler: 'kvm-intel handle_io',
    request: 'out 0x3f8, 0x48',
    result: 'ok',
    to: 'device',
    partitionName: 'back',
    subject: 'out 0x3f8 (1 byte)',
    instructionReference: '0x100010',
    breakpoint: { name: 'exit:io' },
    ...changes,
  };
}

/** A session whose guests leave when the test says so, and what it was asked. */
class Guests implements ExitsSession {
  readonly asked: object[] = [];
  run = 1;
  all: ShownExit[] = [];
  /** Records that are kept. */
  kept = 10_000;

  leave(count: number): void {
    for (let index = 0; index < count; index++) this.all.push(shown(this.all.length + 1));
  }
  restart(): void {
    this.run++;
    this.all = [];
  }
  async records(parameters: { count?: number; after?: number }): Promise<ExitRecordsAnswer> {
    this.asked.push(parameters);
    const { count = 100, after = 0 } = parameters;
    const newer = this.all.slice(-this.kept).filter(({ order }) => order > after);
    const hasMore = newer.length > count || this.all.filter(({ order }) => order > after).length > newer.length;
    const common = { total: this.all.length, run: this.run, partitions: 1 };
    return { ...common, records: count === 0 ? [] : newer.slice(-count), hasMore };
  }
  async groups(parameters: object): Promise<ExitGroupsAnswer> {
    this.asked.push(parameters);
    const total = this.all.length;
    const groups: ShownGroup[] = [
      { ...{ value: 'io', count: total, share: 1, first: '1', last: '9', meanInstructions: null, distances: [] }, example: 'in' },
    ];
    return { total, run: this.run, partitions: 1, counted: total, groupCount: 1, groups };
  }
}

async function orders(source: ExitsSource, guests: Guests, moving = false, choice = USUAL_CHOICE) {
  const message = await source.next(guests, choice, moving);
  if (message?.kind !== 'records') return message;
  const rows = message.rows.map(({ order }) => order);
  return { reset: message.reset, first: rows[0], count: rows.length, hasMore: message.hasMore };
}

describe('the source of the table', () => {
  test('fetches all that is kept once, and then what is new', async () => {
    const [source, guests] = [new ExitsSource(), new Guests()];
    guests.leave(5);
    expect(await orders(source, guests)).toEqual({ reset: true, first: 5, count: 5, hasMore: false });
    guests.leave(2);
    expect(await orders(source, guests)).toEqual({ reset: false, first: 7, count: 2, hasMore: false });
    expect(guests.asked.at(-1)).toMatchObject({ after: 5 });
    await orders(source, guests);
    expect(await orders(source, guests)).toBeUndefined();
    expect(source.exitOf({ exit: 3 })?.order).toBe(3);
    expect(source.exitOf({ exit: 8 })).toBeUndefined();
  });

  test('fetches few while guests run, and the others once they stand still', async () => {
    const [source, guests] = [new ExitsSource(), new Guests()];
    guests.leave(3000);
    expect(await orders(source, guests, true)).toEqual({ reset: true, first: 3000, count: 100, hasMore: true });
    guests.leave(10);
    expect(await orders(source, guests, true)).toEqual({ reset: false, first: 3010, count: 10, hasMore: false });
    guests.leave(1000);
    expect(await orders(source, guests, true)).toEqual({ reset: true, first: 4010, count: 100, hasMore: true });
    expect(await orders(source, guests)).toEqual({ reset: true, first: 4010, count: 4010, hasMore: false });
    guests.leave(1);
    expect(await orders(source, guests)).toEqual({ reset: false, first: 4011, count: 1, hasMore: false });
    // A row that was replaced a moment ago can still be acted on.
    guests.leave(1000);
    expect(await orders(source, guests, true)).toMatchObject({ reset: true, count: 100 });
    expect(source.exitOf({ exit: 4011 })?.order).toBe(4011);
  });

  test('does not fetch again and again what is kept no more', async () => {
    const [source, guests] = [new ExitsSource(), new Guests()];
    guests.kept = 50;
    guests.leave(3000);
    expect(await orders(source, guests)).toMatchObject({ count: 50, hasMore: true });
    guests.leave(1);
    expect(await orders(source, guests)).toMatchObject({ reset: false, count: 1 });
  });

  test('asks only how many there are while the table does not follow', async () => {
    const [source, guests] = [new ExitsSource(), new Guests()];
    guests.leave(5);
    await orders(source, guests);
    source.following = false;
    guests.leave(5);
    expect(await orders(source, guests, true)).toEqual({ kind: 'total', moving: true, total: 10 });
    expect(guests.asked.at(-1)).toEqual({ count: 0 });
    source.following = true;
    expect(await orders(source, guests, true)).toMatchObject({ reset: false, first: 10, count: 5 });
  });

  test('begins anew with another run, also where the table does not follow', async () => {
    for (const following of [true, false]) {
      const [source, guests] = [new ExitsSource(), new Guests()];
      guests.leave(5);
      await orders(source, guests);
      source.following = following;
      guests.restart();
      guests.leave(7);
      expect(await orders(source, guests)).toEqual({ reset: true, first: 7, count: 7, hasMore: false });
    }
  });

  test('empties the table for a run without exits', async () => {
    const [source, guests] = [new ExitsSource(), new Guests()];
    guests.leave(5);
    await orders(source, guests);
    guests.restart();
    expect(await orders(source, guests)).toMatchObject({ reset: true, count: 0 });
  });

  test('gives a page that begins anew all that it has', async () => {
    const [source, guests] = [new ExitsSource(), new Guests()];
    guests.leave(5);
    await orders(source, guests);
    source.renew();
    expect(await orders(source, guests)).toEqual({ reset: true, first: 5, count: 5, hasMore: false });
  });

  test('says nothing of groups that are as they were', async () => {
    const [source, guests] = [new ExitsSource(), new Guests()];
    const choice = { ...USUAL_CHOICE, by: 'reason' };
    source.unfolded = ['io'];
    guests.leave(5);
    expect(await source.next(guests, choice, false)).toMatchObject({ kind: 'groups', counted: 5 });
    expect(guests.asked.at(-1)).toMatchObject({ by: 'reason', unfold: ['io'] });
    expect(await source.next(guests, choice, false)).toBeUndefined();
    expect(source.groupOf({ group: 'io' })?.count).toBe(5);
  });
});

describe('rows of exits', () => {
  test('have all that is known as text', () => {
    const place = { source: { path: '/work/guest.asm', name: 'guest.asm' }, line: 12 };
    const row = recordRow(shown(3, { symbol: 'print+0x4', guestPlace: place, instructions: 1234, meaning: 'COM1: data' }));
    expect(row).toMatchObject({ line: 'guest.asm:12', vcpu: '0', partition: 'back', instructions: 1234 });
    expect(row.details).toBe(
      '#3: out 0x3f8, 0x48 → ok\nCOM1: data\nback, vCPU 0, after 17 instructions, 1,234 since its exit before\n' +
        'RIP 0x100010 (print+0x4), guest.asm:12\n' +
        'io: VMX reason 30, SVM code 0x7b, qualification 0x3f80040\ntaken by kvm-intel handle_io, served by device',
    );
  });

  test('of groups have their newest records first', () => {
    const group: ShownGroup = {
      ...{ value: '0x3f8', count: 1000, share: 0.8333, first: '1', last: '9', distances: [], example: 'out 0x3f8, 0x48' },
      meanInstructions: 12345.6,
      records: [shown(1), shown(2)],
    };
    const row = groupRow('port', group);
    expect(row.records.map(({ order }) => order)).toEqual([2, 1]);
    expect(row.details).toBe(
      'port 0x3f8\n1,000 exits, 83.3% of those that are counted\nafter 12,346 instructions of the guest on average, from the exit before\n' +
        'for example out 0x3f8, 0x48',
    );
    expect(groupRow('port', { ...group, meanInstructions: null }).meanInstructions).toBeUndefined();
  });
});

describe('a choice', () => {
  test('that was kept is taken over, but for what is none any more', () => {
    const kept = { ...USUAL_CHOICE, by: 'rip', filter: 'reason=io', widths: { to: 120 } };
    expect(keptChoice(JSON.parse(JSON.stringify(kept)))).toEqual(kept);
    expect(
      keptChoice({ by: 'colour', filter: 'prot=1', recordSort: 'up', groupSort: { column: 1 }, widths: { a: 'b' } }),
    ).toEqual(USUAL_CHOICE);
    expect(keptChoice(undefined)).toEqual(USUAL_CHOICE);
  });

  test('of a filter is narrowed by what a row is about', () => {
    const filter = narrowedFilter('to=device', 'subject', 'out 0x3f8 (1 byte)');
    expect(filter).toBe('to=device subject="out 0x3f8 (1 byte)"');
    expect([whyNoFilter(filter), whyNoFilter('prot=1')]).toEqual([undefined, expect.stringContaining('did you mean port?')]);
  });

  test('has fields with their words', () => {
    expect(exitFields().find(({ name }) => name === 'to')).toMatchObject({
      groups: true,
      words: expect.arrayContaining(['device']),
    });
    expect(exitFields().find(({ name }) => name === 'request')).toMatchObject({ groups: false });
  });
});

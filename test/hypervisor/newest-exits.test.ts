import { describe, expect, test } from 'vitest';
import type { ExitRecord } from '../../src/hypervisor/journal/exit-journal.ts';
import { ExitOrder } from '../../src/hypervisor/journal/exit-order.ts';
import { newestExits, type WantedExits } from '../../src/hypervisor/journal/newest-exits.ts';
import { RingJournal } from '../../src/hypervisor/journal/ring-journal.ts';

/** Journals of two partitions of a host, with exits that are entered in turns: `[partition, vcpu, icount]`. */
function journals(capacity: number, ...exits: readonly (readonly [partition: number, vcpu: number, icount: number])[]) {
  const order = new ExitOrder();
  const all = [new RingJournal(capacity, order), new RingJournal(capacity, order)];
  for (const [partition, vcpu, icount] of exits) {
    const journal = all[partition - 1];
    const record: ExitRecord = {
      seq: journal?.nextSeq() ?? 0,
      partition,
      vcpu,
      icount: String(icount),
      rip: '0x1000',
      reason: icount % 2 === 0 ? 'hlt' : 'cpuid',
      vmx: 12,
      svm: 0x78,
      qualification: '0x0',
      request: 'hlt',
    };
    journal?.enter(record);
  }
  return all;
}

const wanted = (parts: Partial<WantedExits> = {}): WantedExits => ({ count: 100, chosen: () => true, examined: 1000, ...parts });
const found = (all: readonly RingJournal[], parts?: Partial<WantedExits>) => {
  const { exits, hasMore } = newestExits(all, wanted(parts));
  return { exits: exits.map(({ order, instructions }) => [order, instructions]), hasMore };
};

describe('the newest exits of several partitions', () => {
  const turns = journals(10, [1, 0, 5], [2, 0, 3], [2, 1, 4], [1, 0, 8], [2, 0, 10], [1, 0, 9]);

  test('stand in the order in which they happened, with the instructions since the exit before of the same vCPU', () => {
    expect(found(turns)).toEqual({
      exits: [
        [1, 5],
        [2, 3],
        [3, 4],
        [4, 3],
        [5, 7],
        [6, 1],
      ],
      hasMore: false,
    });
    expect(newestExits(turns, wanted()).exits.map(({ record: { partition, seq } }) => `${partition}.${seq}`)).toEqual([
      '1.1',
      '2.1',
      '2.2',
      '1.2',
      '2.3',
      '1.3',
    ]);
  });

  test('know the exit before also where it was not chosen, or lies behind those that are asked for', () => {
    expect(found(turns, { chosen: ({ reason }) => reason === 'cpuid' })).toMatchObject({
      exits: [
        [1, 5],
        [2, 3],
        [6, 1],
      ],
    });
    expect(found(turns, { count: 2 })).toEqual({
      exits: [
        [5, 7],
        [6, 1],
      ],
      hasMore: true,
    });
  });

  test('end behind those that are known, and say when there are more than were asked for', () => {
    expect(found(turns, { after: 4 })).toEqual({
      exits: [
        [5, 7],
        [6, 1],
      ],
      hasMore: false,
    });
    expect(found(turns, { after: 3, count: 2 }).hasMore).toBe(true);
    expect(found(turns, { after: 6 })).toEqual({ exits: [], hasMore: false });
    expect(found(turns, { count: 0 })).toEqual({ exits: [], hasMore: true });
    expect(found(turns, { examined: 2 })).toMatchObject({
      exits: [
        [5, undefined],
        [6, undefined],
      ],
      hasMore: true,
    });
  });

  test('are looked for no longer than until there are enough', () => {
    const many = journals(100, ...Array.from({ length: 100 }, (_, index) => [1, 0, index + 1] as const));
    let looked = 0;
    const chosen = () => {
      looked++;
      return true;
    };
    expect(found(many, { count: 3, chosen })).toMatchObject({
      exits: [
        [98, 1],
        [99, 1],
        [100, 1],
      ],
      hasMore: true,
    });
    expect(looked).toBe(3);
    expect(found(many, { count: 3, after: 97 }).hasMore).toBe(false);
  });

  test('do not measure from an exit that was dropped, nor hide that some were', () => {
    const dropped = journals(2, [1, 0, 5], [1, 0, 8], [1, 0, 20], [2, 0, 1]);
    expect(found(dropped)).toEqual({
      exits: [
        [2, undefined],
        [3, 12],
        [4, 1],
      ],
      hasMore: true,
    });
    expect(found(dropped, { after: 1 })).toEqual({ ...found(dropped), hasMore: false });
    expect(found(journals(0, [1, 0, 5]))).toEqual({ exits: [], hasMore: true });
  });

  test('measure from 0 behind a reset', () => {
    expect(found(journals(9, [1, 0, 50], [1, 0, 7])).exits).toEqual([
      [1, 50],
      [2, 7],
    ]);
  });
});

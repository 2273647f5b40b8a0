import { describe, expect, test } from 'vitest';
import { AS_INTERCEPT, DoorbellGuests, RINGS, SELF, SOURCE, UNMAPPED, writing } from './doorbell-guests.ts';

const UNMAPPED_GPA = 0x8000_0000;
const RUNG = 'rings doorbell port';
const VALUE = 0x1234;

describe.each(['intel', 'amd'] as const)('on %s, a child', (vendor) => {
  test('rings a doorbell of its parent by a write, and goes on', () => {
    const guests = new DoorbellGuests(vendor);
    guests.doorbell(7, { value: VALUE, size: 3 });
    const results = guests.runs(...writing(UNMAPPED, VALUE, 4), ...writing(UNMAPPED, VALUE, 4));
    expect(results).toEqual([`${RUNG} 7 of partition 1`, `${RUNG} 7 of partition 1`]);
    expect([guests.isInterrupted, guests.takeMessage(), guests.drain()]).toEqual([true, 0, [7, 7]]);
    expect(guests.parent.running(guests.child).vcpus[0]?.processor.state.rip).toBe(20n);
  });

  test('rings one of several at the same address, by what it writes', () => {
    const guests = new DoorbellGuests(vendor);
    for (const id of [1, 2, 3]) guests.doorbell(id, { value: id * 0x10, size: 2 });
    guests.runs(...[0x20, 0x10, 0x30].flatMap((value) => writing(UNMAPPED, value, 2)));
    expect(guests.drain()).toEqual([2, 1, 3]);
  });

  test.each([
    ['another value', writing(UNMAPPED, VALUE + 1, 4)],
    ['another size', writing(UNMAPPED, VALUE, 2)],
    ['another address', writing(UNMAPPED + 4, VALUE, 4)],
    ['a read', [0xa1, 0, 0, 0x30, 0]],
  ])('leaves as usual with %s', (_name, code) => {
    const guests = new DoorbellGuests(vendor);
    guests.doorbell(7, { value: VALUE, size: 3 });
    expect(guests.runs(...code)).toEqual(['HvMessageTypeUnmappedGpa to partition 1']);
    expect([guests.takeMessage(), guests.drain()]).toEqual([UNMAPPED_GPA, []]);
  });
});

describe('a doorbell', () => {
  test('may be for any size and any value', () => {
    const guests = new DoorbellGuests('intel');
    guests.doorbell(1, { gpa: 0x30_0000, any: true });
    guests.doorbell(2, { gpa: 0x30_0010, any: true, size: 1, value: 5 });
    guests.doorbell(3, { gpa: 0x30_0020, value: 9 });
    const rung = guests.runs(
      ...writing(0x30_0000, 1, 1),
      ...writing(0x30_0000, 2, 4),
      ...writing(0x30_0010, 3, 1),
      ...writing(0x30_0020, 9, 2),
      ...writing(0x30_0020, 9, 4),
    );
    expect([rung.length, guests.drain()]).toEqual([5, [1, 1, 2, 3, 3]]);
  });

  test('interrupts by a message where its source is an intercept, as Linux has it', () => {
    const guests = new DoorbellGuests('intel', { sint: 0x50n | AS_INTERCEPT });
    guests.doorbell(7, { any: true });
    guests.runs(...writing(UNMAPPED, 1, 4), ...writing(UNMAPPED, 1, 4));
    expect([guests.isInterrupted, guests.takeMessage(), guests.takeMessage(), guests.drain()]).toEqual([
      ...[false, 0x8000_0061, 0, [7, 7]],
    ]);
    guests.runs(...writing(UNMAPPED, 1, 4));
    expect([guests.takeMessage(), guests.drain()]).toEqual([0x8000_0061, [7]]);
  });

  test('that nobody hears is an intercept', () => {
    const guests = new DoorbellGuests('intel', { rings: 0n });
    guests.doorbell(7, { any: true });
    expect(guests.runs(...writing(UNMAPPED, 1, 4))).toEqual(['HvMessageTypeUnmappedGpa to partition 1']);
    expect(guests.takeMessage()).toBe(UNMAPPED_GPA);
  });

  test('waits for room in a full ring', () => {
    const guests = new DoorbellGuests('intel');
    guests.doorbell(7, { any: true });
    guests.doorbell(8, { gpa: UNMAPPED + 8, any: true });
    // mov ecx, 70; again: mov [7's], ecx; loop again; mov [8's], 1
    guests.runs(0xb9, 70, 0, 0, 0, 0x89, 0x0d, 0, 0, 0x30, 0, 0xe2, 0xf8, ...writing(UNMAPPED + 8, 1, 4));
    const ring = guests.parent.read(RINGS + BigInt(SOURCE * 256), 4);
    expect([ring.getUint8(1), guests.drain().length, guests.drain().length]).toEqual([1, 63, 0]);
    expect([guests.notifyEmpty(), guests.drain()]).toEqual(['SUCCESS', [7, 8]]);
    expect([guests.notifyEmpty(16), guests.notifyEmpty(3)]).toEqual(['INVALID_PARAMETER', 'SUCCESS']);
    guests.parent.platform.msrs.write(guests.parent.processor, 0x4000_0085, 0n);
    expect(guests.notifyEmpty()).toBe('INVALID_SYNIC_STATE');
  });

  test('in a page that is mapped takes it from the child until it is disconnected', () => {
    const guests = new DoorbellGuests('intel');
    const inPage = 0x1ff8;
    guests.parent.write(0x24_1000n, Uint8Array.of(1, 2, 3, 4));
    guests.doorbell(7, { gpa: inPage, size: 3, any: true });
    guests.doorbell(8, { gpa: inPage + 4, size: 3, any: true });
    expect(guests.runs(...writing(inPage, 1, 4))).toEqual([`${RUNG} 7 of partition 1`]);
    expect(guests.runs(0xa1, 0, 0x10, 0, 0)).toEqual(['HvMessageTypeUnmappedGpa to partition 1']);
    guests.takeMessage();
    // Its parent still reaches it, and changes what it is for when it is back.
    expect([...new Uint8Array(guests.parent.read(0x24_1000n, 4).buffer)]).toEqual([1, 2, 3, 4]);
    guests.parent.map(guests.child, 1, [0x241], 1);
    expect(guests.runs(...writing(inPage + 4, 1, 4))).toEqual([`${RUNG} 8 of partition 1`]);
    expect([guests.disconnect(7), guests.runs(0xa1, 0, 0x10, 0, 0).length]).toEqual(['SUCCESS', 1]);
    guests.takeMessage();
    expect([guests.disconnect(8), guests.runs(0xa1, 0, 0x10, 0, 0)]).toEqual(['SUCCESS', []]);
    expect(guests.runs(...writing(inPage, 1, 4))).toEqual(['HvMessageTypeGpaIntercept to partition 1']);
  });

  test('whose port was deleted is an intercept, and whose connection was ended is none', () => {
    const guests = new DoorbellGuests('intel');
    guests.doorbell(7, { any: true });
    expect([guests.deletePort(7), guests.deletePort(7)]).toEqual(['SUCCESS', 'INVALID_PORT_ID']);
    expect(guests.runs(...writing(UNMAPPED, 1, 4))).toEqual(['HvMessageTypeUnmappedGpa to partition 1']);
    guests.takeMessage();
    // The number is free, the connection is still there.
    expect([guests.createPort(7), guests.connect(7, 7), guests.connect(8, 7, { any: true })]).toEqual([
      ...['SUCCESS', 'INVALID_CONNECTION_ID', 'INVALID_PARAMETER'],
    ]);
    expect([guests.disconnect(7), guests.disconnect(7), guests.connect(7, 7, { any: true })]).toEqual([
      ...['SUCCESS', 'INVALID_CONNECTION_ID', 'SUCCESS'],
    ]);
    expect(guests.runs(...writing(UNMAPPED, 1, 4))).toEqual([`${RUNG} 7 of partition 1`]);
  });

  test('ends with its child, and the port can be connected to anew', () => {
    const guests = new DoorbellGuests('intel');
    expect(guests.createPort(7, { from: 0n })).toBe('SUCCESS');
    expect(guests.connect(7, 7, { any: true })).toBe('SUCCESS');
    const next = guests.parent.create();
    guests.parent.deposit(next, 0x310, 16);
    guests.parent.simple(0x41, [next, 8]);
    expect(guests.connect(7, 7, { any: true }, next)).toBe('INVALID_PORT_ID');
    expect(guests.parent.simple(0x42, [guests.child, 8])).toBe(0);
    expect([guests.connect(7, 7, { any: true }), guests.connect(7, 7, { any: true }, next)]).toEqual([
      ...['INVALID_PARTITION_STATE', 'SUCCESS'],
    ]);
  });

  test('is refused where it can be none, with the reason', () => {
    const guests = new DoorbellGuests('intel');
    expect([
      guests.createPort(0),
      guests.createPort(1, { source: 0 }),
      guests.createPort(1, { vp: 1 }),
      guests.createPort(1, { owner: guests.child }),
      guests.createPort(1, { from: 0n }),
      guests.createPort(1, { from: 0n }),
    ]).toEqual([...['INVALID_PORT_ID', 'INVALID_PARAMETER', 'INVALID_VP_INDEX', 'ACCESS_DENIED', 'SUCCESS', 'INVALID_PORT_ID']]);
    const refused = [
      { size: 5 },
      { flags: 0x100n },
      { flags: 1n << 32n },
      { gpa: 0x30_0ffd, size: 3 },
      { gpa: 1n << 40n },
      { gpa: SELF },
    ];
    expect(refused.map((match) => guests.connect(1, 1, match))).toEqual(refused.map(() => 'INVALID_PARAMETER'));
    expect(guests.connect(1, 1, {}, SELF)).toBe('INVALID_PARTITION_ID');
    expect(guests.parent.partition.journal.latest(1)[0]?.result).toContain('partition 1 is no child');
    expect([guests.connect(0x100_0000, 1), guests.connect(1, 9), guests.connect(1, 1, { gpa: 0x30_0ffc, size: 3 })]).toEqual([
      ...['INVALID_CONNECTION_ID', 'INVALID_PORT_ID', 'SUCCESS'],
    ]);
    guests.createPort(2);
    expect(guests.connect(2, 1, { gpa: 0 })).toBe('INVALID_PORT_ID');
    const rivals = [{ size: 3 }, { size: 2, value: 1 }, { size: 0, value: 1 }, { size: 3, value: 1, any: true }];
    expect(rivals.map((match) => guests.connect(2, 2, { gpa: 0x30_0ffc, ...match }))).toEqual(
      rivals.map(() => 'INVALID_PARAMETER'),
    );
    expect(guests.connect(2, 2, { gpa: 0x30_0ffc, size: 3, value: 1 })).toBe('SUCCESS');
    expect([guests.disconnect(2, 2), guests.disconnect(2, 0), guests.disconnect(1)]).toEqual([
      ...['INVALID_PARAMETER', 'SUCCESS', 'SUCCESS'],
    ]);
  });

  test('comes in rings whose page is a register of the virtual processor, too', () => {
    const { parent } = new DoorbellGuests('intel');
    expect(parent.list(0x50, 1, [SELF, 8], [0, 8], [0xa_0015, 4]).status).toBe(0);
    expect(parent.answer()).toBe(RINGS | 1n);
  });

  test('is shown with the port that it leads to', () => {
    const guests = new DoorbellGuests('intel');
    guests.doorbell(7, { size: 3, value: 5 });
    guests.runs(...writing(UNMAPPED, 5, 4));
    const find = (name: string, nodes: readonly { name: string; children?: readonly unknown[] }[]) =>
      nodes.find((node) => node.name === name)?.children?.[0];
    const child = guests.parent.child(guests.child).running?.hyperv as unknown as typeof guests.parent.platform;
    expect(find('doorbells', child.inspect().children ?? [])).toMatchObject({
      name: '0x300000',
      value: 'port 7 of partition 1',
      detail: 'writes of 4 bytes, value 0x5, at 0x300000',
    });
    expect(find('ports', guests.parent.platform.inspect().children ?? [])).toMatchObject({
      name: 'port 7',
      detail: 'SINT5 of any vCPU, rung 1 times',
    });
  });
});

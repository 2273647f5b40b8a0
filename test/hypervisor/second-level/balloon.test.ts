import { describe, expect, test } from 'vitest';
import { Host } from '../../../src/hypervisor/host/host.ts';
import { eptWalk } from '../../../src/hypervisor/second-level/ept.ts';
import { IDT, ROUTINES, runToEnd } from '../../platforms/run-guest.ts';
import { guest, NOTHING, processorOf, stopAt, TIERS } from './stop-at.ts';

/** Fills a page, tells the hypervisor (OUT to port 80h), and prints what is in it then. */
const FILLS = `bits 64
_start:
    mov edi, 0x600000
    mov rax, 0x1122334455667788
    mov ecx, 512
    rep stosq
    out 0x80, al
    mov edi, 0x600000
    mov rax, [rdi + 8]
    call hex
    mov qword [rdi + 0x10], 5
    mov rax, [rdi + 0x10]
    call hex
    jmp off
${ROUTINES}`;

describe.each(TIERS)('a ballooned page, %s', (_name, tier) => {
  test('loses what was in it, and gets a scrubbed page when it is touched', () => {
    const partition = guest(FILLS, tier);
    stopAt(partition, 'io');
    partition.secondLevel.balloon(0x60_0000n, 0x1000n);
    expect(partition.memory.read(0x60_0000n, 4096).every((byte) => byte === 0)).toBe(true);
    const { text, records } = runToEnd(partition);
    expect(text).toBe('0000000000000000\n0000000000000005\n');
    const violations = records.filter(({ reason }) => reason === 'second-level-violation');
    const spa = eptWalk(partition.secondLevel, 0x60_0000n).spa ?? 0n;
    expect(violations).toHaveLength(1);
    expect(violations[0]).toMatchObject({
      request: 'read 0x600008',
      result: `backed with a scrubbed page at SPA 0x${spa.toString(16)}`,
      to: 'hypervisor',
      qualification: '0x181',
    });
  });

  test('that is deflated again needs no exit', () => {
    const partition = guest(FILLS, tier);
    stopAt(partition, 'io');
    partition.secondLevel.balloon(0x60_0000n, 0x1000n);
    partition.secondLevel.deflate(0x60_0000n, 0x1000n);
    const { text, records } = runToEnd(partition);
    expect(text).toBe('0000000000000000\n0000000000000005\n');
    expect(records.some(({ reason }) => reason === 'second-level-violation')).toBe(false);
  });

  test('with code is decoded anew', () => {
    const partition = guest(
      `bits 64
_start:
    mov ecx, 3
    lea rax, [rel gone]
    call gate
    mov ecx, 14
    lea rax, [rel gone]
    call gate
    call load_idt
    mov edi, 0x600000
    mov dword [rdi], 0xc3c0ff
    mov ecx, 9000
.next:
    call rdi
    dec ecx
    jnz .next
    out 0x80, al
    mov eax, 0x600800
    mov byte [rdi + 2], 0xcc
    call rdi
gone:
    mov esp, 0x80000
    mov eax, 1
    call hex
    jmp off
${ROUTINES}${IDT}`,
      tier,
    );
    stopAt(partition, 'io');
    partition.secondLevel.balloon(0x60_0000n, 0x1000n);
    // 00 00: add [rax], al at 0x600000, then INT3.
    expect(runToEnd(partition).text).toBe('0000000000000001\n');
    expect(partition.memory.read(0x60_0800n, 1)[0]).toBe(0);
    expect(partition.memory.read(0x60_0002n, 1)[0]).toBe(0xcc);
  });
});

test('RAM that never had memory gets it page by page, also for page tables and on a bare machine', () => {
  const source = FILLS.replace('out 0x80, al', 'nop');
  for (const platform of ['kvm', 'bare'] as const) {
    const partition = guest(source, { platform });
    partition.secondLevel.balloon(0x60_0000n, 0x80_0000n, 'unbacked');
    const { cr3 } = processorOf(partition).state;
    expect(partition.secondLevel.lookUp(cr3).state).toBe('present');
    expect(runToEnd(partition).text).toBe('1122334455667788\n0000000000000005\n');
    const states = [0x60_0000n, 0x60_1000n].map((gpa) => partition.secondLevel.lookUp(gpa).state);
    expect(states).toEqual(['present', 'unbacked']);
  }
});

test('a reset gives everything back', () => {
  const partition = guest(FILLS.replace('out 0x80, al', 'nop'));
  partition.secondLevel.setPermissions(0x60_0000n, 0x1000n, NOTHING);
  expect(runToEnd(partition).end.kind).toBe('crash');
  partition.reset();
  expect(partition.secondLevel.lookUp(0x60_0000n).size).toBe(0x20_0000n);
  expect(runToEnd(partition).end.kind).toBe('power-off');
});

describe('partitions of one host', () => {
  test('have no system physical address in common, neither memory nor tables', () => {
    const host = new Host();
    const partitions = [1, 2, 3].map(() => guest(FILLS, {}, host));
    const ranges = partitions.flatMap(({ secondLevel }) => {
      const { place, memory } = secondLevel;
      const last = memory.regions.at(-1);
      const end = secondLevel.spaOf((last?.gpa ?? 0n) + BigInt((last?.length ?? 1) - 1)) ?? 0n;
      const entries = eptWalk(secondLevel, (last?.gpa ?? 0n) + 0x1000n).entries;
      return [
        [place.ram, end],
        [place.tables, entries.at(-1)?.address ?? 0n],
      ] as const;
    });
    for (const [index, [from, to]] of ranges.entries())
      for (const [start, end] of ranges.slice(index + 1)) expect(to < start || end < from).toBe(true);
  });

  test('don’t notice what is done to the map of another', () => {
    const host = new Host();
    const alone = runToEnd(guest(FILLS)).hash;
    const [attacked, other] = [guest(FILLS, {}, host), guest(FILLS, {}, host)];
    attacked.secondLevel.setPermissions(0x60_0000n, 0x1000n, NOTHING);
    attacked.secondLevel.balloon(0x70_0000n, 0x1000n);
    attacked.dirtyLog.start('write-protection');
    expect(runToEnd(attacked).end.kind).toBe('crash');
    expect(runToEnd(other).hash).toBe(alone);
  });

  test('map no address beyond their own memory', () => {
    const partition = guest(FILLS);
    const { memory, secondLevel } = partition;
    const last = memory.regions.at(-1);
    const end = (last?.gpa ?? 0n) + BigInt(last?.length ?? 0);
    for (const gpa of [0xa_0000n, 0xb_ffffn, end, 0xfec0_0000n, 1n << 32n, 1n << 39n, (1n << 52n) - 1n])
      expect(eptWalk(secondLevel, gpa).spa).toBeUndefined();
  });
});

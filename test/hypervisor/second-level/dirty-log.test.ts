import { describe, expect, test } from 'vitest';
import type { GuestPartition } from '../../../src/hypervisor/partition/guest-partition.ts';
import type { DirtyLogMethod } from '../../../src/hypervisor/second-level/dirty-log.ts';
import { ROUTINES, runToEnd } from '../../platforms/run-guest.ts';
import { Random } from '../../support/random.ts';
import { ALL, guest, READ_ONLY, stopAt, TIERS } from './stop-at.ts';

const METHODS: readonly DirtyLogMethod[] = ['flags', 'write-protection', 'pml'];
const FIRST = 0x40_0000n;

/**
 * Reads all pages from 4 MiB to 6 MiB again and again, writes those whose number is in a list, and says to the hypervisor after each round
 * (OUT to port 80h).
 */
const writer = (rounds: readonly (readonly number[])[]) => `bits 64
_start:
    lea rsi, [rel lists]
    mov ebp, ${rounds.length}
.round:
    mov edi, 0x400000
.read:
    mov rax, [rdi]
    add edi, 0x1000
    cmp edi, 0x600000
    jb .read
.write:
    lodsd
    test eax, eax
    jz .said
    mov dword [rax], eax
    jmp .write
.said:
    out 0x80, al
    dec ebp
    jnz .round
    jmp off
${ROUTINES}
align 4
lists:
${rounds.map((pages) => `    dd ${[...pages.map((page) => 0x40_0010 + page * 0x1000), 0].join(', ')}`).join('\n')}
`;

/** What was written in the guest's data, apart from stacks and page tables. */
const data = (pages: readonly bigint[]) =>
  pages.filter((gpa) => gpa >= FIRST && gpa < 0x60_0000n).map((gpa) => Number((gpa - FIRST) >> 12n));

/** Runs on past an OUT to port 80h. */
function nextRound(partition: GuestPartition): void {
  for (;;) {
    const exit = stopAt(partition, 'io');
    if (exit.port === 0x80) return;
  }
}

describe.each(TIERS)('the dirty log, %s', (_name, tier) => {
  const random = new Random(7);
  const rounds = Array.from({ length: 6 }, (_, round) =>
    Array.from({ length: [1, 0, 40, 300, 5, 200][round] ?? 0 }, () => random.below(512)),
  );

  test.each(METHODS)('by %s has the pages that were written since the last time, no more and no less', (method) => {
    const partition = guest(writer(rounds), tier);
    partition.dirtyLog.start(method);
    for (const round of rounds) {
      nextRound(partition);
      const expected = [...new Set(round)].sort((a, b) => a - b);
      const collected = partition.dirtyLog.collect();
      expect(data(collected)).toEqual(expected);
      expect([...collected]).toEqual([...collected].sort((a, b) => (a < b ? -1 : 1)));
      expect(data(partition.dirtyLog.collect())).toEqual([]);
    }
    expect(runToEnd(partition).end.kind).toBe('power-off');
  });

  test.each(METHODS)('by %s changes nothing that the guest computes', (method) => {
    const plain = runToEnd(guest(writer(rounds), tier));
    const partition = guest(writer(rounds), tier);
    partition.dirtyLog.start(method);
    const logged = runToEnd(partition);
    expect([logged.hash, logged.instructions]).toEqual([plain.hash, plain.instructions]);
  });
});

describe('the dirty log', () => {
  const all = Array.from({ length: 512 }, (_, page) => page);

  test('by write protection leaves once for each page', () => {
    const partition = guest(writer([[3, 3, 4, 3], [4]]));
    partition.dirtyLog.start('write-protection');
    const { records } = runToEnd(partition);
    const seen = records.filter(({ reason, request }) => reason === 'second-level-violation' && /^write 0x4/.test(request));
    expect(seen.map(({ request, result }) => [request, result])).toEqual([
      ['write 0x403010', 'written page logged'],
      ['write 0x404010', 'written page logged'],
    ]);
  });

  test('by flags and by PML leaves never, but when 512 addresses are written down', () => {
    const counts = (method: DirtyLogMethod) => {
      const partition = guest(writer([all, [], [0]]));
      partition.dirtyLog.start(method);
      const { records } = runToEnd(partition);
      expect(data(partition.dirtyLog.collect())).toEqual(all);
      return records.filter(({ reason }) => reason === 'second-level-violation' || reason === 'dirty-log');
    };
    expect(counts('flags')).toEqual([]);
    const full = counts('pml');
    expect(full).toHaveLength(1);
    expect(full[0]).toMatchObject({ reason: 'dirty-log', vmx: 62, handler: 'kvm-intel handle_pml_full' });
    expect(full[0]?.result).toMatch(/^512 pages logged/);
  });

  test('by PML leaves before the write that has no room', () => {
    const partition = guest(writer([all]));
    partition.dirtyLog.start('pml');
    const exit = stopAt(partition, 'dirty-log');
    expect(partition.dirtyLog.pending(0)).toBe(512);
    expect(partition.memory.read(exit.gpa, 4)).toEqual(new Uint8Array(4));
    const early = data(partition.dirtyLog.collect());
    expect(early).toEqual(all.slice(0, early.length));
    expect(exit.gpa).toBe(FIRST + BigInt(early.length) * 0x1000n + 0x10n);
    runToEnd(partition);
    expect(data(partition.dirtyLog.collect())).toEqual(all.slice(early.length));
  });

  test('has what devices and the hypervisor wrote', () => {
    for (const method of METHODS) {
      const partition = guest(writer([[1]]));
      partition.dirtyLog.start(method);
      partition.memory.write(0x40_5ffen, Uint8Array.from([1, 2, 3, 4]));
      expect(data(partition.dirtyLog.collect())).toEqual([5, 6]);
      expect(partition.dirtyLog.collect()).toEqual([]);
    }
  });

  test('has page tables whose flags the processor set', () => {
    for (const method of METHODS) {
      const partition = guest(writer([[1]]));
      const tables = partition.vcpus[0]?.processor.state.cr3 ?? 0n;
      partition.dirtyLog.start(method);
      nextRound(partition);
      expect(partition.dirtyLog.collect()).toContain(tables);
    }
  });

  test('splits large pages while it runs, and joins them again', () => {
    const partition = guest(writer([[1]]));
    const size = () => partition.secondLevel.lookUp(FIRST).size;
    for (const method of METHODS) {
      partition.dirtyLog.start(method);
      expect(size()).toBe(0x1000n);
      partition.dirtyLog.stop();
      expect(size()).toBe(0x20_0000n);
    }
    expect(partition.secondLevel.lookUp(FIRST)).toMatchObject({ permissions: ALL, withheld: false });
  });

  test('gives back no right that the page hadn’t, and sees pages that get rights or memory while it runs', () => {
    const partition = guest(writer([[1, 2], [3], [2]]));
    const { secondLevel, dirtyLog } = partition;
    secondLevel.setPermissions(FIRST + 0x7000n, 0x1000n, READ_ONLY);
    dirtyLog.start('write-protection');
    secondLevel.setPermissions(FIRST + 0x3000n, 0x1000n, READ_ONLY);
    secondLevel.setPermissions(FIRST + 0x3000n, 0x1000n, ALL);
    nextRound(partition);
    expect(data(dirtyLog.collect())).toEqual([1, 2]);
    secondLevel.balloon(FIRST + 0x2000n, 0x1000n);
    expect(data(dirtyLog.collect())).toEqual([2]);
    nextRound(partition);
    expect(data(dirtyLog.collect())).toEqual([3]);
    nextRound(partition);
    expect(data(dirtyLog.collect())).toEqual([2]);
    dirtyLog.stop();
    expect(secondLevel.lookUp(FIRST + 0x7000n).permissions).toEqual(READ_ONLY);
  });

  test('refuses methods that the processor hasn’t', () => {
    expect(() => guest(writer([[1]]), { vendor: 'amd' }).dirtyLog.start('pml')).toThrow('no page-modification log');
  });

  test('is gone after a reset', () => {
    const partition = guest(writer([[1]]));
    partition.dirtyLog.start('write-protection');
    partition.reset();
    expect(partition.dirtyLog.method).toBeUndefined();
    expect(runToEnd(partition).records.some(({ reason }) => reason === 'second-level-violation')).toBe(false);
    expect(partition.dirtyLog.collect()).toEqual([]);
  });

  test('belongs to each vCPU where it is a page-modification log', () => {
    const partition = guest(writer([[1]]), { vcpus: 2 });
    partition.dirtyLog.start('pml');
    nextRound(partition);
    expect(partition.dirtyLog.pending(0)).toBeGreaterThan(0);
    expect(partition.dirtyLog.pending(1)).toBe(0);
  });
});

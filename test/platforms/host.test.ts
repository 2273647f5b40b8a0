import { describe, expect, test } from 'vitest';
import { Host, TURN } from '../../src/hypervisor/host/host.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import { guest } from './run-guest.ts';

const MIB = 1 << 20;
const POWER_OFF = `
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
`;
/** Works for so many rounds, writes to memory as it goes, then switches itself off. */
const worker = (rounds: number, seed: number) => `bits 64
    mov rcx, ${rounds}
    mov rax, ${seed}
.round:
    imul rax, rax, 0x19660d
    add rax, 0x3c6ef35f
    movzx ebx, ax
    mov [0x300000 + rbx * 8], rax
    test cx, 0xfff
    jnz .next
    mov dx, 0x3f8
    mov al, '.'
    out dx, al
.next:
    dec rcx
    jnz .round
${POWER_OFF}`;
/** Waits for the timer of its local APIC again and again, each time for so many ticks, then switches itself off. */
const sleeper = (times: number, ticks: number) => `bits 64
    lea rax, [rel woken]
    lea rdi, [rel idt + 0x40 * 16]
    mov [rdi], ax
    mov word [rdi + 2], cs
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    mov dword [rdi + 8], 0
    lea rax, [rel idt]
    mov [rel idt_pointer + 2], rax
    lidt [rel idt_pointer]
    mov esi, 0xfee00000
    mov dword [rsi + 0xf0], 0x1ff
    mov dword [rsi + 0x3e0], 0xb
    mov dword [rsi + 0x320], 0x40
    mov ebx, ${times}
.sleep:
    mov dword [rsi + 0x380], ${ticks}
    sti
    hlt
    cli
    dec ebx
    jnz .sleep
${POWER_OFF}
woken:
    mov dword [rsi + 0xb0], 0
    iretq
idt_pointer: dw 0xfff
    dq 0
align 16
idt: times 4096 db 0
`;
const echo = `bits 64
.wait:
    mov dx, 0x3f9
    mov al, 1
    out dx, al
    hlt
    jmp .wait
`;

const small = { memory: 8 * MIB };

/** Two workers and one that mostly sleeps, on one host. */
function threeGuests() {
  const host = new Host();
  const partitions = [
    guest(worker(60_000, 1), small, host),
    guest(sleeper(20, 30_000), small, host),
    guest(worker(20_000, 7), { ...small, platform: 'bare' }, host),
  ];
  return { host, partitions };
}

/** Runs all to their ends in calls of so many instructions; gives the order of the ends, with the hash of each at that moment. */
function runAll(host: Host, instructions: number): string[] {
  const ends: string[] = [];
  for (let calls = 0; calls < 1_000_000; calls++) {
    const { partition, stop } = host.run({ instructions });
    if (stop.kind === 'ended' && partition)
      ends.push(`${partition.id} ${stop.end.kind} ${host.partitions.map((member) => member.stateHash()).join(' ')}`);
    if (host.partitions.every(({ end }) => end !== undefined)) return ends;
  }
  throw new Error('they did not end');
}

describe('several partitions on one host', () => {
  test('run to their ends, each as if it were alone', () => {
    const { host, partitions } = threeGuests();
    expect(runAll(host, 1_000_000)).toHaveLength(3);
    expect(partitions.map(({ end }) => end?.kind)).toEqual(['power-off', 'power-off', 'power-off']);
    const alone = guest(worker(60_000, 1), small);
    while (alone.run({ instructions: 1_000_000 }).kind !== 'ended');
    expect(partitions[0]?.stateHash()).toBe(alone.stateHash());
    expect(partitions[0]?.icount).toBe(alone.icount);
  });

  test.each([1009, 65_537])('end in the same order and the same states when they are run %i instructions at a time', (slice) => {
    expect(runAll(threeGuests().host, slice)).toEqual(runAll(threeGuests().host, 10_000_000));
  });

  test('stay within one turn of each other', () => {
    const { host, partitions } = threeGuests();
    for (let calls = 0; calls < 40; calls++) {
      host.run({ instructions: 7919 });
      const times = partitions.filter(({ end }) => !end).map((partition) => partition.now());
      const sorted = times.sort((a, b) => Number(a - b));
      expect((sorted.at(-1) ?? 0n) - (sorted[0] ?? 0n)).toBeLessThanOrEqual(TURN);
    }
  });

  test('that stand still find their own time as they left it', () => {
    const host = new Host();
    const [first, second, third] = [1, 2, 3].map((seed) => guest(worker(200_000, seed), small, host));
    const runTurns = (count: number, takesPart: (partition: unknown) => boolean) => {
      for (let turns = 0; turns < count; turns++) {
        const turn = host.whoseTurn(takesPart);
        if (!turn) return;
        turn.partition.run({ instructions: 1_000_000, until: turn.until });
        host.endTurn(turn);
      }
    };
    runTurns(3, () => true);
    const before = first?.now();
    runTurns(8, (partition) => partition !== first);
    expect(first?.now()).toBe(before);
    expect(second?.now()).toBe(5n * TURN);
    runTurns(1, (partition) => partition === first);
    expect(first?.now()).toBe(2n * TURN);
    runTurns(2, () => true);
    expect([second?.now(), third?.now()]).toEqual([6n * TURN, 6n * TURN]);
  });

  test('that are made later begin at a time of their own', () => {
    const host = new Host();
    const first = guest(worker(60_000, 1), small, host);
    for (let calls = 0; calls < 5; calls++) host.run({ instructions: 40_000 });
    const second = guest(worker(60_000, 2), small, host);
    for (let calls = 0; calls < 10; calls++) host.run({ instructions: 40_000 });
    expect(first.now()).toBeGreaterThan(3n * TURN);
    expect(second.now()).toBeLessThan(first.now());
    expect(first.now() - second.now()).toBeGreaterThanOrEqual(2n * TURN - TURN);
  });

  test('have numbers of their own in the exit journal', () => {
    const { host, partitions } = threeGuests();
    runAll(host, 1_000_000);
    expect(partitions.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(partitions[0]?.journal.latest(1)[0]?.partition).toBe(1);
    expect(partitions[1]?.journal.latest(1)[0]?.partition).toBe(2);
  });

  test('that all wait for input are idle, and go on when some comes to one of them', () => {
    const host = new Host();
    const source = `bits 64
    mov dx, 0x3f8
.wait:
    mov dx, 0x3fd
    in al, dx
    test al, 1
    jz .wait
${POWER_OFF}`;
    const listening = guest(source, small, host);
    const other = guest(worker(5000, 3), small, host);
    while (!other.end) host.run({ instructions: 100_000 });
    expect(listening.end).toBeUndefined();
    listening.sendConsole(Uint8Array.of(0x41));
    for (let calls = 0; calls < 10 && !listening.end; calls++) host.run({ instructions: 1_000_000 });
    expect(listening.end?.kind).toBe('power-off');
  });
});

/** Fills RAM and all registers, the vector ones too, with a pattern. */
const PATTERN = 0xc0de_fade_5eed_beefn;
const marker = `bits 64
    mov rax, 0x${PATTERN.toString(16)}
    mov rdi, 0x200000
    mov ecx, 0xc0000
    cld
    rep stosq
    mov rbx, rax
    mov r8, rax
    mov r15, rax
    mov [0x200000], rax
    mov rcx, cr4
    or ecx, 0x200
    mov cr4, rcx
    movq xmm3, rax
    mov dx, 0x3f8
    out dx, al
    cli
    hlt
`;

function holdsPattern({ memory }: GuestPartition): boolean {
  return (
    new BigUint64Array(memory.wasm.buffer).includes(PATTERN) ||
    new BigUint64Array(memory.wasm.buffer).includes(BigInt.asUintN(64, PATTERN))
  );
}

describe('a destroyed partition', () => {
  test('leaves nothing in the memory that a later one gets', () => {
    const host = new Host();
    const first = guest(marker, small, host);
    while (!first.end) host.run({ instructions: 1_000_000 });
    expect(holdsPattern(first)).toBe(true);
    const { wasm } = first.memory;
    host.destroy(first);
    const second = guest(echo, small, host);
    // It is the same memory, so the test is about something.
    expect(second.memory.wasm).toBe(wasm);
    expect(holdsPattern(second)).toBe(false);
    expect(host.partitions).toEqual([second]);
    expect(second.id).toBe(2);
  });

  test('gives its successor the same run as fresh memory does', () => {
    const host = new Host();
    const first = guest(marker, small, host);
    while (!first.end) host.run({ instructions: 1_000_000 });
    host.destroy(first);
    const [used, fresh] = [guest(worker(3000, 5), small, host), guest(worker(3000, 5), small)];
    for (const partition of [used, fresh]) while (partition.run({ instructions: 1_000_000 }).kind !== 'ended');
    expect(used.stateHash()).toBe(fresh.stateHash());
  });

  test('is in the journal of the host, with what was scrubbed', () => {
    const host = new Host();
    const first = guest(marker, small, host);
    while (!first.end) host.run({ instructions: 1_000_000 });
    const bytes = first.memory.bytes.length;
    host.destroy(first);
    expect(host.journal.latest.map(({ kind, partition }) => [kind, partition])).toEqual([
      ['created', 1],
      ['ended', 1],
      ['memory-scrubbed', 1],
      ['destroyed', 1],
    ]);
    expect(host.journal.latest[2]?.text).toBe(`${bytes} bytes of partition 1 were scrubbed.`);
  });

  test('has no more turns, and the others go on', () => {
    const { host, partitions } = threeGuests();
    host.run({ instructions: 50_000 });
    const [first, second, third] = partitions;
    if (first) host.destroy(first);
    while (!second?.end || !third?.end) host.run({ instructions: 1_000_000 });
    expect(host.partitions.map(({ id }) => id)).toEqual([2, 3]);
    expect(first?.end?.kind).toBe('destroyed');
    expect(first?.run({ instructions: 1000 }).kind).toBe('ended');
  });
});

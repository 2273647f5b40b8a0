import { expect, test } from 'vitest';
import { nodeFiles } from '../../../../src/cli/node-files.ts';
import { loadProgram } from '../../../../src/programs/load-program.ts';
import { ParentCaller } from './parent-caller.ts';

const EVENTS = 0x29_0000n;
const CHILD_AT = 0x100;
const PARENTS = 0x240;

/** Puts a program for a child into the parent's memory, and maps it where it belongs, with the page behind it. */
function load(parent: ParentCaller, child: bigint, source: string): void {
  const bytes = new TextEncoder().encode(`bits 32\n${source}`);
  const [segment] = loadProgram(bytes, 'child.asm', {}, { ...nodeFiles, read: () => bytes, exists: () => true }).segments;
  parent.write(BigInt(PARENTS) << 12n, segment?.bytes ?? new Uint8Array());
  expect(parent.map(child, CHILD_AT, [PARENTS, PARENTS + 1]).status).toBe(0);
}

function set(parent: ParentCaller, child: bigint, register: number, value: bigint | number, high: bigint | number = 0): void {
  expect(parent.list(0x51, 1, [child, 8], [0, 8], [register, 4], [0, 12], [value, 8], [high, 8]).status).toBe(0);
}

/** Flat protected mode at the start of its program. */
function start(parent: ParentCaller, child: bigint): void {
  set(parent, child, 0x6_0001, 0n, 0xc09b_0008_ffff_ffffn);
  for (const segment of [0x6_0000, 0x6_0002, 0x6_0003]) set(parent, child, segment, 0n, 0xc093_0010_ffff_ffffn);
  set(parent, child, 0x4_0000, 0x31n);
  set(parent, child, 0x2_0010, CHILD_AT << 12);
  set(parent, child, 0x2_0004, 0x10_0ff0);
  set(parent, child, 0, 0n);
}

const run = (parent: ParentCaller, child: bigint) => {
  const partition = parent.running(child);
  return partition.run({ instructions: 10_000, until: partition.now() + 50_000n });
};

test('a child signals its parent by a port that the parent has made and connected', () => {
  const parent = new ParentCaller();
  const child = parent.active();
  const { msrs } = parent.platform;
  for (const [msr, value] of [
    [0x4000_0082, EVENTS | 1n],
    [0x4000_0092, 0x50n],
    [0x4000_0080, 1n],
  ] as const)
    expect(msrs.write(parent.processor, msr, value)).toBe(true);
  const port = [
    [2, 4],
    [0, 4],
    [2, 4],
    [0, 4],
    [8, 2],
    [4, 2],
    [0, 4],
  ] as const;
  expect(parent.simple(0x95, [1, 8], [7, 4], [0, 4], [child, 8], ...port, [0, 8])).toBe(0);
  expect(parent.simple(0x96, [child, 8], [5, 4], [0, 4], [1, 8], [7, 4], [0, 4], [2, 4], [0, 28], [0, 8])).toBe(0);
  load(
    parent,
    child,
    `_start:
    mov ecx, 0x40000000
    mov eax, 1
    xor edx, edx
    wrmsr
    inc ecx
    mov eax, 0x101001
    wrmsr
    mov eax, 0x1005d
    xor edx, edx
    mov ecx, 5
    mov ebx, 3
    mov edi, 0x101000
    call edi
    mov [0x100f00], eax
    hlt`,
  );
  start(parent, child);
  expect(run(parent, child).kind).toBe('idle');
  expect(parent.read(BigInt((PARENTS << 12) + 0xf00), 4).getUint32(0, true)).toBe(0);
  expect(parent.read(EVENTS + 0x200n, 4).getUint32(0, true)).toBe(1 << 11);
  // With the port goes what was connected to it.
  expect(parent.simple(0x42, [child, 8])).toBe(0);
  expect(parent.simple(0x58, [1, 8], [7, 4], [0, 4])).toBe(0);
});

test('a parent reads and writes registers and memory of a child, and interrupts it', () => {
  const parent = new ParentCaller();
  const child = parent.active();
  load(
    parent,
    child,
    `_start:
    mov dword [0xfee000f0], 0x1ff
    lidt [idtr]
    sti
  .wait:
    hlt
    jmp .wait
  taken:
    inc dword [count]
    mov dword [0xfee000b0], 0
    iret
  align 8
  idtr: dw 0x207
        dd 0x100800
  count: dd 0
  times 0x800 + 0x40 * 8 - ($ - $$) db 0
  dw taken - _start, 8, 0x8e00, 0x10`,
  );
  const gdt = [0n, 0x00cf_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn];
  parent.write((BigInt(PARENTS) << 12n) + 0xc00n, new Uint8Array(BigUint64Array.from(gdt).buffer));
  set(parent, child, 0x7_0001, 0x17n << 48n, 0x10_0c00n);
  start(parent, child);
  expect(run(parent, child).kind).toBe('idle');
  expect(parent.simple(0x94, [child, 8], [0, 4], [0, 4], [0, 8], [0x40, 4], [0, 4])).toBe(0);
  expect(run(parent, child).kind).toBe('idle');
  const { memory } = parent.running(child);
  const bytes = memory.read(0x10_0000n, 0x100);
  const count = new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.indexOf(0x07) + 6, true);
  expect(count).toBe(1);
  // HvCallWriteGpa and HvCallReadGpa.
  expect(parent.simple(0x54, [child, 8], [0, 4], [4, 4], [0x10_0a00, 8], [6, 8], [0xabcd, 8], [0, 8])).toBe(0);
  expect(parent.simple(0x53, [child, 8], [0, 4], [4, 4], [0x10_0a00, 8], [6, 8])).toBe(0);
  expect(parent.answer(8)).toBe(0xabcdn);
  // HvCallGetVpRegisters: RIP, and whether it is suspended.
  expect(parent.list(0x50, 2, [child, 8], [0, 8], [0x2_0010, 4], [0, 4]).status).toBe(0);
  expect(parent.answer() >> 12n).toBe(BigInt(CHILD_AT));
  expect(parent.answer(16)).toBe(0n);
  // A virtual processor that was not created.
  expect(parent.list(0x50, 1, [child, 8], [1, 8], [0x2_0010, 4]).status).toBe(0xe);
});

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { toSvmEvent } from '../../../src/hypervisor/events/event-fields.ts';
import { svmExitInfo } from '../../../src/hypervisor/exits/qualification.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import { nptWalk } from '../../../src/hypervisor/second-level/npt.ts';
import type { Permissions } from '../../../src/hypervisor/second-level/page-word.ts';
import { SecondLevelMap } from '../../../src/hypervisor/second-level/second-level-map.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At } from '../../processor/system/machine.ts';
import { codeOf } from '../../processor/translator/programs.ts';
import { InterceptedGuest, TIER_NAMES, type Tier } from '../intercepts/guest.ts';
import { vmcbImage } from './vmcb-image.ts';

/**
 * Guests with nested page tables run under a hypervisor of this test's own (npt-oracle.asm) in QEMU, which walks the tables that are rendered from
 * second-level maps, and on the emulated processor, which asks the maps: how they leave, and which pages count as accessed and dirty,
 * must be the same.
 *
 * QEMU 7.2 reads and then writes where a processor does both at once, and says that an entry with reserved bits isn't present.
 */

const DIRECTORY = import.meta.dirname;
const MEMORY_START = 0x1000;
const MEMORY_END = 0x10000;
const CODE_SIZE = 0x200;
const LIST_SIZE = 0x2400;
const ENDED = 33;
const VALID = 0x8000_0000n;
const NESTED_PAGE_FAULT = 0x400n;
const RESERVED = 8n;
/** Guest physical memory is where it is in the machine that QEMU emulates, and its nested tables are above. */
const PLACE = { ram: 0n, tables: 0x60_0000n };
const PAGES = 512;
const FLAGGED_PAGES = 64;

const ALL = { read: true, write: true, execute: true };
const READ_ONLY = { ...ALL, write: false };
const NO_EXECUTE = { ...ALL, execute: false };
const NOTHING = { read: false, write: false, execute: false };

type Change = Permissions | 'ballooned' | 'misconfigured';

interface Case {
  readonly name: string;
  readonly source: string;
  /** Pages by their addresses. */
  readonly pages: Readonly<Record<number, Change>>;
  readonly stack?: number;
}

const DATA = At.DATA;
/** An instruction whose first two bytes are in another page than the rest. */
const CROSSING = 0x8ffe;
const CHANGES: readonly (readonly [name: string, Change])[] = [
  ['read-only', READ_ONLY],
  ['not executable', NO_EXECUTE],
  ['forbidden', NOTHING],
  ['ballooned', 'ballooned'],
  ['misconfigured', 'misconfigured'],
];
const ACCESSES = [`mov rax, [${DATA + 8}]`, `mov [${DATA + 0x123}], eax`, `mov eax, ${DATA}\njmp rax`, `push qword [${DATA}]`];

const CASES: readonly Case[] = [
  ...CHANGES.flatMap(([name, change]) =>
    ACCESSES.map((source): Case => ({ name: `${source}, ${name}`, source, pages: { [DATA]: change } })),
  ),
  ...CHANGES.flatMap(([name, change]) =>
    [At.PML4, At.PDPT, At.PD].map(
      (table): Case => ({
        name: `page table ${table.toString(16)}, ${name}`,
        source: `mov eax, [${DATA}]`,
        pages: { [table]: change },
      }),
    ),
  ),
  ...CHANGES.flatMap(([name, change]): Case[] => [
    { name: `code, ${name}`, source: 'nop', pages: { [At.CODE]: change } },
    { name: `stack of a push, ${name}`, source: 'mov eax, 7\npush rax', pages: { 36864: change } },
    { name: `stack of #UD, ${name}`, source: 'nop\nud2', pages: { 36864: change } },
    { name: `stack of INT n, ${name}`, source: 'nop\nint 0x30', pages: { 36864: change } },
    { name: `stack of #GP, ${name}`, source: 'mov eax, 0x99\nmov ds, ax', pages: { 36864: change } },
    { name: `IDT, ${name}`, source: 'nop\nud2', pages: { [At.IDT]: change } },
    { name: `GDT, ${name}`, source: 'nop\nud2', pages: { [At.GDT]: change } },
    { name: `handler, ${name}`, source: 'nop\nud2', pages: { [At.HANDLER]: change } },
    { name: `a frame of two pages, ${name}`, source: 'ud2', pages: { 36864: change }, stack: 0xa018 },
    { name: `write across pages, ${name}`, source: 'mov rax, -1\nmov [0xbffc], rax', pages: { 49152: change } },
    { name: `read across pages, ${name}`, source: 'mov rax, [0xbffa]', pages: { 45056: change } },
    { name: `instruction across pages, ${name}`, source: `mov eax, ${CROSSING}\njmp rax`, pages: { 36864: change } },
    {
      name: `REP STOSB, ${name}`,
      source: `mov edi, ${DATA + 0xff0}\nmov ecx, 100\nrep stosb`,
      pages: { 49152: change },
    },
    { name: `REP MOVSQ, ${name}`, source: `mov esi, 0xbff0\nmov edi, 0xd000\nmov ecx, 9\nrep movsq`, pages: { 49152: change } },
  ]),
  {
    name: 'flags of pages that are read, written and executed',
    source: `mov eax, [${DATA}]\nmov [0xc000], eax\nadd dword [0xd000], 1`,
    pages: {},
  },
  { name: 'flags behind an exception', source: 'ud2', pages: {} },
];

function codeBytes({ source }: Case): Uint8Array {
  const code = new Uint8Array(CODE_SIZE).fill(0xf4);
  code.set(codeOf(`bits 64\n${source}\nhlt`));
  return code;
}

function guestOf(kind: Case, tier: Tier = 'interpreter'): { guest: InterceptedGuest; map: SecondLevelMap } {
  const guest = new InterceptedGuest('amd', '', tier);
  guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, 0xf4));
  guest.memory.write(BigInt(CROSSING), Uint8Array.of(0xb8, 1, 2, 3, 4, 0xf4));
  guest.memory.write(BigInt(At.CODE), codeBytes(kind));
  for (let register = 0; register < 16; register++) guest.state.setGpr(register, 0n);
  guest.state.setGpr(4, BigInt(kind.stack ?? At.STACK));
  guest.state.rflags = 2;
  guest.processor.stateChanged();
  guest.intercept(interceptSettings(['hlt', 'vmrun']));
  const map = new SecondLevelMap(guest.memory, PLACE, { vendor: 'amd' });
  map.splitAll(0n, 0x20_0000n);
  for (const [page, change] of Object.entries(kind.pages)) {
    const gpa = BigInt(page);
    if (change === 'misconfigured') map.misconfigure(gpa, 0x1000n);
    else if (change === 'ballooned') map.balloon(gpa, 0x1000n);
    else map.setPermissions(gpa, 0x1000n, change);
  }
  return { guest, map };
}

/** Entries by their addresses. */
type Entries = ReadonlyMap<bigint, bigint>;

function entriesOf(map: SecondLevelMap, pages: readonly number[]): Entries {
  const walks = pages.map((page) => nptWalk(map, BigInt(page)));
  return new Map(walks.flatMap(({ entries }) => entries.map(({ address, value }) => [address, value] as const)));
}

interface Seen {
  readonly code: bigint;
  readonly info1: bigint;
  readonly info2: bigint;
  readonly during: bigint;
  readonly rip: bigint;
  readonly rax: bigint;
  readonly cr2: bigint;
  readonly rcx: bigint;
  readonly rdi: bigint;
  readonly accessed: bigint;
  readonly dirty: bigint;
}

function emulated(kind: Case, tier: Tier): Seen {
  const { guest, map } = guestOf(kind, tier);
  const { state } = guest;
  const exit = guest.exit(1000);
  const flags = (flag: 'accessed' | 'dirty') => {
    let mask = 0n;
    for (let page = 0; page < FLAGGED_PAGES; page++) if (map.lookUp(BigInt(page * 0x1000))[flag]) mask |= 1n << BigInt(page);
    return mask;
  };
  return {
    code: BigInt(exitNumbers(exit).svm),
    ...svmExitInfo(exit, { addressSize: 64, segment: 0 }),
    during: toSvmEvent(exit.during),
    rip: state.rip,
    rax: state.gpr(0),
    cr2: state.get64(L.CR2),
    rcx: state.gpr(1),
    rdi: state.gpr(7),
    accessed: flags('accessed'),
    dirty: flags('dirty'),
  };
}

const scratch = mkdtempSync(join(tmpdir(), 'hyperscope-npt-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A guest as npt-oracle.asm wants it; `plain` are the nested entries of the lowest 2 MiB where nothing was changed. */
function record(kind: Case, plain: Entries): Buffer {
  const { guest, map } = guestOf(kind);
  const vmcb = vmcbImage(guest.processor, interceptSettings(['hlt', 'vmrun']));
  const control = new DataView(vmcb.buffer);
  control.setBigUint64(0x90, 1n, true);
  control.setBigUint64(0xb0, nptWalk(map, 0n).root, true);
  const list = new DataView(new ArrayBuffer(LIST_SIZE));
  let at = 0;
  for (const [address, value] of new Map([...plain, ...entriesOf(map, Object.keys(kind.pages).map(Number))])) {
    list.setBigUint64(at, address, true);
    list.setBigUint64(at + 8, value, true);
    at += 16;
  }
  return Buffer.concat([vmcb, codeBytes(kind), new Uint8Array(list.buffer)]);
}

/** All cases under QEMU, in one run. */
function inQemu(): Seen[] {
  const { guest, map } = guestOf({ name: '', source: 'nop', pages: {} });
  const plain = entriesOf(
    map,
    Array.from({ length: PAGES }, (_, page) => page * 0x1000),
  );
  writeFileSync(join(scratch, 'memory.bin'), guest.memory.read(BigInt(MEMORY_START), MEMORY_END - MEMORY_START));
  writeFileSync(join(scratch, 'guests.bin'), Buffer.concat(CASES.map((kind) => record(kind, plain))));
  const image = join(scratch, 'oracle.bin');
  const include = ['-I', `${join(DIRECTORY, '../../guests')}/`, '-I', `${scratch}/`];
  const nasm = spawnSync('nasm', ['-f', 'bin', ...include, '-o', image, join(DIRECTORY, 'npt-oracle.asm')]);
  if (nasm.status !== 0) throw new Error(nasm.stderr.toString());
  const machine = ['-accel', 'tcg', '-M', 'pc', '-m', '32', '-cpu', 'max,vendor=AuthenticAMD,+svm,+npt'];
  const devices = ['-display', 'none', '-serial', 'stdio', '-no-reboot', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'];
  const { stdout, status } = spawnSync('qemu-system-x86_64', [...machine, ...devices, '-kernel', image], {
    encoding: 'latin1',
    timeout: 60_000,
  });
  if (status !== ENDED) throw new Error(`QEMU ended with ${status}: ${stdout}`);
  return stdout
    .split('\n')
    .slice(0, CASES.length)
    .map((line) => {
      const [
        code = 0n,
        info1 = 0n,
        info2 = 0n,
        during = 0n,
        rip = 0n,
        rax = 0n,
        cr2 = 0n,
        rcx = 0n,
        rdi = 0n,
        accessed = 0n,
        dirty = 0n,
      ] = line
        .trim()
        .split(' ')
        .map((word) => BigInt(`0x${word}`));
      const isReserved = code === NESTED_PAGE_FAULT && (info1 & RESERVED) !== 0n;
      return {
        code,
        info1: isReserved ? info1 | 1n : info1,
        info2,
        during: during & VALID ? during : 0n,
        rip,
        rax,
        cr2,
        rcx,
        rdi,
        accessed,
        dirty,
      };
    });
}

const missing = ['nasm', 'qemu-system-x86_64'].filter((tool) => spawnSync(tool, ['--version']).status !== 0);
const title = `nested page faults are those of QEMU's SVM${missing.length > 0 ? ` (skipped: no ${missing.join(', no ')})` : ''}`;

describe.skipIf(missing.length > 0)(title, () => {
  const seen = missing.length > 0 ? [] : inQemu();
  describe.each(TIER_NAMES)('%s', (tier) => {
    test.each(CASES.map((kind, index) => [kind.name, kind, seen[index]] as const))('%s', (_name, kind, reference) => {
      expect(emulated(kind, tier)).toEqual(reference);
    });
  });
});

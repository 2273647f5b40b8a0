import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { Permissions } from '../../../src/hypervisor/second-level/page-word.ts';
import { SecondLevelMap } from '../../../src/hypervisor/second-level/second-level-map.ts';
import type { TableWalk } from '../../../src/hypervisor/second-level/table-walk.ts';
import type { ExitPlace } from '../../../src/processor/exit.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At } from '../../processor/system/machine.ts';
import { codeOf } from '../../processor/translator/programs.ts';
import { InterceptedGuest, type Tier, type Vendor } from '../intercepts/guest.ts';

/**
 * Small guests whose second level forbids something, for comparisons with other emulators that have one. Their physical memory is where it
 * is in the machine of the other emulator, and their tables are above.
 */
const PLACE = { ram: 0n, tables: 0x60_0000n };
/** Pages that are mapped: 2 MiB. */
const PAGES = 512;
const FLAGGED_PAGES = 64;

const ALL = { read: true, write: true, execute: true };
const NOTHING = { read: false, write: false, execute: false };

export type Change = Permissions | 'ballooned' | 'misconfigured';
export type NamedChange = readonly [name: string, change: Change];

export interface SecondLevelCase {
  readonly name: string;
  readonly source: string;
  /** Pages by their addresses. */
  readonly pages: Readonly<Record<number, Change>>;
  readonly stack?: number;
}

/** What can be done with a page in both formats. */
export const CHANGES: readonly NamedChange[] = [
  ['read-only', { ...ALL, write: false }],
  ['not executable', { ...ALL, execute: false }],
  ['forbidden', NOTHING],
  ['ballooned', 'ballooned'],
  ['misconfigured', 'misconfigured'],
];
export const EXECUTE_ONLY: NamedChange = ['execute-only', { ...NOTHING, execute: true }];

const { DATA } = At;
/** The page under the top of the stack. */
const STACK_PAGE = At.STACK - 0x1000;
const NEXT = DATA + 0x1000;
/** An instruction whose first two bytes are in another page than the rest. */
const CROSSING = STACK_PAGE - 2;

const ACCESSES = [`mov rax, [${DATA + 8}]`, `mov [${DATA + 0x123}], eax`, `mov eax, ${DATA}\njmp rax`, `push qword [${DATA}]`];

/** The guests, for each of the changes. `more`: further instructions that access the page at {@link At.DATA}. */
export function secondLevelCases(changes: readonly NamedChange[], more: readonly string[] = []): readonly SecondLevelCase[] {
  const forAll = (make: (name: string, change: Change) => SecondLevelCase[]) =>
    changes.flatMap(([name, change]) => make(name, change));
  return [
    ...forAll((name, change): SecondLevelCase[] =>
      [...ACCESSES, ...more].map((source) => ({ name: `${source}, ${name}`, source, pages: { [DATA]: change } })),
    ),
    ...forAll((name, change): SecondLevelCase[] =>
      [At.PML4, At.PDPT, At.PD].map((table) => ({
        name: `page table ${table.toString(16)}, ${name}`,
        source: `mov eax, [${DATA}]`,
        pages: { [table]: change },
      })),
    ),
    ...forAll((name, change): SecondLevelCase[] => [
      { name: `code, ${name}`, source: 'nop', pages: { [At.CODE]: change } },
      { name: `stack of a push, ${name}`, source: 'mov eax, 7\npush rax', pages: { [STACK_PAGE]: change } },
      { name: `stack of #UD, ${name}`, source: 'nop\nud2', pages: { [STACK_PAGE]: change } },
      { name: `stack of INT n, ${name}`, source: 'nop\nint 0x30', pages: { [STACK_PAGE]: change } },
      { name: `stack of #GP, ${name}`, source: 'mov eax, 0x99\nmov ds, ax', pages: { [STACK_PAGE]: change } },
      { name: `IDT, ${name}`, source: 'nop\nud2', pages: { [At.IDT]: change } },
      { name: `GDT, ${name}`, source: 'nop\nud2', pages: { [At.GDT]: change } },
      { name: `handler, ${name}`, source: 'nop\nud2', pages: { [At.HANDLER]: change } },
      { name: `a frame of two pages, ${name}`, source: 'ud2', pages: { [STACK_PAGE]: change }, stack: At.STACK + 0x18 },
      { name: `write across pages, ${name}`, source: `mov rax, -1\nmov [${NEXT - 4}], rax`, pages: { [NEXT]: change } },
      { name: `read across pages, ${name}`, source: `mov rax, [${NEXT - 6}]`, pages: { [DATA]: change } },
      { name: `instruction across pages, ${name}`, source: `mov eax, ${CROSSING}\njmp rax`, pages: { [STACK_PAGE]: change } },
      { name: `REP STOSB, ${name}`, source: `mov edi, ${NEXT - 16}\nmov ecx, 100\nrep stosb`, pages: { [NEXT]: change } },
      {
        name: `REP MOVSQ, ${name}`,
        source: `mov esi, ${NEXT - 16}\nmov edi, ${NEXT + 0x1000}\nmov ecx, 9\nrep movsq`,
        pages: { [NEXT]: change },
      },
    ]),
    {
      name: 'flags of pages that are read, written and executed',
      source: `mov eax, [${DATA}]\nmov [${NEXT}], eax\nadd dword [${NEXT + 0x1000}], 1`,
      pages: {},
    },
    { name: 'flags behind an exception', source: 'ud2', pages: {} },
  ];
}

/** The code of a guest, which ends with HLT, in so many bytes. */
export function codeBytes({ source }: SecondLevelCase, size: number): Uint8Array {
  const code = new Uint8Array(size).fill(0xf4);
  code.set(codeOf(`bits 64\n${source}\nhlt`));
  return code;
}

export interface SecondLevelGuest {
  readonly guest: InterceptedGuest;
  readonly map: SecondLevelMap;
}

export function guestOf(kind: SecondLevelCase, vendor: Vendor, tier: Tier = 'interpreter'): SecondLevelGuest {
  const guest = new InterceptedGuest(vendor, '', tier);
  guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, 0xf4));
  guest.memory.write(BigInt(CROSSING), Uint8Array.of(0xb8, 1, 2, 3, 4, 0xf4));
  guest.memory.write(BigInt(At.CODE), codeBytes(kind, 64));
  for (let register = 0; register < 16; register++) guest.state.setGpr(register, 0n);
  guest.state.setGpr(4, BigInt(kind.stack ?? At.STACK));
  guest.state.rflags = 2;
  guest.processor.stateChanged();
  guest.intercept(interceptSettings(['hlt', 'vmrun']));
  const map = new SecondLevelMap(guest.memory, PLACE, { vendor });
  map.splitAll(0n, BigInt(PAGES * 0x1000));
  for (const [page, change] of Object.entries(kind.pages)) {
    const gpa = BigInt(page);
    if (change === 'misconfigured') map.misconfigure(gpa, 0x1000n);
    else if (change === 'ballooned') map.balloon(gpa, 0x1000n);
    else map.setPermissions(gpa, 0x1000n, change);
  }
  return { guest, map };
}

/** A guest for which nothing is forbidden. */
export const PLAIN: SecondLevelCase = { name: '', source: 'nop', pages: {} };
export const ALL_PAGES: readonly number[] = Array.from({ length: PAGES }, (_, page) => page * 0x1000);

/** Entries by their addresses. */
export type Entries = ReadonlyMap<bigint, bigint>;

/** The entries that translate some pages. */
export function entriesOf(walk: (gpa: bigint) => TableWalk, pages: readonly number[]): Entries {
  const walks = pages.map((page) => walk(BigInt(page)));
  return new Map(walks.flatMap(({ entries }) => entries.map(({ address, value }) => [address, value] as const)));
}

/** What is seen of the guest besides why it left. */
export interface SeenGuest {
  readonly rip: bigint;
  readonly rax: bigint;
  readonly cr2: bigint;
  readonly rcx: bigint;
  readonly rdi: bigint;
  /** The lowest 64 pages, a bit each. */
  readonly accessed: bigint;
  readonly dirty: bigint;
}

export function seenGuest({ guest, map }: SecondLevelGuest, { rip }: ExitPlace): SeenGuest {
  const { state } = guest;
  const flags = (flag: 'accessed' | 'dirty') => {
    let mask = 0n;
    for (let page = 0; page < FLAGGED_PAGES; page++) if (map.lookUp(BigInt(page * 0x1000))[flag]) mask |= 1n << BigInt(page);
    return mask;
  };
  const [rax, rcx, rdi] = [state.gpr(0), state.gpr(1), state.gpr(7)];
  return { rip, rax, cr2: state.get64(L.CR2), rcx, rdi, accessed: flags('accessed'), dirty: flags('dirty') };
}

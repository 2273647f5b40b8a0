import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventInjProblem } from '../../../src/hypervisor/events/entry-checks.ts';
import { fromSvmEvent, toSvmEvent } from '../../../src/hypervisor/events/event-fields.ts';
import { svmExitInfo } from '../../../src/hypervisor/exits/qualification.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { IoBitmap } from '../../../src/hypervisor/intercepts/io-bitmap.ts';
import { MsrBitmap } from '../../../src/hypervisor/intercepts/msr-bitmap.ts';
import { type InterceptSettings, interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { SettingName } from '../../../src/hypervisor/intercepts/table.ts';
import type { VmExit } from '../../../src/processor/exit.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At } from '../../processor/system/machine.ts';
import type { InterceptedGuest } from '../intercepts/guest.ts';
import { guestRecord, inQemu, MOST_MILLISECONDS, SKIPPED } from './emulators.ts';
import { codeBytes, guestOf, type SmallGuest, sharedMemory } from './small-guest.ts';
import { vmcbImage } from './vmcb-image.ts';

/**
 * Guests with all kinds of intercepts run under a hypervisor of this test's own (svm-oracle.asm) in QEMU, which emulates SVM by itself, and on the
 * emulated processor: how they leave must be the same. The VMCBs that QEMU is given are rendered from the settings.
 *
 * QEMU 7.2 takes a virtual interrupt also at the priority of V_TPR, which the manual forbids, and ends itself at a write of CR8 that lets one
 * through; one whose delivery faults it calls an exception and lets wait all the same. It intercepts neither INVD, INT3 nor double faults, gives no address size of I/O, and names an event at a shutdown. These cases are
 * elsewhere or left out.
 */

const VALID = 0x8000_0000n;
const SHUTDOWN = 0x7fn;
/** In EXITINFO1 of I/O. */
const ADDRESS_SIZE = 0x380n;

const io = IoBitmap.filled(false);
io.set(0x82, 0x82, true);
const msrs = MsrBitmap.filled(false);
msrs.set(0x277, { read: true });
msrs.set(0xc000_0082, { write: true });
msrs.set(0xc001_0117, { read: true });

interface Case extends SmallGuest {
  readonly eventInj?: bigint;
  /** EXITINFO1 and 2 are looked at. */
  readonly information?: boolean;
  /** V_TPR at the entry. */
  readonly virtualTpr?: number;
}

/** A guest with a virtual interrupt that waits. */
const virtual = (
  name: string,
  source: string,
  { priority = 3, ignoresTpr = false, ...more }: Partial<VirtualCase> = {},
): Case => ({
  flags: 0x202,
  ...more,
  name: `a virtual interrupt ${name}`,
  source,
  values: { ...more.values, virtualInterrupt: { vector: 0x31, priority, ignoresTpr } },
});
interface VirtualCase extends Case {
  readonly priority: number;
  readonly ignoresTpr: boolean;
}

const NO_PAGE = '[abs qword 0x40000000]';
const exceptions = (...vectors: number[]) => ({ exceptions: vectors.reduce((sum, vector) => (sum | (1 << vector)) >>> 0, 0) });

const INSTRUCTIONS: readonly (readonly [SettingName, string])[] = [
  ['cpuid', 'cpuid'],
  ['rdtsc', 'rdtsc'],
  ['wbinvd', 'wbinvd'],
  ['invlpg', 'invlpg [rsp]'],
  ['pause', 'pause'],
  ['lgdt', `lgdt [${At.DATA}]`],
  ['lidt', `lidt [${At.DATA}]`],
  ['lldt', 'lldt ax'],
  ['sgdt', `sgdt [${At.DATA}]`],
  ['sidt', `sidt [${At.DATA}]`],
  ['sldt', 'sldt bx'],
  ['str', 'str bx'],
  ['int-n', 'int 0x30'],
  ['iret', 'iretq'],
  ['hypercall', 'db 0x0f, 0x01, 0xd9'],
  ['vmrun', 'db 0x0f, 0x01, 0xd8'],
  ['vmload', 'db 0x0f, 0x01, 0xda'],
  ['stgi', 'db 0x0f, 0x01, 0xdc'],
  ['skinit', 'db 0x0f, 0x01, 0xde'],
];

const CASES: readonly Case[] = [
  ...INSTRUCTIONS.map(([setting, source]): Case => ({ name: setting, source: `nop\n${source}`, on: [setting] })),
  // Another's intercept.
  ...INSTRUCTIONS.filter(([setting]) => /^(cpuid|lgdt|sldt|str)$/.test(setting)).map(
    ([setting, source]): Case => ({ name: `not ${setting}`, source: `mov eax, 1\n${source}\nmov eax, 2`, on: ['rdtsc'] }),
  ),
  ...([0, 2, 3, 4, 8] as const).flatMap((register): Case[] => [
    { name: `read CR${register}`, source: `mov rax, cr${register}`, values: { cr: { reads: 1 << register, writes: 0 } } },
    {
      name: `write CR${register}`,
      source: `mov rax, cr${register}\nmov cr${register}, rax`,
      values: { cr: { reads: 0, writes: 1 << register } },
    },
  ]),
  ...[0, 6, 7].flatMap((register): Case[] => [
    { name: `read DR${register}`, source: `mov rax, dr${register}`, values: { dr: { reads: 1 << register, writes: 0 } } },
    { name: `write DR${register}`, source: `mov dr${register}, rax`, values: { dr: { reads: 0, writes: 1 << register } } },
    { name: `DR1, not DR${register}`, source: 'mov rax, dr1', values: { dr: { reads: 1 << register, writes: 0 } } },
  ]),
  { name: 'selective write of TS', source: 'mov rax, cr0\nor eax, 8\nmov cr0, rax', on: ['cr0-selective-write'] },
  { name: 'selective write of NE', source: 'mov rax, cr0\nor eax, 0x20\nmov cr0, rax', on: ['cr0-selective-write'] },
  { name: 'CLTS with the selective write', source: 'clts', on: ['cr0-selective-write'] },
  { name: 'CLTS as a write', source: 'clts', values: { cr: { reads: 0, writes: 1 } } },
  { name: 'SMSW as a read', source: 'smsw eax', values: { cr: { reads: 1, writes: 0 } } },
  { name: 'LMSW as a write', source: 'lmsw ax', values: { cr: { reads: 0, writes: 1 } } },
  ...[
    'in al, 0x81',
    'in ax, 0x81',
    'in eax, 0x7f',
    'in al, 0x82',
    'out 0x82, al',
    'out 0x80, eax',
    'mov dx, 0x82\nout dx, ax',
  ].map((source): Case => ({ name: source.replace('\n', '; '), source, values: { io }, information: true })),
  { name: 'read c0010117', source: 'mov ecx, 0xc0010117\nrdmsr', values: { msrs }, information: true },
  ...([0x277, 0xc000_0082] as const).flatMap((msr): Case[] => [
    { name: `read ${msr.toString(16)}`, source: `mov ecx, ${msr}\nrdmsr\nmov eax, 5`, values: { msrs }, information: true },
    {
      name: `write ${msr.toString(16)}`,
      source: `mov ecx, ${msr}\nxor eax, eax\nxor edx, edx\nwrmsr\nmov eax, 5`,
      values: { msrs },
      information: true,
    },
  ]),
  { name: '#UD', source: 'ud2', values: exceptions(6), information: true },
  { name: '#GP', source: 'mov eax, 0x99\nmov ds, ax', values: exceptions(13), information: true },
  { name: '#DE', source: 'div ecx', values: exceptions(0), information: true },
  { name: '#PF of a read', source: `mov rax, ${NO_PAGE}`, values: exceptions(14), information: true },
  { name: '#PF of a write', source: `mov ${NO_PAGE}, rax`, values: exceptions(14), information: true },
  { name: 'a trap of TF', source: 'pushfq\nor dword [rsp], 0x100\npopfq\nnop\nnop', values: exceptions(1) },
  { name: '#PF in the delivery of #UD', source: 'ud2', values: exceptions(14), noStack: true, information: true },
  {
    name: '#PF in the delivery of #GP',
    source: 'mov eax, 0x99\nmov ds, ax',
    values: exceptions(14),
    noStack: true,
    information: true,
  },
  { name: '#PF in the delivery of INT n', source: 'nop\nint 0x30', values: exceptions(14), noStack: true, information: true },
  { name: 'a triple fault', source: 'ud2', on: ['triple-fault'], noStack: true },
  { name: 'a window with IF', source: 'nop', on: ['interrupt-window'], flags: 0x202 },
  { name: 'a window behind STI', source: 'nop\nsti\nnop\nnop', on: ['interrupt-window'] },
  { name: 'a window without IF', source: 'nop\nnop', on: ['interrupt-window'] },
  virtual('with IF', 'nop'),
  virtual('without IF', 'nop\nnop', { flags: 2 }),
  virtual('behind STI', 'nop\nsti\nnop\nnop', { flags: 2 }),
  virtual('that is intercepted', 'nop', { on: ['interrupt-window'] }),
  virtual('below V_TPR', 'nop', { virtualTpr: 4 }),
  virtual('below V_TPR that is intercepted', 'nop', { virtualTpr: 4, on: ['interrupt-window'] }),
  virtual('above V_TPR', 'nop', { virtualTpr: 2 }),
  virtual('that ignores V_TPR', 'nop', { virtualTpr: 9, ignoresTpr: true }),
  virtual('held back by a write of CR8', 'mov eax, 9\nmov cr8, rax\nsti\nnop\nnop', { flags: 2 }),
  virtual('with masking', 'mov rax, cr8\nsti\nnop\nnop', { flags: 2, virtualTpr: 2, on: ['interrupt-masking'] }),
  { name: 'CR8 with masking', source: 'mov eax, 7\nmov cr8, rax\nxor eax, eax\nmov rax, cr8', on: ['interrupt-masking'] },
  ...[0x8000_0020n, 0x8000_0202n, 0x8000_0306n, 0x18_8000_0b0dn, 0x8000_0430n].map(
    (eventInj): Case => ({ name: `EVENTINJ ${eventInj.toString(16)}`, source: 'nop', eventInj }),
  ),
  { name: 'EVENTINJ of an intercepted exception', source: 'nop', eventInj: 0x18_8000_0b0dn, values: exceptions(13) },
  { name: '#PF in the delivery of EVENTINJ', source: 'nop', eventInj: 0x8000_0306n, values: exceptions(14), noStack: true },
  {
    name: '#PF in the delivery of an interrupt',
    source: 'nop',
    eventInj: 0x8000_0020n,
    values: exceptions(14),
    noStack: true,
    flags: 0x202,
  },
];

/** HLT always ends a guest, and VMRUN must be intercepted. */
function settingsOf({ on = [], values = {} }: Case): InterceptSettings {
  return interceptSettings(['hlt', 'vmrun', ...on], values);
}

/** What a hypervisor sees of an exit. */
interface Seen {
  readonly code: bigint;
  readonly info1?: bigint;
  readonly info2?: bigint;
  readonly during: bigint;
  readonly rip: bigint;
  readonly rax: bigint;
  readonly cr0: bigint;
  readonly cr2: bigint;
  readonly shadow: bigint;
  /** V_TPR and V_IRQ. */
  readonly virtual: bigint;
}
const VIRTUAL = 0x10fn;
const V_IRQ = 0x100n;

function prepared(kind: Case): InterceptedGuest {
  const guest = guestOf('amd', kind);
  guest.intercept(settingsOf(kind));
  guest.processor.virtualTpr = kind.virtualTpr ?? 0;
  return guest;
}

function emulated(kind: Case): Seen {
  const guest = prepared(kind);
  const { processor, state } = guest;
  const refused = kind.eventInj !== undefined && eventInjProblem(kind.eventInj) !== undefined;
  const event = kind.eventInj === undefined || refused ? undefined : fromSvmEvent(kind.eventInj, 0);
  if (event) processor.inject(event);
  let exit: VmExit = guest.exit(1000);
  // A port that isn't intercepted is nothing that a hypervisor sees.
  while (exit.reason === 'io' && !processor.intercepts.io(exit.port, exit.size)) {
    processor.completeAccess(0n);
    exit = guest.exit(1000);
  }
  const { info1, info2 } = svmExitInfo(exit, { addressSize: 64, segment: 0 });
  return {
    code: BigInt(exitNumbers(exit).svm),
    ...(kind.information ? { info1: exit.reason === 'io' ? info1 & ~ADDRESS_SIZE : info1, info2 } : {}),
    during: toSvmEvent(exit.during),
    rip: state.rip,
    rax: state.gpr(0),
    cr0: state.cr0,
    cr2: state.get64(L.CR2),
    shadow: state.get32(L.INTERRUPTIBILITY) & 3 ? 1n : 0n,
    virtual: BigInt(processor.virtualTpr) | ((processor.virtualInterrupt ?? kind.on?.includes('interrupt-window')) ? V_IRQ : 0n),
  };
}

const scratch = mkdtempSync(join(tmpdir(), 'hyperscope-svm-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** All cases under QEMU, in one run. */
function reference(): Seen[] {
  const [first] = CASES;
  if (first === undefined) return [];
  const data = {
    memory: sharedMemory(guestOf('amd', first)),
    maps: Buffer.concat([io.toPermissionMap(), msrs.toPermissionMap()]),
    guests: CASES.map((kind) =>
      guestRecord(vmcbImage(prepared(kind).processor, settingsOf(kind), kind.eventInj), codeBytes(kind)),
    ),
  };
  return inQemu(scratch, data).map((numbers, index) => {
    const [code = 0n, info1 = 0n, info2 = 0n, during = 0n, rip = 0n, rax = 0n, cr0 = 0n, cr2 = 0n] = numbers;
    const [shadow = 0n, control = 0n] = numbers.slice(8);
    const isEvent = (during & VALID) !== 0n && code !== SHUTDOWN;
    const information = CASES[index]?.information ? { info1, info2 } : {};
    const virtual = control & VIRTUAL;
    return { code, ...information, during: isEvent ? during : 0n, rip, rax, cr0, cr2, shadow: shadow & 1n, virtual };
  });
}

describe.skipIf(SKIPPED.qemu !== '')(`guests leave as they do under QEMU's SVM${SKIPPED.qemu}`, () => {
  let seen: readonly Seen[] = [];
  beforeAll(() => {
    seen = reference();
  }, MOST_MILLISECONDS);
  test.each(CASES.map((kind, index) => [kind.name, kind, index] as const))('%s', (_name, kind, index) => {
    expect(emulated(kind)).toEqual(seen[index]);
  });
});

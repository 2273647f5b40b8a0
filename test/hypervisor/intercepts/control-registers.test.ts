import { describe, expect, test } from 'vitest';
import { svmExitInfo, vmxQualification } from '../../../src/hypervisor/exits/qualification.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { type InterceptSettings, interceptSettings, type OwnedBits } from '../../../src/hypervisor/intercepts/settings.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At } from '../../processor/system/machine.ts';
import { InterceptedGuest, TIER_NAMES, type Vendor } from './guest.ts';

const PE = 1n;
const MP = 2n;
const TS = 8n;
const NE = 0x20n;
const CD = 0x4000_0000n;
/** CR0 and CR4 of the machine at its start. */
const CR0 = 0x8001_0011n;
const CR4 = 0x20n;

interface Case {
  readonly vendor?: Vendor;
  readonly source: string;
  readonly settings: Partial<Omit<InterceptSettings, 'on'>>;
  readonly selective?: boolean;
  /** CR0 before, if another one. */
  readonly cr0?: bigint;
}

/** Runs one instruction with RAX, RCX as the source sets them up; says whether it left, and what CR0 and RAX are then. */
function outcome({ vendor = 'intel', source, settings, selective = false, cr0 = CR0 }: Case) {
  const [first, ...others] = TIER_NAMES.map((tier) => {
    const guest = new InterceptedGuest(vendor, `${source}\nhlt`, tier);
    guest.state.set64(L.CR0, cr0);
    guest.processor.stateChanged();
    guest.intercept(interceptSettings(selective ? ['hlt', 'cr0-selective-write'] : ['hlt'], settings));
    const { state } = guest;
    const exit = guest.exit();
    const left = exit.reason === 'cr' ? (exit.selective ? 'selective' : exit.access) : 'no';
    return { left, cr0: state.cr0, cr4: state.cr4, rax: state.gpr(0) };
  });
  for (const other of others) expect(other).toEqual(first);
  if (first === undefined) throw new Error('no tier');
  return first;
}

const moveTo0 = (value: bigint) => `mov rax, ${value}\nmov cr0, rax`;
const owned = (mask: bigint, shadow?: bigint): OwnedBits => ({ mask, shadow });

describe('bits of CR0 that VMX gives to the hypervisor', () => {
  test('make a MOV leave that would change what the guest sees of them', () => {
    const settings = { cr0: owned(NE | CD) };
    expect(outcome({ source: moveTo0(CR0 | NE), settings })).toMatchObject({ left: 'mov-to', cr0: CR0 });
    expect(outcome({ source: moveTo0(CR0 | TS | MP), settings })).toMatchObject({ left: 'no', cr0: CR0 | TS | MP });
    expect(outcome({ source: moveTo0(CR0), settings })).toMatchObject({ left: 'no', cr0: CR0 });
  });

  test('keep their values in the register while the guest writes and reads the shadow', () => {
    const settings = { cr0: owned(NE, 0n) };
    // The hypervisor has set NE, which the guest sees clear.
    expect(outcome({ source: moveTo0(CR0 | TS), settings, cr0: CR0 | NE })).toMatchObject({ left: 'no', cr0: CR0 | TS | NE });
    expect(outcome({ source: moveTo0(CR0 | NE), settings, cr0: CR0 | NE })).toMatchObject({ left: 'mov-to' });
    expect(outcome({ source: 'mov rax, cr0', settings, cr0: CR0 | NE }).rax).toBe(CR0);
    expect(outcome({ source: 'xor eax, eax\nsmsw rax', settings, cr0: CR0 | NE }).rax & 0xffffn).toBe(CR0 & 0xffffn);
  });

  test.each<[mask: bigint, shadow: bigint, left: string, ts: boolean]>([
    [0n, 0n, 'no', false],
    [TS, TS, 'clts', true],
    // The guest sees TS clear: clearing it does nothing.
    [TS, 0n, 'no', true],
  ])('CLTS with mask %s and shadow %s: %s', (mask, shadow, left, ts) => {
    const { left: how, cr0 } = outcome({ source: 'clts', settings: { cr0: owned(mask, shadow) }, cr0: CR0 | TS });
    expect([how, (cr0 & TS) !== 0n]).toEqual([left, ts]);
  });

  test.each<[source: bigint, mask: bigint, shadow: bigint | undefined, left: string]>([
    [PE | MP, TS, undefined, 'no'],
    [PE | TS, TS, undefined, 'lmsw'],
    [PE | TS, TS, TS, 'no'],
    // PE can't be cleared, so that trying to is no change.
    [0n, PE, undefined, 'no'],
    [PE, PE, 0n, 'lmsw'],
    [PE, PE, PE, 'no'],
    // Bits above the third aren't LMSW's.
    [PE | NE, NE, undefined, 'no'],
  ])('LMSW of %s with mask %s and shadow %s: %s', (source, mask, shadow, left) => {
    expect(outcome({ source: `mov eax, ${source}\nlmsw ax`, settings: { cr0: owned(mask, shadow) } }).left).toBe(left);
  });

  test('LMSW says where its operand is', () => {
    const guest = new InterceptedGuest('intel', `mov esi, ${At.DATA}\nlmsw [rsi + 2]`);
    guest.write64(At.DATA, 0x0009_0000n);
    guest.intercept(interceptSettings([], { cr0: owned(TS) }));
    const exit = guest.exit();
    expect([vmxQualification(exit), 'memory' in exit && exit.memory]).toEqual([0x9_0070n, BigInt(At.DATA + 2)]);
  });
});

describe('bits of CR4 that VMX gives to the hypervisor', () => {
  const VMXE = 0x2000n;
  const TSD = 4n;
  test('are read from the shadow and can be written to what they are', () => {
    const settings = { cr4: owned(VMXE, 0n) };
    const source = `mov rax, cr4\nor eax, ${TSD}\nmov cr4, rax\nmov rax, cr4`;
    expect(outcome({ source, settings })).toEqual({ left: 'no', cr0: CR0, cr4: CR4 | TSD, rax: CR4 | TSD });
    expect(outcome({ source: `mov rax, ${CR4 | VMXE}\nmov cr4, rax`, settings }).left).toBe('mov-to');
  });
});

describe("SVM's intercepts of CR0", () => {
  const vendor = 'amd' as const;
  test('take all writes, or with the selective one those that change more than TS and MP', () => {
    const all = { cr: { reads: 0, writes: 1 } };
    expect(outcome({ vendor, source: moveTo0(CR0), settings: all }).left).toBe('mov-to');
    const selective = { vendor, settings: {}, selective: true };
    expect(outcome({ ...selective, source: moveTo0(CR0 | TS | MP) })).toMatchObject({ left: 'no', cr0: CR0 | TS | MP });
    expect(outcome({ ...selective, source: moveTo0(CR0 | CD) })).toMatchObject({ left: 'selective', cr0: CR0 });
    expect(outcome({ ...selective, source: 'clts' }).left).toBe('no');
  });

  test('take every LMSW with the selective one, and prefer the plain one', () => {
    const selective = { vendor, settings: {}, selective: true };
    expect(outcome({ ...selective, source: `mov eax, ${PE | MP}\nlmsw ax` }).left).toBe('selective');
    const both = { vendor, settings: { cr: { reads: 0, writes: 1 } }, selective: true };
    expect(outcome({ ...both, source: moveTo0(CR0 | CD) }).left).toBe('mov-to');
  });

  test('take SMSW as a read', () => {
    const guest = new InterceptedGuest('amd', 'smsw ax');
    guest.intercept(interceptSettings([], { cr: { reads: 1, writes: 0 } }));
    const exit = guest.exit();
    expect([exitNumbers(exit).svm, svmExitInfo(exit, { addressSize: 64, segment: 3 }).info1]).toEqual([0, 0n]);
  });
});

describe('CR3 and CR8', () => {
  test.each<[Vendor, string, string]>([
    ['intel', 'mov rax, cr3\nmov cr3, rax', 'mov-to'],
    ['amd', 'mov rax, cr3\nmov cr3, rax', 'mov-to'],
  ])('%s: loads leave', (vendor, source, left) => {
    expect(outcome({ vendor, source, settings: { cr: { reads: 0, writes: 1 << 3 } } }).left).toBe(left);
  });

  test('loads of the targets of VMX do not', () => {
    const settings = { cr: { reads: 0, writes: 1 << 3 }, cr3Targets: [0x1234_5000n, BigInt(At.PML4)] };
    const source = 'mov rax, cr3\nmov cr3, rax';
    expect(outcome({ source, settings }).left).toBe('no');
    expect(outcome({ vendor: 'amd', source, settings }).left).toBe('mov-to');
  });

  test.each<[Vendor, number, string, string]>([
    ['intel', 3, 'mov rax, cr3', 'mov-from'],
    ['intel', 8, 'mov rax, cr8', 'mov-from'],
    ['amd', 8, 'mov rax, cr8', 'mov-from'],
    ['amd', 2, 'mov rax, cr2', 'mov-from'],
    // VMX never intercepts CR2, and CR0 only by its bits.
    ['intel', 2, 'mov rax, cr2', 'no'],
    ['intel', 0, 'mov rax, cr0', 'no'],
  ])('%s: reads of CR%i', (vendor, register, source, left) => {
    expect(outcome({ vendor, source, settings: { cr: { reads: 1 << register, writes: 0 } } }).left).toBe(left);
  });
});

describe('debug registers', () => {
  const left = (vendor: Vendor, source: string, dr: { reads: number; writes: number }) => {
    const guest = new InterceptedGuest(vendor, `${source}\nhlt`);
    guest.intercept(interceptSettings(['hlt'], { dr }));
    const exit = guest.exit();
    return exit.reason === 'dr' ? exitNumbers(exit)[vendor === 'intel' ? 'vmx' : 'svm'] : exit.reason;
  };

  test('leave one by one on AMD, all together on Intel', () => {
    const dr = { reads: 1 << 6, writes: 1 << 7 };
    const sources = ['mov rax, dr6', 'mov rax, dr0', 'mov dr7, rax', 'mov dr6, rax'];
    expect(sources.map((source) => left('amd', source, dr))).toEqual([0x26, 'hlt', 0x37, 'hlt']);
    expect(sources.map((source) => left('intel', source, dr))).toEqual([29, 29, 29, 29]);
    expect(left('intel', 'mov rax, dr6', { reads: 0, writes: 0 })).toBe('hlt');
  });
});

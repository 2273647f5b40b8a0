import { describe, expect, test } from 'vitest';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { svmExitCode } from '../../../src/hypervisor/intercepts/places.ts';
import { type InterceptSettings, interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import { SETTING_ROWS, SETTINGS, type SettingName } from '../../../src/hypervisor/intercepts/table.ts';
import { At } from '../../processor/system/machine.ts';
import { InterceptedGuest, TIER_NAMES, VENDORS, type Vendor } from './guest.ts';

const ROUNDS = 25;
const reasonOf = new Map(SETTING_ROWS.map(([name, { reason }]) => [name, reason]));

/** Runs an instruction many times, so that it is translated. RBX counts. */
const often = (instruction: string, before = '') => `
    mov rbp, ${ROUNDS}
    mov rsi, ${At.DATA}
    xor edi, edi
    sidt [rsi]
    sgdt [rsi + 16]
    mov qword [rsi + 32], 0
    mov qword [rsi + 40], 0
round:
    ${before}
    ${instruction}
    dec rbp
    jnz round
    cli
    hlt
`;

interface Row {
  readonly setting: SettingName;
  readonly instruction: string;
  readonly vmx: number;
  /** What must be in registers. */
  readonly before?: string;
}

const INSTRUCTIONS: readonly Row[] = [
  { setting: 'cpuid', instruction: 'cpuid', vmx: 10 },
  { setting: 'invd', instruction: 'invd', vmx: 13 },
  { setting: 'invlpg', instruction: 'invlpg [rsi]', vmx: 14 },
  { setting: 'rdtsc', instruction: 'rdtsc', vmx: 16 },
  { setting: 'rdtscp', instruction: 'rdtscp', vmx: 51 },
  { setting: 'pause', instruction: 'pause', vmx: 40 },
  { setting: 'wbinvd', instruction: 'wbinvd', vmx: 54 },
  { setting: 'invpcid', instruction: 'invpcid rax, [rsi + 32]', vmx: 58, before: 'mov eax, 2' },
  { setting: 'rdrand', instruction: 'rdrand rax', vmx: 57 },
  { setting: 'rdseed', instruction: 'rdseed rax', vmx: 61 },
  { setting: 'lidt', instruction: 'lidt [rsi]', vmx: 46 },
  { setting: 'lgdt', instruction: 'lgdt [rsi + 16]', vmx: 46 },
  { setting: 'lldt', instruction: 'lldt di', vmx: 47 },
  { setting: 'sgdt', instruction: 'sgdt [rsi + 48]', vmx: 46 },
  { setting: 'sidt', instruction: 'sidt [rsi + 48]', vmx: 46 },
  { setting: 'sldt', instruction: 'sldt ax', vmx: 47 },
  { setting: 'str', instruction: 'str ax', vmx: 47 },
  { setting: 'xsetbv', instruction: 'xsetbv', vmx: 55, before: 'mov eax, 7\n xor edx, edx\n xor ecx, ecx' },
];

describe.each(VENDORS)('on %s', (vendor) => {
  const place = (setting: SettingName) => SETTINGS[setting][vendor === 'intel' ? 'vmx' : 'svm'];
  const rows = INSTRUCTIONS.filter(({ setting }) => place(setting) !== 'none');

  test.each(rows)(
    '$setting leaves when it is intercepted, and only then, in both tiers',
    ({ setting, instruction, vmx, before }) => {
      const ends = TIER_NAMES.map((tier) => {
        const guest = new InterceptedGuest(vendor, often(instruction, before), tier);
        guest.enableVectors();
        const always = place(setting) === 'always';
        expect(guest.exitsToHalt().length, tier).toBe(always ? ROUNDS : 0);
        guest.reset();
        guest.enableVectors();
        guest.intercept(interceptSettings([setting]));
        const exits = guest.exitsToHalt().filter(({ reason }) => reason === reasonOf.get(setting));
        // VMX has one bit for all descriptor tables: those of the beginning leave too.
        const loop = exits.filter(({ rip }) => rip === exits.at(-1)?.rip);
        expect(loop.length, tier).toBe(ROUNDS);
        for (const exit of loop) {
          const { svm } = SETTINGS[setting];
          const expected = vendor === 'intel' ? vmx : typeof svm === 'object' ? svmExitCode(svm) : undefined;
          expect(exitNumbers(exit)[vendor === 'intel' ? 'vmx' : 'svm']).toBe(expected);
        }
        if (tier === 'translator') expect(guest.processor.translations.made).toBeGreaterThan(0);
        return guest.processor.stateHash();
      });
      expect(ends[0]).toBe(ends[1]);
    },
  );

  test('HLT leaves or halts', () => {
    const guest = new InterceptedGuest(vendor, 'hlt');
    expect(guest.processor.run(10)).toEqual({ kind: 'halted' });
    guest.reset();
    guest.intercept(interceptSettings(['hlt']));
    expect(guest.exit()).toMatchObject({ reason: 'hlt', rip: BigInt(At.CODE), instructionLength: 1 });
  });

  test.each(['monitor', 'mwait'] as const)('%s leaves or is undefined', (setting) => {
    const guest = new InterceptedGuest(vendor, setting);
    guest.intercept(interceptSettings([], { exceptions: 1 << 6 }));
    expect(guest.exit()).toMatchObject({ reason: 'exception', vector: 6 });
    guest.intercept(interceptSettings([setting]));
    const exit = guest.exit();
    expect([exit.reason, exitNumbers(exit)]).toEqual([
      setting,
      setting === 'monitor' ? { vmx: 39, svm: 0x8a } : { vmx: 36, svm: 0x8b },
    ]);
  });
});

describe("instructions of the other vendor's hypervisors", () => {
  const reason = (vendor: Vendor, instruction: string, settings: InterceptSettings = interceptSettings()) => {
    const guest = new InterceptedGuest(vendor, instruction);
    guest.intercept({ ...settings, exceptions: 1 << 6 });
    const exit = guest.exit();
    return exit.reason === 'exception' ? '#UD' : `${exit.reason} ${exitNumbers(exit)[vendor === 'intel' ? 'vmx' : 'svm']}`;
  };
  const svm = interceptSettings(['vmrun', 'vmload', 'vmsave', 'stgi', 'clgi', 'skinit', 'invlpga']);

  test.each([
    ['vmlaunch', 'vmx 20', '#UD'],
    ['vmresume', 'vmx 24', '#UD'],
    ['vmxoff', 'vmx 26', '#UD'],
    ['vmrun', '#UD', 'svm 128'],
    ['vmload', '#UD', 'svm 130'],
    ['vmsave', '#UD', 'svm 131'],
    ['stgi', '#UD', 'svm 132'],
    ['clgi', '#UD', 'svm 133'],
    ['skinit', '#UD', 'svm 134'],
    ['invlpga', '#UD', 'svm 122'],
  ])('%s: %s on Intel, %s on AMD', (instruction, intel, amd) => {
    const codes: Readonly<Record<string, number>> = {
      vmlaunch: 0xc2,
      vmresume: 0xc3,
      vmxoff: 0xc4,
      vmrun: 0xd8,
      vmload: 0xda,
      vmsave: 0xdb,
      stgi: 0xdc,
      clgi: 0xdd,
      skinit: 0xde,
      invlpga: 0xdf,
    };
    const code = `db 0x0f, 0x01, ${codes[instruction]}`;
    expect([reason('intel', code, svm), reason('amd', code, svm)]).toEqual([intel, amd]);
    expect(reason('amd', code)).toBe('#UD');
  });
});

describe('what only SVM intercepts', () => {
  test.each<[SettingName, string, number, bigint]>([
    ['int-n', 'int 0x30', 0x75, 0x30n],
    ['icebp', 'db 0xf1', 0x88, 0n],
    ['iret', 'iretq', 0x74, 0n],
  ])('%s leaves before it is done', (setting, instruction, code, vector) => {
    const guest = new InterceptedGuest('amd', instruction);
    guest.intercept(interceptSettings([setting]));
    const exit = guest.exit();
    expect([exit.rip, exitNumbers(exit).svm]).toEqual([BigInt(At.CODE), code]);
    expect('vector' in exit && exit.vector !== undefined ? BigInt(exit.vector) : 0n).toBe(vector);
    guest.reset();
    guest.intercept(interceptSettings());
    expect(guest.processor.run(1).kind).not.toBe('exit');
  });
});

test('each intercept that the processor takes has a reason whose numbers are those of its bits', () => {
  // The rows above go through the instructions; here are those that are events.
  const events: readonly (readonly [SettingName, Parameters<typeof exitNumbers>[0]])[] = (
    [
      ['external-interrupt', { reason: 'external-interrupt' }],
      ['nmi', { reason: 'nmi' }],
      ['init', { reason: 'init' }],
      ['interrupt-window', { reason: 'interrupt-window' }],
      ['cr0-selective-write', { reason: 'cr', register: 0, access: 'mov-to', gpr: 0, value: 0n, selective: true }],
      ['task-switch', { reason: 'task-switch', selector: 0, source: 'jmp' }],
      ['triple-fault', { reason: 'triple-fault', chain: [] }],
      ['hypercall', { reason: 'hypercall', instruction: 'vmmcall' }],
      ['rdpmc', { reason: 'rdpmc' }],
      ['hlt', { reason: 'hlt' }],
    ] as const
  ).map(([name, detail]) => [name, { ...detail, rip: 0n, instructionLength: 0, icount: 0n }] as const);
  for (const [name, exit] of events) {
    const { svm } = SETTINGS[name];
    expect([name, exitNumbers(exit).svm]).toEqual([name, typeof svm === 'object' ? svmExitCode(svm) : undefined]);
  }
  expect(SETTING_ROWS.filter(([, row]) => 'reason' in row).length).toBeGreaterThan(40);
});

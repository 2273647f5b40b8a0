import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeFault } from '../../src/hypervisor/exits/describe.ts';
import { STAGE_POSITIONS } from '../../src/hypervisor/exits/generated/stage-positions.ts';
import { interruptionInformation, svmExitInfo, vmxQualification } from '../../src/hypervisor/exits/qualification.ts';
import { exitNumbers, vmxReasonName } from '../../src/hypervisor/exits/reasons.ts';
import { stagePosition } from '../../src/hypervisor/exits/stage-position.ts';
import { journalLine, RingJournal } from '../../src/hypervisor/journal/ring-journal.ts';
import type { ExitDetail, VmExit } from '../../src/processor/exit.ts';
// @ts-expect-error: a build script without types
import { collectStages } from '../../tools/generate/stage-positions.mjs';

const at = (detail: ExitDetail): VmExit => ({ ...detail, rip: 0x1000n, instructionLength: 2, icount: 7n });
const io: ExitDetail = {
  reason: 'io',
  port: 0x3f8,
  size: 1,
  write: true,
  value: 0x41,
  string: false,
  rep: false,
  immediate: false,
};
const form = { addressSize: 64, segment: 3 } as const;

describe('exit numbers and qualifications', () => {
  test.each<[ExitDetail, number, number]>([
    [{ reason: 'cpuid', leaf: 0, subleaf: 0 }, 10, 0x72],
    [io, 30, 0x7b],
    [{ reason: 'hypercall', instruction: 'vmcall' }, 18, 0x81],
    [{ reason: 'msr-write', msr: 0x10, value: 0n }, 32, 0x7c],
    [{ reason: 'cr', register: 4, access: 'mov-to', gpr: 0, value: 0n }, 28, 0x14],
    [{ reason: 'cr', register: 3, access: 'mov-from', gpr: 0, value: 0n }, 28, 0x03],
    [{ reason: 'dr', register: 7, write: true, gpr: 0 }, 29, 0x37],
    [{ reason: 'exception', vector: 14, type: 3 }, 0, 0x4e],
    [{ reason: 'descriptor-table', table: 'gdtr', write: true }, 46, 0x6b],
    [{ reason: 'descriptor-table', table: 'tr', write: false }, 47, 0x69],
    [{ reason: 'rdtsc', rdtscp: true }, 51, 0x87],
    [{ reason: 'triple-fault', chain: [] }, 2, 0x7f],
    [{ reason: 'hlt' }, 12, 0x78],
  ])('%o is VMX reason %d and SVM code %d', (detail, vmx, svm) => {
    expect(exitNumbers(at(detail))).toEqual({ vmx, svm });
  });

  test('say what an I/O instruction does', () => {
    expect(vmxQualification(at(io))).toBe(0x3f8_0000n);
    const insb = at({ ...io, write: false, string: true, rep: true, size: 2 });
    expect(vmxQualification(insb)).toBe(0x3f8_0039n);
    expect(svmExitInfo(insb, form)).toEqual({ info1: 0x3f8_0000n | (3n << 10n) | 0x22dn, info2: 0x1002n });
  });

  test('say which control register and general register', () => {
    expect(vmxQualification(at({ reason: 'cr', register: 4, access: 'mov-to', gpr: 3, value: 0n }))).toBe(0x304n);
    expect(vmxQualification(at({ reason: 'cr', register: 0, access: 'lmsw', gpr: 0, value: 0x1fn }))).toBe(0x1f_0030n);
    expect(vmxQualification(at({ reason: 'dr', register: 6, write: false, gpr: 9 }))).toBe(0x916n);
  });

  test('say what a memory access wanted', () => {
    const mmio: ExitDetail = { reason: 'mmio', gpa: 0xfec0_0000n, gva: 0n, size: 4, write: true, value: 1n };
    expect(vmxQualification(at(mmio))).toBe(0x182n);
    expect(svmExitInfo(at(mmio), form)).toEqual({ info1: (1n << 32n) | 6n, info2: 0xfec0_0000n });
    expect(
      vmxQualification(
        at({
          reason: 'second-level-violation',
          gpa: 1n,
          gva: 2n,
          access: 'execute',
          allowed: { read: true, write: false, execute: false },
          duringWalk: false,
        }),
      ),
    ).toBe(0x18cn);
    expect(vmxQualification(at({ reason: 'apic', gpa: 0xfee0_00b0n, gva: 0n, size: 4, write: true, value: 0n }))).toBe(0x10b0n);
  });

  test('carry exceptions', () => {
    const fault = at({ reason: 'exception', vector: 14, errorCode: 2, payload: 0xdead_0000n, type: 3 });
    expect(vmxQualification(fault)).toBe(0xdead_0000n);
    expect(interruptionInformation(fault)).toBe(0x8000_0b0e);
    expect(svmExitInfo(fault, form)).toEqual({ info1: 2n, info2: 0xdead_0000n });
  });

  test('have names', () => {
    expect(vmxReasonName(18)).toBe('VMCALL');
    expect([describeFault(13, 0), describeFault(14, 0x15), describeFault(6)]).toEqual(['#GP(0)', '#PF(0x15)', '#UD']);
  });
});

describe('the journal', () => {
  const record = (seq: number) => ({
    seq,
    partition: 1,
    vcpu: 0,
    icount: '1',
    rip: '0x1000',
    reason: 'cpuid' as const,
    vmx: 10,
    svm: 114,
    qualification: '0x0',
    request: 'cpuid 0x0.0x0',
  });

  test('keeps the newest records and counts all', () => {
    const journal = new RingJournal();
    for (let index = 0; index < 10_000; index++) journal.enter(record(journal.nextSeq()));
    expect(journal.total).toBe(10_000);
    expect(journal.countByReason.get('cpuid')).toBe(10_000);
    expect(journal.latest(3).map(({ seq }) => seq)).toEqual([9998, 9999, 10_000]);
    expect(journal.latest(1_000_000)).toHaveLength(4096);
  });

  test('writes one JSON object a line, in the order of the contract', () => {
    const line = journalLine({ ...record(1), to: 'hypervisor', result: 'ok', handler: 'kvm-intel handle_cpuid' });
    expect(line).toBe(
      '{"seq":1,"partition":1,"vcpu":0,"icount":"1","rip":"0x1000","reason":"cpuid","vmx":10,"svm":114,"qualification":"0x0","handler":"kvm-intel handle_cpuid","request":"cpuid 0x0.0x0","result":"ok","to":"hypervisor"}',
    );
  });
});

describe('stage positions', () => {
  const root = path.resolve(import.meta.dirname, '../..');

  test('point at the line that names the stage', () => {
    const ids = Object.keys(STAGE_POSITIONS);
    expect(ids.length).toBeGreaterThan(20);
    for (const id of ids) {
      const place = stagePosition(id);
      const lines = readFileSync(path.join(root, place?.path ?? ''), 'utf8').split('\n');
      const around = lines.slice((place?.line ?? 1) - 1, (place?.line ?? 1) + 1).join('\n');
      expect(around, id).toContain(`'${id}'`);
      expect(place?.function, id).not.toBe('');
    }
  });

  test('know no other ids', () => {
    expect(stagePosition('no-such.stage')).toBeUndefined();
    expect(stagePosition('constructor')).toBeUndefined();
  });

  test('refuse two stages of one id', () => {
    const text = "function* f() {\n  yield stage('a.b');\n}";
    expect(() =>
      collectStages([
        { file: 'x.ts', text },
        { file: 'y.ts', text },
      ]),
    ).toThrow("Stage 'a.b' is at both x.ts:2 and y.ts:2; give one of them another id.");
    expect(collectStages([{ file: 'x.ts', text }])).toEqual([{ id: 'a.b', path: 'x.ts', line: 2, function: 'f' }]);
  });
});

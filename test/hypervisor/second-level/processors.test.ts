import { describe, expect, test } from 'vitest';
import { vmxQualification } from '../../../src/hypervisor/exits/qualification.ts';
import { hostPlace } from '../../../src/hypervisor/second-level/host-place.ts';
import { SecondLevelMap } from '../../../src/hypervisor/second-level/second-level-map.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { ROUTINES, runToEnd } from '../../platforms/run-guest.ts';
import { At, describe as outcome, Selector, SystemMachine } from '../../processor/system/machine.ts';
import { ALL, guest, processorOf, READ_ONLY, stopAt, TIERS } from './stop-at.ts';

const NO_FLAGS = { vendor: 'intel', hasFlags: false } as const;

describe.each(TIERS)('several vCPUs, %s', (_name, tier) => {
  test('all ask again when a right is taken away', () => {
    const partition = guest('bits 64\n_start:\nmov edi, 0x600000\n.next:\nlock inc dword [rdi]\njmp .next\n', {
      ...tier,
      vcpus: 2,
    });
    partition.run({ instructions: 1 });
    const [first, second] = [processorOf(partition, 0), processorOf(partition, 1)];
    // The second vCPU does the same in another page.
    second.state.u64.set(first.state.u64.slice(0, L.ARCHITECTURAL_END >> 3));
    second.state.setGpr(7, 0x60_1000n);
    second.stateChanged();
    partition.run({ instructions: 100_000 });
    for (let round = 0; round < 3; round++) {
      partition.dirtyLog.start('write-protection');
      partition.run({ instructions: 100_000 });
      expect(partition.dirtyLog.collect()).toEqual(expect.arrayContaining([0x60_0000n, 0x60_1000n]));
    }
    const violations = partition.journal.latest(1000).filter(({ request }) => /^write 0x60[01]000/.test(request));
    expect(violations.map(({ vcpu }) => vcpu).sort()).toEqual([0, 0, 0, 1, 1, 1]);
  });
});

describe('EPT without accessed and dirty flags', () => {
  test('lets tables be read only, until a flag of the guest has to be set in them', () => {
    const machine = new SystemMachine('long');
    const map = new SecondLevelMap(machine.memory, hostPlace(0), NO_FLAGS);
    map.setPermissions(BigInt(At.PML4), 0x3000n, READ_ONLY);
    machine.memory.write(BigInt(At.CODE), Uint8Array.of(0x90, 0x90));
    const result = machine.processor.run(1);
    if (result.kind !== 'exit') throw new Error(`expected an exit, not ${result.kind}`);
    expect(result.exit).toMatchObject({ gpa: BigInt(At.PML4), gva: BigInt(At.CODE), access: 'write', duringWalk: true });
    // Not the read: bit 0.
    expect(vmxQualification(result.exit)).toBe(0x8an);
    for (const table of [At.PML4, At.PDPT, At.PD]) machine.write64(table, machine.read64(table) | 0x20n);
    expect(outcome(machine.processor.run(1))).toBe('ok');
    // A write needs the dirty bit too: mov [0xb000], eax.
    expect(machine.step('890425 00b00000')).toBe('second-level-violation');
  });
});

describe('a task switch', () => {
  const NEW_TSS = 0x3800;
  const NEXT = 0x8100;

  function machine() {
    const result = new SystemMachine('protected');
    const map = new SecondLevelMap(result.memory, hostPlace(0), { vendor: 'intel' });
    result.descriptor(Selector.FREE, 0x0000_8900_0000_0067n | (BigInt(NEW_TSS) << 16n));
    result.write32(NEW_TSS + 0x20, NEXT);
    result.write32(NEW_TSS + 0x24, 2);
    result.write32(NEW_TSS + 0x38, At.STACK);
    for (const at of [0x48, 0x50, 0x54, 0x58, 0x5c]) result.write32(NEW_TSS + at, Selector.DATA);
    result.write32(NEW_TSS + 0x4c, Selector.CODE32);
    return { result, map };
  }
  const JUMP = `ea00000000${Selector.FREE.toString(16).padStart(2, '0')}00`;
  const isBusy = ({ result }: ReturnType<typeof machine>) => ((result.read64(At.GDT + Selector.FREE) >> 41n) & 1n) === 1n;

  test('is refused before anything has changed', () => {
    const made = machine();
    made.map.setPermissions(BigInt(At.TSS), 0x1000n, READ_ONLY);
    expect(made.result.step(JUMP)).toBe('second-level-violation');
    expect([made.result.state.rip, isBusy(made)]).toEqual([BigInt(At.CODE), false]);
    made.map.setPermissions(BigInt(At.TSS), 0x1000n, ALL);
    expect(outcome(made.result.processor.run(1))).toBe('ok');
    expect([made.result.state.rip, isBusy(made)]).toEqual([BigInt(NEXT), true]);
  });

  test('is not refused behind its commit, and what it writes counts as written', () => {
    const made = machine();
    made.map.splitAll(0n, 0x10000n);
    made.map.setPermissions(BigInt(At.GDT), 0x1000n, READ_ONLY);
    expect(made.result.step(JUMP)).toBe('ok');
    expect([made.result.state.rip, isBusy(made)]).toEqual([BigInt(NEXT), true]);
    expect(made.map.lookUp(BigInt(At.GDT)).dirty).toBe(true);
  });

  test('that a hypervisor does leaves for the access and is begun again', () => {
    const partition = guest(`bits 32
_start:
    lgdt [gdtr]
    mov ax, 0x18
    ltr ax
    jmp 0x20:0
next:
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
gdtr: dw 0x27
    dd gdt
align 8
gdt: dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
    dw 0x67, 0, 0x8960, 0
    dw 0x67, 0, 0x8970, 0
`);
    // The task state segments are at 0x600000 and 0x700000.
    const { memory, secondLevel } = partition;
    const exit = stopAt(partition, 'task-switch');
    const words = new Uint32Array(26);
    words.set([Number(exit.rip) + 7, 2, 0, 0, 0, 0, 0x8_0000], 8);
    words.set([0x10, 8, 0x10, 0x10, 0x10, 0x10], 18);
    memory.write(0x70_0000n, new Uint8Array(words.buffer));
    secondLevel.setPermissions(0x60_0000n, 0x1000n, READ_ONLY);
    expect(stopAt(partition, 'second-level-violation')).toMatchObject({ gpa: 0x60_0020n, access: 'write', rip: exit.rip });
    secondLevel.setPermissions(0x60_0000n, 0x1000n, ALL);
    const { end, records } = runToEnd(partition);
    expect(end.kind).toBe('power-off');
    expect(records.map(({ reason }) => reason)).toEqual(['second-level-violation', 'task-switch', 'io']);
  });
});

describe('an instruction with several accesses', () => {
  test('asks a device once, though another access of it is refused behind that', () => {
    const partition = guest(`bits 64
_start:
    mov esi, 0x500000
    mov edi, 0x600000
    movsd
    mov eax, [0x600000]
    call hex
    jmp off
${ROUTINES}`);
    partition.secondLevel.setMmio(0x50_0000n, 0x1000n);
    partition.secondLevel.setPermissions(0x60_0000n, 0x1000n, READ_ONLY);
    const exit = stopAt(partition, 'second-level-violation');
    expect(exit).toMatchObject({ gpa: 0x60_0000n, access: 'write' });
    expect(processorOf(partition).state.gpr(6)).toBe(0x50_0000n);
    partition.secondLevel.setPermissions(0x60_0000n, 0x1000n, ALL);
    const { text } = runToEnd(partition);
    expect(text).toBe('00000000ffffffff\n');
    const reasons = partition.journal.latest(100).map(({ reason }) => reason);
    expect(reasons.filter((reason) => reason !== 'io')).toEqual(['mmio', 'second-level-violation']);
  });
});

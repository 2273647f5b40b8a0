import { describe, expect, test } from 'vitest';
import { Host } from '../../src/hypervisor/host/host.ts';
import { PRIVILEGES, type PrivilegeName, problemOfGrant, USUAL_PRIVILEGES } from '../../src/hypervisor/privileges/privileges.ts';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { guest, runToEnd } from '../platforms/run-guest.ts';

const small = { memory: 4 << 20 } as const;
const without = (...names: readonly PrivilegeName[]): Partial<PartitionConfiguration> => ({
  privileges: [...USUAL_PRIVILEGES].filter((name) => !names.includes(name)),
});

/** Tries something, prints that it goes on, and halts for good. */
const trying = (attempt: string) => `bits 64
    mov rdi, 0xfee00000
    mov dword [rdi + 0xf0], 0x1ff
    mov word [0x8000], 0xf4fa       ; cli, hlt for whoever is started there
${attempt}
    mov al, '.'
    mov dx, 0x3f8
    out dx, al
    cli
    hlt
`;
const ICR = (command: number, target = 1) => `
    mov dword [rdi + 0x310], ${target << 24}
    mov dword [rdi + 0x300], ${command}`;

interface Attempt {
  readonly privilege: PrivilegeName;
  readonly attempt: string;
  readonly asked: string;
}

const ATTEMPTS: readonly Attempt[] = [
  { privilege: 'debug-console', attempt: "mov al, 'd'\nout 0xe9, al", asked: 'to print on the debug console' },
  { privilege: 'debug-exit', attempt: 'mov al, 3\nout 0xf4, al', asked: 'to end the run with 0x3' },
  { privilege: 'power', attempt: 'mov dx, 0x604\nmov ax, 0x2000\nout dx, ax', asked: 'to be switched off' },
  { privilege: 'power', attempt: 'mov al, 0xfe\nout 0x64, al', asked: 'a reset through the keyboard controller' },
  { privilege: 'timers', attempt: 'mov dword [rdi + 0x380], 1000', asked: 'a timer for ' },
  { privilege: 'send-ipis', attempt: ICR(0x4040), asked: 'an interrupt, fixed, vector 0x40, to APIC id 0x1' },
  { privilege: 'send-ipis', attempt: ICR(0xc4440), asked: 'an interrupt, NMI, vector 0x40' },
  { privilege: 'start-vcpus', attempt: ICR(0x4500), asked: 'an interrupt, INIT' },
  { privilege: 'start-vcpus', attempt: ICR(0x4608), asked: 'an interrupt, start-up, vector 0x8' },
];

describe.each(['bare', 'kvm'] as const)('on %s', (platform) => {
  test.each(ATTEMPTS)('without $privilege a guest is refused $asked, and goes on', ({ privilege, attempt, asked }) => {
    const host = new Host();
    const partition = guest(trying(attempt), { ...small, platform, vcpus: 2, ...without(privilege) }, host);
    const { text, end, records } = runToEnd(partition);
    expect(text).toBe('.');
    expect(end.kind).toBe('halted');
    expect(partition.vcpus[1]?.processor.icount).toBe(0n);
    expect(host.journal.refusalsOf(1)).toMatchObject([{ kind: 'refused', subject: privilege, count: 1 }]);
    const sentence = host.journal.refusalsOf(1)[0]?.text;
    expect(sentence).toContain(`vCPU 0 of partition 1 was refused ${asked}`);
    expect(sentence).toContain(`it needs the privilege ${privilege}`);
    const refused = records.filter(({ result }) => result?.startsWith('refused: '));
    expect(refused).toHaveLength(platform === 'kvm' ? 1 : 0);
    if (refused[0]) expect(refused[0].result).toContain(`privilege ${privilege}`);
  });

  test.each(ATTEMPTS)('with $privilege nothing is refused: $asked', ({ attempt }) => {
    const host = new Host();
    runToEnd(guest(trying(attempt), { ...small, platform, vcpus: 2 }, host));
    expect(host.journal.refusalsOf(1)).toEqual([]);
  });

  test('a guest reaches the ports of its limits alone', () => {
    const host = new Host();
    const source = trying(
      "in al, 0x71\nmov ah, al\nmov al, 'x'\nout 0xe9, al\nmov al, ah\nmov dx, 0x3f8\nadd al, '0' + 1\nout dx, al",
    );
    const partition = guest(source, { ...small, platform, limits: { ports: [{ first: 0x3f8, last: 0x3ff }] } }, host);
    expect(runToEnd(partition).text).toBe('0.');
    expect(host.journal.refusalsOf(1)).toMatchObject([
      {
        subject: 'ports',
        count: 2,
        text: 'vCPU 0 of partition 1 was refused to read port 0x71: the port is not among those that it reaches.',
        lastText: 'vCPU 0 of partition 1 was refused to write port 0xe9: the port is not among those that it reaches.',
      },
    ]);
  });
});

test('without hypercalls KVM answers -KVM_EPERM', () => {
  const host = new Host();
  const source = trying('mov eax, 1\nvmcall\nneg rax\nadd al, 64\nmov dx, 0x3f8\nout dx, al');
  const { text, records } = runToEnd(guest(source, { ...small, ...without('hypercalls') }, host));
  expect(text).toBe('A.');
  expect(host.journal.refusalsOf(1)).toMatchObject([{ subject: 'hypercalls' }]);
  expect(records.find(({ reason }) => reason === 'hypercall')?.result).toMatch(/^refused: it needs the privilege hypercalls/);
});

test('a processor may always interrupt itself', () => {
  const host = new Host();
  runToEnd(guest(trying('mov dword [rdi + 0x300], 0x44040'), { ...small, platform: 'bare', ...without('send-ipis') }, host));
  expect(host.journal.refusalsOf(1)).toEqual([]);
});

describe('a partition that has another one made', () => {
  test('is refused without the privilege, which is not a usual one', () => {
    const host = new Host();
    const parent = guest('bits 64\nhlt\n', small, host);
    expect(() => guest('bits 64\nhlt\n', small, host, parent)).toThrow('Partition 1 may not make partitions');
    expect(host.partitions).toEqual([parent]);
    expect(host.journal.refusalsOf(1)[0]?.text).toContain('was refused to have a partition made of guest.asm');
  });

  test('gets it with the privilege', () => {
    const host = new Host();
    const parent = guest('bits 64\nhlt\n', { ...small, privileges: [...USUAL_PRIVILEGES, 'create-partitions'] }, host);
    expect(guest('bits 64\nhlt\n', small, host, parent).id).toBe(2);
  });
});

describe('a grant', () => {
  test('names each privilege once', () => {
    expect(new Set(PRIVILEGES.map(({ name }) => name)).size).toBe(PRIVILEGES.length);
  });

  test.each([
    [{ privileges: ['fly' as PrivilegeName] }, 'There is no privilege "fly"; there are serial-console'],
    [{ limits: { timeShare: 0 } }, 'share of the host’s time is 1 to 100'.replace('’', "'")],
    [{ limits: { ports: [{ first: 9, last: 8 }] } }, '9 to 8 does not'],
    [{ limits: { ports: [{ first: 0, last: 0x10000 }] } }, '0 to 65536 does not'],
  ])('that makes no sense is refused: %j', (configuration, sentence) => {
    expect(() => guest('bits 64\nhlt\n', configuration)).toThrow(sentence);
  });

  test('without a share or ports has no problem', () => {
    expect(problemOfGrant({ privileges: new Set(), limits: {} })).toBeUndefined();
  });
});

describe('a share of the host’s time', () => {
  const busy = 'bits 64\n.loop:\ninc qword [0x200000]\njmp .loop\n';

  test('bounds what a partition runs beside others', () => {
    const host = new Host();
    const [whole, tenth] = [guest(busy, small, host), guest(busy, { ...small, limits: { timeShare: 10 } }, host)];
    for (let calls = 0; calls < 100; calls++) host.run({ instructions: 33_333 });
    const ratio = Number(whole?.icount) / Number(tenth?.icount);
    expect(ratio).toBeGreaterThan(9);
    expect(ratio).toBeLessThan(11);
    const behind = Number(whole?.now()) - Number(tenth?.now());
    expect(Math.abs(behind)).toBeLessThanOrEqual(100_000);
  });

  test('makes the same run however it is sliced', () => {
    const states = [1009, 33_333, 1_000_000].map((slice) => {
      const host = new Host();
      const partitions = [30, 100].map((timeShare) => guest(busy, { ...small, limits: { timeShare } }, host));
      while ((partitions[1]?.icount ?? 0n) < 1_000_000n)
        host.run({ instructions: Math.min(slice, 1_000_000 - Number(partitions[1]?.icount)) });
      return partitions.map((partition) => partition.stateHash());
    });
    expect(states[1]).toEqual(states[0]);
    expect(states[2]).toEqual(states[0]);
  });
});

import { describe, expect, test } from 'vitest';
import { Host } from '../../../src/hypervisor/host/host.ts';
import type { GuestPartition } from '../../../src/hypervisor/partition/guest-partition.ts';
import type { PlatformName } from '../../../src/platforms/configuration.ts';
import { guest } from '../../platforms/run-guest.ts';
import { cpuTime } from '../../support/cpu-time.ts';
import { ATTACKERS, RAM } from './attackers.ts';
import { STRUCTURE_ATTACKERS } from './structure-attackers.ts';

/** Instructions in one call of the host, and how long a call may take in milliseconds on a slow machine. */
const SLICE = 10_000;
const LONGEST_CALL = 20_000;
/** Instructions between two interrupts of the neighbour's timer, and how many it takes before it switches itself off. */
const PERIOD = 7777;
const INTERRUPTS = 14;

/** What the neighbour keeps in memory: made at run time, so that it stands nowhere else. */
const SECRET = 0x5ec2_e751_beef_f00dn;

/** A neighbour with all that can be disturbed: memory, timer, interrupts, console, a second processor that sleeps. */
const NEIGHBOUR = `bits 64
    lea rax, [rel tick]
    lea rdi, [rel idt + 0x400]
    mov [rdi], ax
    mov word [rdi + 2], cs
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    lea rax, [rel idt]
    mov [rel idt_register + 2], rax
    lidt [rel idt_register]
    mov rax, 0x${(SECRET ^ 0x1111_1111_1111_1111n).toString(16)}
    mov rcx, 0x1111111111111111
    xor rax, rcx
    mov edi, 0x200000
    mov ecx, 0x1000
    cld
    rep stosq
    mov edi, 0xfee00000
    mov dword [rdi + 0xf0], 0x1ff
    mov dword [rdi + 0x3e0], 0xb
    mov dword [rdi + 0x320], 0x20040
    mov dword [rdi + 0x380], ${PERIOD}
    sti
.work:
    imul rbx, rbx, 0x19660d
    add rbx, 0x3c6ef35f
    movzx eax, bx
    add [0x300000 + rax * 8], rbx
    inc qword [rel rounds]
    cmp qword [rel ticks], ${INTERRUPTS}
    jae .off
    test byte [rel rounds], 0x7f
    jnz .work
    hlt
    jmp .work
.off:
    cli
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
tick:
    push rax
    push rdx
    inc qword [rel ticks]
    mov al, [rel ticks]
    mov dx, 0x3f8
    out dx, al
    mov eax, 0xfee000b0
    mov dword [rax], 0
    pop rdx
    pop rax
    iretq
rounds: dq 0
ticks: dq 0
idt_register: dw 0xfff
    dq 0
align 16
idt: times 4096 db 0
`;

interface Life {
  readonly hash: string;
  readonly instructions: bigint;
  readonly console: string;
}

/** Runs a host until a partition has switched itself off; what it then is. */
function live(host: Host, partition: GuestPartition): Life {
  let console = '';
  partition.onConsole((_source, bytes) => {
    console += Buffer.from(bytes).toString('hex');
  });
  for (let calls = 0; !partition.end; calls++) {
    if (calls > 10_000) throw new Error('the partition gets no time');
    const begin = cpuTime();
    host.run({ instructions: SLICE });
    expect(cpuTime() - begin).toBeLessThan(LONGEST_CALL);
  }
  return { hash: partition.stateHash(), instructions: partition.icount, console };
}

const neighbour = (host: Host) => guest(NEIGHBOUR, { platform: 'kvm', memory: RAM, vcpus: 2 }, host);

function holds(partition: GuestPartition, value: bigint): boolean {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return Buffer.from(partition.memory.wasm.buffer).includes(bytes);
}

let life: Life | undefined;
/** The neighbour's life without anybody beside it. */
function alone(): Life {
  const host = new Host();
  life ??= live(host, neighbour(host));
  expect(life.console).toHaveLength(2 * INTERRUPTS);
  return life;
}

describe('beside a guest that', () => {
  describe.each(['bare', 'kvm'] as const)('on %s', (platform: PlatformName) => {
    test.each(
      [...ATTACKERS, ...STRUCTURE_ATTACKERS].filter(({ configuration }) => (configuration?.platform ?? platform) === platform),
    )('$name, a neighbour lives as if it were alone', ({ source, configuration, refused = [], withoutExit, ends }) => {
      const host = new Host();
      const attacker = guest(source, { platform, memory: RAM, ...configuration }, host);
      const beside = neighbour(host);
      expect(live(host, beside)).toEqual(alone());
      expect(holds(beside, SECRET)).toBe(true);
      expect(holds(attacker, SECRET)).toBe(false);
      expect(attacker.end?.kind).not.toBe('internal-error');
      if (ends) expect(attacker.end).toBeDefined();
      const subjects = host.journal.refusalsOf(attacker.id).map(({ subject }) => subject);
      for (const subject of refused) expect(subjects).toContain(subject);
      if (attacker.platform === 'kvm' && !withoutExit && refused.length > 0) {
        const results = attacker.journal.latest(100_000).map(({ result }) => result ?? '');
        expect(results.some((result) => result.startsWith('refused: '))).toBe(true);
      }
      expect(host.journal.refusalsOf(beside.id)).toEqual([]);
      expect(attacker.journal.latest(1_000_000).length).toBeLessThanOrEqual(4096);
      expect(host.journal.latest.length).toBeLessThanOrEqual(1000);
    });
  });
});

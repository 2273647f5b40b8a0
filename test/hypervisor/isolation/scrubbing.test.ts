import { describe, expect, test } from 'vitest';
import { Host } from '../../../src/hypervisor/host/host.ts';
import type { GuestPartition } from '../../../src/hypervisor/partition/guest-partition.ts';
import { guest } from '../../platforms/run-guest.ts';

const MIB = 1 << 20;
const small = { memory: 8 * MIB } as const;
/** Without a zero byte: in whatever place of a word, it is found as bytes. */
const PATTERN = 0xc0de_fade_5eed_beefn;
const TEXT = '\xef\xbe\xed\x5e';

/** Puts the pattern wherever a guest can: RAM, all registers, hot code, the clock chip's memory, device registers, the console. */
const MARKER = `bits 64
    mov rax, cr4
    or eax, 0x40200                 ; OSXSAVE, OSFXSR
    mov cr4, rax
    xor ecx, ecx
    xor edx, edx
    mov eax, 7
    xsetbv
    mov rax, 0x${PATTERN.toString(16)}
    mov rdi, 0x200000
    mov ecx, 0xbe000
    cld
    rep stosq
    ; As code, hot enough to be translated.
    mov ecx, 20000
.hot:
    mov r9, 0x${PATTERN.toString(16)}
    xor r10, r9
    add r11, [0x200000]
    dec ecx
    jnz .hot
    mov rbx, rax
    mov rbp, rax
    mov rsi, rax
    mov r8, rax
    mov r12, rax
    mov r13, rax
    mov r14, rax
    mov r15, rax
    movq xmm3, rax
    vinsertf128 ymm3, ymm3, xmm3, 1
    fild qword [0x200000]
    mov dr0, rax
    mov dr1, rax
    ; CMOS memory from 0x40 on.
    mov ecx, 0x40
.cmos:
    mov eax, ecx
    out 0x70, al
    mov rax, rbx
    out 0x71, al
    ror rbx, 8
    inc ecx
    cmp ecx, 0x48
    jb .cmos
    mov edi, 0xfee00000
    mov dword [rdi + 0xd0], 0xef000000
    mov dword [rdi + 0x380], 0x5eedbeef
    mov dx, 0x3f8
    mov rbx, 0x${PATTERN.toString(16)}
    mov ecx, 8
.print:
    mov al, bl
    out dx, al
    shr rbx, 8
    dec ecx
    jnz .print
    mov dx, 0x3ff
    out dx, al
    cli
    hlt
`;
const QUIET = 'bits 64\nmov ecx, 20000\n.more:\ninc rax\ndec ecx\njnz .more\ncli\nhlt\n';

function runHost(host: Host, partition: GuestPartition): string {
  let text = '';
  partition.onConsole((_source, bytes) => {
    text += Buffer.from(bytes).toString('latin1');
  });
  while (!partition.end) host.run({ instructions: 1_000_000 });
  return text;
}

/** Whether any four bytes of the pattern in a row stand anywhere in the partition's memory, registers and caches included. */
function holdsPattern({ memory: { wasm } }: GuestPartition): boolean {
  const bytes = Buffer.from(wasm.buffer);
  return [0n, 8n, 16n, 24n, 32n].some((shift) => {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(Number((PATTERN >> shift) & 0xffff_ffffn));
    return bytes.includes(part);
  });
}

describe('what a destroyed partition wrote', () => {
  test.each(['bare', 'kvm'] as const)('is found in no memory, device or console of a later one, on %s', (platform) => {
    const host = new Host();
    const first = guest(MARKER, { ...small, platform }, host);
    expect(runHost(host, first)).toContain(TEXT);
    expect(holdsPattern(first)).toBe(true);
    expect(first.vcpus[0]?.processor.translations.made).toBeGreaterThan(0);
    const { wasm } = first.memory;
    host.destroy(first);
    const later = [2, 3, 8, 8, 16].map((size) => guest(QUIET, { platform, memory: size * MIB }, host));
    // One of them has the same memory, so the test is about something.
    expect(later.map(({ memory }) => memory.wasm)).toContain(wasm);
    for (const partition of later) {
      expect(holdsPattern(partition)).toBe(false);
      expect(runHost(host, partition)).not.toContain(TEXT);
      expect(holdsPattern(partition)).toBe(false);
      expect(
        JSON.stringify(partition.devices.save(), (_key, value) => (typeof value === 'bigint' ? `${value}` : value)),
      ).not.toContain('239,190,237,94');
    }
  });

  test('can’t be seen, nor can what comes after, by who kept a view of its memory', () => {
    const host = new Host();
    const first = guest(MARKER, small, host);
    runHost(host, first);
    const { bytes, view } = first.memory;
    const [vcpu] = first.vcpus;
    host.destroy(first);
    const second = guest(QUIET, small, host);
    expect(second.memory.wasm).toBe(first.memory.wasm);
    expect(bytes).toHaveLength(0);
    expect(() => view.getUint8(0)).toThrow(TypeError);
    expect(first.memory.read(0x10_0000n, 16).every((byte) => byte === 0)).toBe(true);
    expect(vcpu?.processor.state.gpr(3)).toBe(0n);
    expect(first.stateHash()).toBe('0000000000000000');
    expect(first.inspect()).toMatchObject({ value: 'destroyed' });
    expect(first.run({ instructions: 100 }).kind).toBe('ended');
    // Writing through what is left reaches nobody.
    const hash = second.stateHash();
    bytes[0x20_0000] = 1;
    first.memory.write(0x10_0000n, Uint8Array.of(1, 2, 3));
    expect(second.stateHash()).toBe(hash);
  });

  test('makes no difference to the run of a later one', () => {
    const host = new Host();
    host.destroy(guest(MARKER, small, host));
    const first = guest(MARKER, small, host);
    runHost(host, first);
    host.destroy(first);
    const [used, fresh] = [guest(QUIET, small, host), guest(QUIET, small, new Host())];
    for (const partition of [used, fresh]) while (partition.run({ instructions: 1_000_000 }).kind !== 'ended');
    expect(used.stateHash()).toBe(fresh.stateHash());
    expect(used.icount).toBe(fresh.icount);
  });

  test('is scrubbed before the journal says that the partition is destroyed', () => {
    const host = new Host();
    const first = guest(MARKER, small, host);
    runHost(host, first);
    host.destroy(first);
    expect(host.journal.latest.map(({ kind }) => kind)).toEqual(['created', 'ended', 'memory-scrubbed', 'destroyed']);
  });
});

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { launchGuest } from '../../src/debugger/launch-guest.ts';
import { endServers, gdb, missingTool, root, serve, skipped } from './real-gdb.ts';

const missing = missingTool('gdb');
const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-gdb-modes-'));

afterEach(endServers);

/** What the program does in each mode: a call, a write, a read, and a loop that says when it has begun. */
const BODY = `
    mov eax, 5
    call work
    mov [data], eax
    nop
    mov ecx, [data]
    nop
    inc byte [data + 1]
    nop
say:
    mov dx, 0x3f8
    mov al, '#'
    out dx, al
spin: jmp spin
work:
    add eax, 2
inside:
    ret
`;

/** A far return from 64-bit code to a 32-bit segment, which long mode runs as compatibility code. */
const TO_COMPATIBILITY = `bits 64
_start:
    lgdt [gdt_register]
    mov rsp, stack
    push 8
    push compatible
    retfq
bits 32
compatible:${BODY}
align 8
gdt: dq 0, 0x00cf9b000000ffff
gdt_register: dw 15
    dq gdt
data: dd 0
    times 64 db 0
stack:
`;

interface Mode {
  readonly name: string;
  readonly source: string;
  /** Label at which the body is entered, where that isn't the beginning. */
  readonly body?: string;
  readonly pc: string;
  /** The accumulator that gdb is shown. */
  readonly accumulator: string;
}

const MODES: readonly Mode[] = [
  {
    name: 'a boot sector in real mode',
    source: `bits 16\norg 0x7c00\n_start:\n    xor ax, ax\n    mov ds, ax\n${BODY}data: dd 0\ntimes 510 - ($ - $$) db 0\ndw 0xaa55\n`,
    pc: 'eip',
    accumulator: 'eax',
  },
  { name: 'protected mode', source: `bits 32\n_start:\n${BODY}align 4\ndata: dd 0\n`, pc: 'eip', accumulator: 'eax' },
  { name: '64-bit mode', source: `bits 64\n_start:\n${BODY}align 4\ndata: dd 0\n`, pc: 'rip', accumulator: 'rax' },
  { name: 'compatibility mode', source: TO_COMPATIBILITY, body: 'compatible', pc: 'eip', accumulator: 'eax' },
];

describe.skipIf(missing)(`the real gdb${skipped(missing)}`, () => {
  for (const { name, source, body, pc, accumulator } of MODES)
    test(`in ${name}: breakpoints, watchpoints, steps, registers, memory, Ctrl+C`, async () => {
      const program = path.join(folder, `${name.replaceAll(' ', '-')}.asm`);
      writeFileSync(program, source);
      const at = (label: string) => `0x${launchGuest({ program }, nodeFiles).session.evaluate(label).toString(16)}`;
      const [work, inside, data, say, spin] = [at('work'), at('inside'), at('data'), at('say'), at('spin')];
      const { port, printed } = await serve(program);
      const intoMode = body === undefined ? [] : [`tbreak *${at(body)}`, 'continue', 'unset tdesc filename'];
      const said = await gdb(
        port,
        undefined,
        [
          ...intoMode,
          `break *${work}`,
          'continue',
          'x/1i $pc',
          'stepi',
          `print $pc == ${inside}`,
          `print $${accumulator}`,
          `set $${accumulator} = 0x1234`,
          `watch *(int *)${data}`,
          'continue',
          'delete',
          `rwatch *(short *)${data}`,
          'continue',
          'delete',
          `set {char}${data} = 0x77`,
          `x/4xb ${data}`,
          `awatch *(char *)(${data} + 1)`,
          'continue',
          'delete',
          `hbreak *${say}`,
          'continue',
          'nexti',
          'delete',
          'continue',
          `print $pc == ${spin}`,
          `set $${pc} = ${work}`,
          'stepi',
          'x/1i $pc',
          'info threads',
          'kill',
        ],
        printed('#'),
      );
      expect(said).toMatch(/Breakpoint \d, 0x[0-9a-f]+ in[\s\S]*=> 0x[0-9a-f]+:\s+add +\$0x2,%eax/);
      expect(said).toMatch(/\$1 = 1\b[\s\S]*\$2 = 7\b/);
      expect(said).toMatch(/Hardware watchpoint \d: [\s\S]*Old value = 0\s+New value = 4660\b/);
      expect(said).toMatch(/Hardware read watchpoint \d: [\s\S]*Value = 4660\b/);
      expect(said).toMatch(/0x77\s+0x12\s+0x00\s+0x00/);
      expect(said).toMatch(/Hardware access \(read\/write\) watchpoint \d: [\s\S]*New value = 19\b/);
      expect(said).toMatch(
        /Breakpoint \d, 0x[0-9a-f]+ in[\s\S]*received signal SIGINT[\s\S]*\$3 = 1\b[\s\S]*=> 0x[0-9a-f]+:\s+retw?\b/,
      );
      expect(said).toMatch(/Thread 1 "vCPU 0" \(CPL 0\)/);
    }, 60_000);

  test('follows a guest from real mode to long mode when it reads the description anew', async () => {
    const program = path.join(root, 'samples/bare/long-mode.asm');
    const { session } = launchGuest({ program }, nodeFiles);
    const [protectedMode, longMode] = ['protected', 'long_mode'].map((label) => `0x${session.evaluate(label).toString(16)}`);
    const { port, ended } = await serve(program, '--platform', 'bare');
    const said = await gdb(port, undefined, [
      'show architecture',
      `break *${protectedMode}`,
      'continue',
      'unset tdesc filename',
      'show architecture',
      'x/1i $pc',
      `break *${longMode}`,
      'continue',
      'unset tdesc filename',
      'show architecture',
      'x/1i $pc',
      'stepi',
      'print/x $rsi == $pc + 0x1f',
      'monitor architecture i386',
      'unset tdesc filename',
      'info registers eip',
      'monitor architecture z80',
      'monitor architecture auto',
      'disconnect',
      // A new connection begins with the mode of now.
      `target remote 127.0.0.1:${port}`,
      'print $r15',
      'delete',
      'continue',
    ]);
    expect(said).toMatch(/currently "i8086"[\s\S]*vCPU 0 runs 32-bit code now; `unset tdesc filename`[\s\S]*currently "i386"/);
    expect(said).toMatch(/=> 0x[0-9a-f]+:\s+mov +\$0x10,%ax/);
    expect(said).toMatch(
      /vCPU 0 runs 64-bit code now; [\s\S]*currently "i386:x86-64"[\s\S]*=> 0x[0-9a-f]+:\s+movabs? +\$0x[0-9a-f]+,%rsi/,
    );
    expect(said).toMatch(/eip +0x7c[0-9a-f]{2}\b[\s\S]*"z80" is no architecture[\s\S]*\$2 = 0\b[\s\S]*exited normally/);
    expect(await ended).toEqual({ output: 'Hello from long mode\n', status: 0 });
  }, 60_000);

  test('moves vCPUs together and one by one', async () => {
    const program = path.join(root, 'samples/bare/smp.asm');
    const { session } = launchGuest({ program }, nodeFiles);
    const at = (label: string) => `0x${session.evaluate(label).toString(16)}`;
    const { port, ended } = await serve(program, '--vcpus', '3');
    const said = await gdb(port, undefined, [
      'info threads',
      'thread 3',
      'set scheduler-locking on',
      'stepi',
      'thread 1',
      'set scheduler-locking off',
      `break *${at('count')}`,
      'continue',
      'continue',
      'set scheduler-locking on',
      'thread 1',
      'set $first = $pc',
      'thread 2',
      'set $second = $pc',
      'stepi',
      'print $pc != $second',
      'thread 1',
      'print $pc == $first',
      'thread 2',
      'set scheduler-locking off',
      'continue',
      'delete',
      'continue',
    ]);
    expect(said).toMatch(/1 +Thread 1 "vCPU 0" \(CPL 0\)[\s\S]*3 +Thread 3 "vCPU 2" \(CPL 0, waiting for a start-up IPI\)/);
    expect(said).toMatch(/waits for a start-up IPI; it can be stepped once another vCPU has started it/);
    expect([...said.matchAll(/Thread (\d) "vCPU \d" hit Breakpoint 1,/g)].map(([, id]) => id).sort()).toEqual(['1', '2', '3']);
    expect(said).toMatch(/\$1 = 1\b[\s\S]*\$2 = 1\b[\s\S]*exited normally/);
    expect((await ended).output).toContain('processors: 3\ncounter: 600');
  }, 60_000);
});

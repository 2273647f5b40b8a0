import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { Client } from './client.ts';
import { atEntry } from './guests.ts';

/** Echoes what it reads from its serial port in brackets, and says on the debug console how much it was; q ends it. */
const ECHO = `bits 64
_start:
    mov dx, 0x3fd
.wait:
    in al, dx
    test al, 1
    jz .wait
    mov dx, 0x3f8
    in al, dx
    mov bl, al
    mov al, '<'
    out dx, al
    mov al, bl
    out dx, al
    mov al, '>'
    out dx, al
    mov al, '+'
    out 0xe9, al
    cmp bl, 'q'
    jne _start
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
`;

const outputs = (client: Client, source: string): string =>
  client.events
    .filter(({ event, body }) => event === 'output' && body.data?.source === source)
    .map(({ body }) => body.output)
    .join('');

function slices(client: Client, count = 20): void {
  for (let slice = 0; slice < count; slice++) client.session.slice();
}

describe("the guest's console", () => {
  test('takes what is typed while the guest runs, and its devices can be told apart', () => {
    const { client } = atEntry(ECHO);
    client.ask('continue', { threadId: 1 });
    slices(client);
    expect(client.output).toBe('');
    expect(client.ask('evaluate', { expression: 'input hi', context: 'repl' }).result).toBe('');
    slices(client);
    expect(outputs(client, 'serial')).toBe('<h><i><\n>');
    expect(outputs(client, 'debug-console')).toBe('+++');
    client.ask('hyperscope/input', { text: 'q' });
    expect(client.run().event).toBe('terminated');
    expect(outputs(client, 'serial')).toBe('<h><i><\n><q>');
  });

  test('takes escapes, bytes in base64, and text without a line feed', () => {
    const { client } = atEntry(ECHO);
    client.evaluate('input -n a\\x41\\t\\\\', 'repl');
    client.ask('hyperscope/input', { data: Buffer.from('\u0003q').toString('base64') });
    expect(client.move('continue').event).toBe('terminated');
    expect(outputs(client, 'serial')).toBe('<a><A><\t><\\><\u0003><q>');
  });

  test('wakes a guest that waits for nothing else, and can be paused meanwhile', () => {
    const { client } = atEntry(`bits 64
_start:
    mov rax, interrupted
    mov [idt + 0x24 * 16], ax
    mov word [idt + 0x24 * 16 + 2], cs
    mov word [idt + 0x24 * 16 + 4], 0x8e00
    shr rax, 16
    mov [idt + 0x24 * 16 + 6], ax
    lidt [register]
    mov al, 0x11
    out 0x20, al
    mov al, 0x20
    out 0x21, al
    mov al, 4
    out 0x21, al
    mov al, 1
    out 0x21, al
    mov al, 0xef        ; only IRQ 4
    out 0x21, al
    mov dx, 0x3fc
    mov al, 8
    out dx, al
    mov dx, 0x3f9
    mov al, 1
    out dx, al
    sti
    hlt
    jmp $
interrupted:
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
register: dw 256 * 16 - 1
    dq idt
align 16
idt: times 256 * 16 db 0
`);
    client.ask('continue', { threadId: 1 });
    slices(client, 50);
    expect(client.session.slice()).toBe(false);
    client.ask('pause', { threadId: 1 });
    expect(client.run().body).toMatchObject({ reason: 'pause', threadId: 1 });
    expect(client.ask('threads').threads[0].name).toBe('vCPU 0 (halted)');
    client.ask('continue', { threadId: 1 });
    slices(client, 50);
    client.ask('hyperscope/input', { text: 'x' });
    expect(client.run().event).toBe('terminated');
  });

  test('refuses what can not be typed with a sentence', () => {
    const { client } = atEntry(ECHO);
    expect(client.request('hyperscope/input', {}).message).toBe(
      'The request "hyperscope/input" needs a "text", or "data" in base64.',
    );
    expect(client.request('evaluate', { expression: 'input a\\q', context: 'repl' }).message).toMatch(/^"\\q" is no escape/);
  });

  test('other commands and expressions wait until the guest stands still', () => {
    const { client } = atEntry(ECHO);
    client.ask('continue', { threadId: 1 });
    const refusal = (expression: string) => client.request('evaluate', { expression, context: 'repl' }).message;
    expect(refusal('regs')).toBe('The guest is running; pause it before you ask for regs.');
    expect(refusal('rax')).toMatch(/^The guest is running/);
    expect(client.evaluate('help input', 'repl')).toMatch(/^input \[-n\] TEXT: types TEXT/);
    expect(client.evaluate('exits', 'repl')).toMatch(/VM exit|in all/);
  });

  test('is for a terminal of the client where that is wished: as it is, from before the guest runs, again at a restart', () => {
    const partitions = [{ name: 'one' }, { name: 'two' }];
    const { client } = atEntry(ECHO, { partitions, console: 'terminal' });
    const sent = () => client.events.filter(({ event }) => event === 'hyperscope/console').map(({ body }) => body);
    const first = sent();
    expect(first).toMatchObject([
      { guest: 0, name: 'one', begins: true, text: '' },
      { guest: 1, name: 'two', begins: true, text: '' },
    ]);
    client.ask('continue', { threadId: 1 });
    client.ask('hyperscope/input', { text: 'é', partition: first[1].partition });
    slices(client, 100);
    const text = (guest: number) =>
      sent()
        .filter((body) => body.guest === guest)
        .map((body) => body.text)
        .join('');
    // A character of two bytes with others between them is none.
    expect([text(0), text(1)]).toEqual(['', '<\ufffd><\ufffd>']);
    // The other devices stay where they are.
    expect([client.output, outputs(client, 'debug-console')]).toEqual(['two: ++', 'two: ++']);
    client.ask('restart');
    expect(sent().slice(-2)).toMatchObject([{ begins: true }, { begins: true }]);
  });

  test('is for a terminal by itself only where the client leaves it open and the guest may be Linux', () => {
    const sent = (options: object) => {
      const { client } = atEntry(ECHO, options);
      return client.events.some(({ event }) => event === 'hyperscope/console');
    };
    expect(['auto', 'debugConsole', 'terminal'].map((choice) => sent({ console: choice }))).toEqual([false, false, true]);
    // As large as a kernel, and not assembled here.
    const image = path.join(mkdtempSync(path.join(tmpdir(), 'hyperscope-console-')), 'kernel.bin');
    writeFileSync(image, new Uint8Array(3 << 20));
    const large = (options: object) => {
      const client = new Client();
      client.launch(image, { mode: 64, loadAddress: '0x100000', ...options });
      return client.events.some(({ event }) => event === 'hyperscope/console');
    };
    expect([large({ console: 'auto' }), large({}), large({ console: 'debugConsole' })]).toEqual([true, false, false]);
  });

  test('has the size of its terminal, where the machine can be told', () => {
    const { client } = atEntry(ECHO);
    expect(client.request('hyperscope/consoleSize', { columns: 132, rows: 43 }).success).toBe(true);
    for (const size of [{ columns: 80 }, { columns: 0, rows: 1 }, { columns: 1.5, rows: 1 }, { columns: 80, rows: 65536 }])
      expect(client.request('hyperscope/consoleSize', size).message).toMatch(/needs a number "(columns|rows)"/);
    client.ask('launch', { program: client.session.launched.first.configuration.program, machine: 'pc', channels: ['a'] });
    client.ask('hyperscope/consoleSize', { columns: 132, rows: 43 });
    client.ask('configurationDone');
    client.run();
    client.ask('continue', { threadId: 1 });
    slices(client, 3);
    client.ask('pause', { threadId: 1 });
    client.run();
    expect(JSON.stringify(client.ask('hyperscope/partitions'))).toMatch(/132 ?[x×] ?43/);
  });
});

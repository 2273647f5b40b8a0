import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Client, lineOf } from './client.ts';
import { assembly } from './guests.ts';

const PROGRAM = `bits 64
_start:
    mov eax, 1
    mov ebx, 2
.end:
    mov ecx, eax
    hlt
    jmp .end
`;

/** Stopped at a breakpoint on `mov ecx`. */
function atBreakpoint() {
  const file = assembly(PROGRAM);
  const client = new Client();
  client.launch(file, { stopOnEntry: false });
  const asked = client.ask('setBreakpoints', {
    source: { path: file },
    breakpoints: [{ line: lineOf(file, 'mov ecx'), condition: 'eax < 9' }],
  });
  client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'later' }] });
  client.ask('configurationDone');
  expect(client.run().body.reason).toBe('breakpoint');
  return { client, file, id: asked.breakpoints[0].id };
}

describe('restart', () => {
  test('begins again at the first instruction, with the breakpoints of before', () => {
    const { client, id } = atBreakpoint();
    expect(client.evaluate('ecx', 'clipboard')).toBe('0x0');
    client.move('next');
    expect(client.evaluate('ecx', 'clipboard')).toBe('0x1');
    client.events.length = 0;
    client.ask('restart');
    expect(client.run().body).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [id] });
    expect(client.events.map(({ event }) => event).filter((event) => event !== 'breakpoint')).toEqual([
      'hyperscope/exitProfile',
      'continued',
      'stopped',
    ]);
    expect(client.evaluate('ecx', 'clipboard')).toBe('0x0');
  });

  test('takes the program as it is now: edited code runs, breakpoints move with it, new labels are found', () => {
    const { client, file, id } = atBreakpoint();
    const edited = PROGRAM.replace('mov eax, 1', 'nop\n    mov eax, 7').replace('.end:\n', 'later:\n.end:\n');
    writeFileSync(file, edited);
    client.events.length = 0;
    client.ask('restart', { arguments: { program: file, stopOnEntry: false } });
    expect(client.run().body.reason).toBe('breakpoint');
    const changes = client.events.filter(({ event }) => event === 'breakpoint').map(({ body }) => body.breakpoint);
    expect(changes.find((breakpoint) => breakpoint.id === id)).toMatchObject({ verified: true });
    expect(changes.filter(({ verified }) => verified)).toHaveLength(2);
    expect(client.frames()[0]).toMatchObject({ name: expect.stringContaining('later') });
    expect(client.evaluate('eax', 'clipboard')).toBe('0x7');
  });

  test('of a program that has errors now says where they are, and the old guest stays as it was', () => {
    const { client, file } = atBreakpoint();
    writeFileSync(file, PROGRAM.replace('mov ebx', 'movv ebx'));
    const response = client.request('restart');
    expect(response.success).toBe(false);
    expect(response.message).toContain(`${file}:4:5: `);
    expect(client.evaluate('ebx', 'clipboard')).toBe('0x2');
    client.move('next');
    expect(client.evaluate('ecx', 'clipboard')).toBe('0x1');
  });
});

describe('the guest before a restart', () => {
  test('is destroyed and its memory scrubbed, which the journal of the host tells', () => {
    const { client } = atBreakpoint();
    const told = () => {
      const lines: string[] = client.ask('evaluate', { expression: 'host', context: 'repl' }).result.split('\n');
      return lines.map((line) => line.replace(/^\d+ ns +/, '').split(/ {2,}/));
    };
    const made = ['created', expect.stringMatching(/^Partition 1 was made: /)];
    expect(told()).toEqual([made]);
    client.ask('restart');
    expect(client.run().body.reason).toBe('breakpoint');
    expect(told()).toEqual([
      ['memory-scrubbed', expect.stringMatching(/^Of the run before: \d{8,} bytes of partition 1 were scrubbed\.$/)],
      ['destroyed', 'Of the run before: Partition 1 was destroyed.'],
      made,
    ]);
  });

  test('leaves its memory to one of the next, with nothing in it', () => {
    const { client } = atBreakpoint();
    for (let run = 0; run < 4; run++) {
      expect(client.evaluate('dword [0x300000]', 'clipboard')).toBe('0x0');
      client.evaluate(`dword [0x300000] = 0x${run}5ec3e7`, 'repl');
      client.ask('restart');
      expect(client.run().body.reason).toBe('breakpoint');
    }
  });

  test('can no longer be looked at, whoever moves', () => {
    const { client } = atBreakpoint();
    client.ask('hyperscope/moves', { scope: 'vcpu' });
    const [{ id: frameId }] = client.frames() as [{ id: number }];
    client.ask('restart');
    expect(client.request('scopes', { frameId })).toMatchObject({
      success: false,
      message: expect.stringContaining('the guest has moved on'),
    });
  });
});

describe('a session', () => {
  test('begins once, however often the client says that it has said all', () => {
    const client = new Client();
    client.launch(assembly(PROGRAM));
    client.ask('configurationDone');
    expect(client.run().body.reason).toBe('entry');
    client.move('next');
    client.events.length = 0;
    client.ask('configurationDone');
    expect(client.events).toEqual([]);
  });

  test('that is over moves only when it is started anew', () => {
    const { client } = atBreakpoint();
    client.ask('terminate');
    expect(client.request('continue', { threadId: 1 })).toMatchObject({
      success: false,
      message: 'The session is over; restart it to run the guest again.',
    });
    client.ask('restart');
    expect(client.run().body.reason).toBe('breakpoint');
  });
});

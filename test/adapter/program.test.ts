import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Client, sample } from './client.ts';
import { assembly, atEntry } from './guests.ts';

interface Source {
  readonly path: string;
  readonly origin?: string;
}

describe('the modules', () => {
  test('are the program with its ranges and symbols, and the exit handlers of the platform', () => {
    const { client, file } = atEntry(`bits 64
_start: hlt
section .data
value: dq 1
`);
    const { modules, totalModules } = client.ask('modules');
    expect(totalModules).toBe(2);
    expect(modules[0]).toMatchObject({
      path: file,
      version: 'assembly, 64-bit',
      symbolStatus: 'Lines and labels, from the assembler',
      addressRange: expect.stringMatching(/^0x100000-0x[0-9a-f]+/),
    });
    expect(modules[1]).toMatchObject({ name: 'kvm: exit handlers', isUserCode: false });
    expect(client.ask('modules', { startModule: 1, moduleCount: 1 }).modules).toEqual([modules[1]]);
  });

  test('say when a program has no symbols', () => {
    const client = new Client();
    const file = assembly('not read as assembly');
    client.ask('initialize');
    client.ask('launch', { program: file, mode: 64, stopOnEntry: true, loadAddress: '0x200000' });
    expect(client.ask('modules').modules[0].symbolStatus).toBe('No symbols');
  });
});

describe('the loaded sources', () => {
  test('are the files of the program with what it includes, and the handlers that the user can step through', () => {
    const included = assembly('helper: ret\n');
    const { client, file } = atEntry(`bits 64
_start:
    call helper
    hlt
%include "${included}"
`);
    const { sources }: { sources: Source[] } = client.ask('loadedSources');
    expect(sources.filter(({ origin }) => origin === undefined).map(({ path }) => path)).toEqual([file, included]);
    const handlers = sources.filter(({ origin }) => origin === 'hypervisor');
    expect(handlers.length).toBeGreaterThan(3);
    for (const { path } of handlers) {
      expect(path).not.toContain('/platforms/bare/');
      expect(readFileSync(path, 'utf8')).toContain('stage(');
    }
  });
});

describe('completions', () => {
  const stopped = (options: object = {}) => {
    const client = new Client();
    client.ask('initialize', { adapterID: 'hyperscope', ...options });
    client.ask('launch', { program: sample('hello/hello.asm') });
    client.ask('configurationDone');
    client.run();
    return client;
  };
  const labels = (client: Client, text: string, column = text.length + 1): string[] =>
    client.ask('completions', { text, column }).targets.map(({ label }: { label: string }) => label);

  test('are commands at the beginning and behind help, registers and symbols anywhere', () => {
    const client = stopped();
    expect(labels(client, 'he')).toEqual(['help']);
    expect(labels(client, 'help wa')).toEqual(['walk']);
    expect(labels(client, 'mem me')).toEqual(['message']);
    expect(labels(client, 'rax + r1')).toEqual(['r10', 'r11', 'r12', 'r13', 'r14', 'r15']);
    expect(labels(client, '$gs.')).toEqual(['gs.base', 'gs.limit', 'gs.rights']);
    expect(labels(client, 'msr:LST')).toEqual(['LSTAR']);
    expect(labels(client, 'nothing here zz')).toEqual([]);
  });

  test('are for the place of the cursor, and say what they replace', () => {
    const client = stopped();
    const { targets } = client.ask('completions', { text: 'mem mess + 8', column: 9 });
    expect(targets).toEqual([expect.objectContaining({ label: 'message', start: 5, length: 4 })]);
    expect(labels(client, 'mem\nme')).toContain('mem');
    expect(client.ask('completions', { text: 'mem rsp\nmess', line: 2, column: 5 }).targets[0]).toMatchObject({
      label: 'message',
      start: 1,
    });
  });

  test('count columns as the client does', () => {
    const client = stopped({ columnsStartAt1: false, linesStartAt1: false });
    expect(client.ask('completions', { text: 'mem mess + 8', column: 8 }).targets).toEqual([
      expect.objectContaining({ label: 'message', start: 4, length: 4 }),
    ]);
  });

  test('are the names that a VM exit carries while one is served', () => {
    const client = stopped();
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:io' }] });
    client.move('continue');
    expect(labels(client, 'po')).toContain('port');
  });
});

import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasCompiler } from './c-guests.ts';
import { Client, lineOf, root } from './client.ts';

const SOURCE = path.join(import.meta.dirname, 'fixtures/guest.rs');
const missing = ['rustc', 'ld'].find((tool) => !hasCompiler(tool));

function build(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-rust-'));
  const object = path.join(folder, 'guest.o');
  const options = ['panic=abort', 'debug-assertions=off', 'opt-level=0', 'relocation-model=static', 'target-feature=+soft-float'];
  const flags = options.flatMap((option) => ['-C', option]);
  execFileSync('rustc', ['-g', '--edition', '2021', ...flags, '--emit=obj', '-o', object, SOURCE], { stdio: 'ignore' });
  const program = path.join(folder, 'guest.elf');
  execFileSync('ld', ['-T', path.join(root, 'samples/c/guest.ld'), '-e', '_start', '-o', program, object], { stdio: 'ignore' });
  return program;
}

describe.skipIf(missing)(`a guest in Rust${missing ? ` (skipped: ${missing} is not installed)` : ''}`, () => {
  const program = missing ? '' : build();
  const at = (comment: string) => lineOf(SOURCE, `/* ${comment} */`);

  function stopped(condition?: string): Client {
    const client = new Client();
    client.launch(program, { stopOnEntry: false });
    const breakpoints = [{ line: at('area'), condition }];
    client.ask('setBreakpoints', { source: { path: SOURCE }, breakpoints });
    client.ask('configurationDone');
    expect(client.run().body.reason).toBe('breakpoint');
    return client;
  }

  test('stops at functions by their names, with and without their modules, and shows who called', () => {
    const client = new Client();
    client.launch(program, { stopOnEntry: false });
    const { breakpoints } = client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'area' }, { name: 'guest::area' }] });
    expect(breakpoints.map(({ verified }: { verified: boolean }) => verified)).toEqual([true, true]);
    client.ask('configurationDone');
    client.run();
    expect(client.frames().map(({ name }) => name)).toEqual(['guest::area', expect.stringMatching(/_start$/)]);
    client.ask('setFunctionBreakpoints', { breakpoints: [] });
    client.move('stepOut');
    expect(client.frames()[0].line).toBe(at('call'));
  });

  test('shows strings, slices, options, enums and tuples as Rust writes them', () => {
    const client = stopped('size == 24');
    expect(client.scope('Arguments')).toMatchObject({
      name: '"hello"',
      list: '&[u16] [1, 2, 3]',
      maybe: expect.stringMatching(/Option<u32>::Some\(21\)$/),
      flag: 'true',
      pair: '(9, -9)',
    });
    expect(client.scope('Locals')).toMatchObject({ size: '24', count: '3', doubled: expect.stringMatching(/::Some\(42\)$/) });
    const leads = (expression: string) => client.ask('evaluate', { expression, context: 'watch' }).memoryReference;
    expect(leads('shape')).toBe(leads('*shape'));
    expect(client.evaluate('*shape')).toMatch(/Circle ?\{center: \S*Point \{x: 3, y: -4\}, radius: 7\}/);
    expect(client.evaluate('list[2]')).toBe('3');
    const { frames } = { frames: client.frames() };
    const list = client.ask('evaluate', { expression: 'list', frameId: frames[0].id, context: 'watch' });
    const { variables } = client.ask('variables', { variablesReference: list.variablesReference });
    expect(variables.map(({ value }: { value: string }) => value)).toEqual(['1', '2', '3']);
  });
});

import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseCpu } from '../../src/processor/models/parse-cpu.ts';
import { hasCompiler } from './c-guests.ts';
import { Client } from './client.ts';

const SOURCE = path.join(import.meta.dirname, 'fixtures', 'floating.c');
const enables = parseCpu('max', 'intel').has('fxsr');
const reason = !hasCompiler('gcc') ? 'gcc is not installed' : enables ? undefined : 'the processor lets nobody enable SSE yet';

function build(): string {
  const program = path.join(mkdtempSync(path.join(tmpdir(), 'hyperscope-floating-')), 'guest.elf');
  const flags = ['-O1', '-g', '-ffreestanding', '-fno-pic', '-fno-stack-protector', '-mno-red-zone', '-msse2'];
  const link = ['-static', '-nostdlib', '-no-pie', '-Wl,--build-id=none', '-Wl,-Ttext=0x100000'];
  execFileSync('gcc', [...flags, ...link, '-o', program, SOURCE], { stdio: ['ignore', 'ignore', 'pipe'] });
  return program;
}

describe.skipIf(reason)(`a guest with floating point${reason ? ` (skipped: ${reason})` : ''}`, () => {
  test('has variables in vector registers, which are read and set', () => {
    const client = new Client();
    client.launch(build(), { stopOnEntry: false, cpu: 'max' });
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'scale' }] });
    client.ask('configurationDone');
    client.run();
    expect([client.evaluate('factor'), client.evaluate('value')]).toEqual(['2.5', '1.5']);
    client.evaluate('value = 4', 'repl');
    expect(client.evaluate('value')).toBe('4');
    client.move('stepOut');
    // 2.5 × 4, as a double.
    expect(client.evaluate('$xmm0')).toBe(0x4024_0000_0000_0000n.toString());
  });
});

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { nodeFiles } from '../../../src/cli/node-files.ts';
import { programFile, SymbolFile } from '../../../src/debugger/linux/symbol-files.ts';
import { LinuxSymbols } from '../../../src/symbols/linux/linux-symbols.ts';
import { openSymbols } from '../../../src/symbols/open-symbols.ts';
import { hasTool } from '../../symbols/gdb.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-symbol-files-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A program with the functions `_start` and `work`. */
function build(name: string, ...options: readonly string[]): SymbolFile {
  const source = path.join(folder, 'work.c');
  writeFileSync(source, 'int work(int a) { return a + 1; }\nvoid _start(void) { work(1); }\n');
  const file = path.join(folder, name);
  execFileSync('gcc', ['-g', '-nostdlib', ...options, '-o', file, source]);
  return SymbolFile.read(file, nodeFiles);
}

const entryOf = (file: SymbolFile) => file.address('_start') ?? 0n;
const PIE = ['-fpie', '-pie'];

describe.skipIf(!hasTool('gcc'))('files with symbols', () => {
  test('are of a kernel when they have its first functions', () => {
    expect(build('plain', '-no-pie').isKernel).toBe(false);
    expect(build('vmlinux', '-no-pie', '-Wl,--defsym=_text=0x400000', '-Wl,--defsym=start_kernel=0x401000').isKernel).toBe(true);
  });

  test('lie where their first instruction is, at fixed addresses or by whole pages from them', () => {
    const fixed = build('fixed', '-no-pie');
    expect(fixed.biasOf(entryOf(fixed))).toBe(0n);
    expect(fixed.biasOf(entryOf(fixed) + 0x1000n)).toBeUndefined();
    const moved = build('moved', ...PIE);
    expect(moved.biasOf(entryOf(moved) + 0x5555_0000_1000n)).toBe(0x5555_0000_1000n);
    expect(moved.biasOf(entryOf(moved) + 0x10n)).toBeUndefined();
  });

  test('are what a process runs by its name, or else by fixed addresses', () => {
    const [fixed, moved, long] = [build('fixed', '-no-pie'), build('moved', ...PIE), build('a-name-that-is-longer', ...PIE)];
    const files = [fixed, moved, long];
    const bias = 0x5555_0000_1000n;
    expect(programFile(files, 'moved', entryOf(moved) + bias)?.path).toBe(moved.path);
    expect(programFile(files, 'a-name-that-is-', entryOf(moved) + bias)?.path).toBe(long.path);
    expect(programFile(files, 'init', entryOf(moved) + bias)).toBeUndefined();
    expect(programFile(files, 'init', entryOf(fixed))?.path).toBe(fixed.path);
    expect(programFile(files, 'moved', entryOf(moved) + bias + 1n)).toBeUndefined();
  });

  test('mean something in their own process alone', () => {
    const [fixed, moved] = [build('fixed', '-no-pie'), build('moved', ...PIE)];
    const bias = entryOf(fixed) - entryOf(moved);
    const symbols = new LinuxSymbols(openSymbols({ mode: 64, symbols: [] }));
    const running = [0x1000n, 0x2000n, undefined];
    symbols.setProcesses((vcpu) => running[vcpu]);
    symbols.setPrograms([
      { symbols: fixed.symbols(0n), pageTables: 0x1000n },
      { symbols: moved.symbols(bias), pageTables: 0x2000n },
    ]);
    const work = fixed.address('work') ?? 0n;
    const named = [0, 1, 2].map((vcpu) => {
      symbols.lookFrom(vcpu);
      return [symbols.functionAt(work)?.name, symbols.lineAt(work)?.position.line];
    });
    expect(named).toEqual([
      ['work', 1],
      ['work', 1],
      [undefined, undefined],
    ]);
    expect(symbols.functionsNamed('work').length).toBeGreaterThan(0);
    expect(symbols.processesAt(work)).toContain(0x1000n);
    expect(symbols.processesAt(0x10n)).toBeUndefined();
    expect(symbols.linesOf(path.join(folder, 'work.c'))).toContain(1);
    expect(symbols.addressesOf(path.join(folder, 'work.c'), 1).addresses.length).toBeGreaterThan(0);
  });
});

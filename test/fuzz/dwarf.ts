import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import { type ElfFile, readElf } from '../../src/programs/elf/elf-file.ts';
import { openSymbols } from '../../src/symbols/open-symbols.ts';
import { EvaluationError, type FrameContext, type SymbolSource, type TypedValue } from '../../src/symbols/symbol-source.ts';
import { cpuTime } from '../support/cpu-time.ts';
import { Random } from '../support/random.ts';
import { mutateBytes } from './mutate.ts';

/** Milliseconds that all questions to one damaged program may take. */
const PATIENCE = 3000;
const SOURCE = path.join(import.meta.dirname, '../symbols/fixtures/guest.c');
const COMPILERS: readonly (readonly [string, ...string[]])[] = [
  ['gcc', '-gdwarf-5', '-O2'],
  ['gcc', '-gdwarf-5', '-O0', '-fdebug-types-section'],
  ['gcc', '-gdwarf-4', '-O1'],
  ['gcc', '-gdwarf-2', '-gstrict-dwarf', '-O0'],
  ['gcc', '-m32', '-gdwarf-3', '-O1'],
  ['clang', '-gdwarf-5', '-O2'],
];
const EXPRESSIONS = [
  'head.next->at.x',
  'matrix[1][2] + counter',
  '*(struct node *)&head',
  '&tail',
  'sizeof(struct flags)',
  'banner',
  '$rax',
];

function compile(compiler: string, options: readonly string[]): ElfFile | undefined {
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-dwarf-'));
  const output = path.join(folder, 'guest');
  try {
    const bare = ['-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-fno-builtin', '-DBARE'];
    execFileSync(compiler, [...options, ...bare, '-o', output, SOURCE], { stdio: 'ignore' });
    return readElf(readFileSync(output), output);
  } catch {
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Programs with debug information of different kinds; those whose compiler isn't here are left out. */
export function compileSeeds(): ElfFile[] {
  return COMPILERS.map(([compiler, ...options]) => compile(compiler, options)).filter((elf) => elf !== undefined);
}

/** Looks at a value and some of what hangs on it. */
function look(value: TypedValue, depth: number): void {
  expect(typeof value.text).toBe('string');
  if (depth === 0 || !value.hasChildren) return;
  for (const child of value.children(0, 8)) look(child.value, depth - 1);
}

/** Evaluation says in a sentence why it can't; everything else must have an answer. */
function evaluated(use: () => void): void {
  try {
    use();
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    expect(error.message).toMatch(/\w/);
  }
}

/** Asks everything that a debugger asks, at a few places of the program. */
function askAll(random: Random, symbols: SymbolSource, elf: ElfFile): void {
  for (const file of symbols.files.slice(0, 8)) {
    symbols.linesOf(file);
    symbols.addressesOf(file, random.between(1, 200));
  }
  symbols.functionsNamed('main');
  symbols.functionsNamed('/a/');
  symbols.symbol('counter');
  const text = elf.sections.get('.text');
  if (!text) return;
  for (let place = 0; place < 4; place++) {
    const pc = text.address + BigInt(random.below(text.bytes.length));
    symbols.lineAt(pc);
    symbols.functionAt(pc);
    symbols.inlineFramesAt(pc);
    symbols.describe(pc);
    let frame: FrameContext | undefined = contextAt(random, elf, pc);
    for (let depth = 0; frame && depth < 4; depth++) {
      for (const variable of symbols.variables(frame).slice(0, 30)) look(variable.read(), 2);
      for (const expression of EXPRESSIONS) {
        const context: FrameContext = frame;
        evaluated(() => look(symbols.evaluate(expression, context), 1));
      }
      const caller = symbols.unwind(frame);
      const next = caller?.get(16);
      frame = caller && next !== undefined ? { ...frame, pc: next, registers: caller, isCaller: true } : undefined;
    }
  }
}

function contextAt(random: Random, elf: ElfFile, pc: bigint): FrameContext {
  const stack = random.bytes(4096);
  const sp = 0x7000_0000n;
  const registers = Array.from({ length: 17 }, (_, index) =>
    index === 7 || index === 6 ? sp + BigInt(index * 8) : random.value(),
  );
  registers[16] = pc;
  return {
    pc,
    pointerSize: elf.is64 ? 8 : 4,
    registers: { get: (number) => registers[number] },
    memory: (address, length) => {
      if (address >= sp && address + BigInt(length) <= sp + 4096n)
        return stack.subarray(Number(address - sp), Number(address - sp) + length);
      for (const { address: start, bytes } of elf.sections.values())
        if (start !== 0n && address >= start && address + BigInt(length) <= start + BigInt(bytes.length))
          return bytes.subarray(Number(address - start), Number(address - start) + length);
      return undefined;
    },
  };
}

/**
 * Damages debug sections of compiled programs, and asks everything of what is left. Returns how many of the programs were
 * found to be damaged.
 */
export function fuzzDebugSections(seeds: readonly ElfFile[], count: number, firstSeed: number): number {
  let found = 0;
  for (let index = 0; index < count; index++) {
    const seed = firstSeed + index;
    const random = new Random(seed);
    const elf = random.pick(seeds);
    const names = [...elf.sections.keys()].filter((name) => /^\.(debug_|eh_frame)/.test(name));
    const sections = new Map(elf.sections);
    for (let damaged = random.between(1, 3); damaged > 0; damaged--) {
      const name = random.pick(names);
      const section = sections.get(name);
      if (section) sections.set(name, { ...section, bytes: mutateBytes(random, section.bytes) });
    }
    const begin = cpuTime();
    try {
      const symbols = openSymbols({ mode: elf.is64 ? 64 : 32, symbols: elf.symbols, sections });
      askAll(random, symbols, elf);
      if ('warnings' in symbols && Array.isArray(symbols.warnings) && symbols.warnings.length > 0) found++;
    } catch (error) {
      if (error instanceof Error) error.message = `debug sections of seed ${seed}: ${error.message}`;
      throw error;
    }
    expect(cpuTime() - begin, `debug sections of seed ${seed} take too long`).toBeLessThan(PATIENCE);
  }
  return found;
}

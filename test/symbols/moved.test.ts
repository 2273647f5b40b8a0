import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readElf } from '../../src/programs/elf/elf-file.ts';
import { openSymbols } from '../../src/symbols/open-symbols.ts';
import type { FrameContext, FrameRegisters, SymbolSource } from '../../src/symbols/symbol-source.ts';
import { hasTool, openWorkshop } from './gdb.ts';

const SOURCE = join(import.meta.dirname, 'fixtures/guest.c');
/** Its low half is as large as code is, so that what is moved twice or not at all lies elsewhere. */
const BIAS = 0x5_5555_0123_4000n;
const workshop = openWorkshop();
afterAll(() => workshop.close());

/** A frame at an address whose registers are small numbers and whose memory is that of the program, wherever it lies. */
function frameAt(pc: bigint, bias: bigint): FrameContext {
  return {
    pc,
    registers: { get: (number) => (number === 7 ? 0x7000n : number === 16 ? pc : BigInt(number)) },
    pointerSize: 8,
    memory: (address, length) => new Uint8Array(length).fill(Number(BigInt.asUintN(8, address - bias))),
  };
}

/** What symbols say, with all addresses counted from where the program lies. */
function said(symbols: SymbolSource, bias: bigint) {
  const from = (address: bigint | undefined) => (address === undefined ? undefined : address - bias);
  const functions = symbols.functionsNamed('/./').map(({ name, low, high, bodyStart }) => ({
    name,
    range: [from(low), from(high), from(bodyStart)],
    lines: Array.from({ length: Number(high - low) }, (_, offset) => {
      const at = low + BigInt(offset);
      const line = symbols.lineAt(at);
      const frame = frameAt(at, bias);
      const caller: FrameRegisters | undefined = symbols.unwind(frame);
      const variables = symbols.variables(frame).map((variable) => variable.name);
      const inlined = symbols.inlineFramesAt(at).map((inline) => [inline.name, from(inline.low)]);
      return [line && [from(line.low), from(line.high), line.position.line], caller?.get(7), inlined, variables];
    }),
  }));
  const file = symbols.files.find((path) => path.endsWith('guest.c')) ?? '';
  const lines = symbols.linesOf(file).map((line) => symbols.addressesOf(file, line).addresses.map(from));
  const main = symbols.functionsNamed('main')[0]?.bodyStart ?? 0n;
  const frame = frameAt(main, bias);
  const places = ['counter', 'buffer[3]', 'matrix[1][2]', 'head.next'].map((expression) =>
    from(symbols.evaluate(expression, frame).address),
  );
  const symbol = ['main', 'counter'].map((name) => from(symbols.symbol(name)?.address));
  return { functions, lines, places, symbol, described: symbols.describe(main) };
}

const PROGRAMS = ['-gdwarf-2', '-gdwarf-4', '-gdwarf-5'].flatMap((version) => ['-O0', '-O2'].map((level) => [version, level]));

describe.skipIf(!hasTool('gcc'))('a program that lies elsewhere than it was linked to', () => {
  test.each(PROGRAMS)('is the same there, with %s %s', (version = '', level = '') => {
    const options = [version, level, '-no-pie', '-fno-builtin', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector'];
    const path = workshop.build('gcc', [...options, '-DBARE'], SOURCE);
    const { symbols, sections } = readElf(readFileSync(path), path);
    const here = said(openSymbols({ mode: 64, symbols, sections }), 0n);
    expect(here.functions.length).toBeGreaterThan(5);
    expect(said(openSymbols({ mode: 64, symbols, sections, bias: BIAS }), BIAS)).toEqual(here);
  });

  test('is the same there without debug information', () => {
    const path = workshop.build('gcc', ['-O1', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-DBARE'], SOURCE);
    const { symbols } = readElf(readFileSync(path), path);
    const [here, there] = [0n, BIAS].map((bias) => openSymbols({ mode: 64, symbols, bias }));
    const main = here?.symbol('main')?.address ?? 0n;
    expect(main).not.toBe(0n);
    expect(there?.symbol('main')?.address).toBe(main + BIAS);
    expect(there?.describe(main + BIAS + 4n)).toBe('main+0x4');
    expect(there?.describe(main)).toBeUndefined();
  });
});

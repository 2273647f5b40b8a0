import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SymbolSource } from '../../src/symbols/symbol-source.ts';
import { frameOf, framesOf, type GdbFrame, hasTool, observe, open, openWorkshop, type Workshop, whyNoGdb } from './gdb.ts';

const SOURCE = join(import.meta.dirname, 'fixtures', 'guest.c');
const BREAKPOINTS = [
  'add',
  'factorial if n == 1',
  'mix',
  'describe',
  'guest.c:116',
  'guest.c:129',
  'optimized',
  'guest.c:136',
  'guest.c:143',
];
const BARE = ['-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-DBARE'];

/** Compilers and options whose debug information differs. */
const VARIANTS: readonly (readonly [string, ...string[]])[] = [
  ['gcc', '-gdwarf-5', '-O0'],
  ['gcc', '-gdwarf-5', '-O2'],
  ['gcc', '-gdwarf-4', '-O1'],
  ['gcc', '-gdwarf-3', '-O0', '-fomit-frame-pointer'],
  ['gcc', '-gdwarf-2', '-gstrict-dwarf', '-O0'],
  ['gcc', '-gdwarf-2', '-O2'],
  ['gcc', '-gdwarf-5', '-O0', '-fdebug-types-section'],
  ['gcc', '-gdwarf-4', '-O2', '-fdebug-types-section', '-ffunction-sections'],
  ['gcc', '-m32', '-gdwarf-5', '-O0', ...BARE],
  ['gcc', '-m32', '-gdwarf-4', '-O1', ...BARE],
  ['clang', '-gdwarf-5', '-O0'],
  ['clang', '-gdwarf-5', '-O2'],
  ['clang', '-gdwarf-4', '-O1'],
];

interface PhysicalFrame {
  name: string | null;
  readonly pc: bigint;
  readonly sp: bigint;
  readonly lines: number[];
  variables: Record<string, string>;
  isInline: boolean;
}

/** gdb's frames with the inlined calls of one frame put together, as we show them. */
function physical(frames: readonly GdbFrame[]): PhysicalFrame[] {
  const found: PhysicalFrame[] = [];
  for (const frame of frames) {
    const last = found.at(-1);
    const variables = { ...frame.arguments, ...frame.locals };
    if (last?.isInline) {
      last.variables = { ...variables, ...last.variables };
      last.name = frame.function;
      last.isInline = frame.isInline;
      last.lines.push(frame.line);
    } else
      found.push({
        name: frame.function,
        pc: BigInt(frame.pc),
        sp: BigInt(frame.sp),
        lines: [frame.line],
        variables,
        isInline: frame.isInline,
      });
  }
  return found;
}

/** What gdb calls a synthetic pointer are bytes that no piece of the object describes. */
const plain = (text: string) => text.replaceAll('<synthetic pointer>', '<optimized out>');

function compareFrames(symbols: SymbolSource, path: string, options: readonly string[], workshop: Workshop): number {
  const { elf } = open(path);
  let compared = 0;
  for (const stop of observe(workshop, path, elf, BREAKPOINTS)) {
    const ours = framesOf(symbols, frameOf(stop, elf.is64));
    const expected = physical(stop.frames);
    expect(ours.map(({ pc }) => pc)).toEqual(expected.map(({ pc }) => pc));
    expected.forEach((gdb, index) => {
      const frame = ours[index];
      if (!frame) return;
      const where = `${gdb.name} at 0x${gdb.pc.toString(16)}`;
      const place = frame.isCaller ? frame.pc - 1n : frame.pc;
      expect([where, frame.registers.get(7)]).toEqual([where, gdb.sp]);
      expect([where, symbols.functionAt(place)?.name]).toEqual([where, gdb.name]);
      const lines = [symbols.lineAt(place)?.position.line, ...symbols.inlineFramesAt(place).map(({ callSite }) => callSite.line)];
      // At the first instruction of an inlined call gdb stands at the call, and shows the callee only after a step.
      const isBeforeCall = index === 0 && gdb.lines.length === lines.length - 1;
      expect([where, isBeforeCall ? lines.slice(1) : lines]).toEqual([where, gdb.lines]);
      const values = Object.fromEntries(symbols.variables(frame).map((variable) => [variable.name, variable.read().text]));
      for (const [name, text] of Object.entries(gdb.variables)) {
        // An array whose length isn't set yet is garbage in both.
        if (text.startsWith('<error reading') || (name === 'values' && gdb.lines[0] !== 129)) continue;
        // clang leaves nested blocks of inlined functions out; gdb lists their variables all the same.
        if (text === '<optimized out>' && values[name] === undefined && options[0] === 'clang') continue;
        expect(`${where} ${name} = ${plain(values[name] ?? '')}`).toBe(`${where} ${name} = ${plain(text)}`);
        compared++;
      }
    });
  }
  return compared;
}

const reason = whyNoGdb();

describe.skipIf(reason)(`Frames and variables are those that gdb shows${reason ? ` (skipped: ${reason})` : ''}`, () => {
  let workshop: Workshop;
  beforeAll(() => {
    workshop = openWorkshop();
  });
  afterAll(() => workshop.close());

  for (const [compiler, ...options] of VARIANTS)
    test.skipIf(!hasTool(compiler))(
      `${compiler} ${options.join(' ')}`,
      () => {
        const path = workshop.build(compiler, [...options, '-no-pie', '-fno-builtin'], SOURCE);
        const { symbols } = open(path);
        expect(compareFrames(symbols, path, [compiler, ...options], workshop)).toBeGreaterThan(40);
        expect(symbols).toHaveProperty('warnings', []);
      },
      60_000,
    );
});

describe.skipIf(reason)(`Frames without unwind information${reason ? ` (skipped: ${reason})` : ''}`, () => {
  let workshop: Workshop;
  beforeAll(() => {
    workshop = openWorkshop();
  });
  afterAll(() => workshop.close());

  for (const options of [['-O0'], ['-O0', '-m32'], ['-O1', '-fno-omit-frame-pointer']])
    test(`are followed through the frame pointer: gcc ${options.join(' ')}`, () => {
      const path = workshop.build('gcc', [...options, '-g', '-no-pie', ...BARE], SOURCE);
      const { elf } = open(path);
      // What gdb knows from .eh_frame and .debug_frame is kept from us.
      const kept = new Map([...elf.sections].filter(([name]) => !/^\.(eh|debug)_frame/.test(name)));
      const { symbols } = open(path, kept);
      // At a function's first instruction, behind `push`, and in its body.
      const stops = observe(workshop, path, elf, [
        '*add',
        '*add+1',
        '*add+2',
        'add',
        '*factorial+1 if $_streq("x", "y") == 0',
        'guest.c:116',
      ]);
      expect(stops.length).toBeGreaterThan(6);
      for (const stop of stops) {
        const ours = framesOf(symbols, frameOf(stop, elf.is64)).map(({ pc }) => pc);
        expect(ours).toEqual(physical(stop.frames).map(({ pc }) => pc));
      }
    }, 60_000);
});

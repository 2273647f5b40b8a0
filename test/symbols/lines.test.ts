import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { functionRanges, levelsAt, lineSequences, rowAt } from './binutils.ts';
import { hasTool, open, openWorkshop, type Workshop } from './gdb.ts';

const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name);
const GUEST = fixture('guest.c');
const BARE = ['-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-DBARE'];

type Build = (workshop: Workshop) => string;

const compiled =
  (compiler: string, ...options: string[]): Build =>
  (workshop) =>
    workshop.build(compiler, [...options, '-no-pie', '-fno-builtin', ...BARE], GUEST);

/** Assembles to an object and links it. */
const assembled =
  (assembler: string, options: readonly string[], source: string, linker: readonly string[] = []): Build =>
  (workshop) => {
    const object = workshop.build(assembler, options, source);
    const program = `${object}.elf`;
    execFileSync('ld', [...linker, '-o', program, object], { stdio: ['ignore', 'ignore', 'pipe'] });
    return program;
  };

const rust =
  (level: string): Build =>
  (workshop) => {
    const options = [
      '-g',
      '--edition',
      '2021',
      '-C',
      'panic=abort',
      '-C',
      'debug-assertions=off',
      '-C',
      `opt-level=${level}`,
      '--emit=obj',
    ];
    const object = workshop.build('rustc', options, fixture('guest.rs'));
    execFileSync('ld', ['-o', `${object}.elf`, object], { stdio: ['ignore', 'ignore', 'pipe'] });
    return `${object}.elf`;
  };

const PROGRAMS: readonly (readonly [name: string, tools: readonly string[], build: Build])[] = [
  ...['-gdwarf-2', '-gdwarf-3', '-gdwarf-4', '-gdwarf-5'].flatMap((version) =>
    ['-O0', '-O2'].map((level) => [`gcc ${version} ${level}`, ['gcc'], compiled('gcc', version, level)] as const),
  ),
  ['gcc -m32 -gdwarf-5 -O2', ['gcc'], compiled('gcc', '-m32', '-gdwarf-5', '-O2')],
  ['gcc -O2, a section for each function', ['gcc'], compiled('gcc', '-g', '-O2', '-ffunction-sections', '-Wl,--gc-sections')],
  ...['-gdwarf-4', '-gdwarf-5'].flatMap((version) =>
    ['-O0', '-O2'].map((level) => [`clang ${version} ${level}`, ['clang'], compiled('clang', version, level)] as const),
  ),
  ['rustc, unoptimized', ['rustc', 'ld'], rust('0')],
  ['rustc, optimized', ['rustc', 'ld'], rust('2')],
  ['nasm, 64-bit', ['nasm', 'ld'], assembled('nasm', ['-g', '-F', 'dwarf', '-f', 'elf64'], fixture('guest.asm'))],
  [
    'nasm, 32-bit',
    ['nasm', 'ld'],
    assembled('nasm', ['-g', '-F', 'dwarf', '-f', 'elf32'], fixture('guest.asm'), ['-m', 'elf_i386']),
  ],
  ...['2', '3', '4', '5'].map(
    (version) => [`as, version ${version}`, ['as', 'ld'], assembled('as', [`--gdwarf-${version}`], fixture('guest.s'))] as const,
  ),
];

const missing = ['readelf', 'addr2line'].find((tool) => !hasTool(tool));

describe.skipIf(missing)(`The lines of a program${missing ? ` (skipped: ${missing} is not installed)` : ''}`, () => {
  let workshop: Workshop;
  beforeAll(() => {
    workshop = openWorkshop();
  });
  afterAll(() => workshop.close());

  for (const [name, tools, build] of PROGRAMS) {
    const absent = tools.find((tool) => !hasTool(tool));
    test.skipIf(absent)(
      `are those of readelf and addr2line at each address: ${name}${absent ? ` (skipped: ${absent} is not installed)` : ''}`,
      () => {
        const program = build(workshop);
        const { symbols } = open(program);
        expect(symbols).toHaveProperty('warnings', []);
        const addresses: bigint[] = [];
        for (const sequence of lineSequences(program)) {
          const low = sequence.rows[0]?.address ?? sequence.end;
          // Code that the linker dropped has kept its lines, at 0.
          if (low < 0x1000n) continue;
          for (let address = low; address < sequence.end; address++) {
            const row = rowAt(sequence, address);
            const { position } = symbols.lineAt(address) ?? {};
            const ours = [position?.path.split('/').at(-1), position?.line];
            expect([address, ...ours]).toEqual([
              address,
              ...(row && row.line > 0 ? [row.file, row.line] : [undefined, undefined]),
            ]);
            addresses.push(address);
          }
          for (const { address, line, isStatement } of sequence.rows)
            if (line > 0 && isStatement && rowAt(sequence, address)?.line === line) {
              const path = symbols.lineAt(address)?.position.path ?? '';
              expect(symbols.linesOf(path)).toContain(line);
            }
        }
        expect(addresses.length).toBeGreaterThan(20);
        // This addr2line reads the ranges of inlined calls as its producer does not write them.
        if (name === 'clang -gdwarf-5 -O2') return;
        const levels = levelsAt(program, addresses);
        const functions = functionRanges(program);
        const isAssembly = tools.includes('ld') && !tools.includes('rustc');
        for (const address of addresses) {
          const theirs = levels.get(address) ?? [];
          const inlined = symbols.inlineFramesAt(address);
          expect([address, inlined.map(({ callSite }) => callSite.line)]).toEqual([
            address,
            theirs.slice(1).map(({ line }) => line),
          ]);
          // What rustc's functions are called is a matter of taste; between two functions addr2line goes on with the first.
          if (tools.includes('rustc') || isAssembly || !functions.some(({ low, high }) => low <= address && address < high))
            continue;
          const names = [...inlined.map(({ name: called }) => called), symbols.functionAt(address)?.name];
          expect([address, names]).toEqual([address, theirs.map(({ name: called }) => called)]);
        }
      },
      60_000,
    );
  }
});

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ElfFile, readElf } from '../../src/programs/elf/elf-file.ts';
import { openSymbols } from '../../src/symbols/open-symbols.ts';
import type { FrameContext, SymbolSource } from '../../src/symbols/symbol-source.ts';

/** A program that runs on this machine and stops where gdb was told to: what gdb sees is compared with what we see. */

export function hasTool(name: string): boolean {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** Why programs can't be stopped under gdb here; undefined when they can. */
export function whyNoGdb(): string | undefined {
  if (!hasTool('gcc')) return 'gcc is not installed';
  if (!hasTool('gdb')) return 'gdb is not installed';
  const probe = spawnSync('gdb', ['-nx', '-batch', '-ex', 'starti', '-ex', 'python print(6*7)', '/bin/true'], {
    encoding: 'utf8',
  });
  return probe.stdout?.includes('42') && /stopped|SIG|Program/.test(probe.stdout) ? undefined : 'gdb can not run programs here';
}

export interface Workshop {
  readonly folder: string;
  /** Compiles, and returns the path of the program. */
  build(compiler: string, options: readonly string[], source: string): string;
  close(): void;
}

export function openWorkshop(): Workshop {
  const folder = mkdtempSync(join(tmpdir(), 'hyperscope-symbols-'));
  let count = 0;
  return {
    folder,
    build(compiler, options, source) {
      const output = join(folder, `program${count++}`);
      execFileSync(compiler, [...options, '-o', output, source], { stdio: ['ignore', 'ignore', 'pipe'] });
      return output;
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export interface Opened {
  readonly elf: ElfFile;
  readonly symbols: SymbolSource;
}

/** The symbols of a program; of `sections` alone where they are given. */
export function open(path: string, sections?: ElfFile['sections']): Opened {
  const elf = readElf(readFileSync(path), path);
  return { elf, symbols: openSymbols({ mode: elf.is64 ? 64 : 32, symbols: elf.symbols, sections: sections ?? elf.sections }) };
}

/** A frame as gdb shows it. */
export interface GdbFrame {
  readonly function: string | null;
  readonly pc: string;
  readonly line: number;
  readonly isInline: boolean;
  readonly sp: string;
  readonly arguments: Readonly<Record<string, string>>;
  readonly locals: Readonly<Record<string, string>>;
  readonly expressions: Readonly<Record<string, string>>;
}

export interface GdbStop {
  readonly registers: Readonly<Record<string, string>>;
  readonly memory: readonly (readonly [string, string])[];
  readonly frames: readonly GdbFrame[];
}

const ORACLE = String.raw`
import gdb, json, re
request = json.load(open(REQUEST))
for setting in ['pagination off', 'confirm off', 'height 0', 'width 0', 'print pretty off', 'print entry-values no',
                'disable-randomization on', 'print frame-arguments all', 'debuginfod enabled off']:
    try:
        gdb.execute('set ' + setting)
    except gdb.error:
        pass
gdb.execute('set startup-with-shell off')
for place in request['breakpoints']:
    gdb.execute('break ' + place, to_string=True)

def listing(command):
    found = {}
    for line in gdb.execute(command, to_string=True).splitlines():
        match = re.match(r'(\w+) = (.*)$', line)
        if match and match.group(1) not in found:
            found[match.group(1)] = match.group(2)
    return found

def read(start, size):
    try:
        return bytes(gdb.selected_inferior().read_memory(start, size)).hex()
    except gdb.error:
        return ''

def stop():
    frame = gdb.newest_frame()
    frame.select()
    registers = {}
    for name in request['registers']:
        registers[name] = hex(int(gdb.parse_and_eval('$' + name).cast(gdb.lookup_type('unsigned long long'))) & (2**64 - 1 if request['is64'] else 2**32 - 1))
    sp = int(gdb.parse_and_eval('(unsigned long)$sp'))
    memory = []
    for start, size in request['ranges']:
        memory.append([hex(int(start, 16)), read(int(start, 16), size)])
    for size in [16384, 4096, 1024, 256]:
        text = read(sp - 512, size + 512)
        if text:
            memory.append([hex(sp - 512), text])
            break
    frames = []
    depth = 0
    while frame is not None and depth < 24:
        frame.select()
        line = frame.find_sal().line
        values = {}
        for text in request['expressions']:
            try:
                shown = gdb.execute('output ' + text, to_string=True)
            except gdb.error as error:
                shown = 'error: ' + str(error)
            values[text] = shown
        frames.append({'function': frame.name(), 'pc': hex(frame.pc()), 'line': line,
                       'isInline': frame.type() == gdb.INLINE_FRAME,
                       'sp': hex(int(gdb.parse_and_eval('(unsigned long)$sp'))),
                       'arguments': listing('info args') if frame.function() else {},
                       'locals': listing('info locals') if frame.function() else {},
                       'expressions': values})
        if frame.name() == 'main':
            break
        frame = frame.older()
        depth += 1
    return {'registers': registers, 'memory': memory, 'frames': frames}

stops = []
gdb.execute('run', to_string=True)
while len(stops) < request['limit']:
    try:
        gdb.newest_frame()
    except gdb.error:
        break
    stops.append(stop())
    gdb.execute('continue', to_string=True)
json.dump(stops, open(RESULT, 'w'))
try:
    gdb.execute('kill', to_string=True)
except gdb.error:
    pass
`;

const REGISTERS64 = 'rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip'.split(' ');
/** In the order of x86-64 numbers, 32-bit names. */
const REGISTERS32 = 'eax edx ecx ebx esi edi ebp esp'.split(' ');

/** Runs the program under gdb and returns what it shows at each stop. */
export function observe(
  workshop: Workshop,
  program: string,
  elf: ElfFile,
  breakpoints: readonly string[],
  expressions: readonly string[] = [],
  limit = 20,
): GdbStop[] {
  const request = join(workshop.folder, 'request.json');
  const result = join(workshop.folder, 'result.json');
  const script = join(workshop.folder, 'oracle.py');
  const ranges = elf.segments
    .filter(({ memorySize }) => memorySize > 0 && memorySize < 1 << 20)
    .map(({ virtualAddress, memorySize }) => [`0x${virtualAddress.toString(16)}`, memorySize]);
  const registers = elf.is64 ? REGISTERS64 : [...REGISTERS32, 'eip'];
  writeFileSync(request, JSON.stringify({ breakpoints, expressions, registers, ranges, is64: elf.is64, limit }));
  writeFileSync(result, '[]');
  writeFileSync(script, `REQUEST = ${JSON.stringify(request)}\nRESULT = ${JSON.stringify(result)}\n${ORACLE}`);
  const run = spawnSync('gdb', ['-nx', '-batch', '-x', script, program], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
    timeout: 60_000,
  });
  const stops = JSON.parse(readFileSync(result, 'utf8')) as GdbStop[];
  if (stops.length === 0) throw new Error(`gdb did not stop: ${run.stdout}${run.stderr}`);
  return stops;
}

/** Our frame of what gdb stopped at. */
export function frameOf(stop: GdbStop, is64: boolean): FrameContext {
  const pieces = stop.memory
    .filter(([, hex]) => hex !== '')
    .map(([start, hex]) => ({ start: BigInt(start), bytes: new Uint8Array(Buffer.from(hex, 'hex')) }));
  const values = new Map<number, bigint>();
  const names = is64 ? REGISTERS64 : REGISTERS32;
  for (const [index, name] of names.entries()) values.set(index, BigInt(stop.registers[name] ?? 0));
  const pc = BigInt(stop.registers[is64 ? 'rip' : 'eip'] ?? 0);
  values.set(16, pc);
  return {
    pc,
    registers: { get: (number) => values.get(number) },
    pointerSize: is64 ? 8 : 4,
    memory: (address, length) => {
      const piece = pieces.find(
        ({ start, bytes }) => address >= start && address + BigInt(length) <= start + BigInt(bytes.length),
      );
      if (!piece) return undefined;
      const offset = Number(address - piece.start);
      return piece.bytes.subarray(offset, offset + length);
    },
  };
}

/** Our call stack, newest first, down to main. */
export function framesOf(symbols: SymbolSource, newest: FrameContext): FrameContext[] {
  const frames: FrameContext[] = [];
  let frame: FrameContext | undefined = newest;
  while (frame && frames.length < 32) {
    frames.push(frame);
    if (symbols.functionAt(frame.isCaller ? frame.pc - 1n : frame.pc)?.name === 'main') break;
    const caller = symbols.unwind(frame);
    const pc = caller?.get(16);
    frame = caller && pc !== undefined ? { ...frame, pc, registers: caller, isCaller: true } : undefined;
  }
  return frames;
}

import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { BenchProgram } from './catalog.ts';
import { type ProgramImages, programFolder } from './image.ts';

export const ENGINE_NAMES = ['interpreter', 'translator', 'qemu', 'qemu-icount', 'bochs', 'v86'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** A command that runs a bench program. */
export interface EngineCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Where the debug console's bytes come out. */
  readonly console: 'stdout' | 'stderr';
}

/** Something that runs guest programs. */
export interface Engine {
  readonly name: EngineName;
  /** Why it can't run here; undefined where it can. */
  readonly missing: string | undefined;
  /** Whether it can run a program at all; all programs where this is missing. */
  runs?(program: BenchProgram): boolean;
  start(images: ProgramImages, iterations: number): EngineCommand;
}

function has(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** Hyperscope itself, by the command line that runs now. */
function hyperscope(name: EngineName, translator: string): Engine {
  const cli = process.argv[1] ?? '';
  return {
    name,
    missing: undefined,
    start: (images, iterations) => ({
      command: process.execPath,
      args: [cli, 'run', images.multiboot(iterations), '--platform', 'bare', '--memory', '64M', '--mode', '32']
        .concat(['--load-address', '0x100000'])
        .concat(['--translator', translator, '--stats']),
      console: 'stderr',
    }),
  };
}

function qemu(name: EngineName, extra: readonly string[]): Engine {
  const command = 'qemu-system-x86_64';
  return {
    name,
    missing: has(command) ? undefined : `${command} is not installed`,
    start: (images, iterations) => ({
      command,
      args: ['-accel', 'tcg', '-m', '64', '-display', 'none', '-no-reboot', '-monitor', 'none', '-serial', 'none']
        .concat(['-debugcon', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'])
        .concat(['-kernel', images.multiboot(iterations), ...extra]),
      console: 'stdout',
    }),
  };
}

/** BIOSes that Bochs can start with; not every package brings its own. */
const BIOSES = ['/usr/share/bochs/BIOS-bochs-legacy', '/usr/share/seabios/bios.bin'];
const VIDEO_BIOSES = ['/usr/share/vgabios/vgabios.bin', '/usr/share/seabios/vgabios-stdvga.bin'];

function bochs(): Engine {
  const bios = BIOSES.find(existsSync);
  const video = VIDEO_BIOSES.find(existsSync);
  const command = existsSync('/usr/bin/bochs-bin') ? '/usr/bin/bochs-bin' : 'bochs';
  let missing: string | undefined;
  if (spawnSync(command, ['--help'], { stdio: 'ignore' }).error) missing = 'bochs is not installed';
  else if (!bios || !video) missing = 'Bochs has no BIOS here: install bochsbios, or seabios';
  return {
    name: 'bochs',
    missing,
    start: (images, iterations) => {
      const settings = images.file('bochsrc');
      const commands = images.file('bochs.rc');
      writeFileSync(
        settings,
        `megs: 64
romimage: file=${bios}
vgaromimage: file=${video}
floppya: 1_44=${images.floppy(iterations)}, status=inserted
boot: floppy
display_library: rfb, options="timeout=0"
port_e9_hack: enabled=1
log: ${images.file('bochs.log')}
cpu: model=corei7_haswell_4770, count=1, ips=100000000
clock: sync=none
panic: action=fatal
error: action=ignore
plugin_ctrl: speaker=0, parallel=0, serial=0, gameport=0, extfpuirq=1, unmapped=1, biosdev=1
`,
      );
      // Builds with the debugger wait for a command.
      writeFileSync(commands, 'c\n');
      return { command, args: ['-q', '-f', settings, '-rc', commands], console: 'stdout' };
    },
  };
}

/** The path of the npm package v86's library, where one is installed that this folder's programs would find. */
function findV86(): string | undefined {
  try {
    const main = createRequire(path.join(process.cwd(), 'package.json')).resolve('v86');
    const module = path.join(path.dirname(main), 'libv86.mjs');
    return existsSync(module) ? module : undefined;
  } catch {
    return undefined;
  }
}

function v86(): Engine {
  const library = findV86();
  return {
    name: 'v86',
    missing: library ? undefined : 'the npm package v86 is not installed here (npm install v86)',
    // It has no 64-bit mode.
    runs: ({ group }) => group === '32-bit',
    start: (images, iterations) => ({
      command: process.execPath,
      args: [path.join(programFolder(), '../v86.mjs'), library ?? '', images.multiboot(iterations)],
      console: 'stdout',
    }),
  };
}

/** All engines, in the order in which they take turns. */
export function engines(): readonly Engine[] {
  return [
    hyperscope('interpreter', 'off'),
    hyperscope('translator', '16M'),
    qemu('qemu', []),
    qemu('qemu-icount', ['-icount', 'shift=0,sleep=off']),
    bochs(),
    v86(),
  ];
}

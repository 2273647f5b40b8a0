import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Runs the hypervisors of the oracles in QEMU, which emulates SVM, and in Bochs, which emulates VMX. */

/** That an emulator gets for all guests of a test: it takes seconds, but the machine may be busy. */
export const MOST_MILLISECONDS = 180_000;

/** Status with which QEMU ends at the hypervisor's word. */
const ENDED = 33;
const SECTOR = 512;
const FLOPPY = 1_474_560;
/** What the boot sector can read below the BIOS's own memory. */
const MOST_SECTORS = 1100;
/** Loads an image from a floppy disk, from this folder. */
const BOOT_SECTOR = '../../../bench/programs/boot-floppy';
/** Where the image's Multiboot header has its entry. */
const ENTRY_FIELD = 0x10001c;

const lacks = (tool: string) => spawnSync(tool, ['--version']).status !== 0;
const BOCHS = ['/usr/bin/bochs-bin', '/usr/bin/bochs'].find(existsSync);
const BIOS = ['/usr/share/bochs/BIOS-bochs-legacy', '/usr/share/seabios/bios.bin'].find(existsSync);
const VIDEO_BIOS = ['/usr/share/vgabios/vgabios.bin', '/usr/share/seabios/vgabios-stdvga.bin'].find(existsSync);

/** Programs that aren't there, for a test's title: ` (skipped: no nasm)`, or nothing. */
function skipped(missing: readonly string[]): string {
  return missing.length > 0 ? ` (skipped: no ${missing.join(', no ')})` : '';
}
const QEMU_SKIPPED = skipped(['nasm', 'qemu-system-x86_64'].filter(lacks));
const BOCHS_SKIPPED = skipped([
  ...['nasm'].filter(lacks),
  ...(BOCHS ? [] : ['Bochs']),
  ...(BIOS && VIDEO_BIOS ? [] : ['BIOS for Bochs']),
]);

/** Why tests with an emulator are skipped: the end of their title, empty where they aren't. */
export const SKIPPED = { qemu: QEMU_SKIPPED, bochs: BOCHS_SKIPPED } as const;

/** Entries of second-level tables by their addresses. */
type Entries = Iterable<readonly [bigint, bigint]>;

/** Entries as a hypervisor reads them, with a 0 behind the last. */
function entryList(entries: Entries): Uint8Array {
  return Buffer.from(BigUint64Array.from([...entries].flat().concat(0n)).buffer);
}

/** A guest as a hypervisor wants it: its control structure, its code, and entries that are otherwise than those of all. */
export function guestRecord(structure: Uint8Array, code: Uint8Array, entries: Entries = []): Uint8Array {
  return Buffer.concat([structure, code, entryList(entries)]);
}

/** What a hypervisor includes: memory that all guests share, bitmaps, second-level tables, and the guests. */
export interface GuestData {
  readonly memory: Uint8Array;
  readonly maps?: Uint8Array;
  readonly tables?: Entries;
  readonly guests: readonly Uint8Array[];
}

function writeData(scratch: string, { memory, maps = new Uint8Array(), tables = [], guests }: GuestData): void {
  writeFileSync(join(scratch, 'memory.bin'), memory);
  writeFileSync(join(scratch, 'maps.bin'), maps);
  writeFileSync(join(scratch, 'tables.bin'), entryList(tables));
  writeFileSync(join(scratch, 'guests.bin'), Buffer.concat(guests));
}

/** Assembles a program of this folder with NASM; files that it includes lie in `scratch` too. */
function assembleIn(scratch: string, name: string, definitions: readonly string[] = []): string {
  const image = join(scratch, `${basename(name)}.bin`);
  const directory = import.meta.dirname;
  const folders = [directory, join(directory, '../../guests'), scratch].flatMap((folder) => ['-I', `${folder}/`]);
  const source = join(directory, `${name}.asm`);
  const { status, stderr } = spawnSync('nasm', ['-f', 'bin', ...folders, ...definitions, '-o', image, source]);
  if (status !== 0) throw new Error(stderr.toString());
  return image;
}

/** Guests under svm-oracle.asm in QEMU: the numbers of each one's line. `features`: of its processor, such as `+npt`. */
export function inQemu(scratch: string, data: GuestData, features = ''): readonly (readonly bigint[])[] {
  writeData(scratch, data);
  const image = assembleIn(scratch, 'svm-oracle');
  const machine = ['-accel', 'tcg', '-M', 'pc', '-m', '32', '-cpu', `max,vendor=AuthenticAMD,+svm${features}`];
  const devices = ['-display', 'none', '-serial', 'stdio', '-no-reboot', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'];
  const options = { encoding: 'latin1', timeout: MOST_MILLISECONDS } as const;
  const { stdout, status } = spawnSync('qemu-system-x86_64', [...machine, ...devices, '-kernel', image], options);
  if (status !== ENDED) throw new Error(`QEMU ended with ${status}: ${stdout}`);
  return linesOf(stdout, data).map(numbersOf);
}

/** Guests under vmx-oracle.asm in Bochs: the numbers of each one's line, or the error of an entry that was refused. */
export function inBochs(scratch: string, data: GuestData): readonly (readonly bigint[] | { readonly failed: number })[] {
  writeData(scratch, data);
  const file = (name: string) => join(scratch, name);
  const image = readFileSync(assembleIn(scratch, 'vmx-oracle'));
  const sectors = Math.ceil(image.length / SECTOR);
  if (sectors > MOST_SECTORS) throw new Error(`The image has ${sectors} sectors, of which ${MOST_SECTORS} can be loaded.`);
  const disk = new Uint8Array(FLOPPY);
  disk.set(readFileSync(assembleIn(scratch, BOOT_SECTOR, [`-DSECTORS=${sectors}`, `-DENTRY_FIELD=${ENTRY_FIELD}`])));
  disk.set(image, SECTOR);
  writeFileSync(file('floppy.img'), disk);
  const settings = `megs: 32
romimage: file=${BIOS}
vgaromimage: file=${VIDEO_BIOS}
floppya: 1_44=${file('floppy.img')}, status=inserted
boot: floppy
display_library: rfb, options="timeout=0"
com1: enabled=1, mode=file, dev=${file('serial.txt')}
log: ${file('bochs.log')}
cpu: model=corei7_icelake_u, count=1, ips=1000000
clock: sync=none
panic: action=fatal
error: action=ignore
plugin_ctrl: speaker=0, parallel=0, gameport=0, extfpuirq=1, unmapped=1, biosdev=1
`;
  writeFileSync(file('bochsrc'), settings);
  // Builds with the debugger wait for a command.
  writeFileSync(file('bochs.rc'), 'c\n');
  const options = ['-q', '-f', file('bochsrc'), '-rc', file('bochs.rc')];
  spawnSync(BOCHS ?? '', options, { stdio: 'ignore', timeout: MOST_MILLISECONDS });
  const output = readFileSync(file('serial.txt'), 'latin1');
  if (!output.split('\n').includes('end')) throw new Error(`Bochs ended early: ${output}`);
  return linesOf(output, data).map((line) => {
    const failed = /^fail ([0-9A-F]+)/.exec(line)?.[1];
    return failed === undefined ? numbersOf(line) : { failed: Number.parseInt(failed, 16) };
  });
}

function linesOf(output: string, { guests }: GuestData): string[] {
  return output.split('\n').slice(0, guests.length);
}

function numbersOf(line: string): bigint[] {
  return line
    .trim()
    .split(' ')
    .map((word) => BigInt(`0x${word}`));
}

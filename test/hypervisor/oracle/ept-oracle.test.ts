import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { toVmxEvent } from '../../../src/hypervisor/events/event-fields.ts';
import { vmxQualification } from '../../../src/hypervisor/exits/qualification.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { eptPointer, eptWalk } from '../../../src/hypervisor/second-level/ept.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At } from '../../processor/system/machine.ts';
import { TIER_NAMES, type Tier } from '../intercepts/guest.ts';
import * as Guests from './second-level-cases.ts';

/**
 * The same guests as in npt-oracle.test.ts with EPT, under a hypervisor of this test's own (ept-oracle.asm) in Bochs, which walks the tables that
 * are rendered from second-level maps.
 *
 * Bochs 2.7 says of walks through the guest's page tables that they write, where a processor with accessed and dirty flags says that they read
 * and write (Intel SDM vol. 3, table 28-7, note 1).
 */

const DIRECTORY = import.meta.dirname;
const CODE_SIZE = 64;
const MEMORY_START = 0x1000;
const MEMORY_END = 0x10000;
const SECTOR = 512;
const FLOPPY = 1_474_560;
/** What boot-floppy.asm loads. */
const MOST_SECTORS = 64;
const VIOLATION = 48n;
const MISCONFIGURATION = 49n;
const NOT_A_WALK = 0x100n;
const READ = 1n;
const CR0_NE = 0x20n;
const CR4_VMXE = 0x2000n;

const CASES = Guests.secondLevelCases(
  [...Guests.CHANGES, Guests.EXECUTE_ONLY],
  [`add dword [${At.DATA}], 3`, `xchg [${At.DATA}], rax`],
);

interface Seen extends Guests.SeenGuest {
  readonly reason: bigint;
  /** Of a violation; addresses of a misconfiguration too. */
  readonly qualification?: bigint;
  readonly gpa?: bigint;
  readonly gva?: bigint;
  readonly during: bigint;
}

function emulated(kind: Guests.SecondLevelCase, tier: Tier): Seen {
  const made = Guests.guestOf(kind, 'intel', tier);
  const exit = made.guest.exit(1000);
  const reason = BigInt(exitNumbers(exit).vmx);
  return {
    reason,
    ...(reason === VIOLATION ? { qualification: vmxQualification(exit), gva: 'gva' in exit ? exit.gva : undefined } : {}),
    ...('gpa' in exit ? { gpa: exit.gpa } : {}),
    during: BigInt(toVmxEvent(exit.during).information),
    ...Guests.seenGuest(made, exit),
  };
}

const scratch = mkdtempSync(join(tmpdir(), 'hyperscope-ept-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Numbers of 64 bits. */
function words(...values: readonly bigint[]): Buffer {
  return Buffer.from(BigUint64Array.from(values.map((value) => BigInt.asUintN(64, value))).buffer);
}

/** Fields of the VMCS for a guest as it stands, without RSP. */
function fields({ guest, map }: Guests.SecondLevelGuest): Buffer {
  const { state } = guest;
  const list: [encoding: number, value: bigint][] = [
    [0x201a, eptPointer(map)],
    [0x2800, -1n],
    [0x4004, 0n],
    [0x4810, BigInt(state.get32(L.GDTR_LIMIT))],
    [0x4812, BigInt(state.get32(L.IDTR_LIMIT))],
    [0x4824, 0n],
    [0x4826, 0n],
    [0x6816, state.get64(L.GDTR_BASE)],
    [0x6818, state.get64(L.IDTR_BASE)],
    [0x6800, state.cr0 | CR0_NE],
    [0x6802, state.cr3],
    [0x6804, state.cr4 | CR4_VMXE],
    [0x681a, 0x400n],
    [0x681e, state.rip],
    [0x6820, BigInt(state.rflags)],
    [0x6822, 0n],
  ];
  for (let index = 0; index < 8; index++) {
    const { selector, base, limit, rights } = state.segment(index);
    list.push([0x800 + index * 2, BigInt(selector)], [0x6806 + index * 2, base]);
    list.push([0x4800 + index * 2, BigInt(limit >>> 0)], [0x4814 + index * 2, BigInt(rights >>> 0)]);
  }
  return words(...list.flatMap(([encoding, value]) => [BigInt(encoding + 1), value]), 0n);
}

function pairs(entries: Iterable<readonly [bigint, bigint]>): Buffer {
  return words(...[...entries].flat(), 0n);
}

/** All cases under Bochs, in one run. */
function inBochs(command: string, bios: string, video: string): Seen[] {
  const plain = Guests.guestOf(Guests.PLAIN, 'intel');
  const memory: [bigint, bigint][] = [];
  for (let gpa = MEMORY_START; gpa < MEMORY_END; gpa += 8)
    if (plain.guest.read64(gpa) !== 0n) memory.push([BigInt(gpa), plain.guest.read64(gpa)]);
  const file = (name: string, bytes: Uint8Array) => writeFileSync(join(scratch, name), bytes);
  file('memory.bin', pairs(memory));
  file('tables.bin', pairs(Guests.entriesOf((gpa) => eptWalk(plain.map, gpa), Guests.ALL_PAGES)));
  file('fields.bin', fields(plain));
  const records = CASES.map((kind) => {
    const { guest, map } = Guests.guestOf(kind, 'intel');
    const changed = Guests.entriesOf((gpa) => eptWalk(map, gpa), Object.keys(kind.pages).map(Number));
    return Buffer.concat([words(guest.state.gpr(4)), Guests.codeBytes(kind, CODE_SIZE), pairs(changed)]);
  });
  file('guests.bin', Buffer.concat(records));
  const nasm = (source: string, image: string) => {
    const { status, stderr } = spawnSync('nasm', ['-f', 'bin', '-I', `${scratch}/`, '-o', join(scratch, image), source]);
    if (status !== 0) throw new Error(stderr.toString());
  };
  nasm(join(DIRECTORY, '../../../bench/programs/boot-floppy.asm'), 'boot.bin');
  nasm(join(DIRECTORY, 'ept-oracle.asm'), 'oracle.bin');
  return parse(runBochs(command, bios, video));
}

function runBochs(command: string, bios: string, video: string): string {
  const image = readFileSync(join(scratch, 'oracle.bin'));
  if (image.length > MOST_SECTORS * SECTOR) throw new Error(`${image.length} bytes are more than the boot sector loads.`);
  const disk = new Uint8Array(FLOPPY);
  disk.set(readFileSync(join(scratch, 'boot.bin')));
  disk.set(image, SECTOR);
  writeFileSync(join(scratch, 'floppy.img'), disk);
  const settings = `megs: 64
romimage: file=${bios}
vgaromimage: file=${video}
floppya: 1_44=${join(scratch, 'floppy.img')}, status=inserted
boot: floppy
display_library: rfb, options="timeout=0"
port_e9_hack: enabled=1
log: ${join(scratch, 'bochs.log')}
cpu: model=corei7_haswell_4770, count=1, ips=100000000
clock: sync=none
panic: action=fatal
error: action=ignore
plugin_ctrl: speaker=0, parallel=0, serial=0, gameport=0, extfpuirq=1, unmapped=1, biosdev=1
`;
  writeFileSync(join(scratch, 'bochsrc'), settings);
  // Builds with the debugger wait for a command.
  writeFileSync(join(scratch, 'bochs.rc'), 'c\n');
  const options = ['-q', '-f', join(scratch, 'bochsrc'), '-rc', join(scratch, 'bochs.rc')];
  return spawnSync(command, options, { encoding: 'latin1', timeout: 120_000, stdio: ['ignore', 'pipe', 'pipe'] }).stdout;
}

function parse(output: string): Seen[] {
  const lines = output.match(/(?:[0-9a-f]{16} ){12}/g) ?? [];
  if (lines.length !== CASES.length)
    throw new Error(`Bochs ran ${lines.length} of ${CASES.length} guests: ${output.slice(-2000)}`);
  return lines.map((line) => {
    const numbers = line
      .trim()
      .split(' ')
      .map((word) => BigInt(`0x${word}`));
    const [reason = 0n, qualification = 0n, gpa = 0n, gva = 0n, during = 0n, rip = 0n] = numbers;
    const [rax = 0n, cr2 = 0n, rcx = 0n, rdi = 0n, accessed = 0n, dirty = 0n] = numbers.slice(6);
    return {
      reason,
      ...(reason === VIOLATION ? { qualification: qualification & NOT_A_WALK ? qualification : qualification | READ, gva } : {}),
      ...(reason === VIOLATION || reason === MISCONFIGURATION ? { gpa } : {}),
      during,
      rip,
      rax,
      cr2,
      rcx,
      rdi,
      accessed,
      dirty,
    };
  });
}

const command = ['/usr/bin/bochs-bin', '/usr/bin/bochs'].find(existsSync);
const bios = ['/usr/share/bochs/BIOS-bochs-legacy', '/usr/share/seabios/bios.bin'].find(existsSync);
const video = ['/usr/share/vgabios/vgabios.bin', '/usr/share/seabios/vgabios-stdvga.bin'].find(existsSync);
const hasNasm = spawnSync('nasm', ['--version']).status === 0;
const isMissing = command === undefined || bios === undefined || video === undefined || !hasNasm;
const title = `EPT violations are those of Bochs${isMissing ? ' (skipped: no Bochs with a BIOS, or no nasm)' : ''}`;

describe.skipIf(isMissing)(title, () => {
  const seen = isMissing ? [] : inBochs(command, bios, video);
  describe.each(TIER_NAMES)('%s', (tier) => {
    test.each(CASES.map((kind, index) => [kind.name, kind, seen[index]] as const))('%s', (_name, kind, reference) => {
      expect(emulated(kind, tier)).toEqual(reference);
    });
  });
});

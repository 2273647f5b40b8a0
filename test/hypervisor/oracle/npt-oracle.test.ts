import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { toSvmEvent } from '../../../src/hypervisor/events/event-fields.ts';
import { svmExitInfo } from '../../../src/hypervisor/exits/qualification.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import { nptWalk } from '../../../src/hypervisor/second-level/npt.ts';
import { TIER_NAMES, type Tier } from '../intercepts/guest.ts';
import * as Guests from './second-level-cases.ts';
import { vmcbImage } from './vmcb-image.ts';

/**
 * Guests with nested page tables run under a hypervisor of this test's own (npt-oracle.asm) in QEMU, which walks the tables that are rendered from
 * second-level maps, and on the emulated processor, which asks the maps: how they leave, and which pages count as accessed and dirty,
 * must be the same.
 *
 * QEMU 7.2 reads and then writes where a processor does both at once, and says that an entry with reserved bits isn't present.
 */

const DIRECTORY = import.meta.dirname;
const MEMORY_START = 0x1000;
const MEMORY_END = 0x10000;
const CODE_SIZE = 0x200;
const LIST_SIZE = 0x2400;
const ENDED = 33;
const VALID = 0x8000_0000n;
const NESTED_PAGE_FAULT = 0x400n;
const RESERVED = 8n;

const CASES = Guests.secondLevelCases(Guests.CHANGES);

interface Seen extends Guests.SeenGuest {
  readonly code: bigint;
  readonly info1: bigint;
  readonly info2: bigint;
  readonly during: bigint;
}

function emulated(kind: Guests.SecondLevelCase, tier: Tier): Seen {
  const made = Guests.guestOf(kind, 'amd', tier);
  const exit = made.guest.exit(1000);
  return {
    code: BigInt(exitNumbers(exit).svm),
    ...svmExitInfo(exit, { addressSize: 64, segment: 0 }),
    during: toSvmEvent(exit.during),
    ...Guests.seenGuest(made, exit),
  };
}

const scratch = mkdtempSync(join(tmpdir(), 'hyperscope-npt-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A guest as npt-oracle.asm wants it; `plain` are the nested entries of the lowest 2 MiB where nothing was changed. */
function record(kind: Guests.SecondLevelCase, plain: Guests.Entries): Buffer {
  const { guest, map } = Guests.guestOf(kind, 'amd');
  const vmcb = vmcbImage(guest.processor, interceptSettings(['hlt', 'vmrun']));
  const control = new DataView(vmcb.buffer);
  control.setBigUint64(0x90, 1n, true);
  control.setBigUint64(0xb0, nptWalk(map, 0n).root, true);
  const list = new DataView(new ArrayBuffer(LIST_SIZE));
  let at = 0;
  const changed = Guests.entriesOf((gpa) => nptWalk(map, gpa), Object.keys(kind.pages).map(Number));
  for (const [address, value] of new Map([...plain, ...changed])) {
    list.setBigUint64(at, address, true);
    list.setBigUint64(at + 8, value, true);
    at += 16;
  }
  return Buffer.concat([vmcb, Guests.codeBytes(kind, CODE_SIZE), new Uint8Array(list.buffer)]);
}

/** All cases under QEMU, in one run. */
function inQemu(): Seen[] {
  const { guest, map } = Guests.guestOf(Guests.PLAIN, 'amd');
  const plain = Guests.entriesOf((gpa) => nptWalk(map, gpa), Guests.ALL_PAGES);
  writeFileSync(join(scratch, 'memory.bin'), guest.memory.read(BigInt(MEMORY_START), MEMORY_END - MEMORY_START));
  writeFileSync(join(scratch, 'guests.bin'), Buffer.concat(CASES.map((kind) => record(kind, plain))));
  const image = join(scratch, 'oracle.bin');
  const include = ['-I', `${join(DIRECTORY, '../../guests')}/`, '-I', `${scratch}/`];
  const nasm = spawnSync('nasm', ['-f', 'bin', ...include, '-o', image, join(DIRECTORY, 'npt-oracle.asm')]);
  if (nasm.status !== 0) throw new Error(nasm.stderr.toString());
  const machine = ['-accel', 'tcg', '-M', 'pc', '-m', '32', '-cpu', 'max,vendor=AuthenticAMD,+svm,+npt'];
  const devices = ['-display', 'none', '-serial', 'stdio', '-no-reboot', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'];
  const { stdout, status } = spawnSync('qemu-system-x86_64', [...machine, ...devices, '-kernel', image], {
    encoding: 'latin1',
    timeout: 60_000,
  });
  if (status !== ENDED) throw new Error(`QEMU ended with ${status}: ${stdout}`);
  return stdout
    .split('\n')
    .slice(0, CASES.length)
    .map((line) => {
      const numbers = line
        .trim()
        .split(' ')
        .map((word) => BigInt(`0x${word}`));
      const [code = 0n, info1 = 0n, info2 = 0n, during = 0n, rip = 0n, rax = 0n, cr2 = 0n] = numbers;
      const [rcx = 0n, rdi = 0n, accessed = 0n, dirty = 0n] = numbers.slice(7);
      const isReserved = code === NESTED_PAGE_FAULT && (info1 & RESERVED) !== 0n;
      const event = during & VALID ? during : 0n;
      return { code, info1: isReserved ? info1 | 1n : info1, info2, during: event, rip, rax, cr2, rcx, rdi, accessed, dirty };
    });
}

const missing = ['nasm', 'qemu-system-x86_64'].filter((tool) => spawnSync(tool, ['--version']).status !== 0);
const title = `nested page faults are those of QEMU's SVM${missing.length > 0 ? ` (skipped: no ${missing.join(', no ')})` : ''}`;

describe.skipIf(missing.length > 0)(title, () => {
  const seen = missing.length > 0 ? [] : inQemu();
  describe.each(TIER_NAMES)('%s', (tier) => {
    test.each(CASES.map((kind, index) => [kind.name, kind, seen[index]] as const))('%s', (_name, kind, reference) => {
      expect(emulated(kind, tier)).toEqual(reference);
    });
  });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { toSvmEvent } from '../../../src/hypervisor/events/event-fields.ts';
import { svmExitInfo } from '../../../src/hypervisor/exits/qualification.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import { nptWalk } from '../../../src/hypervisor/second-level/npt.ts';
import { TIER_NAMES, type Tier } from '../intercepts/guest.ts';
import { guestRecord, inQemu, SKIPPED } from './emulators.ts';
import * as Guests from './second-level-cases.ts';
import { CODE_SIZE, sharedMemory } from './small-guest.ts';
import { vmcbImage } from './vmcb-image.ts';

/**
 * Guests with nested page tables run under a hypervisor of this test's own (svm-oracle.asm) in QEMU, which walks the tables that are rendered from
 * second-level maps, and on the emulated processor, which asks the maps: how they leave, and which pages count as accessed and dirty,
 * must be the same.
 *
 * QEMU 7.2 reads and then writes where a processor does both at once, and says that an entry with reserved bits isn't present.
 */

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

/** A guest with nested paging, and the nested entries of the pages that were changed. */
function record(kind: Guests.SecondLevelCase): Uint8Array {
  const { guest, map } = Guests.guestOf(kind, 'amd');
  const vmcb = vmcbImage(guest.processor, interceptSettings(['hlt', 'vmrun']));
  const control = new DataView(vmcb.buffer);
  control.setBigUint64(0x90, 1n, true);
  control.setBigUint64(0xb0, nptWalk(map, 0n).root, true);
  const changed = Guests.entriesOf((gpa) => nptWalk(map, gpa), Object.keys(kind.pages).map(Number));
  return guestRecord(vmcb, Guests.codeBytes(kind, CODE_SIZE), changed);
}

/** All cases under QEMU, in one run. */
function reference(): Seen[] {
  const { guest, map } = Guests.guestOf(Guests.PLAIN, 'amd');
  const plain = Guests.entriesOf((gpa) => nptWalk(map, gpa), Guests.ALL_PAGES);
  const data = { memory: sharedMemory(guest), tables: plain, guests: CASES.map(record) };
  return inQemu(scratch, data, ',+npt').map((numbers) => {
    const [code = 0n, info1 = 0n, info2 = 0n, during = 0n, rip = 0n, rax = 0n, _cr0, cr2 = 0n] = numbers;
    const [rcx = 0n, rdi = 0n, accessed = 0n, dirty = 0n] = numbers.slice(10);
    const isReserved = code === NESTED_PAGE_FAULT && (info1 & RESERVED) !== 0n;
    const event = during & VALID ? during : 0n;
    return { code, info1: isReserved ? info1 | 1n : info1, info2, during: event, rip, rax, cr2, rcx, rdi, accessed, dirty };
  });
}

describe.skipIf(SKIPPED.qemu !== '')(`nested page faults are those of QEMU's SVM${SKIPPED.qemu}`, () => {
  const seen = SKIPPED.qemu === '' ? reference() : [];
  describe.each(TIER_NAMES)('%s', (tier) => {
    test.each(CASES.map((kind, index) => [kind.name, kind, seen[index]] as const))('%s', (_name, kind, reference) => {
      expect(emulated(kind, tier)).toEqual(reference);
    });
  });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { toVmxEvent } from '../../../src/hypervisor/events/event-fields.ts';
import { vmxQualification } from '../../../src/hypervisor/exits/qualification.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { eptPointer, eptWalk } from '../../../src/hypervisor/second-level/ept.ts';
import { At } from '../../processor/system/machine.ts';
import { TIER_NAMES, type Tier } from '../intercepts/guest.ts';
import { guestRecord, inBochs, SKIPPED } from './emulators.ts';
import * as Guests from './second-level-cases.ts';
import { CODE_SIZE, sharedMemory } from './small-guest.ts';
import { vmcsImage, vmxSettings } from './vmcs-image.ts';

/**
 * The same guests as in npt-oracle.test.ts with EPT, under a hypervisor of this test's own (vmx-oracle.asm) in Bochs, which walks the tables that
 * are rendered from second-level maps.
 *
 * Bochs 2.7 says of walks through the guest's page tables that they write, where a processor with accessed and dirty flags says that they read
 * and write (Intel SDM vol. 3, table 28-7, note 1).
 */

const VIOLATION = 48n;
const MISCONFIGURATION = 49n;
const NOT_A_WALK = 0x100n;
const READ = 1n;
const CR0_NE = 0x20n;

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

/** A guest with EPT, and the entries of the pages that were changed. */
function record(kind: Guests.SecondLevelCase): Uint8Array {
  const { guest, map } = Guests.guestOf(kind, 'intel');
  const more = new Map([
    [0x201a, eptPointer(map)],
    [0x6800, guest.state.cr0 | CR0_NE],
  ]);
  const fields = vmcsImage(guest.processor, vmxSettings(['second-level-translation']), more);
  const changed = Guests.entriesOf((gpa) => eptWalk(map, gpa), Object.keys(kind.pages).map(Number));
  return guestRecord(fields, Guests.codeBytes(kind, CODE_SIZE), changed);
}

/** All cases in Bochs, in one run. */
function reference(): Seen[] {
  const { guest, map } = Guests.guestOf(Guests.PLAIN, 'intel');
  const plain = Guests.entriesOf((gpa) => eptWalk(map, gpa), Guests.ALL_PAGES);
  const data = { memory: sharedMemory(guest), tables: plain, guests: CASES.map(record) };
  return inBochs(scratch, data).map((numbers) => {
    if ('failed' in numbers) throw new Error(`an entry failed with error ${numbers.failed}`);
    const [reason = 0n, qualification = 0n, gpa = 0n, gva = 0n, _information, _errorCode, during = 0n] = numbers;
    const [rip = 0n] = numbers.slice(9);
    const [rax = 0n, cr2 = 0n, rcx = 0n, rdi = 0n, accessed = 0n, dirty = 0n] = numbers.slice(16);
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

describe.skipIf(SKIPPED.bochs !== '')(`EPT violations are those of Bochs${SKIPPED.bochs}`, () => {
  const seen = SKIPPED.bochs === '' ? reference() : [];
  describe.each(TIER_NAMES)('%s', (tier) => {
    test.each(CASES.map((kind, index) => [kind.name, kind, seen[index]] as const))('%s', (_name, kind, reference) => {
      expect(emulated(kind, tier)).toEqual(reference);
    });
  });
});

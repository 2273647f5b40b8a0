import { expect, test } from 'vitest';
import { eptWalk } from '../../../src/hypervisor/second-level/ept.ts';
import { hostPlace } from '../../../src/hypervisor/second-level/host-place.ts';
import { nptWalk } from '../../../src/hypervisor/second-level/npt.ts';
import type { PageState, Permissions } from '../../../src/hypervisor/second-level/page-word.ts';
import { SecondLevelMap } from '../../../src/hypervisor/second-level/second-level-map.ts';
import { PartitionMemory } from '../../../src/processor/memory/partition-memory.ts';
import { Need } from '../../../src/processor/memory/second-level.ts';
import { Random } from '../../support/random.ts';

const PAGES = 3 * 512;
const RIGHTS: readonly Permissions[] = [
  { read: true, write: true, execute: true },
  { read: true, write: false, execute: true },
  { read: true, write: true, execute: false },
  { read: true, write: false, execute: false },
  { read: false, write: false, execute: true },
  { read: false, write: false, execute: false },
];
const RIGHT_NAMES = ['read', 'write', 'execute'] as const;
const ALL = { read: true, write: true, execute: true };

/** What a page is, kept the simplest way. */
interface Page {
  state: PageState;
  rights: Permissions;
  accessed: boolean;
  dirty: boolean;
}

const allows = ({ state, rights }: Page, need: number) =>
  state === 'present' && (!(need & 1) || rights.read) && (!(need & 2) || rights.write) && (!(need & 4) || rights.execute);

test.each([1, 2, 3, 4])('maps that are changed at random say of each page what was said of it last (seed %i)', (seed) => {
  const random = new Random(seed);
  const map = new SecondLevelMap(new PartitionMemory([{ gpa: 0n, length: PAGES * 0x1000 }], 1), hostPlace(seed), {
    vendor: 'intel',
  });
  const model = Array.from({ length: PAGES }, (): Page => ({ state: 'present', rights: ALL, accessed: false, dirty: false }));

  /** A range that often begins and ends with a large page. */
  const range = () => {
    const first = random.chance(0.3) ? random.below(3) * 512 : random.below(PAGES);
    const length = random.chance(0.3) ? 512 : random.between(1, 40);
    const end = Math.min(first + length, PAGES);
    return { gpa: BigInt(first * 0x1000), size: BigInt((end - first) * 0x1000), pages: model.slice(first, end) };
  };
  const lose = (state: PageState) => (page: Page) => Object.assign(page, { state, accessed: false, dirty: false });

  const change = () => {
    const { gpa, size, pages } = range();
    const rights = random.pick(RIGHTS);
    switch (random.below(7)) {
      case 0:
      case 1:
        map.setPermissions(gpa, size, rights);
        for (const page of pages) if (page.state === 'present') page.rights = rights;
        break;
      case 2:
        map.balloon(gpa, size);
        pages.forEach(lose('ballooned'));
        break;
      case 3:
        map.deflate(gpa, size);
        for (const page of pages) if (page.state !== 'present') Object.assign(page, { state: 'present', rights: ALL });
        break;
      case 4:
        if (random.chance(0.5)) {
          map.misconfigure(gpa, size);
          pages.forEach(lose('misconfigured'));
        } else {
          map.setMmio(gpa, size);
          pages.forEach(lose('mmio'));
        }
        break;
      case 5:
        map.enlarge(0n, BigInt(PAGES * 0x1000));
        break;
      default:
        map.splitAll(gpa, size);
    }
  };

  for (let round = 0; round < 120; round++) {
    change();
    for (let access = 0; access < 8; access++) {
      const number = random.below(PAGES);
      const need = random.pick(Object.values(Need));
      const page = model[number];
      if (page === undefined) continue;
      const isGranted = map.grants(map.memory.offsetOf(number * 0x1000), need);
      expect(isGranted).toBe(allows(page, need));
      if (isGranted) Object.assign(page, { accessed: true, dirty: page.dirty || (need & 2) !== 0 });
    }
    const wrong: unknown[] = [];
    for (let number = 0; number < PAGES; ) {
      const leaf = map.lookUp(BigInt(number * 0x1000));
      const count = Number(leaf.size >> 12n);
      const pages = model.slice(number, number + count);
      const isLike = ({ state, rights }: Page) =>
        leaf.state === state && (state !== 'present' || RIGHT_NAMES.every((name) => leaf.permissions[name] === rights[name]));
      // A flag of a large page that was split is in all of its parts, so there may be more than were set.
      const hasFlags =
        (leaf.accessed || !pages.some(({ accessed }) => accessed)) && (leaf.dirty || !pages.some(({ dirty }) => dirty));
      if (leaf.gpa !== BigInt(number * 0x1000) || leaf.gpa % leaf.size !== 0n || !pages.every(isLike) || !hasFlags)
        wrong.push(leaf);
      number += count;
    }
    expect(wrong).toEqual([]);
    const gpa = BigInt(random.below(PAGES * 0x1000));
    const [ept, npt] = [eptWalk(map, gpa), nptWalk(map, gpa)];
    expect(ept.spa).toBe(model[Number(gpa >> 12n)]?.state === 'present' ? map.place.ram + gpa : undefined);
    expect(npt.entries.map(({ address }) => address)).toEqual(ept.entries.map(({ address }) => address));
  }
});

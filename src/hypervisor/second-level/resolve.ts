import type { ExitDetail } from '../../processor/exit.ts';
import { hex } from '../../x86/address.ts';
import type { DirtyLog } from './dirty-log.ts';
import type { SecondLevelMap } from './second-level-map.ts';

export type SecondLevelViolation = Extract<ExitDetail, { readonly reason: 'second-level-violation' }>;

/** What the hypervisor did, so that the access is made when the guest goes on. */
export type Resolution =
  /** The page got memory, which has nothing in it. */
  | { readonly kind: 'backed'; readonly spa: bigint }
  /** The page came back from the host's disk. */
  | { readonly kind: 'paged-in' }
  /** The dirty log has seen the write, and allows it. */
  | { readonly kind: 'logged' }
  /** The map allows it meanwhile. */
  | { readonly kind: 'allowed' };

/**
 * Does what a hypervisor does about a violation whatever its platform: gives memory to a page that lost it, and lets pages be written
 * that the dirty log withheld. Undefined for an access that is forbidden.
 */
export function resolveViolation(map: SecondLevelMap, log: DirtyLog, violation: SecondLevelViolation): Resolution | undefined {
  const { gpa, access } = violation;
  const page = map.lookUp(gpa);
  if (page.state === 'ballooned' || page.state === 'unbacked') {
    map.deflate(gpa & ~0xfffn, 0x1000n);
    const spa = map.spaOf(gpa & ~0xfffn);
    return spa === undefined ? undefined : { kind: 'backed', spa };
  }
  if (page.state === 'paged-out') {
    map.pageIn(gpa);
    return { kind: 'paged-in' };
  }
  const writes = access.endsWith('write');
  if (page.withheld && writes) {
    log.release(gpa & ~0xfffn);
    return { kind: 'logged' };
  }
  const { read, write, execute } = page.permissions;
  const isAllowed = access === 'execute' ? execute : writes ? write : read;
  return isAllowed ? { kind: 'allowed' } : undefined;
}

/** What came of it, for the journal. */
export function describeResolution(resolution: Resolution): string {
  if (resolution.kind === 'backed') return `backed with a scrubbed page at SPA ${hex(resolution.spa)}`;
  if (resolution.kind === 'paged-in') return "read back from the host's disk";
  return resolution.kind === 'logged' ? 'written page logged' : 'allowed meanwhile';
}

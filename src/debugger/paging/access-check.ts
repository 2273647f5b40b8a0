import type { WalkResult } from '../../processor/processor.ts';
import { pageFaultCause } from '../inspection/exception-details.ts';
import type { PagingControl } from './control.ts';
import { noExecuteName } from './page-entry.ts';

/** An access as page tables tell them apart. */
export interface PagedAccess {
  readonly user: boolean;
  readonly kind: 'read' | 'write' | 'fetch';
}

/** What an access would come to. */
export interface AccessOutcome extends PagedAccess {
  /** The exception that it would raise, as `#PF(0x5)`; missing where it is allowed. */
  readonly fault?: string;
  /** Bits of the page fault's error code (Intel SDM vol. 3, 4.7). */
  readonly errorCode?: number;
  /** Why, as a sentence. */
  readonly cause?: string;
}

export const ALL_ACCESSES: readonly PagedAccess[] = [false, true].flatMap((user) =>
  (['read', 'write', 'fetch'] as const).map((kind) => ({ user, kind })),
);

const Code = { PRESENT: 1, WRITE: 2, USER: 4, RESERVED: 8, FETCH: 16, KEY: 32 } as const;

/** Says what an access to a walked address would come to now, with the registers as they are. Nothing is changed. */
export function checkAccess(walk: WalkResult, access: PagedAccess, control: PagingControl): AccessOutcome {
  if (control.mode === 'off') return access;
  const last = walk.steps.at(-1);
  if (!last) return { ...access, fault: '#GP(0)', cause: walk.problem };
  const isMapped = walk.gpa !== undefined;
  const byKey = isMapped && refusedByKey(last.entry, walk, access, control);
  if (isMapped && !byKey && allowed(walk, access, control)) return access;
  const isPresent = isMapped || (last.entry & 1n) !== 0n;
  const tellsFetches = control.smep || (control.mode !== '32-bit' && control.nxe);
  const errorCode =
    (isPresent ? Code.PRESENT : 0) |
    (isPresent && !isMapped ? Code.RESERVED : 0) |
    (access.kind === 'write' ? Code.WRITE : 0) |
    (access.user ? Code.USER : 0) |
    (access.kind === 'fetch' && tellsFetches ? Code.FETCH : 0) |
    (byKey ? Code.KEY : 0);
  // A fetch that isn't told from a read is one all the same.
  const told = errorCode | (access.kind === 'fetch' ? Code.FETCH : 0);
  const cause = byKey ? `Protection key ${keyOf(last.entry)} forbids it (PKRU).` : pageFaultCause(told, walk, control.cr4);
  return {
    ...access,
    fault: `#PF(0x${errorCode.toString(16)})`,
    errorCode,
    cause: cause.replace('XD', noExecuteName(control)),
  };
}

const keyOf = (entry: bigint): number => Number((entry >> 59n) & 15n);

/** Of data in pages for users, whoever makes the access (Intel SDM vol. 3, 4.6.2). */
function refusedByKey(entry: bigint, walk: WalkResult, { kind, user }: PagedAccess, control: PagingControl): boolean {
  if (!control.pke || control.mode !== '4-level' || !walk.user || kind === 'fetch') return false;
  const rights = control.pkru >>> (2 * keyOf(entry));
  return (rights & 1) !== 0 || (kind === 'write' && (rights & 2) !== 0 && (user || control.wp));
}

/** Intel SDM vol. 3, 4.6.1. */
function allowed(walk: WalkResult, { kind, user }: PagedAccess, { wp, smep, smap, ac }: PagingControl): boolean {
  if (kind === 'fetch' && !walk.executable) return false;
  if (user) return walk.user && (kind !== 'write' || walk.writable);
  if (kind === 'write' && !walk.writable && wp) return false;
  if (!walk.user) return true;
  return kind === 'fetch' ? !smep : !smap || ac;
}

import type { VmExit } from '../../processor/exit.ts';
import type { ExitEntry } from './exit-entry.ts';

/** Kinds that are told apart. */
const MOST_KINDS = 10_000;
/** Numbers of a reason, of a vCPU and of a detail have room side by side in a number without loss. */
const REASONS = 64;
const VCPUS = 64;
const MOST_DETAIL = 2 ** 40;

/** Kinds that are found without a look at all of them. */
const RECENT = 64;

/** A kind with the halves of its RIP and what else it is found by. */
interface Recent<Kind> {
  readonly low: number;
  readonly high: number;
  readonly key: number;
  readonly kind: Kind;
}

/** Exits that are alike in all that they are counted by: of one vCPU and instruction, of one reason and subject, served alike. */
export interface ExitKind {
  /** The first one. */
  readonly sample: ExitEntry;
}

const ACCESSES = ['read', 'write', 'execute', 'read-write'] as const;

/**
 * What an exit is about, as a number: exits of one reason with the same number have the same facets but for vCPU and RIP. Undefined for
 * exits that are too rare to have one.
 */
function detailOf(exit: VmExit, rax: bigint): number | undefined {
  switch (exit.reason) {
    case 'io':
      return (exit.port * 8 + exit.size) * 2 + (exit.write ? 1 : 0);
    case 'mmio':
      return Number(exit.gpa >> 12n) * 4 + (exit.fetch ? 2 : exit.write ? 1 : 0);
    case 'second-level-violation':
    case 'second-level-misconfiguration':
      return Number(exit.gpa >> 12n) * 8 + (exit.duringWalk ? ACCESSES.length : ACCESSES.indexOf(exit.access));
    case 'dirty-log':
      return Number(exit.gpa >> 12n);
    case 'apic':
      return Number(exit.gpa & 0xfffn) * 2 + (exit.write ? 1 : 0);
    case 'msr-read':
    case 'msr-write':
      return exit.msr >>> 0;
    case 'hypercall':
      return Number(rax) * 2 + (exit.instruction === 'vmcall' ? 1 : 0);
    case 'cpuid':
      return exit.leaf >>> 0;
    case 'cr':
      return exit.access === 'mov-to' ? exit.register : exit.access === 'mov-from' ? 16 + exit.register : undefined;
    case 'exception':
    case 'external-interrupt':
      return exit.vector;
    case 'hlt':
    case 'pause':
    case 'interrupt-window':
    case 'nmi-window':
    case 'rdpmc':
    case 'monitor':
    case 'mwait':
    case 'preemption-timer':
    case 'smi':
    case 'monitor-trap':
      return 0;
    default:
      return undefined;
  }
}

/** Finds the kind of an exit without making any of its texts. It takes memory by the kinds, never by the exits. */
export class ExitKinds<Kind extends ExitKind> {
  /** By instruction, then by reason, vCPU and detail. */
  private readonly byRip = new Map<bigint, Map<number, Kind>>();
  private size = 0;
  /** Kinds that were found last, by a few bits of what they are found by: a guest in a loop leaves in a few ways. */
  private readonly recent: (Recent<Kind> | undefined)[] = new Array(RECENT).fill(undefined);

  /** `make` begins a kind with its first exit. */
  constructor(private readonly make: (sample: ExitEntry) => Kind) {}

  /**
   * The kind of an exit, whose reason has this number; undefined where it has none, or there are too many. `low`, `high`: the halves of
   * its RIP.
   */
  of(entry: ExitEntry, reason: number, low: number, high: number): Kind | undefined {
    const { exit, rax, vcpu } = entry;
    const detail = detailOf(exit, rax);
    if (detail === undefined || detail > MOST_DETAIL || vcpu >= VCPUS) return undefined;
    const key = (detail * REASONS + reason) * VCPUS + vcpu;
    const place = (low ^ reason ^ detail) & (RECENT - 1);
    const recent = this.recent[place];
    const isRecent = recent !== undefined && recent.low === low && recent.high === high && recent.key === key;
    const kind = isRecent ? recent.kind : this.find(entry, key);
    if (kind === undefined || !isServedAlike(kind.sample, entry)) return undefined;
    if (!isRecent) this.recent[place] = { low, high, key, kind };
    return kind;
  }

  /** The kind by what it is found by, a new one if need be; undefined when there are too many. */
  private find(entry: ExitEntry, key: number): Kind | undefined {
    const kinds = this.byRip.get(entry.exit.rip);
    const kind = kinds?.get(key);
    if (kind || this.size >= MOST_KINDS) return kind;
    this.size++;
    const made = this.make(entry);
    if (kinds) kinds.set(key, made);
    else this.byRip.set(entry.exit.rip, new Map([[key, made]]));
    return made;
  }

  *[Symbol.iterator](): Generator<Kind, void> {
    for (const kinds of this.byRip.values()) yield* kinds.values();
  }

  clear(): void {
    this.byRip.clear();
    this.recent.fill(undefined);
    this.size = 0;
  }
}

function isServedAlike(a: ExitEntry, b: ExitEntry): boolean {
  return a.partition === b.partition && a.to === b.to && a.handler === b.handler;
}

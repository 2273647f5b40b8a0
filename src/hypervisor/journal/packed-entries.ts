import { EXIT_REASONS, type ExitPlace } from '../../processor/exit.ts';
import type { ServedBy } from '../../stages/stage.ts';
import { ExitEntry, type RequestFormat, type ResultFormat } from './exit-entry.ts';
import { DETAIL_NUMBERS, DETAIL_WIDE, packDetail, unpackDetail } from './packed-exit.ts';

/** Places of an entry's numbers: reason, mode, vendor and instruction length in one; partition; vCPU; detail. */
const Numbers = { HEAD: 0, PARTITION: 1, VCPU: 2, DETAIL: 3, SIZE: 3 + DETAIL_NUMBERS } as const;
const Wide = { RIP: 0, ICOUNT: 1, RAX: 2, RESULT: 3, DETAIL: 7, SIZE: 7 + DETAIL_WIDE } as const;
/** Bits of the head above the reason's number. */
const MODE_SHIFT = 8;
const AMD = 1 << 15;
const LENGTH_SHIFT = 16;

/** Texts and functions that the program has anyway: an entry only points to them. */
interface Constants {
  handler: string | undefined;
  to: ServedBy | undefined;
  stage: string | undefined;
  asked: string | RequestFormat | undefined;
  outcome: string | ResultFormat | undefined;
  special: ExitPlace['special'];
}

/**
 * Entries of exits in rows of numbers. Entries as objects would outlive several collections of garbage before they are dropped, and
 * moving them cost more than the exits.
 */
export class PackedEntries {
  private rows = 0;
  private seqs = new Float64Array(0);
  private numbers = new Uint32Array(0);
  private wide = new BigUint64Array(0);
  /** The wide ones again, in halves, the low one first: reading them makes no big integers. */
  private halves = new Uint32Array(0);
  private readonly constants: Constants[] = [];

  /** `most`: rows that there can be. Their memory is taken as they are used. */
  constructor(private readonly most: number) {}

  /**
   * Keeps an entry in a row, at most one behind those in use; false for one that has what rows have no room for. `reason`: the number of
   * its reason.
   */
  put(row: number, entry: ExitEntry, reason: number): boolean {
    const { exit, outcome } = entry;
    if (entry.refused !== undefined || exit.during !== undefined || exit.unblockedNmis !== undefined) return false;
    if (row >= this.rows) this.grow();
    const { numbers, wide } = this;
    const at = row * Numbers.SIZE;
    const wideAt = row * Wide.SIZE;
    if (!packDetail(exit, numbers, at + Numbers.DETAIL, wide, wideAt + Wide.DETAIL)) return false;
    const vendor = entry.vendor === 'amd' ? AMD : 0;
    numbers[at] = reason | (entry.mode << MODE_SHIFT) | vendor | (exit.instructionLength << LENGTH_SHIFT);
    numbers[at + Numbers.PARTITION] = entry.partition;
    numbers[at + Numbers.VCPU] = entry.vcpu;
    this.seqs[row] = entry.seq;
    wide[wideAt] = exit.rip;
    wide[wideAt + Wide.ICOUNT] = exit.icount;
    wide[wideAt + Wide.RAX] = entry.rax;
    if (typeof outcome === 'function') {
      wide[wideAt + Wide.RESULT] = entry.first;
      wide[wideAt + Wide.RESULT + 1] = entry.second;
      wide[wideAt + Wide.RESULT + 2] = entry.third;
      wide[wideAt + Wide.RESULT + 3] = entry.fourth;
    }
    const constants = this.constants[row];
    if (constants === undefined) return false;
    constants.handler = entry.handler;
    constants.to = entry.to;
    constants.stage = entry.stage;
    constants.asked = entry.asked;
    constants.outcome = outcome;
    constants.special = exit.special;
    return true;
  }

  /** The halves of RIP in a row that was put there. */
  ripLow(row: number): number {
    return this.halves[2 * (row * Wide.SIZE + Wide.RIP)] ?? 0;
  }
  ripHigh(row: number): number {
    return this.halves[2 * (row * Wide.SIZE + Wide.RIP) + 1] ?? 0;
  }
  /** The retired instructions in a row that was put there: exact up to 2^53. */
  icount(row: number): number {
    const at = 2 * (row * Wide.SIZE + Wide.ICOUNT);
    return (this.halves[at] ?? 0) + (this.halves[at + 1] ?? 0) * 2 ** 32;
  }

  /** The entry in a row that was put there. */
  get(row: number): ExitEntry | undefined {
    const constants = this.constants[row];
    const [head = 0, partition = 0, vcpu = 0] = this.numbers.subarray(row * Numbers.SIZE);
    const reason = EXIT_REASONS[head & 0xff];
    if (constants === undefined || reason === undefined) return undefined;
    const wideAt = row * Wide.SIZE;
    const at = row * Numbers.SIZE + Numbers.DETAIL;
    const detail = unpackDetail(reason, this.numbers, at, this.wide, wideAt + Wide.DETAIL);
    if (detail === undefined) return undefined;
    const { special, handler, to, stage, asked, outcome } = constants;
    const [rip = 0n, icount = 0n, rax = 0n, first, second, third, fourth] = this.wide.subarray(wideAt, wideAt + Wide.DETAIL);
    const exit = { ...detail, rip, icount, instructionLength: head >>> LENGTH_SHIFT, special };
    const width = (head >>> MODE_SHIFT) & 0x7f;
    const mode = width === 16 ? 16 : width === 32 ? 32 : 64;
    const entry = new ExitEntry(this.seqs[row] ?? 0, partition, vcpu, head & AMD ? 'amd' : 'intel', exit, rax, mode);
    Object.assign(entry, { handler, to, stage, asked, outcome });
    if (typeof outcome === 'function') Object.assign(entry, { first, second, third, fourth });
    return entry;
  }

  private grow(): void {
    const rows = Math.min(Math.max(64, 2 * this.rows), this.most);
    const grown = <Kind extends { set(from: Kind): void }>(kind: Kind, from: Kind) => {
      kind.set(from);
      return kind;
    };
    this.seqs = grown(new Float64Array(rows), this.seqs);
    this.numbers = grown(new Uint32Array(rows * Numbers.SIZE), this.numbers);
    this.wide = grown(new BigUint64Array(rows * Wide.SIZE), this.wide);
    this.halves = new Uint32Array(this.wide.buffer);
    while (this.constants.length < rows)
      this.constants.push({
        handler: undefined,
        to: undefined,
        stage: undefined,
        asked: undefined,
        outcome: undefined,
        special: undefined,
      });
    this.rows = rows;
  }

  clear(): void {
    this.rows = 0;
    this.seqs = new Float64Array(0);
    this.numbers = new Uint32Array(0);
    this.wide = new BigUint64Array(0);
    this.halves = new Uint32Array(0);
    this.constants.length = 0;
  }
}

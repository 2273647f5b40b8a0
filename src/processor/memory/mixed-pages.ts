import { type CodeBits, hasBits } from './code-registry.ts';
import type { PageRange } from './table-registry.ts';

const ENTRIES = 8;

/** A page: linear address in halves, the right to it, which of its bytes have code, its byte offset in the partition's memory. */
interface MixedPage {
  readonly low: number;
  readonly high: number;
  readonly user: boolean;
  readonly code: CodeBits;
  readonly offset: number;
}

/**
 * Write translations of the few pages that a program stores to beside its own code. They can't be in the TLB, whose pages are
 * written without asking: here the page is known, and only the bytes must be asked about.
 */
export class MixedPages {
  private readonly pages: (MixedPage | undefined)[] = new Array(ENTRIES).fill(undefined);
  private isEmpty = true;

  /** The place in the memory of a store within a page that is known, when it touches no code; else 0. */
  place(low: number, high: number, size: number, user: boolean): number {
    if (this.isEmpty) return 0;
    const page = this.pages[(low >>> 12) & (ENTRIES - 1)];
    if (page === undefined || page.low !== (low & 0xffff_f000) || page.high !== high || page.user !== user) return 0;
    const inPage = low & 0xfff;
    return hasBits(page.code, inPage, size) ? 0 : page.offset + inPage;
  }

  /**
   * Enters the page of an access that was translated. `offset`: of the access's place in the memory. The page must be forgotten
   * ({@link flush}) when it gets its first code again, whose bits are others.
   */
  enter(low: number, high: number, user: boolean, code: CodeBits, offset: number): void {
    this.pages[(low >>> 12) & (ENTRIES - 1)] = { low: low & 0xffff_f000, high, user, code, offset: offset - (low & 0xfff) };
    this.isEmpty = false;
  }

  /** Forgets all: the translations may be others now. */
  flush(): void {
    if (this.isEmpty) return;
    this.pages.fill(undefined);
    this.isEmpty = true;
  }

  /** Forgets a range of linear pages, which are numbered within the 48 bits that are translated. */
  dropPages({ first, count }: PageRange): void {
    for (const [entry, page] of this.pages.entries()) {
      if (page === undefined) continue;
      const number = (page.high & 0xffff) * 0x10_0000 + (page.low >>> 12);
      if (number >= first && number < first + count) this.pages[entry] = undefined;
    }
  }
}

import type { PartitionMemory } from './partition-memory.ts';

/** A vCPU's decoded code, as the registry sees it. */
export interface CodeHolder {
  /** Drops blocks that have bytes in the range. */
  dropCode(gpa: bigint, length: number): void;
  /** Drops what lets stores reach a page of RAM without asking: it gets its first decoded code. */
  dropWriteTranslations(gpa: number): void;
}

/** Words of 32 bits that have a bit for each byte of a page. */
const WORDS = 0x1000 / 32;

/** Which bytes of a page have code: a bit each. */
export type CodeBits = Int32Array;

interface CodePage {
  readonly bits: CodeBits;
  /** How many words of the bits aren't 0. */
  words: number;
}

/**
 * Which bytes of a partition's memory have decoded code, for all of its vCPUs. Stores to pages with code ask here; those that
 * touch code drop it everywhere, and those beside it leave it: small programs have their data right behind their instructions.
 */
export class CodeRegistry {
  /** By page number. */
  private readonly pages = new Map<number, CodePage>();
  private readonly holders: CodeHolder[] = [];

  constructor(memory: PartitionMemory) {
    memory.onWrite((gpa, length) => this.written(gpa, length));
  }

  join(holder: CodeHolder): void {
    this.holders.push(holder);
  }

  /** Whether the page of a guest physical address has any. */
  hasCode(gpa: number): boolean {
    return this.pages.has(Math.floor(gpa / 0x1000));
  }

  /** Whether a range within a page has any. */
  isCode(gpa: number, length: number): boolean {
    const bits = this.bitsOf(gpa);
    return bits !== undefined && hasBits(bits, gpa % 0x1000, length);
  }

  /** What the page of a guest physical address has, as long as it has any and holders aren't told of first code in it. */
  bitsOf(gpa: number): CodeBits | undefined {
    return this.pages.get(Math.floor(gpa / 0x1000))?.bits;
  }

  /** Says that code was decoded from a range within one page. */
  add(gpa: bigint, length: number): void {
    const number = Number(gpa >> 12n);
    let page = this.pages.get(number);
    if (!page) {
      page = { bits: new Int32Array(WORDS), words: 0 };
      this.pages.set(number, page);
      for (const holder of this.holders) holder.dropWriteTranslations(number * 0x1000);
    }
    const from = Number(gpa & 0xfffn);
    const end = from + length;
    for (let word = from >>> 5; word << 5 < end; word++) {
      const old = page.bits[word] ?? 0;
      if (old === 0) page.words++;
      page.bits[word] = old | maskOf(word, from, end);
    }
  }

  /** Says that RAM changed: decoded code there is dropped. */
  written(gpa: bigint, length: number): void {
    if (this.pages.size === 0) return;
    const last = (gpa + BigInt(length) - 1n) >> 12n;
    for (let page = gpa >> 12n; page <= last; page++) {
      const start = page << 12n;
      const from = start > gpa ? 0 : Number(gpa - start);
      const end = Math.min(0x1000, Number(gpa - start) + length);
      if (this.clear(Number(page), from, end))
        for (const holder of this.holders) holder.dropCode(start + BigInt(from), end - from);
    }
  }

  /**
   * Forgets a range of a page, whose code is dropped; says whether there was any. The bits of dropped code outside of the range
   * stay until they are written in turn. A page without any is an ordinary one again.
   */
  private clear(number: number, from: number, end: number): boolean {
    const page = this.pages.get(number);
    if (!page) return false;
    let wasCode = false;
    for (let word = from >>> 5; word << 5 < end; word++) {
      const old = page.bits[word] ?? 0;
      const mask = maskOf(word, from, end);
      if ((old & mask) === 0) continue;
      wasCode = true;
      page.bits[word] = old & ~mask;
      if ((old & ~mask) === 0) page.words--;
    }
    if (page.words === 0) this.pages.delete(number);
    return wasCode;
  }
}

/** Whether any byte of a range within a page is code. `from`: offset in the page. */
export function hasBits(bits: CodeBits, from: number, length: number): boolean {
  const end = from + length;
  for (let word = from >>> 5; word << 5 < end; word++) if (((bits[word] ?? 0) & maskOf(word, from, end)) !== 0) return true;
  return false;
}

/** The bits of one word for the bytes from `from` up to `end` of its page. */
function maskOf(word: number, from: number, end: number): number {
  const low = Math.max(0, from - (word << 5));
  const high = Math.min(32, end - (word << 5));
  return (high === 32 ? -1 : (1 << high) - 1) & (-1 << low);
}

const registries = new WeakMap<PartitionMemory, CodeRegistry>();

/** The registry of a partition's memory. */
export function codeRegistry(memory: PartitionMemory): CodeRegistry {
  let registry = registries.get(memory);
  if (!registry) {
    registry = new CodeRegistry(memory);
    registries.set(memory, registry);
  }
  return registry;
}

import type { DmaMemory } from '../../../devices/dma.ts';
import type { InspectNode } from '../../../devices/inspect.ts';
import { hex } from '../../../x86/address.ts';
import { GuestPages, MOST_PAGES, problemOfRange, readRanges } from './guest-pages.ts';

/**
 * A GPADL (guest physical address descriptor list): memory that the guest describes to the host once, in one message or several, and refers
 * to by a number from then on.
 */
export class Gpadl {
  private readonly words: Uint8Array;
  private received = 0;
  private pages: GuestPages | undefined;
  /** The channel that has its rings in it. */
  user: number | undefined;

  /** `size`: bytes of all its ranges; `count`: how many ranges they are. */
  constructor(
    readonly id: number,
    readonly channel: number,
    size: number,
    private readonly count: number,
  ) {
    this.words = new Uint8Array(size);
  }

  /** Takes what a message has of it. True once all is there. */
  add(data: Uint8Array): boolean {
    const part = data.subarray(0, this.words.length - this.received);
    this.words.set(part, this.received);
    this.received += part.length;
    return this.isWhole;
  }

  get isWhole(): boolean {
    return this.received === this.words.length;
  }

  /** Checks what the guest described, once all is there. Undefined where it is good, else what is wrong. */
  finish(dma: DmaMemory): string | undefined {
    const ranges = readRanges(this.words, this.count);
    if (typeof ranges === 'string') return ranges;
    for (const range of ranges) {
      const problem = problemOfRange(dma, range);
      if (problem !== undefined) return problem;
    }
    this.pages = new GuestPages(dma, ranges);
    return undefined;
  }

  /** Its memory; undefined until it is all described. */
  get buffer(): GuestPages | undefined {
    return this.pages;
  }
  /** Pages that it has, or will have. */
  get pageCount(): number {
    return Math.floor(this.words.length / 8);
  }

  end(): void {
    this.pages?.end();
  }

  inspect(): InspectNode {
    const { pages, user } = this;
    const use = user === undefined ? '' : `, rings of channel ${user}`;
    return {
      name: `GPADL ${hex(this.id)}`,
      value: pages ? `${pages.length} bytes` : 'incomplete',
      detail: `of channel ${this.channel}${use}`,
      ...firstPlace(pages),
    };
  }
}

function firstPlace(pages: GuestPages | undefined): Pick<InspectNode, 'memory'> {
  const address = pages?.addressOf(0);
  return address === undefined ? {} : { memory: { space: 'gpa', address } };
}

/** What is wrong with the sizes that a header tells of, as a part of a sentence. */
export function problemOfSizes(size: number, count: number, pagesInUse: number): string | undefined {
  if (count === 0) return 'it has no ranges';
  if (size < count * 16) return `${size} bytes are too few for ${count} ranges`;
  if (size % 8 !== 0) return `${size} bytes are no whole page numbers`;
  if (pagesInUse + size / 8 > MOST_PAGES) return 'the guest has described too much memory already';
  return undefined;
}

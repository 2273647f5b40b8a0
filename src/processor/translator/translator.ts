import type { TranslationStatistics } from '../processor.ts';
import { I64 } from '../wasm/code.ts';
import { buildModule } from '../wasm/module.ts';
import { FLAG_BITS_TYPE, flagBitsFunction } from './recipes.ts';
import type { RegionMode } from './region-builder.ts';
import { emitRegion } from './region-emitter.ts';
import { type CodeView, discoverRegion } from './region-graph.ts';
import { ASSIST, ASSIST_TYPE, REGION_TYPE, type RegionFunction } from './region-locals.ts';

/** A page of a region's code: linear page number as the vCPU fetches it, and where that was found. */
export interface RegionPage {
  /** An offset in CS within the page. */
  readonly rip: bigint;
  /** Guest physical address of that byte. */
  readonly gpa: bigint;
}

/** Code that has been translated. */
export interface Region {
  /** Place of its function in the table. */
  readonly index: number;
  /** Keys of the blocks that it can be entered at. */
  readonly heads: readonly string[];
  readonly pages: readonly RegionPage[];
  /** Guest physical ranges of its code, each within a page. */
  readonly ranges: readonly { readonly gpa: bigint; readonly length: number }[];
  readonly instructions: number;
  /** Bytes of WebAssembly. */
  readonly size: number;
}

/** The code around a hot place, as its vCPU sees it. */
export interface HotCode extends CodeView {
  readonly mode: RegionMode;
  /** The key of the block at an offset in CS. */
  key(rip: bigint): string;
  /** Guest physical address of a byte of code that {@link CodeView.decode} gave. */
  gpa(rip: bigint): bigint;
  readonly pages: readonly RegionPage[];
}

export interface TranslatorOptions {
  /** Times that a place is jumped to before it is translated; 0: never. */
  readonly threshold: number;
  /** Most bytes of WebAssembly that are kept; machine code takes about ten times as much. */
  readonly capacity: number;
  /** Most instructions that are translated together, those counted more that become more code. */
  readonly regionSize: number;
  /** Each time that translated code has changed doubles the threshold for its page, up to so many times. */
  readonly mostDoublings: number;
}

export const DEFAULT_TRANSLATOR: TranslatorOptions = { threshold: 3000, capacity: 16 << 20, regionSize: 500, mostDoublings: 12 };

/** Milliseconds of the host's time: for statistics, which nothing that the guest sees depends on. */
function hostTime(): number {
  // biome-ignore lint/style/noRestrictedGlobals: no guest time is made of it
  return performance.now();
}

/** What becomes of regions is told to the code cache, which leads to them. */
export interface RegionHolder {
  entered(region: Region): void;
  left(region: Region): void;
}

/** The translator tier of one vCPU: makes regions of hot code, and keeps them within bounds. */
export class Translator {
  /** The functions of regions by their numbers: generated code calls them through it. */
  readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: 64 });
  private readonly regions: Region[] = [];
  /** By guest physical page. */
  private readonly byPage = new Map<bigint, Set<Region>>();
  /** How often code of a guest physical page was translated in vain: it changed again. */
  private readonly changes = new Map<bigint, number>();
  private readonly free: number[] = [];
  private next = 0;
  private size = 0;
  readonly options: TranslatorOptions;
  private made = 0;
  private longest = 0;

  constructor(
    private readonly memory: WebAssembly.Memory,
    /** Place of the vCPU's state block. */
    private readonly base: number,
    private readonly holder: RegionHolder,
    /** See ASSIST in region-locals.ts. */
    private readonly assist: (number: number, immediate: number) => number,
    options: Partial<TranslatorOptions> = {},
  ) {
    this.options = { ...DEFAULT_TRANSLATOR, ...options };
  }

  get statistics(): TranslationStatistics {
    return { made: this.made, kept: this.regions.length, bytes: this.size, longest: this.longest };
  }

  /** Translates the code at a hot place; false where it can't be. */
  translate(code: HotCode, entry: bigint): boolean {
    const began = hostTime();
    const graph = discoverRegion(code, entry, this.options.regionSize);
    if (!graph) return false;
    const flags = flagBitsFunction();
    // Behind the imported function.
    const region = emitRegion(graph, code.mode, ASSIST + 1);
    const bytes = buildModule({
      imports: [{ name: 'assist', type: ASSIST_TYPE }],
      functions: [
        { name: 'flags', type: FLAG_BITS_TYPE, locals: [{ count: flags.locals, type: I64 }], body: flags.body },
        { name: 'region', type: REGION_TYPE, locals: region.locals, body: region.body },
      ],
    });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      env: { memory: this.memory, assist: this.assist },
    });
    // Some engines compile a function when it is first called: now, with nothing to be retired.
    (exports.region as RegionFunction)(this.base, 0);
    const index = this.place();
    this.table.set(index, exports.region);
    const ranges = [...graph.blocks.values()].flatMap((block) =>
      block.instructions.map(({ rip, decoded }) => ({ gpa: code.gpa(rip), length: decoded.instruction.length })),
    );
    this.add({
      index,
      heads: graph.targets.map((rip) => code.key(rip)),
      // Pages that were only looked at don't matter.
      pages: code.pages.filter((page) => ranges.some(({ gpa }) => gpa >> 12n === page.gpa >> 12n)),
      ranges,
      instructions: graph.instructions,
      size: bytes.length,
    });
    this.made++;
    this.longest = Math.max(this.longest, hostTime() - began);
    return true;
  }

  /** How often a place in a guest physical page must be jumped to until it is translated: more often where code has changed. */
  patience(gpa: bigint): number {
    return this.options.threshold << Math.min(this.changes.get(gpa >> 12n) ?? 0, this.options.mostDoublings);
  }

  private place(): number {
    const free = this.free.pop();
    if (free !== undefined) return free;
    if (this.next === this.table.length) this.table.grow(this.table.length);
    return this.next++;
  }

  private add(region: Region): void {
    while (this.size + region.size > this.options.capacity && this.regions[0]) this.drop(this.regions[0]);
    this.regions.push(region);
    this.size += region.size;
    for (const { gpa } of region.ranges) {
      const page = gpa >> 12n;
      const set = this.byPage.get(page);
      if (set) set.add(region);
      else this.byPage.set(page, new Set([region]));
    }
    this.holder.entered(region);
  }

  drop(region: Region): void {
    const at = this.regions.indexOf(region);
    if (at < 0) return;
    this.regions.splice(at, 1);
    this.size -= region.size;
    for (const { gpa } of region.ranges) this.byPage.get(gpa >> 12n)?.delete(region);
    this.holder.left(region);
    this.table.set(region.index, null);
    this.free.push(region.index);
  }

  /** Drops regions with bytes in a guest physical range. */
  dropCode(gpa: bigint, length: number): void {
    const end = gpa + BigInt(length);
    for (let page = gpa >> 12n; page <= (end - 1n) >> 12n; page++)
      for (const region of this.byPage.get(page) ?? [])
        if (region.ranges.some((range) => range.gpa < end && gpa < range.gpa + BigInt(range.length))) {
          this.changes.set(page, (this.changes.get(page) ?? 0) + 1);
          this.drop(region);
        }
  }

  dropAll(): void {
    for (const region of [...this.regions]) this.drop(region);
  }
}

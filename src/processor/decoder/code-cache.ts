import { GuestFault } from '../faults/guest-fault.ts';
import type { HandlerTable } from '../interpreter/handler-table.ts';
import * as O from '../interpreter/operation.ts';
import { type CodeHolder, type CodeRegistry, codeRegistry } from '../memory/code-registry.ts';
import type { PartitionMemory } from '../memory/partition-memory.ts';
import { AccessExit } from '../system/context.ts';
import { type RunBlock, type RunBlocks, viewHotCode } from '../translator/hot-code.ts';
import type { RegionMode } from '../translator/region-builder.ts';
import { type Region, Translator, type TranslatorOptions } from '../translator/translator.ts';
import type { DecodeMode } from './choose-form.ts';
import { type Decoded, decode } from './decode.ts';
import { encodeMarker, encodeOperation } from './encode-operation.ts';

const MAX_BLOCK = 32;
/** Contexts that a region is remembered to hold in. */
const MOST_CONTEXTS = 16;
/** Two operations at the front of the area are for single, uncached instructions. */
const SCRATCH = O.OPERATIONS;
const FIRST = SCRATCH + 2 * O.OPERATION_SIZE;
/** Bytes that a block may take, at most. */
const LONGEST_BLOCK = O.OPERATION_SIZE * (2 * MAX_BLOCK + 2);

interface Block {
  readonly at: number;
  readonly count: number;
  readonly key: string;
  readonly gpa: bigint;
  readonly length: number;
}

/** What the cache asks of its vCPU. */
export interface CodeSource {
  readonly decodeMode: DecodeMode;
  /** Number that is different for each address space and mode. */
  readonly context: number;
  /** Limits and rights must be checked for an instruction whose memory operand is in this segment. */
  checks(segment: number): boolean;
  /** Guest physical address of a code byte; throws GuestFault when it can't be fetched. `rip` is an offset in CS. */
  fetchAddress(rip: bigint): bigint;
  /** How many bytes of code CS has from `rip` on, at most 16: 0 when it is beyond the limit. */
  codeRoom(rip: bigint): number;
  /** RIP plus bytes, wrapped as the mode does. */
  advance(rip: bigint, bytes: number): bigint;
  /**
   * Whether the second place needs no look at limits, rights and translations when the first one was fetched: it is in the
   * same page, and CS has no limit.
   */
  isFetchedWith(rip: bigint, other: bigint): boolean;
  /** Guest physical address of a code byte whose fetch would change nothing, not even an accessed bit; else undefined. */
  peekFetch(rip: bigint): bigint | undefined;
  /** The mode that code is translated for. */
  readonly regionMode: RegionMode;
  /** A breakpoint of the debugger or of DR0–DR3 is on this instruction. */
  breaksAt(rip: bigint): boolean;
}

/** The decoded code of one vCPU, in its cache area, found by physical address, RIP and mode. */
export class CodeCache implements CodeHolder, RunBlocks {
  private readonly view: DataView;
  private readonly registry: CodeRegistry;
  private readonly blocks = new Map<string, Block>();
  /** Blocks by the physical pages that they have bytes in. */
  private readonly byPage = new Map<bigint, Set<Block>>();
  /** Physical address of the second part of blocks that cross into another page. */
  private readonly tails = new WeakMap<Block, bigint>();
  /** What helpers need to know; the first place is for a single instruction. */
  private readonly instructions: (Decoded | undefined)[] = [undefined];
  /** Operations of the running block that were made to leave it, with their handlers. */
  private ended: { readonly at: number; handler: number }[] = [];
  private next = FIRST;
  private mode = 0;
  readonly translator: Translator;
  /** Translated code by the keys of the blocks that lead to it. */
  private readonly regions = new Map<string, Region>();
  /** Contexts that regions with code in several pages are known to hold in. */
  private readonly confirmed = new WeakMap<Region, Set<number>>();

  constructor(
    private readonly memory: PartitionMemory,
    private readonly base: number,
    private readonly table: HandlerTable,
    private readonly source: CodeSource,
    /** A page of RAM, given by its guest physical address, gets its first code: stores to it must ask from now on. */
    private readonly onFirstCode: (gpa: number) => void,
    assist: (number: number, immediate: number) => number,
    translatorOptions?: Partial<TranslatorOptions>,
  ) {
    this.view = memory.view;
    this.translator = new Translator(
      memory.wasm,
      base,
      { entered: (region) => this.enterRegion(region), left: (region) => this.leaveRegion(region) },
      assist,
      translatorOptions,
    );
    this.registry = codeRegistry(memory);
    this.registry.join(this);
  }

  /** Must be called when the decode mode changed. */
  setMode(key: number): void {
    this.mode = key;
  }

  /** The decoded instruction of a helper's operation. */
  instructionAt(operation: number): Decoded {
    const decoded = this.instructions[this.view.getInt32(operation + O.OP_INSTRUCTION, true)];
    if (!decoded) throw new Error('operation without its instruction');
    return decoded;
  }

  /** Length in bytes of the instruction of an operation. */
  lengthOf(operation: number): number {
    return this.view.getUint8(operation + O.OP_LENGTH);
  }

  /** Finds or decodes the block at `rip` and enters it in the jump cache. Throws GuestFault when the first instruction can't be. */
  enter(rip: bigint): number {
    const gpa = this.source.fetchAddress(rip);
    const key = this.keyOf(rip, gpa);
    let block = this.blocks.get(key);
    if (block && !this.tailStands(block, rip)) {
      this.dropBlock(block);
      block = undefined;
    }
    block ??= this.decodeBlock(rip, gpa, key);
    this.enterJump(rip, this.base + block.at);
    return this.base + block.at;
  }

  /** Decodes one instruction without caching and without breakpoints; returns its operation. */
  single(rip: bigint): { operation: number; decoded: Decoded } {
    const decoded = this.decodeAt(rip);
    this.instructions[0] = decoded;
    const at = this.base + SCRATCH;
    encodeOperation(this.view, this.base, at, decoded, rip, this.table, 0, this.source.checks(decoded.instruction.segment));
    encodeMarker(this.view, at + O.OPERATION_SIZE, O.Handler.END, this.source.advance(rip, decoded.instruction.length));
    this.view.setUint8(at + O.OP_REST, 1);
    this.view.setUint8(at + O.OPERATION_SIZE + O.OP_REST, 0);
    return { operation: at, decoded };
  }

  decodeAt(rip: bigint): Decoded {
    return this.decodeWith(rip, this.source.fetchAddress(rip));
  }

  /** Decodes at `rip`, whose first byte is at a guest physical address. */
  private decodeWith(rip: bigint, gpa: bigint): Decoded {
    const place = this.memory.locate(gpa);
    const inPage = 0x1000 - Number(gpa & 0xfffn);
    return decode(
      {
        bytes: this.memory.bytes,
        at: place?.offset ?? 0,
        room: place ? Math.min(inPage, this.source.codeRoom(rip)) : 0,
        byteAt: (index) => this.byteAt(this.source.advance(rip, index)),
      },
      rip,
      this.source.decodeMode,
    );
  }

  dropCode(gpa: bigint, length: number): void {
    this.translator.dropCode(gpa, length);
    const last = (gpa + BigInt(length) - 1n) >> 12n;
    for (let page = gpa >> 12n; page <= last; page++)
      // A block with a tail in another page is dropped whenever that page's code is.
      for (const block of this.byPage.get(page) ?? [])
        if (this.tails.has(block) || (block.gpa < gpa + BigInt(length) && gpa < block.gpa + BigInt(block.length)))
          this.dropBlock(block);
  }

  dropWriteTranslations(gpa: number): void {
    this.onFirstCode(gpa);
  }

  /**
   * Makes the running block end behind an operation, or behind its pass of a REP instruction: the next instruction is
   * fetched anew. Until {@link mendBlock}.
   */
  endBlockAfter(operation: number): void {
    if (this.ended.length > 0) return;
    for (const at of [operation, operation + O.OPERATION_SIZE]) {
      this.ended.push({ at, handler: this.view.getInt32(at + O.OP_HANDLER, true) });
      this.view.setInt32(at + O.OP_HANDLER, O.Handler.DROPPED, true);
    }
  }

  /** Generated code was left: the block may be used again. */
  mendBlock(): void {
    if (this.ended.length === 0) return;
    for (const { at, handler } of this.ended) this.view.setInt32(at + O.OP_HANDLER, handler, true);
    this.ended = [];
  }

  /** Drops all decoded and translated code of this vCPU: breakpoints changed. */
  dropAll(): void {
    this.translator.dropAll();
    this.dropBlocks();
  }

  /** Drops all decoded code. Translated code stays, and new blocks lead to it. */
  private dropBlocks(): void {
    for (const block of this.blocks.values()) this.markDropped(block);
    this.blocks.clear();
    this.byPage.clear();
    this.instructions.length = 1;
    this.next = FIRST;
    this.forgetJumps();
  }

  /** Empties the jump cache. */
  forgetJumps(): void {
    const jumps = this.base + O.JUMP_CACHE;
    this.memory.bytes.fill(0, jumps, jumps + O.JUMP_ENTRIES * 16);
  }

  private byteAt(rip: bigint): number {
    const gpa = this.source.fetchAddress(rip);
    const place = this.memory.locate(gpa);
    return place ? (this.memory.bytes[place.offset] ?? 0xff) : 0xff;
  }

  private decodeBlock(start: bigint, gpa: bigint, key: string): Block {
    if (this.next > this.memory.vcpuSize - LONGEST_BLOCK) this.dropBlocks();
    const { source } = this;
    const at = this.next;
    const inPage = 0x1000 - Number(gpa & 0xfffn);
    const mayLink = (target: bigint) => source.isFetchedWith(start, target);
    let place = this.base + at;
    let rip = start;
    let count = 0;
    let length = 0;
    for (let instructions = 0; instructions < MAX_BLOCK; instructions++) {
      // Only the first instruction may lie in another page than the block's start.
      if (instructions > 0 && length >= inPage) break;
      let decoded: Decoded;
      try {
        // Within the page the translation is the block's.
        decoded = this.decodeWith(rip, gpa + BigInt(length));
        if (instructions > 0 && length + decoded.instruction.length > inPage) break;
      } catch (error) {
        // The fault, or the exit, belongs to its own instruction, when it is reached.
        if (instructions > 0 && (error instanceof GuestFault || error instanceof AccessExit)) break;
        throw error;
      }
      if (source.breaksAt(rip)) {
        encodeMarker(this.view, place, O.Handler.BREAK, rip);
        place += O.OPERATION_SIZE;
        count++;
      }
      const index = this.instructions.length;
      const checked = source.checks(decoded.instruction.segment);
      if (encodeOperation(this.view, this.base, place, decoded, rip, this.table, index, checked, mayLink))
        this.instructions.push(decoded);
      place += O.OPERATION_SIZE;
      count++;
      length += decoded.instruction.length;
      rip = source.advance(rip, decoded.instruction.length);
      if (decoded.form.definition.endsBlock || decoded.form.definition.helper) break;
    }
    encodeMarker(this.view, place, O.Handler.END, rip, mayLink(rip));
    count++;
    this.countRest(place);
    this.view.setInt32(this.base + at + O.OP_HEAT, this.translator.patience(gpa), true);
    this.next = at + count * O.OPERATION_SIZE;
    const block: Block = { at, count, key, gpa, length };
    this.blocks.set(key, block);
    this.remember(block, start);
    const region = this.regions.get(key);
    // It was made in another context, or before a page of it became another one.
    if (region) this.leadTo(block, region, O.NO_CONTEXT);
    return block;
  }

  /** Notes how many instructions of the block that was decoded last are still to come, for all operations up to its end. */
  private countRest(end: number): void {
    const { view } = this;
    let rest = 0;
    for (let place = end; place >= this.base + this.next; place -= O.OPERATION_SIZE) {
      const handler = view.getInt32(place + O.OP_HANDLER, true);
      if (handler !== O.Handler.END && handler !== O.Handler.BREAK) rest++;
      view.setUint8(place + O.OP_REST, rest);
    }
  }

  private remember(block: Block, start: bigint): void {
    const inPage = Math.min(block.length, 0x1000 - Number(block.gpa & 0xfffn));
    this.addToPage(block, block.gpa >> 12n);
    this.registry.add(block.gpa, inPage);
    if (inPage < block.length) {
      // The tail of a crossing instruction lies in another physical page, wherever that is.
      const tail = this.source.fetchAddress(this.source.advance(start, inPage));
      this.addToPage(block, tail >> 12n);
      this.registry.add(tail, block.length - inPage);
      this.tails.set(block, tail);
    }
  }

  /** True unless the second page of a crossing instruction is mapped elsewhere now. */
  private tailStands(block: Block, start: bigint): boolean {
    const tail = this.tails.get(block);
    if (tail === undefined) return true;
    return this.source.fetchAddress(this.source.advance(start, 0x1000 - Number(block.gpa & 0xfffn))) === tail;
  }

  private addToPage(block: Block, page: bigint): void {
    const set = this.byPage.get(page);
    if (set) set.add(block);
    else this.byPage.set(page, new Set([block]));
  }

  private dropBlock(block: Block): void {
    this.markDropped(block);
    this.blocks.delete(block.key);
    for (const gpa of [block.gpa, this.tails.get(block)])
      if (gpa !== undefined) {
        const set = this.byPage.get(gpa >> 12n);
        set?.delete(block);
        if (set?.size === 0) this.byPage.delete(gpa >> 12n);
      }
  }

  /** The operations may be running: each becomes one that asks to be decoded again. */
  private markDropped(block: Block): void {
    const start = this.base + block.at;
    this.ended = this.ended.filter(({ at }) => at < start || at >= start + block.count * O.OPERATION_SIZE);
    for (let index = 0; index < block.count; index++)
      this.view.setInt32(this.base + block.at + index * O.OPERATION_SIZE + O.OP_HANDLER, O.Handler.DROPPED, true);
  }

  // --- translated code ------------------------------------------------------------------------------------------------

  /** Translates the code at RIP, which has become hot. */
  translate(rip: bigint): void {
    const code = viewHotCode(rip, this.source, this.memory, this);
    if (code && !this.regions.has(code.key(rip))) this.translator.translate(code, rip);
  }

  /** Looks at the region at RIP in a context that it wasn't entered in before; what doesn't hold there is dropped. */
  confirmRegion(rip: bigint): void {
    const gpa = this.source.peekFetch(rip);
    const key = gpa === undefined ? '' : this.keyOf(rip, gpa);
    const region = this.regions.get(key);
    const block = this.blocks.get(key);
    if (!region || !block) return;
    const { context } = this.source;
    const confirmed = this.confirmed.get(region) ?? new Set();
    this.confirmed.set(region, confirmed);
    if (confirmed.has(context) || region.pages.every((page) => this.source.peekFetch(page.rip) === page.gpa)) {
      // Contexts come and go: old ones are no loss.
      if (confirmed.size >= MOST_CONTEXTS) confirmed.clear();
      confirmed.add(context);
      this.leadTo(block, region);
    } else this.translator.drop(region);
  }

  // What the translator asks of the blocks.

  keyOf(rip: bigint, gpa: bigint): string {
    return `${gpa}:${rip}:${this.mode}`;
  }
  has(key: string): boolean {
    return this.blocks.has(key);
  }
  *inPage(page: bigint): Iterable<RunBlock> {
    for (const { key, gpa, at } of this.byPage.get(page) ?? [])
      yield { key, gpa, heat: this.view.getInt32(this.base + at + O.OP_HEAT, true) };
  }
  patience(gpa: bigint): number {
    return this.translator.patience(gpa);
  }

  private enterRegion(region: Region): void {
    for (const { gpa, length } of region.ranges) this.registry.add(gpa, length);
    for (const key of region.heads) {
      this.regions.set(key, region);
      const block = this.blocks.get(key);
      if (block) this.leadTo(block, region);
    }
  }

  private leaveRegion(region: Region): void {
    for (const key of region.heads) {
      if (this.regions.get(key) !== region) continue;
      this.regions.delete(key);
      const block = this.blocks.get(key);
      const at = this.base + (block?.at ?? 0);
      if (block && this.handlerOf(at) === O.Handler.TRANSLATED) this.setHandler(at, this.view.getInt32(at + O.OP_ORIGINAL, true));
    }
  }

  /** Makes a block's first operation run the translated code, in a context that it is known to hold in. */
  private leadTo(block: Block, region: Region, context = this.source.context): void {
    const at = this.base + block.at;
    const handler = this.handlerOf(at);
    if (handler === O.Handler.BREAK || handler === O.Handler.DROPPED) return;
    if (handler !== O.Handler.TRANSLATED) this.view.setInt32(at + O.OP_ORIGINAL, handler, true);
    this.view.setInt32(at + O.OP_REGION, region.index, true);
    this.view.setInt32(at + O.OP_CONTEXT, region.pages.length > 1 ? context : 0, true);
    this.setHandler(at, O.Handler.TRANSLATED);
  }

  /** An operation's handler, also while the running block is made to end before it. */
  private handlerOf(at: number): number {
    return this.ended.find((item) => item.at === at)?.handler ?? this.view.getInt32(at + O.OP_HANDLER, true);
  }
  private setHandler(at: number, handler: number): void {
    const item = this.ended.find((place) => place.at === at);
    if (item) item.handler = handler;
    else this.view.setInt32(at + O.OP_HANDLER, handler, true);
  }

  private enterJump(rip: bigint, operation: number): void {
    const { context } = this.source;
    const slot =
      (Number((rip ^ (rip >> 12n)) & BigInt(O.JUMP_ENTRIES - 1)) ^ (context << O.JUMP_CONTEXT_SHIFT)) & (O.JUMP_ENTRIES - 1);
    const at = this.base + O.JUMP_CACHE + slot * 16;
    this.view.setBigUint64(at, rip, true);
    this.view.setInt32(at + 8, context, true);
    this.view.setInt32(at + 12, operation, true);
  }
}

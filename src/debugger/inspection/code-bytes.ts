import { Decoder, DecoderOptions, Instruction } from 'iced-x86';
import type { CodeMode, Processor } from '../../processor/processor.ts';
import { Segment } from '../../processor/state/layout.ts';
import { MASK_32, MASK_64, type MemoryPlace } from '../../x86/address.ts';
import { LONGEST_INSTRUCTION } from './instruction-flow.ts';

const PAGE = 4096n;
/** What can't be decoded has this length, and what can't be read has none. */
const UNDECODABLE = -1;

/**
 * The guest's code by linear (or physical) address, as it is now: bytes, and where instructions end. Pages are read once, without side
 * effects; addresses wrap as the mode's do.
 */
export class CodeBytes {
  readonly mode: CodeMode;
  private readonly mask: bigint;
  /** Linear address of the code segment: what instruction pointers count from outside of 64-bit code. */
  readonly base: bigint;
  private readonly pages = new Map<bigint, Uint8Array>();
  private readonly decoders = new Map<bigint, Decoder>();
  private readonly lengths = new Map<bigint, number>();
  private readonly scratch = new Instruction();

  constructor(
    private readonly processor: Processor,
    private readonly space: MemoryPlace['space'] = 'gva',
  ) {
    this.mode = processor.mode;
    this.mask = this.mode === 64 ? MASK_64 : MASK_32;
    this.base = this.mode === 64 || space === 'gpa' ? 0n : processor.state.segment(Segment.CS).base;
  }

  /** Frees what lies outside of the garbage collector's reach. */
  free(): void {
    this.scratch.free();
    for (const decoder of this.decoders.values()) decoder.free();
    this.decoders.clear();
  }

  wrap(address: bigint): bigint {
    return address & this.mask;
  }

  /** Instruction pointer (offset in CS) of a linear address, and back. */
  toOffset(linear: bigint): bigint {
    return BigInt.asUintN(this.mode, linear - this.base);
  }
  toLinear(offset: bigint): bigint {
    return this.wrap(BigInt.asUintN(this.mode, offset) + this.base);
  }

  /** Up to `count` bytes from an address on; fewer where the next one can't be read. */
  bytes(address: bigint, count: number): Uint8Array {
    const within = Number(address % PAGE);
    const page = this.page(address - BigInt(within));
    const first = page.subarray(within, within + count);
    if (first.length === count || page.length < Number(PAGE)) return first;
    const rest = this.bytes(this.wrap(address + BigInt(first.length)), count - first.length);
    const all = new Uint8Array(first.length + rest.length);
    all.set(first);
    all.set(rest, first.length);
    return all;
  }

  private page(address: bigint): Uint8Array {
    const known = this.pages.get(address);
    if (known) return known;
    const page = this.processor.readMemory(this.space, address, Number(PAGE));
    this.pages.set(address, page);
    return page;
  }

  /** Decodes into `into`; false where there is no instruction. */
  decode(address: bigint, into: Instruction): boolean {
    const within = Number(address % PAGE);
    const decoder = this.decoderOf(address - BigInt(within));
    if (!decoder || within >= decoder.maxPosition) return false;
    decoder.position = within;
    decoder.ip = this.toOffset(address);
    decoder.decodeOut(into);
    return !into.isInvalid;
  }

  /** A decoder for the instructions that begin in a page; the last one may end in the next page. */
  private decoderOf(page: bigint): Decoder | undefined {
    const known = this.decoders.get(page);
    if (known) return known;
    const bytes = this.bytes(page, Number(PAGE) + LONGEST_INSTRUCTION);
    if (bytes.length === 0) return undefined;
    const decoder = new Decoder(this.mode, bytes, DecoderOptions.None);
    this.decoders.set(page, decoder);
    return decoder;
  }

  /** Bytes of the line at an address: of its instruction, or 1 where nothing can be decoded or read. */
  lengthAt(address: bigint): number {
    return Math.max(1, this.instructionLength(address));
  }

  isInstruction(address: bigint): boolean {
    return this.instructionLength(address) > 0;
  }

  private instructionLength(address: bigint): number {
    const known = this.lengths.get(address);
    if (known !== undefined) return known;
    const length = this.decode(address, this.scratch) ? this.scratch.length : UNDECODABLE;
    this.lengths.set(address, length);
    return length;
  }
}

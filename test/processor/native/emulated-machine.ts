import { createProcessor } from '../../../src/processor/cpu.ts';
import type { RunResult } from '../../../src/processor/exit.ts';
import { PartitionMemory } from '../../../src/processor/memory/partition-memory.ts';
import type { CpuModel } from '../../../src/processor/models/cpu-model.ts';
import type { Processor } from '../../../src/processor/processor.ts';
import { Flag, type SegmentValue } from '../../../src/processor/state/cpu-state.ts';
import * as L from '../../../src/processor/state/layout.ts';
import {
  AREA,
  CODE,
  CODE_SIZE,
  DATA,
  DATA_SIZE,
  INT3,
  LDT_CODE_16,
  LDT_DATA_16,
  Reply,
  type Request,
  VECTOR_RECORD_SIZE,
} from './record.ts';

/** Where things lie in the emulated machine's RAM. */
const PML4 = 0x1000;
const PDPT = 0x2000;
const PD = 0x3000;
const CODE_TABLE = 0x4000;
const DATA_TABLE = 0x5000;
const KERNEL_PDPT = 0x6000;
const KERNEL_PD = 0x7000;
const GDT = 0x8000;
const IDT = 0x9000;
const TSS = 0xa000;
const LDT = 0xb000;
const CODE_PAGES = 0x2_0000;
const DATA_PAGES = 0x3_0000;
/** Linear address of RAM 0 for the supervisor. */
const KERNEL = 0xffff_8000_0000_0000n;

const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const NO_EXECUTE = 1n << 63n;

/** Which code of the emulated processor does a case: the interpreter's, where nothing is in the TLB yet, or translated code. */
export type Tier = 'interpreter' | 'translator';

/** Times that a place is jumped to before it is translated, where cases are. */
const THRESHOLD = 2;

/**
 * Code that brings the data pages into the TLB: it writes to those that can be written, without changing them, and reads the
 * last one.
 */
function touchingCode(bits: 16 | 32 | 64): Uint8Array {
  const code: number[] = [];
  for (let page = 0; page * 0x1000 < DATA_SIZE; page++) {
    const address = page * 0x1000 + (bits === 16 ? 0 : Number(DATA));
    const bytes = [address & 0xff, (address >> 8) & 0xff, (address >> 16) & 0xff, address >>> 24];
    const modrm = page === 2 ? 0x00 : 0x08;
    code.push(page === 2 ? 0xf6 : 0x80);
    if (bits === 64) code.push(modrm | 4, 0x25, ...bytes, 0);
    else if (bits === 32) code.push(modrm | 5, ...bytes, 0);
    else code.push(modrm | 6, ...bytes.slice(0, 2), 0);
  }
  return Uint8Array.from(code);
}

/** Runs cases on the emulated processor, in a machine that looks to user code as Linux does on the real one. */
export class EmulatedMachine {
  readonly processor: Processor;
  private readonly memory: PartitionMemory;
  /** The data pages as they are now. */
  readonly data: Uint8Array;
  private readonly code: Uint8Array;
  private trapped = false;
  /** The code that is there. */
  private last: { readonly offset: number; readonly bits: number; readonly code: Uint8Array } | undefined;
  private readonly reply = new Reply(new Uint8Array(VECTOR_RECORD_SIZE), new Uint8Array(0));

  constructor(
    model: CpuModel,
    private readonly background: Uint8Array,
    private readonly tier: Tier = 'interpreter',
  ) {
    this.memory = new PartitionMemory([{ gpa: 0n, length: 0x10_0000 }], 1);
    this.processor = createProcessor({
      index: 0,
      memory: this.memory,
      model,
      translator: { threshold: tier === 'translator' ? THRESHOLD : 0, mostDoublings: 0 },
    });
    const ram = this.memory.locate(0n)?.offset ?? 0;
    this.data = this.memory.bytes.subarray(ram + DATA_PAGES, ram + DATA_PAGES + DATA_SIZE);
    this.code = this.memory.bytes.subarray(ram + CODE_PAGES, ram + CODE_PAGES + CODE_SIZE);
    this.buildTables();
    this.data.set(background);
    this.code.fill(INT3);
    // Every exception leaves before it is delivered.
    this.processor.intercepts.exceptions = 0xffff_ffff;
  }

  private buildTables(): void {
    const put = (at: number, value: bigint): void => {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, value, true);
      this.memory.write(BigInt(at), bytes);
    };
    const entry = (at: number, index: number, address: number, flags: number): void =>
      put(at + index * 8, BigInt(address | flags));
    const all = PRESENT | WRITABLE | USER;
    entry(PML4, 0, PDPT, all);
    entry(PML4, 256, KERNEL_PDPT, PRESENT | WRITABLE);
    entry(PDPT, 0, PD, all);
    entry(PD, Number(CODE >> 21n), CODE_TABLE, all);
    entry(PD, Number(DATA >> 21n), DATA_TABLE, all);
    for (let page = 0; page * 0x1000 < CODE_SIZE; page++) entry(CODE_TABLE, page, CODE_PAGES + page * 0x1000, all);
    for (let page = 0; page * 0x1000 < DATA_SIZE; page++)
      put(DATA_TABLE + page * 8, NO_EXECUTE | BigInt((DATA_PAGES + page * 0x1000) | (page === 2 ? PRESENT | USER : all)));
    entry(KERNEL_PDPT, 0, KERNEL_PD, PRESENT | WRITABLE);
    entry(KERNEL_PD, 0, 0, PRESENT | WRITABLE | 0x80);

    // The GDT of Linux: 32-bit kernel code, 64-bit kernel code, kernel data, 32-bit user code, user data, 64-bit user code.
    const descriptors = [
      0n,
      0x00cf_9b00_0000_ffffn,
      0x00af_9b00_0000_ffffn,
      0x00cf_9300_0000_ffffn,
      0x00cf_fb00_0000_ffffn,
      0x00cf_f300_0000_ffffn,
      0x00af_fb00_0000_ffffn,
    ];
    for (let index = 0; index < 16; index++) put(GDT + index * 8, descriptors[index] ?? 0n);
    const tss = KERNEL + BigInt(TSS);
    put(GDT + 0x40, 0x67n | ((tss & 0xff_ffffn) << 16n) | (0x8bn << 40n) | (((tss >> 24n) & 0xffn) << 56n));
    put(GDT + 0x48, (tss >> 32n) & 0xffff_ffffn);
    put(LDT, 0x0000_fb00_0000_0000n | ((CODE & 0xff_ffffn) << 16n) | ((CODE >> 24n) << 56n) | BigInt(CODE_SIZE - 1));
    put(LDT + 8, 0x0000_f300_0000_0000n | ((DATA & 0xff_ffffn) << 16n) | ((DATA >> 24n) << 56n) | BigInt(DATA_SIZE - 1));
    put(TSS + 4, KERNEL + 0xf000n);
    // No I/O bitmap: it would begin behind the limit.
    put(TSS + 0x60, 0x68n << 48n);
    for (let vector = 0; vector < 256; vector++) {
      const handler = KERNEL + 0xe000n;
      const privilege = vector === 3 || vector === 4 ? 3n : 0n;
      const rights = 0x8en | (privilege << 5n);
      put(IDT + vector * 16, (handler & 0xffffn) | (0x10n << 16n) | (rights << 40n) | (((handler >> 16n) & 0xffffn) << 48n));
      put(IDT + vector * 16 + 8, handler >> 32n);
    }
  }

  private resetState(request: Request): void {
    const { state } = this.processor;
    const segment = (selector: number, rights: number, limit = 0xffff_ffff, base = 0n): SegmentValue => ({
      selector,
      base,
      limit,
      rights,
    });
    const none = segment(0, 0x1_0000, 0);
    state.u64.set(request.gpr, L.GPR >> 3);
    state.rip = request.rip;
    state.rflags = request.rflags;
    state.cpl = 3;
    const flat = segment(0x2b, 0xc0f3);
    const data16 = segment(LDT_DATA_16, 0xf3, DATA_SIZE - 1, DATA);
    const code = { 64: segment(0x33, 0xa0fb), 32: segment(0x23, 0xc0fb), 16: segment(LDT_CODE_16, 0xfb, CODE_SIZE - 1, CODE) };
    const data = { 64: none, 32: flat, 16: data16 }[request.bits];
    if (request.bits === 16) state.rip = request.rip - CODE;
    state.setSegment(L.Segment.CS, code[request.bits]);
    state.setSegment(L.Segment.SS, request.bits === 16 ? data16 : flat);
    state.setSegment(L.Segment.DS, data);
    state.setSegment(L.Segment.ES, data);
    state.setSegment(L.Segment.FS, request.bits === 16 ? data16 : { ...none, base: request.fsBase });
    state.setSegment(L.Segment.GS, request.bits === 16 ? data16 : { ...none, base: request.gsBase });
    state.setSegment(L.Segment.LDTR, segment(0x50, 0x82, 15, KERNEL + BigInt(LDT)));
    state.setSegment(L.Segment.TR, segment(0x40, 0x8b, 0x67, KERNEL + BigInt(TSS)));
    state.set64(L.GDTR_BASE, KERNEL + BigInt(GDT));
    state.set32(L.GDTR_LIMIT, 0x7f);
    state.set64(L.IDTR_BASE, KERNEL + BigInt(IDT));
    state.set32(L.IDTR_LIMIT, 0xfff);
    state.set64(L.CR0, 0x8005_0033n);
    state.set64(L.CR2, 0n);
    state.set64(L.CR3, BigInt(PML4));
    // OSXSAVE, FSGSBASE, OSXMMEXCPT, OSFXSR, PGE and PAE, as Linux has them.
    state.set64(L.CR4, 0x5_06a0n);
    state.set64(L.XCR0, 7n);
    state.set64(L.EFER, 0xd01n);
    state.set64(L.DR + 6 * 8, 0xffff_0ff0n);
    state.set64(L.DR + 7 * 8, 0x400n);
    state.set32(L.INTERRUPTIBILITY, 0);
    state.set32(L.ACTIVITY, 0);
    request.vectors?.loadInto(state);
    this.processor.stateChanged();
  }

  /** Runs one case. The reply is overwritten by the next call; {@link data} holds the data pages until {@link restore}. */
  run(request: Request): Reply {
    const { processor, reply } = this;
    const isNew = this.placeCode(request) || this.trapped;
    if (request.area) this.data.set(request.area, AREA);
    this.data.set(request.patch, request.patchAt);
    // A debug trap may still wait from the case before.
    if (this.trapped) processor.reset();
    this.resetState(request);
    reply.bytes.fill(0);
    reply.vector = Reply.TIMEOUT;
    // Debug traps and alignment checks are looked at in each access: there the TLB isn't used.
    if (isNew && this.tier === 'translator' && (request.rflags & (Flag.TF | Flag.AC)) === 0) this.touchData(request);
    const result = (isNew ? this.heat() : undefined) ?? processor.run(50_000);
    const { state } = processor;
    this.trapped = ((request.rflags | state.rflags) & Flag.TF) !== 0;
    reply.rip = state.rip;
    if (result.kind === 'exit' && result.exit.reason === 'exception') {
      const { exit } = result;
      reply.vector = exit.vector;
      reply.error = exit.errorCode ?? 0;
      if (exit.vector === 14) reply.cr2 = exit.payload ?? 0n;
      // INT3 and INT1 are traps: their frame points behind them.
      reply.rip = exit.rip + (exit.type === 3 ? 0n : BigInt(exit.instructionLength));
    } else if (result.kind !== 'budget') {
      throw new Error(
        `The emulated processor left with ${JSON.stringify(result, (_, v) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v))}.`,
      );
    }
    reply.bytes.set(new Uint8Array(state.buffer, state.base + L.GPR, Reply.GPR_BYTES));
    reply.rflags = state.rflags;
    for (const [place, index] of [1, 2, 3, 0, 4, 5].entries()) reply.setSelector(place, state.segment(index).selector);
    reply.fsBase = state.segment(L.Segment.FS).base;
    reply.gsBase = state.segment(L.Segment.GS).base;
    if (request.vectors) reply.vectors?.takeFrom(state);
    return reply;
  }

  /** Brings the data pages into the TLB, by code that stands far from the case's. */
  private touchData(request: Request): void {
    const { processor } = this;
    const { state } = processor;
    const rip = state.rip;
    const code = touchingCode(request.bits);
    const at = request.rip - CODE < 0x1000n ? 0x1c00 : 0x400;
    processor.writeMemory('gpa', BigInt(CODE_PAGES + at), code);
    state.rflags = 2;
    state.rip = BigInt(at) + (request.bits === 16 ? 0n : CODE);
    processor.run(DATA_SIZE >> 12);
    processor.writeMemory('gpa', BigInt(CODE_PAGES + at), new Uint8Array(code.length).fill(INT3));
    state.rflags = request.rflags;
    state.rip = rip;
  }

  /** Makes the case's code hot without running it; gives what came in between. */
  private heat(): RunResult | undefined {
    if (this.tier === 'interpreter') return undefined;
    for (let times = 0; times < THRESHOLD; times++) {
      const result = this.processor.run(0);
      if (result.kind !== 'budget') return result;
    }
    return undefined;
  }

  /** Puts the data pages back. */
  restore(): void {
    this.data.set(this.background);
  }

  /** Puts a case's code in the place of the last one's. Code that stays is decoded, and hot, already: false. */
  private placeCode(request: Request): boolean {
    const { code } = request;
    const offset = Number(request.rip - CODE);
    const { last } = this;
    const stays = last?.offset === offset && last.bits === request.bits && last.code.length === code.length;
    if (stays && Buffer.compare(this.code.subarray(offset, offset + code.length), code) === 0) return false;
    const write = (at: number, bytes: Uint8Array) => this.processor.writeMemory('gpa', BigInt(CODE_PAGES + at), bytes);
    if (last) write(last.offset, new Uint8Array(last.code.length).fill(INT3));
    write(offset, code);
    this.last = { offset, bits: request.bits, code };
    return true;
  }
}

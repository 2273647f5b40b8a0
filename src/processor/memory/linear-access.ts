import { MASK_64 } from '../../x86/address.ts';
import type { ExitDetail, WatchHit } from '../exit.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import * as O from '../interpreter/operation.ts';
import { type Mmu, Translation } from '../mmu/mmu.ts';
import type { Watch } from '../processor.ts';
import { type CpuState, Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import { AccessExit } from '../system/context.ts';
import { type CodeRegistry, codeRegistry } from './code-registry.ts';
import type { PartitionMemory } from './partition-memory.ts';
import { type TableRegistry, tableRegistry } from './table-registry.ts';
import { Tlb } from './tlb.ts';

export type Size = 1 | 2 | 4 | 8;

/** The next access would touch a watched range. */
export class WatchStop extends Error {
  constructor(readonly hit: WatchHit) {
    super('watched range');
  }
}

const CR0_AM = 1 << 18;
const CR4_SMAP = 1 << 21;
/**
 * Accesses by linear address, with everything that the interpreter's inline path leaves out: page walks and filling the
 * TLB, pages that are crossed, device memory, watched ranges, decoded code, alignment checks.
 */
export class LinearAccess {
  readonly tlb: Tlb;
  private readonly registry: CodeRegistry;
  private readonly tables: TableRegistry;
  /** Values of device accesses that were completed for the instruction that is run again, and how many it took so far. */
  readonly completed: bigint[] = [];
  taken = 0;
  watches: readonly Watch[] = [];
  /** Lets the instruction through that a watch stopped. */
  ignoreWatches = false;
  /** A part of an access that was looked at as a whole. */
  private isPiece = false;
  /**
   * What the walk for {@link fill} came to. The slow way of the same access comes next, with nothing between the two that changes
   * it, and does without a second walk.
   */
  private readonly tried = {
    isFresh: false,
    low: 0,
    high: 0,
    user: false,
    write: false,
    translation: undefined as Translation | undefined,
  };
  /** Told of each data access while debug registers watch data (DR7). */
  onAccess: ((linear: bigint, size: number, write: boolean) => void) | undefined;

  /** Device memory answers reads with all ones and ignores writes: while an event is delivered, which can't be left halfway. */
  openBus = false;

  constructor(
    private readonly state: CpuState,
    private readonly memory: PartitionMemory,
    private readonly mmu: Mmu,
  ) {
    this.tlb = new Tlb(state, memory);
    this.registry = codeRegistry(memory);
    this.tables = tableRegistry(memory);
  }

  /** The value of a device access from the completed ones; undefined when it must be made first. */
  answer(): bigint | undefined {
    if (this.openBus) return MASK_64;
    return this.taken < this.completed.length ? this.completed[this.taken++] : undefined;
  }

  /** The same for an access to device memory, which leaves the guest by what it throws. */
  private device(detail: ExitDetail): bigint {
    const answer = this.answer();
    if (answer === undefined) throw new AccessExit(detail);
    return answer;
  }

  /** Another instruction begins: completed accesses were not for it. */
  forgetCompleted(): void {
    // Setting the length of an array costs a call into the engine.
    if (this.completed.length > 0) this.completed.length = 0;
    this.taken = 0;
  }

  /** Points the interpreter at the TLB tables for the current privilege. */
  selectTables(): void {
    const { state } = this;
    const user = state.cpl === 3;
    const aligned = user && (state.get32(L.CR0) & CR0_AM) !== 0 && (state.get32(L.EFLAGS) & Flag.AC) !== 0;
    // SMAP: a supervisor access to a user page depends on EFLAGS.AC, so such pages are never in the supervisor's tables.
    this.tlb.select(user, this.onAccess !== undefined || aligned);
  }

  /** Goes on with the address space in CR3. */
  enterSpace(): void {
    this.tlb.enterSpace();
    this.selectTables();
  }

  read(linear: bigint, size: Size, user: boolean, intent = false): bigint {
    this.check(linear, size, false, user);
    const read = user ? O.TlbTable.READ_USER : O.TlbTable.READ_SUPERVISOR;
    const write = user ? O.TlbTable.WRITE_USER : O.TlbTable.WRITE_SUPERVISOR;
    const cached = this.tlb.find(intent ? write : read, linear, size);
    if (cached !== 0) return this.load(cached, size);
    const room = 0x1000 - Number(linear & 0xfffn);
    if (size <= room) return this.readPage(linear, size, user, intent);
    // Both pages fault before either is touched; device memory is not accessed across pages in one piece.
    this.translate(linear, user, intent);
    this.translate(this.next(linear, room), user, intent);
    let value = 0n;
    for (let index = 0; index < size; index++)
      value |= this.readPage(this.next(linear, index), 1, user, intent) << BigInt(index * 8);
    return value;
  }

  write(linear: bigint, size: Size, value: bigint, user: boolean): void {
    this.check(linear, size, true, user);
    const cached = this.tlb.find(user ? O.TlbTable.WRITE_USER : O.TlbTable.WRITE_SUPERVISOR, linear, size);
    if (cached !== 0) {
      this.store(cached, size, value);
      return;
    }
    const room = 0x1000 - Number(linear & 0xfffn);
    if (size <= room) {
      this.writePage(linear, size, value, user);
      return;
    }
    // Nothing may be written before all has been asked: faults, watches, and the part that goes to a device, if there is one.
    const second = this.next(linear, room);
    const first = this.translate(linear, user, true).gpa;
    const last = this.translate(second, user, true);
    const ends = [first, last.gpa] as const;
    const endsInMemory = last.offset !== 0;
    if (!this.ignoreWatches) {
      this.checkWatches('gpa', ends[0], room, true);
      this.checkWatches('gpa', ends[1], size - room, true);
    }
    const write = (from: number, to: number) => {
      for (let index = from; index < to; index++)
        this.writePage(this.next(linear, index), 1, (value >> BigInt(index * 8)) & 0xffn, user);
    };
    if (endsInMemory) {
      write(0, room);
      write(room, size);
    } else {
      write(room, size);
      write(0, room);
    }
  }

  /** Reads a vector in pieces of 8 bytes. Both pages fault before either is touched. */
  readWide(linear: bigint, bytes: 16 | 32, user: boolean): bigint[] {
    this.check(linear, bytes, false, user);
    this.probe(linear, bytes, user, false);
    return this.pieces(() => Array.from({ length: bytes / 8 }, (_, index) => this.read(this.next(linear, index * 8), 8, user)));
  }

  /** Writes a vector in pieces of 8 bytes, lowest first, after all that may keep it from being written was asked. */
  writeWide(linear: bigint, values: readonly bigint[], user: boolean): void {
    this.requireWritable(linear, values.length * 8, user);
    this.pieces(() => {
      for (const [index, value] of values.entries()) this.write(this.next(linear, index * 8), 8, value, user);
    });
  }

  /** Throws what {@link writeWide} would throw. */
  requireWritable(linear: bigint, bytes: number, user: boolean): void {
    this.check(linear, bytes, true, user);
    this.probe(linear, bytes, user, true);
  }

  /** Throws what stands against an access to a range in at most two pages: faults and watches. */
  private probe(linear: bigint, bytes: number, user: boolean, write: boolean): void {
    const room = Math.min(bytes, 0x1000 - Number(linear & 0xfffn));
    const first = this.translate(linear, user, write).gpa;
    const second = room < bytes ? this.translate(this.next(linear, room), user, write).gpa : undefined;
    if (this.ignoreWatches) return;
    this.checkWatches('gpa', first, room, write);
    if (second !== undefined) this.checkWatches('gpa', second, bytes - room, write);
  }

  /** Makes the accesses of a vector, of which watches, debug registers and alignment checks have seen the whole. */
  private pieces<T>(work: () => T): T {
    const { ignoreWatches, onAccess } = this;
    this.isPiece = true;
    this.ignoreWatches = true;
    this.onAccess = undefined;
    try {
      return work();
    } finally {
      this.isPiece = false;
      this.ignoreWatches = ignoreWatches;
      this.onAccess = onAccess;
    }
  }

  /**
   * Where a range within a page lies in the memory, when nothing needs to be asked about an access to it, since its page is in
   * the TLB; else 0.
   */
  place(linear: bigint, size: number, user: boolean, write: boolean): number {
    if (this.onAccess !== undefined || (user && (this.state.get32(L.EFLAGS) & Flag.AC) !== 0)) return 0;
    const { READ_USER, READ_SUPERVISOR, WRITE_USER, WRITE_SUPERVISOR } = O.TlbTable;
    return this.tlb.find(write ? (user ? WRITE_USER : WRITE_SUPERVISOR) : user ? READ_USER : READ_SUPERVISOR, linear, size);
  }

  /** The same for a system table: read with supervisor rights, at an offset from an address that the state has. */
  placeOfTable(slot: number, offset: number, size: number): number {
    if (this.onAccess !== undefined) return 0;
    const low = this.state.get32(slot) + offset;
    const carry = low > 0xffff_ffff ? 1 : 0;
    return this.tlb.findAt(O.TlbTable.READ_SUPERVISOR, low | 0, this.state.get32(slot + 4) + carry, size);
  }

  /**
   * Brings the page of an access into the TLB, at a linear address in halves, and gives the access's place in the memory. 0, with
   * nothing done that the access itself would not do: for what faults, and where more must be done or asked.
   */
  fill(low: number, high: number, size: number, user: boolean, write: boolean): number {
    const { state } = this;
    this.tried.isFresh = false;
    if ((low & 0xfff) + size > 0x1000 || this.watches.length > 0 || this.onAccess !== undefined) return 0;
    if (user && (state.get32(L.EFLAGS) & Flag.AC) !== 0 && (state.get32(L.CR0) & CR0_AM) !== 0) return 0;
    if (write) {
      const place = this.tlb.mixed.place(low, high, size, user);
      if (place !== 0) return place;
    }
    const translation = this.mmu.tryData(low, high, user, write);
    this.tried.isFresh = true;
    this.tried.low = low >>> 0;
    this.tried.high = high >>> 0;
    this.tried.user = user;
    this.tried.write = write;
    this.tried.translation = translation;
    // The slow way finds out why.
    if (translation === undefined || translation.isRefused) return 0;
    const { address, offset } = translation;
    if (offset === 0) return 0;
    if (write && (this.registry.isCode(address, size) || this.tables.hasTables(address))) return 0;
    this.tried.isFresh = false;
    // With SMAP each access must ask: it depends on EFLAGS.AC.
    if (user || !translation.user || (state.get32(L.CR4) & CR4_SMAP) === 0) {
      const writable = write && translation.writable;
      const code = writable ? this.registry.bitsOf(address) : undefined;
      this.tlb.fillAt(low, high, offset, user, writable && code === undefined);
      if (code) this.tlb.mixed.enter(low, high, user, code, offset);
    }
    return offset;
  }

  /** Throws what a write to the range would throw. */
  probeWrite(linear: bigint, size: number, user: boolean): void {
    this.translate(linear, user, true);
    const last = this.next(linear, size - 1);
    if (last >> 12n !== linear >> 12n) this.translate(last, user, true);
  }

  private next(linear: bigint, offset: number): bigint {
    return (linear + BigInt(offset)) & this.state.get64(O.ENGINE_LINEAR_MASK);
  }

  private check(linear: bigint, size: number, write: boolean, user: boolean): void {
    const { state } = this;
    if (size > 1 && user && !this.isPiece && (state.get32(L.EFLAGS) & Flag.AC) !== 0 && (state.get32(L.CR0) & CR0_AM) !== 0)
      if ((linear & BigInt(Math.min(size, 16) - 1)) !== 0n)
        // Vectors of 256 bits need no more than 16 bytes.
        throw new GuestFault(Vector.AC, 0);
    this.onAccess?.(linear, size, write);
    if (!this.ignoreWatches) this.checkWatches('gva', linear, size, write);
  }

  private checkWatches(space: 'gva' | 'gpa', address: bigint, size: number, write: boolean): void {
    for (const watch of this.watches)
      if (watch.space === space && (write ? watch.write : watch.read))
        if (watch.address < address + BigInt(size) && address < watch.address + watch.length)
          throw new WatchStop({ watch: watch.id, space, address, size, write });
  }

  private load(offset: number, size: Size): bigint {
    const { view } = this.memory;
    if (size === 1) return BigInt(view.getUint8(offset));
    if (size === 2) return BigInt(view.getUint16(offset, true));
    return size === 4 ? BigInt(view.getUint32(offset, true)) : view.getBigUint64(offset, true);
  }

  private store(offset: number, size: Size, value: bigint): void {
    const { view } = this.memory;
    if (size === 1) view.setUint8(offset, Number(value & 0xffn));
    else if (size === 2) view.setUint16(offset, Number(value & 0xffffn), true);
    else if (size === 4) view.setUint32(offset, Number(value & 0xffff_ffffn), true);
    else view.setBigUint64(offset, BigInt.asUintN(64, value), true);
  }

  private translate(linear: bigint, user: boolean, write: boolean) {
    if (this.wasTried(linear, user, write)) {
      const { translation } = this.tried;
      this.tried.isFresh = false;
      if (translation?.isRefused) return this.mmu.translate(linear, { write, fetch: false, user });
      if (translation) return translation;
      throw this.mmu.dataFault(linear, user, write);
    }
    return this.mmu.translate(linear, { write, fetch: false, user });
  }

  /** Whether {@link fill} has just looked for the translation of this access. */
  private wasTried(linear: bigint, user: boolean, write: boolean): boolean {
    const { tried } = this;
    if (!tried.isFresh || tried.user !== user || tried.write !== write) return false;
    return tried.low === Number(BigInt.asUintN(32, linear)) && tried.high === Number(linear >> 32n);
  }

  /**
   * What {@link read} or {@link write} would throw for an access that {@link fill} has just refused: its fault, or the exit with which it
   * leaves. Undefined for others. Throwing it would take longer than all else that a fault or an exit needs. `wantsWrite`: it is a
   * write, or reads in order to write.
   */
  refusal(
    linear: bigint,
    size: Size,
    user: boolean,
    wantsWrite: boolean,
    write: boolean,
    value: bigint,
  ): GuestFault | AccessExit | undefined {
    const { tried, mmu } = this;
    if (!this.wasTried(linear, user, wantsWrite)) return undefined;
    const { translation } = tried;
    if (translation === undefined) {
      tried.isFresh = false;
      return mmu.dataFault(linear, user, wantsWrite);
    }
    if (translation.isRefused) {
      const outcome = mmu.attempt(linear, { write: wantsWrite, fetch: false, user });
      if (outcome instanceof Translation) return undefined;
      tried.isFresh = false;
      return outcome;
    }
    if (translation.offset !== 0 || this.openBus || this.taken < this.completed.length) return undefined;
    tried.isFresh = false;
    return new AccessExit({ reason: 'mmio', gpa: translation.gpa, gva: linear, size, write, value });
  }

  private readPage(linear: bigint, size: Size, user: boolean, intent: boolean): bigint {
    const translation = this.translate(linear, user, intent);
    if (this.watches.length > 0 && !this.ignoreWatches) this.checkWatches('gpa', translation.gpa, size, false);
    const { offset } = translation;
    if (offset === 0) return this.device({ reason: 'mmio', gpa: translation.gpa, gva: linear, size, write: false, value: 0n });
    this.fillTlb(linear, translation, offset, user, intent);
    return this.load(offset, size);
  }

  private writePage(linear: bigint, size: Size, value: bigint, user: boolean): void {
    const translation = this.translate(linear, user, true);
    const { address, offset } = translation;
    if (this.watches.length > 0 && !this.ignoreWatches) this.checkWatches('gpa', translation.gpa, size, true);
    if (offset === 0) {
      const { gpa } = translation;
      this.device({ reason: 'mmio', gpa, gva: linear, size, write: true, value: BigInt.asUintN(size * 8, value) });
      return;
    }
    this.fillTlb(linear, translation, offset, user, true);
    const isTable = this.tables.mayChange(address, size);
    this.store(offset, size, value);
    if (this.registry.isCode(address, size)) this.registry.written(BigInt(address), size);
    if (isTable) this.tables.changed(address, size);
  }

  /** Lets the interpreter's inline path reach the page, unless something must be asked at each access. */
  private fillTlb(linear: bigint, translation: Translation, offset: number, user: boolean, write: boolean): void {
    const { address } = translation;
    if (this.watches.length > 0) {
      const gpaPage = translation.gpa & ~0xfffn;
      if (this.watches.some((watch) => this.watched(watch, linear & ~0xfffn, gpaPage))) return;
    }
    if (!user && translation.user && (this.state.get32(L.CR4) & CR4_SMAP) !== 0) return;
    // System accesses (descriptor tables) are made with supervisor rights at any CPL; the table is that of the rights.
    const writable = write && translation.writable && !this.registry.hasCode(address) && !this.tables.hasTables(address);
    this.tlb.fill(linear, offset, user, writable);
  }

  private watched(watch: Watch, page: bigint, gpaPage: bigint): boolean {
    const start = watch.space === 'gva' ? page : gpaPage;
    return watch.address < start + 0x1000n && start < watch.address + watch.length;
  }
}

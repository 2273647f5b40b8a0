import { isCanonical } from '../../x86/address.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { PartitionMemory } from '../memory/partition-memory.ts';
import { Need, PageBit, type SecondLevel } from '../memory/second-level.ts';
import { type TableRegistry, tableRegistry } from '../memory/table-registry.ts';
import type { CpuModel } from '../models/cpu-model.ts';
import type { WalkResult } from '../processor.ts';
import { type CpuState, Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import { AccessExit } from '../system/context.ts';
import { Entry, PageWalk, WalkEffect } from './page-walk.ts';

const CR0_WP = 1 << 16;
const CR0_PG = 1 << 31;
const CR4_PAE = 1 << 5;
const CR4_SMEP = 1 << 20;
const CR4_SMAP = 1 << 21;
const CR4_PKE = 1 << 22;
const EFER_LMA = 1 << 10;
const EFER_NXE = 1 << 11;

/** Bits of a #PF error code (Intel SDM vol. 3, 4.7). */
const EC_PRESENT = 1;
const EC_WRITE = 2;
const EC_USER = 4;
const EC_RESERVED = 8;
const EC_FETCH = 16;
const EC_KEY = 32;

export interface Access {
  readonly write: boolean;
  readonly fetch: boolean;
  readonly user: boolean;
}

/** Accesses to data by rights (2: user) and kind (1: write). */
const DATA_ACCESSES: readonly Access[] = [0, 1, 2, 3].map((bits) => ({
  write: (bits & 1) !== 0,
  fetch: false,
  user: (bits & 2) !== 0,
}));

/** What an address was translated to. It is the same object each time, so it holds until the next translation. */
export class Translation {
  /** Guest physical address of the address itself, not of its page: at most 52 bits. */
  address = 0;
  /** A later write with the same rights needs no walk: the page is writable and its dirty bit is set. */
  writable = false;
  user = false;
  /** Byte offset in the partition's memory; 0 where devices answer. */
  offset = 0;
  /** {@link Mmu.tryData} found that the second level refuses it: nothing was changed, the other fields mean nothing. */
  isRefused = false;

  get gpa(): bigint {
    return BigInt(this.address);
  }
}

/** Translates linear addresses by the guest's page tables, with the side effects and faults of the architecture. */
export class Mmu {
  private readonly path: PageWalk;
  private readonly translation = new Translation();
  private readonly tables: TableRegistry;
  /** Tables that the registry follows, and what they map, by level: as of a generation of the registry. */
  private readonly knownTables = new Float64Array(4).fill(-1);
  private readonly knownBases = new Float64Array(4);
  private knownGeneration = -1;
  /** What the second level refuses is accessed all the same: in what can't be left halfway. */
  insists = false;

  constructor(
    private readonly state: CpuState,
    private readonly memory: PartitionMemory,
    private readonly model: CpuModel,
  ) {
    this.path = new PageWalk(state, memory, model);
    this.tables = tableRegistry(memory);
  }

  private get paging(): boolean {
    return (this.state.get32(L.CR0) & CR0_PG) !== 0;
  }

  /**
   * Throws #PF with the error code of the access, or AccessExit where the second level refuses it. Sets accessed and dirty bits. The
   * caller checks that the address is canonical.
   */
  translate(linear: bigint, access: Access): Translation {
    const outcome = this.attempt(linear, access);
    if (outcome instanceof Translation) return outcome;
    throw outcome;
  }

  /** Does what {@link translate} does, and gives what that throws: throwing takes longer than all else. */
  attempt(linear: bigint, access: Access): Translation | GuestFault | AccessExit {
    const { path, translation } = this;
    translation.isRefused = false;
    if (!this.paging) {
      this.untranslated(Number(BigInt.asUintN(32, linear)));
      return this.reach(access) ? translation : this.refused(linear, access);
    }
    const low = this.follow(linear, this.insists ? WalkEffect.INSIST : WalkEffect.ACCESS);
    if (path.failure === 'second-level') return this.walkRefusal(linear, path.refusedGpa, path.secondLevelNeeds);
    if (path.failure !== undefined || !this.allowed(access)) return this.fault(linear, access);
    this.locate(low, access);
    if (!this.reach(access)) {
      const refused = this.refused(linear, access);
      if (refused !== translation) return refused;
    }
    const last = path.depth - 1;
    const locked = this.lockedEntry(last, access.write);
    if (locked >= 0) return this.walkRefusal(linear, path.entryGpa[locked] ?? 0, Need.WRITE);
    this.mark(last, access.write, access.fetch);
    return translation;
  }

  /**
   * Translates for an access to data, at a linear address in halves. Undefined, with nothing changed, where that faults; where the
   * second level refuses it, the translation says so.
   */
  tryData(low: number, high: number, user: boolean, write: boolean): Translation | undefined {
    const { path, translation } = this;
    const access = DATA_ACCESSES[(user ? 2 : 0) | (write ? 1 : 0)];
    if (access === undefined) return undefined;
    translation.isRefused = false;
    if (!this.paging) {
      this.untranslated(low >>> 0);
      translation.isRefused = !this.reach(access);
      return translation;
    }
    path.follow(low >>> 0, high & 0xffff, WalkEffect.ACCESS);
    if (path.failure === 'second-level') {
      translation.isRefused = true;
      return translation;
    }
    if (path.failure !== undefined || !this.allowed(access)) return undefined;
    this.locate(low, access);
    const last = path.depth - 1;
    if (!this.reach(access) || this.lockedEntry(last, write) >= 0) translation.isRefused = true;
    else this.mark(last, write, false);
    return translation;
  }

  /** The fault of an access for which {@link tryData} gave nothing, as long as no other walk was made. */
  dataFault(linear: bigint, user: boolean, write: boolean): GuestFault {
    return this.fault(linear, { write, fetch: false, user });
  }

  /** The outcome where paging is off. */
  private untranslated(address: number): void {
    const { translation } = this;
    translation.address = address;
    translation.writable = true;
    translation.user = false;
  }

  /** The outcome of a walk that is allowed. */
  private locate(low: number, access: Access): void {
    const { path, translation } = this;
    const dirty = access.write || ((path.entryLow[path.depth - 1] ?? 0) & Entry.D) !== 0;
    translation.address = path.frame + ((low & (path.pageSize - 1)) >>> 0);
    translation.writable = dirty && (path.writable || (!access.user && (this.state.get32(L.CR0) & CR0_WP) === 0));
    translation.user = path.user;
  }

  // --- second level ---------------------------------------------------------------------------------------------------

  /** Finds the place of the translated address in the memory; false where the second level has something against the access. */
  private reach(access: Access): boolean {
    const { memory, translation } = this;
    const offset = memory.offsetOf(translation.address);
    translation.offset = offset;
    const { secondLevel } = memory;
    if (secondLevel === undefined) return true;
    const need = access.write ? Need.WRITE : access.fetch ? Need.EXECUTE : Need.READ;
    return ((secondLevel.words[(offset - secondLevel.start) >>> 12] ?? 0) & need) === need || this.ask(secondLevel, offset, need);
  }

  private ask(secondLevel: SecondLevel, offset: number, need: number): boolean {
    if (offset === 0) {
      const { address } = this.translation;
      const isDevice = secondLevel.isDevice(address);
      if (isDevice && need === Need.EXECUTE) secondLevel.noteMissing(address, 'fetch');
      return isDevice;
    }
    if (this.insists) secondLevel.insist(offset, need);
    return secondLevel.grants(offset, need) || this.insists;
  }

  /** The exit that a refused access leaves with, or the translation if devices answer it. */
  private refused(linear: bigint, access: Access): AccessExit | Translation {
    const { translation } = this;
    const need = access.write ? Need.WRITE : access.fetch ? Need.EXECUTE : Need.READ;
    const outcome = this.memory.secondLevel?.refusal({ gpa: translation.gpa, need, gva: linear, duringWalk: false });
    translation.offset = 0;
    return outcome === undefined || outcome === 'device' ? translation : new AccessExit(outcome);
  }

  /** The exit of an access to an entry of the guest's tables. */
  private walkRefusal(gva: bigint | undefined, gpa: number, need: number): AccessExit {
    const outcome = this.memory.secondLevel?.refusal({ gpa: BigInt(gpa), need, gva, duringWalk: true });
    if (outcome === undefined || outcome === 'device') throw new Error('a page walk was refused for no reason');
    return new AccessExit(outcome);
  }

  /** The first entry on the way whose flags must be set but can't: its table may only be read. -1 if there is none. */
  private lockedEntry(last: number, write: boolean): number {
    const { path, memory } = this;
    const { secondLevel } = memory;
    // Where walks count as writes, they were granted.
    if (secondLevel === undefined || (secondLevel.walkNeeds & PageBit.WRITE) !== 0 || this.insists) return -1;
    for (let step = path.mode === 'PAE' ? 1 : 0; step <= last; step++) {
      const wanted = Entry.A | (step === last && write ? Entry.D : 0);
      if (((path.entryLow[step] ?? 0) & wanted) === wanted) continue;
      if (!secondLevel.grants(memory.offsetOf(path.entryGpa[step] ?? 0), Need.WRITE)) return step;
    }
    return -1;
  }

  /**
   * Guest physical address that a fetch would be made from, if that would change nothing: no fault, all accessed bits set.
   * The tables are watched from then on, as for {@link translate}.
   */
  peekFetch(linear: bigint, user: boolean): bigint | undefined {
    const { path } = this;
    if (!this.paging) return this.isSettled(Number(BigInt.asUintN(32, linear))) ? linear & 0xffff_ffffn : undefined;
    const low = this.follow(linear, WalkEffect.PEEK);
    if (path.failure !== undefined || !this.allowed({ write: false, fetch: true, user })) return undefined;
    for (let step = path.mode === 'PAE' ? 1 : 0; step < path.depth; step++)
      if (((path.entryLow[step] ?? 0) & Entry.A) === 0) return undefined;
    const address = path.frame + ((low & (path.pageSize - 1)) >>> 0);
    if (!this.isSettled(address)) return undefined;
    this.mark(path.depth - 1, false, true);
    return BigInt(address);
  }

  /** Whether the second level lets code be fetched from an address, with no flag to set. */
  private isSettled(address: number): boolean {
    const { secondLevel } = this.memory;
    if (secondLevel === undefined) return true;
    const offset = this.memory.offsetOf(address);
    return offset === 0 || secondLevel.isSettled(offset, Need.EXECUTE);
  }

  /** Walks, and gives the low half of the address. */
  private follow(linear: bigint, effect: WalkEffect): number {
    const low = Number(BigInt.asUintN(32, linear));
    this.path.follow(low, linear > 0xffff_ffffn ? Number(BigInt.asUintN(16, linear >> 32n)) : 0, effect);
    return low;
  }

  private fault(linear: bigint, access: Access): GuestFault {
    const { failure } = this.path;
    let code = failure === 'not-present' ? 0 : EC_PRESENT;
    if (failure === 'reserved') code |= EC_RESERVED;
    if (access.write) code |= EC_WRITE;
    if (access.user) code |= EC_USER;
    if (access.fetch && this.reportsFetch()) code |= EC_FETCH;
    if (failure === undefined && this.refusedByKey(access)) code |= EC_KEY;
    return new GuestFault(Vector.PF, code, linear);
  }

  /** A fetch is told from a read only where one of the two could be refused. */
  private reportsFetch(): boolean {
    const { state } = this;
    const cr4 = state.get32(L.CR4);
    return (cr4 & CR4_SMEP) !== 0 || ((cr4 & CR4_PAE) !== 0 && (state.get32(L.EFER) & EFER_NXE) !== 0);
  }

  /** Protection keys forbid the access (Intel SDM vol. 3, 4.6.2): of data, in pages for users, whoever makes it. */
  private refusedByKey({ write, fetch, user }: Access): boolean {
    const { state, path } = this;
    if (!path.user || fetch || path.mode !== '4-level' || (state.get32(L.CR4) & CR4_PKE) === 0) return false;
    const rights = state.get32(L.PKRU) >>> (2 * path.key);
    if (rights & 1) return true;
    return write && (rights & 2) !== 0 && (user || (state.get32(L.CR0) & CR0_WP) !== 0);
  }

  private allowed(access: Access): boolean {
    const { state, path } = this;
    if (this.refusedByKey(access)) return false;
    if (access.fetch && !path.executable) return false;
    if (access.user) return path.user && (!access.write || path.writable);
    if (access.write && !path.writable && (state.get32(L.CR0) & CR0_WP) !== 0) return false;
    if (!path.user) return true;
    const cr4 = state.get32(L.CR4);
    if (access.fetch) return (cr4 & CR4_SMEP) === 0;
    // Explicit supervisor accesses pass with EFLAGS.AC; implicit ones (from CPL 3) never do.
    return (cr4 & CR4_SMAP) === 0 || ((state.get32(L.EFLAGS) & Flag.AC) !== 0 && state.cpl !== 3);
  }

  /** Sets accessed bits on the way and the dirty bit of the leaf, and has the tables watched: the translation will be kept. */
  private mark(last: number, write: boolean, fetch: boolean): void {
    const { path } = this;
    // PDPTEs of PAE paging have no accessed bit, and are read only when CR3 is loaded.
    for (let step = path.mode === 'PAE' ? 1 : 0; step <= last; step++) {
      this.register(step, fetch);
      const value = path.entryLow[step] ?? 0;
      const wanted = value | Entry.A | (step === last && write ? Entry.D : 0);
      if (wanted === (value | 0)) continue;
      const gpa = path.entryGpa[step] ?? 0;
      this.memory.view.setUint32(this.memory.offsetOf(gpa), wanted, true);
      this.memory.notifyWrite(BigInt(gpa), 4, 'walk');
    }
  }

  /** Has the table of a step watched, for the part of the address space that it maps. */
  private register(step: number, fetch: boolean): void {
    const { path } = this;
    const bytes = path.mode === '32-bit' ? 4 : 8;
    const level = path.entryLevel[step] ?? 3;
    const span = path.mode === '32-bit' && level === 2 ? 1024 : (PAGES_PER_ENTRY[level] ?? 1);
    const gpa = path.entryGpa[step] ?? 0;
    const index = (gpa & 0xfff) / bytes;
    const base = (Math.floor(path.page / span) - index) * span;
    // Most walks go through the tables of the walk before.
    const table = gpa - (gpa & 0xfff);
    const isKnown = this.knownTables[level] === table && this.knownBases[level] === base;
    if (isKnown && !fetch && this.knownGeneration === this.tables.generation) return;
    this.tables.add(gpa, base, span, bytes, fetch);
    if (this.knownGeneration !== this.tables.generation) {
      this.knownGeneration = this.tables.generation;
      this.knownTables.fill(-1);
    }
    this.knownTables[level] = table;
    this.knownBases[level] = base;
  }

  /** Translates for the debugger: no side effects, no rights asked. */
  walk(linear: bigint): WalkResult {
    if (!this.paging)
      return { steps: [], gpa: linear & 0xffff_ffffn, pageSize: 4096n, writable: true, user: true, executable: true };
    if (this.state.get32(L.EFER) & EFER_LMA && !isCanonical(linear))
      return { steps: [], writable: false, user: false, executable: false, problem: 'The address is not canonical.' };
    const { path } = this;
    const low = this.follow(linear, WalkEffect.NONE);
    const steps = Array.from({ length: path.depth }, (_, step) => {
      const entry = (BigInt(path.entryHigh[step] ?? 0) << 32n) | BigInt(path.entryLow[step] ?? 0);
      return { level: path.levelName(step), entryGpa: BigInt(path.entryGpa[step] ?? 0), entry, flags: describe(entry) };
    });
    if (path.failure !== undefined) {
      const what = path.failure === 'reserved' ? 'has reserved bits set' : 'is not present';
      const problem = `The ${path.levelName(path.depth - 1)} entry ${what}.`;
      return { steps, writable: false, user: false, executable: false, problem };
    }
    const gpa = BigInt(path.frame + ((low & (path.pageSize - 1)) >>> 0));
    const { writable, user, executable } = path;
    return { steps, writable, user, executable, gpa, pageSize: BigInt(path.pageSize) };
  }

  /**
   * Loads the PDPTEs of PAE paging from CR3. Throws #GP(0) when one that is present has reserved bits set, and AccessExit where the
   * second level doesn't let them be read: no linear address leads there. `insists`: they are read all the same.
   */
  loadPdptes(cr3: bigint, insists = false): void {
    const table = Number(cr3 & 0xffff_ffe0n);
    const { secondLevel } = this.memory;
    const place = this.memory.offsetOf(table);
    if (secondLevel !== undefined && place !== 0 && !insists && !secondLevel.grants(place, Need.READ))
      throw this.walkRefusal(undefined, table, Need.READ);
    const entries = [0, 1, 2, 3].map((index) => {
      const offset = this.memory.offsetOf(table + index * 8);
      return offset === 0 ? 0n : this.memory.view.getBigUint64(offset, true);
    });
    const addressBits = (1n << BigInt(this.model.physicalAddressBits)) - 1n;
    const allowed = (addressBits & ~0xfffn) | 0xe19n;
    if (entries.some((entry) => (entry & 1n) !== 0n && (entry & ~allowed) !== 0n)) throw new GuestFault(Vector.GP, 0);
    entries.forEach((entry, index) => {
      this.state.set64(L.PDPTE + index * 8, entry);
    });
  }
}

/** Pages of 4 KiB that an entry of each level maps: PML4, PDPT, PD, PT. */
const PAGES_PER_ENTRY = [0x800_0000, 0x4_0000, 0x200, 1] as const;

const FLAG_NAMES: readonly (readonly [bit: bigint, name: string])[] = [
  [1n, 'P'],
  [2n, 'RW'],
  [4n, 'US'],
  [8n, 'PWT'],
  [0x10n, 'PCD'],
  [0x20n, 'A'],
  [0x40n, 'D'],
  [0x80n, 'PS'],
  [0x100n, 'G'],
  [1n << 63n, 'NX'],
];

function describe(entry: bigint): string {
  return FLAG_NAMES.filter(([bit]) => (entry & bit) !== 0n)
    .map(([, name]) => name)
    .join(' ');
}

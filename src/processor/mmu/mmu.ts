import { isCanonical } from '../../x86/address.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { PartitionMemory } from '../memory/partition-memory.ts';
import type { CpuModel } from '../models/cpu-model.ts';
import type { WalkResult, WalkStep } from '../processor.ts';
import { type CpuState, Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';

/** Page-table bits (Intel SDM vol. 3, 4.3–4.5). */
const P = 1n;
const RW = 2n;
const US = 4n;
const A = 0x20n;
const D = 0x40n;
const PS = 0x80n;
const NX = 1n << 63n;

const CR0_WP = 1n << 16n;
const CR0_PG = 1n << 31n;
const CR4_PSE = 1n << 4n;
const CR4_PAE = 1n << 5n;
const CR4_SMEP = 1n << 20n;
const CR4_SMAP = 1n << 21n;
const EFER_LMA = 1n << 10n;
const EFER_NXE = 1n << 11n;

/** Bits of a #PF error code. */
const EC_PRESENT = 1;
const EC_WRITE = 2;
const EC_USER = 4;
const EC_RESERVED = 8;
const EC_FETCH = 16;

export interface Access {
  readonly write: boolean;
  readonly fetch: boolean;
  readonly user: boolean;
}

export interface Translation {
  readonly gpa: bigint;
  readonly pageSize: bigint;
  /** A later write with the same rights needs no walk: the page is writable and its dirty bit is set. */
  readonly writable: boolean;
  readonly user: boolean;
}

type LevelName = WalkStep['level'];

interface Level {
  readonly name: LevelName;
  /** Lowest bit of the linear address that the level's index takes. */
  readonly shift: bigint;
}

interface Entry {
  readonly gpa: bigint;
  readonly value: bigint;
  readonly level: Level;
}

/** A walk that reached a page, or the reason why it didn't. */
interface Path {
  readonly entries: readonly Entry[];
  readonly frame: bigint;
  readonly pageSize: bigint;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  readonly failure?: 'not-present' | 'reserved';
}

const LEVELS_64: readonly Level[] = [
  { name: 'PML4', shift: 39n },
  { name: 'PDPT', shift: 30n },
  { name: 'PD', shift: 21n },
  { name: 'PT', shift: 12n },
];
const LEVELS_32: readonly Level[] = [
  { name: 'PD', shift: 22n },
  { name: 'PT', shift: 12n },
];

/** Translates linear addresses by the guest's page tables, with the side effects and faults of the architecture. */
export class Mmu {
  private readonly physicalMask: bigint;

  constructor(
    private readonly state: CpuState,
    private readonly memory: PartitionMemory,
    private readonly model: CpuModel,
  ) {
    this.physicalMask = (1n << BigInt(model.physicalAddressBits)) - 1n;
  }

  /** Throws #PF with the error code of the access. Sets accessed and dirty bits. The caller checks that the address is canonical. */
  translate(linear: bigint, access: Access): Translation {
    if ((this.state.cr0 & CR0_PG) === 0n) return { gpa: linear & 0xffff_ffffn, pageSize: 4096n, writable: true, user: false };
    const path = this.follow(linear);
    const code =
      (access.write ? EC_WRITE : 0) | (access.user ? EC_USER : 0) | (access.fetch && this.reportsFetch() ? EC_FETCH : 0);
    if (path.failure === 'not-present') throw new GuestFault(Vector.PF, code, linear);
    if (path.failure === 'reserved') throw new GuestFault(Vector.PF, code | EC_PRESENT | EC_RESERVED, linear);
    if (!this.allowed(path, access)) throw new GuestFault(Vector.PF, code | EC_PRESENT, linear);
    this.mark(path, access.write);
    const dirty = access.write || ((path.entries.at(-1)?.value ?? 0n) & D) !== 0n;
    const writable = dirty && (path.writable || (!access.user && (this.state.cr0 & CR0_WP) === 0n));
    return { gpa: path.frame | (linear & (path.pageSize - 1n)), pageSize: path.pageSize, writable, user: path.user };
  }

  /** Translates for the debugger: no side effects, no rights asked. */
  walk(linear: bigint): WalkResult {
    if ((this.state.cr0 & CR0_PG) === 0n)
      return { steps: [], gpa: linear & 0xffff_ffffn, pageSize: 4096n, writable: true, user: true, executable: true };
    if ((this.state.efer & EFER_LMA) !== 0n && !isCanonical(linear))
      return { steps: [], writable: false, user: false, executable: false, problem: 'The address is not canonical.' };
    const path = this.follow(linear);
    const steps = path.entries.map(({ gpa, value, level }) => ({
      level: level.name,
      entryGpa: gpa,
      entry: value,
      flags: describe(value),
    }));
    const rights = { writable: path.writable, user: path.user, executable: path.executable };
    if (path.failure) {
      const last = path.entries.at(-1)?.level.name ?? 'PDPT';
      const problem =
        path.failure === 'reserved' ? `The ${last} entry has reserved bits set.` : `The ${last} entry is not present.`;
      return { steps, ...rights, problem };
    }
    return { steps, ...rights, gpa: path.frame | (linear & (path.pageSize - 1n)), pageSize: path.pageSize };
  }

  /** Loads the PDPTEs of PAE paging from CR3. Throws #GP(0) when one has reserved bits set. */
  loadPdptes(cr3: bigint): void {
    const table = cr3 & 0xffff_ffe0n;
    const entries = [0n, 1n, 2n, 3n].map((index) => this.readEntry(table + index * 8n, 8));
    const reserved = ~this.physicalMask | 0x1e6n;
    if (entries.some((entry) => (entry & P) !== 0n && (BigInt.asUintN(64, entry) & BigInt.asUintN(64, reserved)) !== 0n))
      throw new GuestFault(Vector.GP, 0);
    entries.forEach((entry, index) => {
      this.state.set64(L.PDPTE + index * 8, entry);
    });
  }

  private reportsFetch(): boolean {
    const { state } = this;
    const noExecute = (state.efer & EFER_NXE) !== 0n && (state.cr4 & CR4_PAE) !== 0n;
    return noExecute || (state.cr4 & CR4_SMEP) !== 0n;
  }

  private readEntry(gpa: bigint, size: 4 | 8): bigint {
    const place = this.memory.locate(gpa & this.physicalMask);
    // Page tables in a hole read as nothing.
    if (!place || place.available < size) return 0n;
    return size === 8
      ? this.memory.view.getBigUint64(place.offset, true)
      : BigInt(this.memory.view.getUint32(place.offset, true));
  }

  private follow(linear: bigint): Path {
    const { state } = this;
    if ((state.efer & EFER_LMA) !== 0n) return this.followWide(linear, LEVELS_64, state.cr3 & this.physicalMask & ~0xfffn, []);
    if ((state.cr4 & CR4_PAE) === 0n) return this.follow32(linear);
    const index = (linear >> 30n) & 3n;
    const value = state.get64(L.PDPTE + Number(index) * 8);
    const entry: Entry = { gpa: (state.cr3 & 0xffff_ffe0n) + index * 8n, value, level: { name: 'PDPT', shift: 30n } };
    if ((value & P) === 0n) return failed([entry], 'not-present');
    return this.followWide(linear, LEVELS_64.slice(2), value & this.physicalMask & ~0xfffn, [entry]);
  }

  /** 8-byte entries: 4-level paging and the lower levels of PAE paging. */
  private followWide(linear: bigint, levels: readonly Level[], root: bigint, before: readonly Entry[]): Path {
    const entries = [...before];
    const noExecute = (this.state.efer & EFER_NXE) !== 0n;
    let table = root;
    let writable = true;
    let user = true;
    let executable = true;
    for (const level of levels) {
      const gpa = table + ((linear >> level.shift) & 0x1ffn) * 8n;
      const value = this.readEntry(gpa, 8);
      entries.push({ gpa, value, level });
      if ((value & P) === 0n) return failed(entries, 'not-present');
      if (this.reservedWide(value, level, noExecute)) return failed(entries, 'reserved');
      writable &&= (value & RW) !== 0n;
      user &&= (value & US) !== 0n;
      executable &&= (value & NX) === 0n;
      const isLeaf = level.shift === 12n || ((value & PS) !== 0n && level.shift < 39n);
      if (isLeaf) {
        const pageSize = 1n << level.shift;
        return { entries, frame: value & this.physicalMask & ~(pageSize - 1n), pageSize, writable, user, executable };
      }
      table = value & this.physicalMask & ~0xfffn;
    }
    return failed(entries, 'not-present');
  }

  private reservedWide(value: bigint, level: Level, noExecute: boolean): boolean {
    let reserved = 0xf_ffff_ffff_ffffn & ~this.physicalMask & ~0xfffn;
    // In PAE paging bits 62:52 are reserved too.
    if ((this.state.efer & EFER_LMA) === 0n) reserved |= 0x7ff0_0000_0000_0000n;
    if (!noExecute) reserved |= NX;
    if (level.shift === 39n) reserved |= PS;
    else if (level.shift > 12n && (value & PS) !== 0n) {
      if (level.shift === 30n && !this.model.has('pdpe1gb')) return true;
      reserved |= ((1n << level.shift) - 1n) & ~0x1fffn;
    }
    return (value & reserved) !== 0n;
  }

  /** 4-byte entries, with 4 MiB pages under CR4.PSE (PSE-36: bits 20:13 are bits 39:32 of the frame). */
  private follow32(linear: bigint): Path {
    const { state } = this;
    const entries: Entry[] = [];
    let table = state.cr3 & 0xffff_f000n;
    let writable = true;
    let user = true;
    for (const level of LEVELS_32) {
      const gpa = table + ((linear >> level.shift) & 0x3ffn) * 4n;
      const value = this.readEntry(gpa, 4);
      entries.push({ gpa, value, level });
      if ((value & P) === 0n) return failed(entries, 'not-present');
      writable &&= (value & RW) !== 0n;
      user &&= (value & US) !== 0n;
      if (level.shift === 12n) return { entries, frame: value & 0xffff_f000n, pageSize: 4096n, writable, user, executable: true };
      if ((value & PS) !== 0n && (state.cr4 & CR4_PSE) !== 0n) {
        if ((value & (1n << 21n)) !== 0n) return failed(entries, 'reserved');
        const frame = (value & 0xffc0_0000n) | (((value >> 13n) & 0xffn) << 32n);
        return { entries, frame: frame & this.physicalMask, pageSize: 1n << 22n, writable, user, executable: true };
      }
      table = value & 0xffff_f000n;
    }
    return failed(entries, 'not-present');
  }

  private allowed(path: Path, access: Access): boolean {
    const { state } = this;
    if (access.fetch && !path.executable) return false;
    if (access.user) return path.user && (!access.write || path.writable);
    if (access.write && !path.writable && (state.cr0 & CR0_WP) !== 0n) return false;
    if (path.user) {
      if (access.fetch) return (state.cr4 & CR4_SMEP) === 0n;
      // Explicit supervisor accesses pass with EFLAGS.AC; implicit ones (from CPL 3) never do.
      if ((state.cr4 & CR4_SMAP) !== 0n && ((state.rflags & Flag.AC) === 0 || state.cpl === 3)) return false;
    }
    return true;
  }

  /** Sets accessed bits on the way and the dirty bit of the leaf. */
  private mark(path: Path, write: boolean): void {
    const last = path.entries.length - 1;
    const wide = (this.state.efer & EFER_LMA) !== 0n || (this.state.cr4 & CR4_PAE) !== 0n;
    path.entries.forEach(({ gpa, value, level }, index) => {
      // PDPTEs of PAE paging have no accessed bit.
      if (level.name === 'PDPT' && (this.state.efer & EFER_LMA) === 0n) return;
      const wanted = value | A | (index === last && write ? D : 0n);
      if (wanted === value) return;
      const place = this.memory.locate(gpa);
      if (!place) return;
      if (wide) this.memory.view.setBigUint64(place.offset, wanted, true);
      else this.memory.view.setUint32(place.offset, Number(wanted), true);
      this.memory.notifyWrite(gpa, wide ? 8 : 4);
    });
  }
}

function failed(entries: readonly Entry[], failure: 'not-present' | 'reserved'): Path {
  return { entries, frame: 0n, pageSize: 4096n, writable: false, user: false, executable: false, failure };
}

function describe(value: bigint): string {
  const names: readonly (readonly [bigint, string])[] = [
    [P, 'P'],
    [RW, 'RW'],
    [US, 'US'],
    [8n, 'PWT'],
    [0x10n, 'PCD'],
    [A, 'A'],
    [D, 'D'],
    [PS, 'PS'],
    [0x100n, 'G'],
    [NX, 'NX'],
  ];
  return names
    .filter(([bit]) => (value & bit) !== 0n)
    .map(([, name]) => name)
    .join(' ');
}

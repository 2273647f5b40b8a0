import type { InspectNode } from '../../../devices/inspect.ts';
import type { DirtyLog } from '../../../hypervisor/second-level/dirty-log.ts';
import { GPA_BITS } from '../../../hypervisor/second-level/host-place.ts';
import type { SecondLevelMap } from '../../../hypervisor/second-level/second-level-map.ts';
import { hex } from '../../../x86/address.ts';
import { ManualProtect } from '../abi/capabilities.ts';
import { MemoryFlag } from '../abi/flags.ts';
import { KvmError } from '../api/errors.ts';
import type { MemoryRegion } from '../api/vm.ts';

/** Slots that a VMM can have: KVM_CAP_NR_MEMSLOTS. */
export const MOST_SLOTS = 32_764;
const PAGE = 0x1000n;
const MOST_PAGES = 0x7fff_ffffn;
const WORD = 64;

/** A slot, and the pages of it that were written, where it is logged. */
interface Slot extends MemoryRegion {
  readonly dirty: Uint8Array | undefined;
}

/** Where the memory of VMM processes is, in their own addresses: the byte at an offset of a partition's RAM is at this plus the offset. */
export const USER_BASE = 0x7f00_0000_0000n;

/**
 * The memory slots of a virtual machine: which parts of the VMM's memory its guest has as RAM, where, and how. The second-level map follows
 * them; what it has of RAM is made of slots (Linux virt/kvm/kvm_main.c, `__kvm_set_memory_region`).
 */
export class MemorySlots {
  private readonly slots = new Map<number, Slot>();
  /** KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2. */
  manualProtect = 0;

  constructor(
    private readonly map: SecondLevelMap,
    private readonly dirtyLog: DirtyLog,
  ) {}

  /** Takes the RAM that is there for slots, from 0 on. */
  adopt(): void {
    this.slots.clear();
    this.map.memory.regions.forEach(({ gpa, offset, length }, slot) => {
      const userspaceAddress = this.userAddress(offset);
      this.slots.set(slot, {
        slot,
        flags: 0,
        guestPhysicalAddress: gpa,
        memorySize: BigInt(length),
        userspaceAddress,
        dirty: undefined,
      });
    });
  }

  private userAddress(offset: number): bigint {
    return USER_BASE + BigInt(offset - this.map.start);
  }

  get all(): readonly MemoryRegion[] {
    return [...this.slots.values()].sort((a, b) => a.slot - b.slot);
  }

  /** The slot that has a guest physical address. */
  at(gpa: bigint): MemoryRegion | undefined {
    for (const slot of this.slots.values())
      if (gpa >= slot.guestPhysicalAddress && gpa < slot.guestPhysicalAddress + slot.memorySize) return slot;
    return undefined;
  }

  /** KVM_SET_USER_MEMORY_REGION. */
  set(region: MemoryRegion): void {
    checkRegion(region);
    const old = this.slots.get(region.slot);
    if (region.memorySize === 0n) {
      if (!old) throw new KvmError('EINVAL', `Slot ${region.slot} can't be deleted: it has no memory`);
      this.remove(old);
      return;
    }
    if (old) {
      const same = old.userspaceAddress === region.userspaceAddress && old.memorySize === region.memorySize;
      if (!same || ((old.flags ^ region.flags) & MemoryFlag.READONLY) !== 0)
        throw new KvmError(
          'EINVAL',
          `Slot ${region.slot} can be moved, but its memory, its size and read-only stay; delete it first`,
        );
    }
    const moves = old?.guestPhysicalAddress !== region.guestPhysicalAddress;
    if (moves) this.checkRoom(region);
    if (old && !moves) {
      if (old.flags !== region.flags) this.enter({ ...region, dirty: this.freshBitmap(region) });
      return;
    }
    this.checkMemory(region);
    if (old) this.remove(old);
    this.enter({ ...region, dirty: this.freshBitmap(region) });
    const { guestPhysicalAddress: gpa, memorySize, userspaceAddress, flags } = region;
    const offset = this.map.start + Number(userspaceAddress - USER_BASE);
    this.map.addRam({ gpa, offset, length: Number(memorySize) }, (flags & MemoryFlag.READONLY) !== 0);
  }

  private enter(slot: Slot): void {
    this.slots.set(slot.slot, slot);
    this.followLog();
  }

  private remove(slot: Slot): void {
    this.slots.delete(slot.slot);
    this.map.removeRam(slot.guestPhysicalAddress);
    this.followLog();
  }

  /** The log of the second level runs as long as any slot is logged. */
  private followLog(): void {
    const wanted = [...this.slots.values()].some(({ dirty }) => dirty !== undefined);
    if (wanted && this.dirtyLog.method === undefined) this.dirtyLog.start('write-protection');
    else if (!wanted && this.dirtyLog.method !== undefined) this.dirtyLog.stop();
  }

  private freshBitmap({ flags, memorySize }: MemoryRegion): Uint8Array | undefined {
    if (!(flags & MemoryFlag.LOG_DIRTY_PAGES)) return undefined;
    const pages = Number(memorySize / PAGE);
    const bitmap = new Uint8Array(Math.ceil(pages / WORD) * (WORD / 8));
    if (this.manualProtect & ManualProtect.INITIALLY_SET) for (let page = 0; page < pages; page++) setBit(bitmap, page);
    return bitmap;
  }

  private checkRoom({ slot, guestPhysicalAddress, memorySize }: MemoryRegion): void {
    for (const other of this.slots.values())
      if (
        other.slot !== slot &&
        guestPhysicalAddress < other.guestPhysicalAddress + other.memorySize &&
        other.guestPhysicalAddress < guestPhysicalAddress + memorySize
      )
        throw new KvmError('EEXIST', `Slot ${slot} would overlap slot ${other.slot} at ${hex(other.guestPhysicalAddress)}`);
  }

  /** The kernel finds out when the guest gets there; and it lets two slots share memory, which can't be done here. */
  private checkMemory({ slot, userspaceAddress, memorySize }: MemoryRegion): void {
    const end = userspaceAddress + memorySize;
    if (userspaceAddress < USER_BASE || end > USER_BASE + BigInt(this.map.words.length) * PAGE)
      throw new KvmError('EFAULT', `Slot ${slot} wants memory at ${hex(userspaceAddress)} that isn't mapped`);
    for (const other of this.slots.values())
      if (other.slot !== slot && userspaceAddress < other.userspaceAddress + other.memorySize && other.userspaceAddress < end)
        throw new KvmError('EINVAL', `Slot ${slot} wants memory that slot ${other.slot} has; give each memory of its own`);
  }

  /** Hands what the log has to the slots that the pages belong to. */
  private collect(): void {
    for (const gpa of this.dirtyLog.collect())
      for (const { dirty, guestPhysicalAddress, memorySize } of this.slots.values())
        if (dirty && gpa >= guestPhysicalAddress && gpa < guestPhysicalAddress + memorySize)
          setBit(dirty, Number((gpa - guestPhysicalAddress) / PAGE));
  }

  private logged(number: number): Slot & { readonly dirty: Uint8Array } {
    if (number < 0 || number >= MOST_SLOTS) throw new KvmError('EINVAL', `There are slots from 0 to ${MOST_SLOTS - 1}`);
    const slot = this.slots.get(number);
    if (slot?.dirty === undefined) throw new KvmError('ENOENT', `Slot ${number} is not logged`);
    return { ...slot, dirty: slot.dirty };
  }

  /** KVM_GET_DIRTY_LOG. */
  getDirtyLog(number: number): Uint8Array {
    const { dirty } = this.logged(number);
    this.collect();
    const bitmap = dirty.slice();
    if (!(this.manualProtect & ManualProtect.ENABLE)) dirty.fill(0);
    return bitmap;
  }

  /** KVM_CLEAR_DIRTY_LOG. */
  clearDirtyLog(number: number, firstPage: bigint, count: number, bitmap: Uint8Array): void {
    if (firstPage % BigInt(WORD) !== 0n) throw new KvmError('EINVAL', `The first page must be a multiple of ${WORD}`);
    const { dirty, memorySize } = this.logged(number);
    const pages = memorySize / PAGE;
    const left = Number(pages - firstPage);
    if (firstPage > pages || count > left || (count < left && count % WORD !== 0))
      throw new KvmError('EINVAL', `Slot ${number} has ${pages} pages, which are cleared by ${WORD} or to its end`);
    this.collect();
    for (let page = 0; page < count; page++)
      if (((bitmap[page >> 3] ?? 0) >> (page & 7)) & 1) {
        const at = Number(firstPage) + page;
        dirty[at >> 3] = (dirty[at >> 3] ?? 0) & ~(1 << (at & 7));
      }
  }

  inspect(): InspectNode {
    const children = this.all.map(({ slot, guestPhysicalAddress: gpa, memorySize, userspaceAddress, flags }): InspectNode => {
      const notes = [
        flags & MemoryFlag.READONLY ? ', read-only' : '',
        flags & MemoryFlag.LOG_DIRTY_PAGES ? ', dirty pages logged' : '',
      ].join('');
      return {
        name: `slot ${slot}`,
        value: `${hex(gpa)}–${hex(gpa + memorySize - 1n)}`,
        detail: `${memorySize / 1024n} KiB at ${hex(userspaceAddress)} of the VMM${notes}`,
        memory: { space: 'gpa', address: gpa },
      };
    });
    return { name: 'memory slots', value: `${children.length}`, children };
  }
}

function checkRegion({ slot, flags, guestPhysicalAddress: gpa, memorySize, userspaceAddress }: MemoryRegion): void {
  const fail = (why: string) => new KvmError('EINVAL', `Slot ${slot} ${why}`);
  if (flags & ~(MemoryFlag.LOG_DIRTY_PAGES | MemoryFlag.READONLY)) throw fail(`has unknown flags: ${hex(flags)}`);
  if ((memorySize | gpa | userspaceAddress) % PAGE !== 0n || memorySize < 0n) throw fail('is not made of whole pages of 4 KiB');
  if (!Number.isInteger(slot) || slot < 0 || slot >= MOST_SLOTS) throw fail(`is none of 0 to ${MOST_SLOTS - 1}`);
  if (memorySize / PAGE > MOST_PAGES) throw fail('has too many pages');
  if (gpa < 0n || gpa + memorySize > 1n << GPA_BITS) throw fail(`ends beyond the ${GPA_BITS} bits of guest physical addresses`);
}

function setBit(bitmap: Uint8Array, bit: number): void {
  bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
}

import type { InspectNode } from '../../../devices/inspect.ts';
import type { LocalApic } from '../../../devices/local-apic/device.ts';
import { lowestPriority } from '../../../devices/local-apic/lowest-priority.ts';
import { Delivery } from '../../../devices/local-apic/registers.ts';
import type { MessageSignal } from '../../../devices/pci/message.ts';
import { hex } from '../../../x86/address.ts';

/** Where an interrupt of a device goes. */
export interface InterruptTarget {
  /** 0x10 to 0xFF. */
  readonly vector: number;
  /** Virtual processors that the partition has. */
  readonly vps: readonly number[];
  /** All of them get it; else the one that does the least important work. */
  readonly isMulticast: boolean;
}

/** The place that a message names, whatever else it has. */
function placeOf({ address }: MessageSignal): number {
  const low = Number(address & 0xf_ffffn);
  return ((low >> 5) & 0x7fff) | (((low >> 2) & 1) << 15);
}

interface Entry {
  readonly message: MessageSignal;
  target: InterruptTarget;
  delivered: number;
}

interface AttachedDevice {
  readonly name: string;
  /** By their places in the table. */
  readonly entries: Map<number, Entry>;
}

/** Interrupts that one device may have at a time: what MSI-X has at most. */
const MOST_ENTRIES = 2048;
/** Places in the table: a message has 16 bits for one. */
const MOST_PLACES = 0x1_0000;

/**
 * A message that names a place in a table instead of a processor, in the remappable format of Intel VT-d (5.1.2.2): bits 14:0 of the place at
 * 19:5, bit 15 at 2, and bit 4 that says so.
 */
const WINDOW = 0xfee0_0000n;
const REMAPPABLE = 0x10n;

function messageFor(place: number): MessageSignal {
  return { address: WINDOW | REMAPPABLE | BigInt(((place & 0x7fff) << 5) | ((place >> 15) << 2)), data: 0 };
}

/**
 * The interrupts of devices that are assigned to a partition, as the hypervisor remaps them: a device sends a message that it was given, and
 * the entry behind it says which virtual processors get which vector. A message of a device that has no entry goes nowhere.
 */
export class DeviceInterrupts {
  private readonly devices = new Map<bigint, AttachedDevice>();
  private readonly used = new Set<number>();
  private blocked = 0;
  private lastBlocked: string | undefined;

  constructor(private readonly apics: () => readonly LocalApic[]) {}

  /** A device is the partition's, by its logical id; one that was there has no entries any more. */
  attach(device: bigint, name: string): void {
    this.clear(device);
    this.devices.set(device, { name, entries: new Map() });
  }
  detach(device: bigint): void {
    this.clear(device);
    this.devices.delete(device);
  }
  has(device: bigint): boolean {
    return this.devices.has(device);
  }

  /** A further interrupt of a device: the message that makes it. Undefined where there is no such device, or it has all that it can have. */
  map(device: bigint, target: InterruptTarget): MessageSignal | undefined {
    const found = this.devices.get(device);
    if (found === undefined || found.entries.size >= MOST_ENTRIES) return undefined;
    let place = 0;
    while (this.used.has(place)) place++;
    if (place >= MOST_PLACES) return undefined;
    this.used.add(place);
    const message = messageFor(place);
    found.entries.set(place, { message, target, delivered: 0 });
    return message;
  }

  /** Has an interrupt go elsewhere from now on. False where the device has none with that message. */
  retarget(device: bigint, message: MessageSignal, target: InterruptTarget): boolean {
    const entry = this.find(device, message)?.[1];
    if (entry === undefined) return false;
    entry.target = target;
    return true;
  }

  /** The device has an interrupt no more. False where it has none with that message. */
  unmap(device: bigint, message: MessageSignal): boolean {
    const found = this.find(device, message);
    if (found === undefined) return false;
    this.devices.get(device)?.entries.delete(found[0]);
    this.used.delete(found[0]);
    return true;
  }

  /** It has none any more. */
  clear(device: bigint): void {
    const entries = this.devices.get(device)?.entries;
    for (const place of entries?.keys() ?? []) this.used.delete(place);
    entries?.clear();
  }

  private find(device: bigint, { address, data }: MessageSignal): readonly [place: number, entry: Entry] | undefined {
    const place = placeOf({ address, data });
    const entry = this.devices.get(device)?.entries.get(place);
    return entry?.message.address === address && entry.message.data === data ? [place, entry] : undefined;
  }

  /** A device sends a message: the virtual processors that its entry names get an interrupt. */
  take(device: bigint, message: MessageSignal): void {
    const entry = this.find(device, message)?.[1];
    if (entry === undefined) {
      this.blocked++;
      this.lastBlocked = `${hex(message.data)} to ${hex(message.address)}`;
      return;
    }
    entry.delivered++;
    const { vector, vps, isMulticast } = entry.target;
    const all = this.apics();
    const named = vps.flatMap((vp) => all[vp] ?? []);
    const lowest = isMulticast ? undefined : lowestPriority(named);
    const apics = lowest ? [lowest] : isMulticast ? named : [];
    for (const apic of apics) apic.accept(Delivery.FIXED, vector, false);
  }

  reset(): void {
    this.devices.clear();
    this.used.clear();
    this.blocked = 0;
    this.lastBlocked = undefined;
  }

  inspect(): InspectNode {
    const { blocked, lastBlocked } = this;
    return {
      name: 'interrupts of devices',
      value: String(this.used.size),
      ...(blocked === 0 ? {} : { detail: `${blocked} messages without an entry went nowhere, the last ${lastBlocked}` }),
      children: [...this.devices].map(([id, { name, entries }]) => ({
        name: hex(id),
        value: name,
        children: [...entries.values()].map(inspectEntry),
      })),
    };
  }
}

function inspectEntry({ message, target, delivered }: Entry): InspectNode {
  const { vector, vps, isMulticast } = target;
  const to = vps.length === 1 ? `vCPU ${vps[0]}` : `${isMulticast ? 'all' : 'one'} of the vCPUs ${vps.join(', ')}`;
  return { name: hex(message.address), value: `vector ${hex(vector)} to ${to}`, detail: `${delivered} times` };
}

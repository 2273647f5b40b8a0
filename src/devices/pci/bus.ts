import { hex } from '../../x86/address.ts';
import type { NamedMmioDevice } from '../bus/mmio-bus.ts';
import type { Device, InterruptLine } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import { BarDecoder } from './bar-decoder.ts';
import type { BarKind } from './configuration-space.ts';
import type { PciFunction } from './function.ts';
import { inspectFunction, placeName, registerName } from './inspect.ts';
import { SLOTS } from './registers.ts';

export interface PciBusWorld {
  /** Interrupt lines of the bus, numbered from 0: see {@link lineOf}. */
  readonly line: (number: number) => InterruptLine;
  /** Interrupts of the PICs, which several lines share. */
  readonly irq: (number: number) => InterruptLine;
  /** Addresses for BARs, as a firmware would give them out. */
  readonly window: { readonly base: bigint; readonly length: bigint };
  /** The interrupt of the PICs that a line leads to, which a firmware writes into the interrupt line registers. */
  readonly irqOf: (line: number) => number;
}

export interface PciBusState {
  readonly version: 1;
}

/** Interrupt lines that a bus has. */
export const LINES = 8;

/** The line that a pin (1 is INTA) of a slot leads to: neighbours have different ones. */
export const lineOf = (slot: number, pin: number): number => (slot + pin - 1) % LINES;

/**
 * Bus 0: one function in each slot. It finds functions by their slots, and memory BARs by the addresses that the guest gave them: where
 * two overlap, the lower slot and then the lower BAR answers.
 */
export class PciBus implements Device<PciBusState> {
  readonly name = 'pci';
  private readonly slots: PciFunction[] = [];
  private readonly decoder = new BarDecoder();
  private nextAddress: bigint;

  constructor(private readonly world: PciBusWorld) {
    this.nextAddress = world.window.base;
  }

  get functions(): readonly PciFunction[] {
    return this.slots;
  }

  /** Puts a function into the next slot, and gives its BARs addresses. Throws a sentence when there is no room. */
  add(device: PciFunction): number {
    const slot = this.slots.length;
    if (slot >= SLOTS) throw new Error(`${device.name} finds no slot on the PCI bus, which has ${SLOTS}; leave out a device.`);
    this.slots.push(device);
    const { configuration } = device;
    const line = lineOf(slot, 1);
    configuration.connect({
      decodingChanged: () => this.decoder.decode(this.slots),
      interruptChanged: () => this.driveLine(line),
    });
    const bars = new Map(configuration.bars.map((bar) => [bar.index, this.takeAddress(bar, device)]));
    configuration.configure({ bars, interruptLine: this.world.irqOf(line) });
    return slot;
  }

  private takeAddress({ size }: BarKind, { name }: PciFunction): bigint {
    const { base, length } = this.world.window;
    const alignment = BigInt(size);
    const address = (this.nextAddress + alignment - 1n) & -alignment;
    if (address + alignment > base + length)
      throw new Error(`${name} finds no room in the addresses of the PCI bus; leave out a device.`);
    this.nextAddress = address + alignment;
    return address;
  }

  private driveLine(line: number): void {
    const { irqOf } = this.world;
    const irq = irqOf(line);
    this.world.line(line).set(this.isHigh((other) => other === line));
    this.world.irq(irq).set(this.isHigh((other) => irqOf(other) === irq));
  }
  /** Whether a function drives one of these lines. */
  private isHigh(isOne: (line: number) => boolean): boolean {
    return this.slots.some(({ configuration }, slot) => configuration.drivesPin && isOne(lineOf(slot, 1)));
  }

  /** Who answers at a guest physical address, where nothing that can't move does. */
  find(gpa: bigint): NamedMmioDevice | undefined {
    return this.decoder.find(gpa);
  }

  /** Registers of a function: `target` is bus, slot and function as an address has them, 8, 5 and 3 bits. Ones where none is. */
  readConfiguration(target: number, offset: number, size: 1 | 2 | 4): number {
    return this.at(target)?.configuration.read(offset, size) ?? 0xffff_ffff >>> (32 - size * 8);
  }
  writeConfiguration(target: number, offset: number, size: 1 | 2 | 4, value: number): void {
    this.at(target)?.configuration.write(offset, size, value);
  }
  /** Slots have a function 0 only, and there is no other bus. */
  private at(target: number): PciFunction | undefined {
    return (target & 7) === 0 ? this.slots[target >> 3] : undefined;
  }

  /** What an address of a register names, for a debugger. */
  describe(target: number, offset: number): { readonly function: string; readonly register: string } {
    const found = this.at(target);
    const name = found ? registerName(found.configuration, offset) : 'none';
    return { function: `${placeName(target)} ${found?.name ?? 'nothing'}`, register: `${hex(offset, 2)} ${name}` };
  }

  /** Functions are devices of the machine too, which resets and saves each. */
  reset(): void {}
  save(): PciBusState {
    return { version: 1 };
  }
  restore(state: PciBusState): void {
    requireVersion(this.name, state, 1);
  }
  inspect(): InspectNode {
    const { slots } = this;
    return { name: this.name, value: 'bus 0', detail: `${slots.length} functions`, children: slots.map(inspectFunction) };
  }
}

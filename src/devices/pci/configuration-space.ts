import { BARS, BarBit, CONFIG_LENGTH, Command, Config, Status } from './registers.ts';

/** A memory BAR of a function: where its registers can be reached, at an address that the guest may change. */
export interface BarKind {
  /** 0–5; a 64-bit BAR takes the next one too. */
  readonly index: number;
  /** Bytes: a power of 2, 16 to 2 GiB. */
  readonly size: number;
  readonly is64?: boolean;
  readonly prefetchable?: boolean;
}

/** A capability of a function (PCI 3.0, 6.7). Offsets are from its first byte, the id. */
export interface Capability {
  /** Shown to the user. */
  readonly name: string;
  readonly id: number;
  /** Its bytes; the first two, id and next pointer, are filled in. */
  readonly bytes: Uint8Array;
  /** Bits that the guest can write, by byte; none when missing. */
  readonly writable?: Uint8Array;
  /** The guest is about to read these bytes. */
  readonly beforeRead?: (from: number, size: number) => void;
  /** The guest has written these bytes. */
  readonly written?: (from: number, size: number) => void;
}

export interface FunctionIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly revision: number;
  /** 24 bits: base class, subclass, programming interface. */
  readonly classCode: number;
  readonly subsystemVendor?: number;
  readonly subsystem?: number;
  readonly bars?: readonly BarKind[];
  /** 1 is INTA; no interrupt when missing. */
  readonly interruptPin?: number;
}

/** Who is told what the guest, or the function, changed. */
export interface ConfigurationListener {
  /** A BAR was moved, or memory decoding switched. */
  decodingChanged(): void;
  /** The function's pin may have another level. */
  interruptChanged(): void;
}

const ALIGNMENT = 4;
const BAR_LENGTH = 4;

/** The configuration space of one function: registers that are read only, written in part, or watched. */
export class ConfigurationSpace {
  readonly bars: readonly BarKind[];
  private readonly bytes = new Uint8Array(CONFIG_LENGTH);
  private readonly view = new DataView(this.bytes.buffer);
  /** As the function is switched on. */
  private readonly initial = new Uint8Array(CONFIG_LENGTH);
  /** Bits that the guest can write. */
  private readonly writable = new Uint8Array(CONFIG_LENGTH);
  private readonly placed: { readonly offset: number; readonly capability: Capability }[] = [];
  private listener: ConfigurationListener | undefined;
  /** The function wants an interrupt by its pin. */
  private isRaised = false;

  constructor(identity: FunctionIdentity) {
    const { view } = this;
    this.bars = identity.bars ?? [];
    view.setUint16(Config.VENDOR_ID, identity.vendor, true);
    view.setUint16(Config.DEVICE_ID, identity.device, true);
    view.setUint32(Config.REVISION, ((identity.classCode << 8) | identity.revision) >>> 0, true);
    view.setUint16(Config.SUBSYSTEM_VENDOR, identity.subsystemVendor ?? 0, true);
    view.setUint16(Config.SUBSYSTEM, identity.subsystem ?? 0, true);
    view.setUint8(Config.INTERRUPT_PIN, identity.interruptPin ?? 0);
    const masks = new DataView(this.writable.buffer);
    const { IO, MEMORY, MASTER, SERR, NO_INTX } = Command;
    masks.setUint16(Config.COMMAND, IO | MEMORY | MASTER | SERR | NO_INTX, true);
    if (identity.interruptPin) masks.setUint8(Config.INTERRUPT_LINE, 0xff);
    for (const { index, size, is64, prefetchable } of this.bars) {
      const at = Config.BARS + BAR_LENGTH * index;
      view.setUint8(at, (is64 ? BarBit.IS_64 : 0) | (prefetchable ? BarBit.PREFETCHABLE : 0));
      // What can't be written tells the size (6.2.5.1).
      masks.setUint32(at, ~(size - 1) >>> 0, true);
      if (is64 && index + 1 < BARS) masks.setUint32(at + BAR_LENGTH, 0xffff_ffff, true);
    }
    this.initial.set(this.bytes);
  }

  /** Whom to tell; one for the life of the function. */
  connect(listener: ConfigurationListener): void {
    this.listener = listener;
  }

  /** Adds a capability behind those that are there. Gives its bytes as they are in the configuration space. */
  add(capability: Capability): DataView {
    const last = this.placed.at(-1);
    const end = last ? last.offset + last.capability.bytes.length : Config.FIRST_CAPABILITY;
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    const { length } = capability.bytes;
    if (offset + length > CONFIG_LENGTH)
      throw new Error(`The capability ${capability.name} has no room in the configuration space.`);
    this.bytes.set(capability.bytes, offset);
    this.bytes.set([capability.id, 0], offset);
    this.bytes[last ? last.offset + 1 : Config.CAPABILITIES] = offset;
    this.bytes[Config.STATUS] = (this.bytes[Config.STATUS] ?? 0) | Status.CAPABILITIES;
    if (capability.writable) this.writable.set(capability.writable, offset);
    this.placed.push({ offset, capability });
    this.initial.set(this.bytes);
    return new DataView(this.bytes.buffer, offset, length);
  }

  /** What firmware leaves behind: addresses of BARs, memory decoding, the interrupt line. A reset goes back to it. */
  configure({ bars, interruptLine = 0 }: { readonly bars: ReadonlyMap<number, bigint>; readonly interruptLine?: number }): void {
    for (const { index, is64 } of this.bars) {
      const address = bars.get(index);
      if (address !== undefined) this.setBar(index, address, is64 ?? false);
    }
    if (bars.size > 0) this.view.setUint16(Config.COMMAND, this.command | Command.MEMORY, true);
    this.view.setUint8(Config.INTERRUPT_LINE, interruptLine);
    this.initial.set(this.bytes);
    this.listener?.decodingChanged();
  }

  private setBar(index: number, address: bigint, is64: boolean): void {
    const at = Config.BARS + BAR_LENGTH * index;
    const kind = this.view.getUint8(at) & 0xf;
    this.view.setUint32(at, Number(address & 0xffff_fff0n) | kind, true);
    if (is64) this.view.setUint32(at + BAR_LENGTH, Number((address >> 32n) & 0xffff_ffffn), true);
  }

  // --- as the function sees it ----------------------------------------------------------------------------------------

  get command(): number {
    return this.view.getUint16(Config.COMMAND, true);
  }
  /** It may reach memory and send messages by itself. */
  get isBusMaster(): boolean {
    return (this.command & Command.MASTER) !== 0;
  }
  get decodesMemory(): boolean {
    return (this.command & Command.MEMORY) !== 0;
  }
  get capabilities(): readonly { readonly offset: number; readonly capability: Capability }[] {
    return this.placed;
  }

  /** Guest physical address of a BAR as it is now. */
  barAddress({ index, is64 }: BarKind): bigint {
    const at = Config.BARS + BAR_LENGTH * index;
    const low = BigInt((this.view.getUint32(at, true) & ~0xf) >>> 0);
    return is64 ? low | (BigInt(this.view.getUint32(at + BAR_LENGTH, true)) << 32n) : low;
  }

  /** What its BARs would read after ones were written to them (6.2.5.1): six words. */
  probedBars(): readonly number[] {
    const masks = new DataView(this.writable.buffer);
    return Array.from({ length: BARS }, (_, index) => {
      const at = Config.BARS + BAR_LENGTH * index;
      const mask = masks.getUint32(at, true);
      return (mask | (this.view.getUint32(at, true) & ~mask)) >>> 0;
    });
  }

  /** The function wants an interrupt by its pin, or doesn't any more. */
  raise(isRaised: boolean): void {
    if (isRaised === this.isRaised) return;
    this.isRaised = isRaised;
    this.showInterrupt();
    this.listener?.interruptChanged();
  }
  private showInterrupt(): void {
    const status = (this.bytes[Config.STATUS] ?? 0) & ~Status.INTERRUPT;
    this.bytes[Config.STATUS] = status | (this.isRaised ? Status.INTERRUPT : 0);
  }
  /** Whether its pin is asserted: the guest can switch that off. */
  get drivesPin(): boolean {
    return this.isRaised && (this.command & Command.NO_INTX) === 0;
  }

  // --- as the guest sees it -------------------------------------------------------------------------------------------

  /** 1 to 4 bytes; beyond the end there are ones. */
  read(offset: number, size: number): number {
    for (const { offset: from, capability } of this.placed)
      if (offset < from + capability.bytes.length && from < offset + size) capability.beforeRead?.(offset - from, size);
    let value = 0;
    for (let index = 0; index < size; index++) value |= (this.bytes[offset + index] ?? 0xff) << (8 * index);
    return value >>> 0;
  }

  write(offset: number, size: number, value: number): void {
    for (let index = 0; index < size; index++) {
      const at = offset + index;
      const mask = this.writable[at] ?? 0;
      this.bytes[at] = ((this.bytes[at] ?? 0) & ~mask) | ((value >>> (8 * index)) & mask);
    }
    const touches = (from: number, length: number) => offset < from + length && from < offset + size;
    if (touches(Config.COMMAND, 2) || touches(Config.BARS, BARS * BAR_LENGTH)) this.listener?.decodingChanged();
    if (touches(Config.COMMAND, 2)) this.listener?.interruptChanged();
    for (const { offset: from, capability } of this.placed)
      if (touches(from, capability.bytes.length)) capability.written?.(offset - from, size);
  }

  // --- as a part of a device ------------------------------------------------------------------------------------------

  reset(): void {
    this.isRaised = false;
    this.bytes.set(this.initial);
    this.listener?.decodingChanged();
    this.listener?.interruptChanged();
  }
  save(): Uint8Array {
    return this.bytes.slice();
  }
  /** The line isn't driven again: what it leads to restores its own state. */
  restore(bytes: Uint8Array): void {
    this.bytes.set(bytes.subarray(0, CONFIG_LENGTH));
    this.isRaised = ((this.bytes[Config.STATUS] ?? 0) & Status.INTERRUPT) !== 0;
    this.listener?.decodingChanged();
  }
}

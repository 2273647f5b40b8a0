import { hex } from '../../x86/address.ts';
import type { Device, MmioDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import type { ApicBus } from '../local-apic/apic-bus.ts';
import { DELIVERY_NAMES, Delivery, destinationOf8Bits } from '../local-apic/registers.ts';
import { requireVersion } from '../state.ts';
import * as R from './registers.ts';

export interface IoApicState {
  readonly version: 1;
  readonly id: number;
  readonly select: number;
  readonly low: readonly number[];
  readonly high: readonly number[];
  readonly lines: number;
}

export interface IoApicWorld {
  readonly bus: ApicBus;
}

/** I/O APIC with 24 pins. ISA interrupt 0 is wired to pin 2, the others to the pin of their number. */
export class IoApic implements Device<IoApicState>, MmioDevice {
  readonly name = 'io-apic';
  readonly mmio = [{ base: R.IOAPIC_BASE, length: R.IOAPIC_LENGTH }];

  private id = 0;
  private select = 0;
  private readonly low = new Uint32Array(R.PINS);
  private readonly high = new Uint32Array(R.PINS);
  /** Levels of the pins. */
  private lines = 0;

  constructor(private readonly world: IoApicWorld) {
    world.bus.onEoi((vector) => this.endOfInterrupt(vector));
    this.reset();
  }

  reset(): void {
    this.id = 0;
    this.select = 0;
    this.low.fill(R.Entry.MASKED);
    this.high.fill(0);
    this.lines = 0;
  }

  /** Whether any pin raises NMIs, which wake a processor that has its interrupts off. */
  get sendsNmis(): boolean {
    return this.low.some((entry) => (entry & (R.Entry.MASKED | R.Entry.DELIVERY_MODE)) === Delivery.NMI << 8);
  }

  setLine(pin: number, level: boolean): void {
    const bit = 1 << pin;
    const before = (this.lines & bit) !== 0;
    this.lines = level ? this.lines | bit : this.lines & ~bit;
    const entry = this.low[pin] ?? R.Entry.MASKED;
    if (level && (entry & R.Entry.LEVEL || !before)) this.service(pin);
  }

  private service(pin: number): void {
    const entry = this.low[pin] ?? R.Entry.MASKED;
    if (entry & R.Entry.MASKED) return;
    const level = (entry & R.Entry.LEVEL) !== 0;
    if (level && entry & R.Entry.REMOTE_IRR) return;
    const mode = (entry & R.Entry.DELIVERY_MODE) >> 8;
    const reached = this.world.bus.send({
      mode,
      vector: entry & R.Entry.VECTOR,
      level,
      destination: destinationOf8Bits((this.high[pin] ?? 0) >>> 24),
      logical: (entry & R.Entry.LOGICAL) !== 0,
    });
    if (level && reached > 0 && mode <= Delivery.LOWEST) this.low[pin] = entry | R.Entry.REMOTE_IRR;
  }

  private endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < R.PINS; pin++) {
      const entry = this.low[pin] ?? 0;
      if ((entry & R.Entry.VECTOR) !== vector || !(entry & R.Entry.LEVEL) || !(entry & R.Entry.REMOTE_IRR)) continue;
      this.low[pin] = entry & ~R.Entry.REMOTE_IRR;
      if (this.lines & (1 << pin)) this.service(pin);
    }
  }

  readMmio(gpa: bigint): bigint {
    switch (gpa - R.IOAPIC_BASE) {
      case R.Window.SELECT:
        return BigInt(this.select);
      case R.Window.DATA:
        return BigInt(this.readWindow() >>> 0);
      default:
        return 0n;
    }
  }

  private readWindow(): number {
    const { select } = this;
    if (select === R.Register.ID || select === R.Register.ARBITRATION) return this.id << 24;
    if (select === R.Register.VERSION) return ((R.PINS - 1) << 16) | R.VERSION;
    const pin = (select - R.Register.REDIRECTION) >> 1;
    return (select & 1 ? this.high[pin] : this.low[pin]) ?? 0xffff_ffff;
  }

  writeMmio(gpa: bigint, _size: number, value: bigint): void {
    const data = Number(value & 0xffff_ffffn);
    switch (gpa - R.IOAPIC_BASE) {
      case R.Window.SELECT:
        this.select = data & 0xff;
        break;
      case R.Window.DATA:
        this.writeWindow(data);
        break;
      case R.Window.EOI:
        this.endOfInterrupt(data & 0xff);
        break;
      default:
        break;
    }
  }

  private writeWindow(value: number): void {
    const { select } = this;
    if (select === R.Register.ID) this.id = (value >>> 24) & 0xf;
    const pin = (select - R.Register.REDIRECTION) >> 1;
    if (pin < 0 || pin >= R.PINS) return;
    if (select & 1) {
      this.high[pin] = value & 0xff00_0000;
      return;
    }
    const before = this.low[pin] ?? 0;
    this.low[pin] = (value & 0x1_ffff & ~R.READ_ONLY) | (before & R.READ_ONLY);
    // An entry that becomes edge triggered forgets a service in progress: Linux ends interrupts that way.
    if (!(value & R.Entry.LEVEL)) this.low[pin] = (this.low[pin] ?? 0) & ~R.Entry.REMOTE_IRR;
    else if (this.lines & (1 << pin)) this.service(pin);
  }

  save(): IoApicState {
    const { id, select, lines } = this;
    return { version: 1, id, select, lines, low: [...this.low], high: [...this.high] };
  }
  restore(state: IoApicState): void {
    requireVersion(this.name, state, 1);
    this.id = state.id;
    this.select = state.select;
    this.lines = state.lines;
    for (let pin = 0; pin < R.PINS; pin++) {
      this.low[pin] = state.low[pin] ?? R.Entry.MASKED;
      this.high[pin] = state.high[pin] ?? 0;
    }
  }

  inspect(): InspectNode {
    const children = [...this.low].map((entry, pin): InspectNode => {
      const trigger = entry & R.Entry.LEVEL ? 'level' : 'edge';
      const to = `${entry & R.Entry.LOGICAL ? 'logical' : 'APIC'} ${(this.high[pin] ?? 0) >>> 24}`;
      const detail =
        entry & R.Entry.MASKED
          ? 'masked'
          : `vector ${hex(entry & R.Entry.VECTOR)}, ${DELIVERY_NAMES[(entry & R.Entry.DELIVERY_MODE) >> 8]}, ${trigger}, to ${to}`;
      return { name: `pin ${pin}`, value: `${hex(this.high[pin] ?? 0, 8)}:${hex(entry, 8).slice(2)}`, detail };
    });
    return { name: this.name, value: hex(R.IOAPIC_BASE), detail: `id ${this.id}`, children };
  }
}

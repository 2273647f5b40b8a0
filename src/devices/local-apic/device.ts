import { hex } from '../../x86/address.ts';
import type { Clock, Device, MmioDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import type { ApicBus, InterruptMessage } from './apic-bus.ts';
import * as R from './registers.ts';
import { ApicTimer, type ApicTimerState } from './timer.ts';
import { VectorSet } from './vector-set.ts';

export interface LocalApicState {
  readonly version: 2;
  readonly registers: readonly number[];
  readonly irr: readonly number[];
  readonly isr: readonly number[];
  readonly tmr: readonly number[];
  readonly errors: number;
  readonly timer: ApicTimerState;
}

export interface LocalApicWorld {
  readonly clock: Clock;
  /** Initial APIC id: the vCPU's number. */
  readonly id: number;
  readonly bus: ApicBus;
  /** IA32_APIC_BASE of its processor, which owns that MSR. */
  readonly apicBase: () => bigint;
  readonly tsc: () => bigint;
  /** Pins and messages into the processor core. */
  readonly core: { nmi(): void; init(): void; startUp(vector: number): void };
  /** The PIC pair, whose output is wired to LINT0 of each local APIC. */
  readonly pic: { hasInterrupt(): boolean; acknowledge(): number };
}

/** A hypervisor that has a say in how interrupts end. */
export interface InterruptEnds {
  /** An interrupt with this vector is at its end as soon as the processor has accepted it. */
  endsByItself(vector: number): boolean;
  /** Something waits for the end of an interrupt with this vector. */
  waitsFor(vector: number): boolean;
  /** An interrupt with this vector has ended by an EOI. */
  ended(vector: number): void;
}

const LVTS = [R.Reg.LVT_TIMER, R.Reg.LVT_THERMAL, R.Reg.LVT_PERFORMANCE, R.Reg.LVT_LINT0, R.Reg.LVT_LINT1, R.Reg.LVT_ERROR];

/**
 * Local APIC in xAPIC and x2APIC mode (Intel SDM vol. 3, ch. 11). It has the shape of the processor's `InterruptSource`.
 * While IA32_APIC_BASE disables it, the PIC's output reaches the processor directly.
 */
export class LocalApic implements Device<LocalApicState>, MmioDevice {
  readonly name: string;
  readonly timer: ApicTimer;
  private readonly registers = new Uint32Array(0x40);
  private readonly irr = new VectorSet();
  private readonly isr = new VectorSet();
  private readonly tmr = new VectorSet();
  /** Errors that the next write to ESR makes visible. */
  private errors = 0;
  /** Wiring, which a reset leaves. */
  hypervisor: InterruptEnds | undefined;

  constructor(private readonly world: LocalApicWorld) {
    this.name = `local APIC ${world.id}`;
    this.timer = new ApicTimer(world.clock, world.tsc, () => this.fireLvt(R.Reg.LVT_TIMER));
    world.bus.attach(this);
    this.reset();
  }

  get mmio(): readonly { readonly base: bigint; readonly length: bigint }[] {
    return [{ base: this.world.apicBase() & R.ApicBase.ADDRESS, length: R.APIC_LENGTH }];
  }

  /** True when the page at IA32_APIC_BASE answers: enabled, and not in x2APIC mode. */
  answersAt(gpa: bigint): boolean {
    const base = this.world.apicBase();
    return (
      (base & (R.ApicBase.ENABLE | R.ApicBase.X2APIC)) === R.ApicBase.ENABLE && (gpa & ~0xfffn) === (base & R.ApicBase.ADDRESS)
    );
  }

  reset(): void {
    this.registers.fill(0);
    this.irr.clear();
    this.isr.clear();
    this.tmr.clear();
    this.errors = 0;
    this.timer.reset();
    this.put(R.Reg.ID, this.world.id << 24);
    this.put(R.Reg.DFR, 0xffff_ffff);
    this.put(R.Reg.SVR, 0xff);
    for (const lvt of LVTS) this.put(lvt, R.Lvt.MASKED);
    // Virtual wire mode, as a PC's firmware leaves the boot processor: the PIC interrupts through LINT0.
    if (this.world.id === 0) this.put(R.Reg.LVT_LINT0, R.Delivery.EXTINT << 8);
    this.put(R.Reg.LVT_LINT1, this.world.id === 0 ? R.Delivery.NMI << 8 : R.Lvt.MASKED);
  }

  /** As at power-up, but with the ID that it was given (Intel SDM vol. 3, 11.4.7.3). */
  private initialize(): void {
    const id = this.get(R.Reg.ID);
    this.reset();
    this.put(R.Reg.ID, id);
  }

  /** IA32_APIC_BASE had another value: an APIC that is switched on again has its first id. */
  baseChanged(before: bigint): void {
    if (this.enabled && (before & R.ApicBase.ENABLE) === 0n) this.put(R.Reg.ID, this.world.id << 24);
  }

  private get(offset: number): number {
    return this.registers[offset >> 4] ?? 0;
  }
  private put(offset: number, value: number): void {
    this.registers[offset >> 4] = value;
  }

  private get enabled(): boolean {
    return (this.world.apicBase() & R.ApicBase.ENABLE) !== 0n;
  }
  private get x2apic(): boolean {
    return (this.world.apicBase() & R.ApicBase.X2APIC) !== 0n;
  }
  get softwareEnabled(): boolean {
    return this.enabled && (this.get(R.Reg.SVR) & R.SVR_ENABLE) !== 0;
  }
  get id(): number {
    return this.x2apic ? this.world.id : this.get(R.Reg.ID) >>> 24;
  }
  private get ldr(): number {
    const { id } = this.world;
    return this.x2apic ? ((id >> 4) << 16) | (1 << (id & 15)) : this.get(R.Reg.LDR);
  }

  // --- as the processor's interrupt source ---------------------------------------------------------------------------

  /** Processor priority: what an interrupt's class must exceed. */
  get ppr(): number {
    const tpr = this.get(R.Reg.TPR);
    const inService = Math.max(this.isr.highest, 0);
    return tpr >> 4 >= inService >> 4 ? tpr : inService & 0xf0;
  }
  private get deliverable(): number {
    if (!this.softwareEnabled) return -1;
    const vector = this.irr.highest;
    return vector >> 4 > this.ppr >> 4 ? vector : -1;
  }
  private get acceptsPic(): boolean {
    if (!this.enabled) return true;
    const lint0 = this.get(R.Reg.LVT_LINT0);
    return (lint0 & (R.Lvt.MASKED | R.Lvt.MODE)) === R.Delivery.EXTINT << 8;
  }

  hasInterrupt(): boolean {
    return (this.acceptsPic && this.world.pic.hasInterrupt()) || this.deliverable >= 0;
  }
  /** The highest vector that waits, whatever the task priority is; -1 for none. */
  get highestRequest(): number {
    return this.softwareEnabled ? this.irr.highest : -1;
  }
  /** True when the interrupt that `acknowledge` would take comes from the PIC. */
  get nextIsExternal(): boolean {
    return this.acceptsPic && this.world.pic.hasInterrupt();
  }
  acknowledge(): number {
    if (this.nextIsExternal) return this.world.pic.acknowledge();
    const vector = this.deliverable;
    if (vector < 0) return this.get(R.Reg.SVR) & 0xff;
    this.irr.set(vector, false);
    if (this.hypervisor?.endsByItself(vector) !== true) this.isr.set(vector, true);
    else if (this.tmr.get(vector)) this.world.bus.broadcastEoi(vector);
    return vector;
  }
  getTpr(): number {
    return this.get(R.Reg.TPR);
  }
  setTpr(value: number): void {
    this.put(R.Reg.TPR, value & 0xff);
  }

  // --- messages ------------------------------------------------------------------------------------------------------

  /** Whether a destination field names this APIC (Intel SDM vol. 3, 11.6.2). */
  matches(destination: number, logical: boolean): boolean {
    if (destination >>> 0 === R.EVERYBODY) return true;
    if (!logical) return destination === this.id;
    const { ldr } = this;
    if (this.x2apic) return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
    const own = ldr >>> 24;
    if (this.get(R.Reg.DFR) >>> 28 === 0xf) return (own & destination) !== 0;
    return own >> 4 === destination >> 4 && (own & destination & 0xf) !== 0;
  }

  /** A message has come for this APIC. */
  accept(mode: number, vector: number, level: boolean): void {
    if (!this.enabled) return;
    switch (mode) {
      case R.Delivery.FIXED:
        if (!this.softwareEnabled) return;
        if (vector < 16) this.error(R.Esr.RECEIVE_ILLEGAL);
        else {
          this.irr.set(vector, true);
          this.tmr.set(vector, level);
        }
        return;
      case R.Delivery.NMI:
        this.world.core.nmi();
        return;
      case R.Delivery.INIT:
        this.initialize();
        this.world.core.init();
        return;
      case R.Delivery.STARTUP:
        this.world.core.startUp(vector);
        return;
      default:
        // SMI and ExtINT messages have no receiver on this machine.
        return;
    }
  }

  private fireLvt(offset: number): void {
    const lvt = this.get(offset);
    if (lvt & R.Lvt.MASKED) return;
    // The timer and the error interrupt are always fixed and edge triggered.
    this.accept(R.Delivery.FIXED, lvt & R.Lvt.VECTOR, false);
  }

  private error(bits: number): void {
    const first = this.errors === 0;
    this.errors |= bits;
    const lvt = this.get(R.Reg.LVT_ERROR);
    // A vector below 16 in the error entry itself would raise the error again without end.
    if (first && !(lvt & R.Lvt.MASKED) && (lvt & R.Lvt.VECTOR) >= 16) this.fireLvt(R.Reg.LVT_ERROR);
  }

  /** The interrupt in service can end without its EOI reaching this: nothing waits behind it, and neither an I/O APIC nor a hypervisor waits for it. */
  get hasSimpleEnd(): boolean {
    const vector = this.isr.highest;
    return vector >= 0 && this.irr.highest < 0 && !this.tmr.get(vector) && this.hypervisor?.waitsFor(vector) !== true;
  }

  /** What a write to EOI does. */
  endOfInterrupt(): void {
    const vector = this.isr.highest;
    if (vector < 0) return;
    this.isr.set(vector, false);
    if (this.tmr.get(vector)) this.world.bus.broadcastEoi(vector);
    this.hypervisor?.ended(vector);
  }

  private sendIpi(low: number, destination: number): void {
    const vector = low & 0xff;
    const mode = (low >> 8) & 7;
    const shorthand = (low >> 18) & 3;
    const deassert = (low & R.Icr.LEVEL) !== 0 && !(low & R.Icr.ASSERT);
    // "INIT level de-assert" only synchronised arbitration ids of old buses.
    if (mode === R.Delivery.INIT && deassert) return;
    if (mode <= R.Delivery.LOWEST && vector < 16) {
      this.error(R.Esr.SEND_ILLEGAL);
      return;
    }
    const message: InterruptMessage = { mode, vector, level: false, destination, logical: (low & R.Icr.LOGICAL) !== 0 };
    this.world.bus.sendIpi(shorthand, this, message);
  }

  // --- registers -----------------------------------------------------------------------------------------------------

  private readRegister(offset: number): number | undefined {
    switch (offset) {
      case R.Reg.ID:
        return this.x2apic ? this.world.id : this.get(offset);
      case R.Reg.VERSION:
        return R.VERSION;
      case R.Reg.PPR:
        return this.ppr;
      case R.Reg.LDR:
        return this.ldr;
      case R.Reg.APR:
      case R.Reg.REMOTE_READ:
        return this.x2apic ? undefined : 0;
      case R.Reg.TIMER_INITIAL:
        return this.timer.initialCount;
      case R.Reg.TIMER_CURRENT:
        return this.timer.currentCount;
      case R.Reg.TIMER_DIVIDE:
        return this.timer.divideConfiguration;
      case R.Reg.DFR:
        return this.x2apic ? undefined : this.get(offset);
      case R.Reg.TPR:
      case R.Reg.SVR:
      case R.Reg.ESR:
      case R.Reg.ICR_LOW:
      case R.Reg.ICR_HIGH:
      case R.Reg.LVT_CMCI:
        return this.get(offset);
      default:
        if (LVTS.some((lvt) => lvt === offset)) return this.get(offset);
        if (offset >= R.Reg.ISR && offset < R.Reg.TMR) return this.isr.word((offset - R.Reg.ISR) >> 4);
        if (offset >= R.Reg.TMR && offset < R.Reg.IRR) return this.tmr.word((offset - R.Reg.TMR) >> 4);
        if (offset >= R.Reg.IRR && offset < R.Reg.ESR) return this.irr.word((offset - R.Reg.IRR) >> 4);
        return undefined;
    }
  }

  /** False when there is no such register, or it can't be written. */
  private writeRegister(offset: number, value: number): boolean {
    switch (offset) {
      case R.Reg.ID:
        if (this.x2apic) return false;
        this.put(offset, value & 0xff00_0000);
        return true;
      case R.Reg.TPR:
        this.setTpr(value);
        return true;
      case R.Reg.EOI:
        this.endOfInterrupt();
        return true;
      case R.Reg.LDR:
        if (this.x2apic) return false;
        this.put(offset, value & 0xff00_0000);
        return true;
      case R.Reg.DFR:
        if (this.x2apic) return false;
        this.put(offset, value | 0x0fff_ffff);
        return true;
      case R.Reg.SVR:
        this.put(offset, value & R.SVR_MASK);
        // Software disable masks all entries, and they stay masked.
        if (!(value & R.SVR_ENABLE)) for (const lvt of LVTS) this.put(lvt, this.get(lvt) | R.Lvt.MASKED);
        return true;
      case R.Reg.ESR:
        this.put(offset, this.errors);
        this.errors = 0;
        return true;
      case R.Reg.ICR_LOW:
        this.put(offset, value & ~R.Icr.PENDING);
        this.sendIpi(value, R.destinationOf8Bits(this.get(R.Reg.ICR_HIGH) >>> 24));
        return true;
      case R.Reg.ICR_HIGH:
        this.put(offset, value & 0xff00_0000);
        return true;
      case R.Reg.TIMER_INITIAL:
        this.timer.initialCount = value;
        return true;
      case R.Reg.TIMER_DIVIDE:
        this.timer.divideConfiguration = value;
        return true;
      case R.Reg.LVT_CMCI:
        return false;
      default:
        return this.writeLvt(offset, value);
    }
  }

  private writeLvt(offset: number, value: number): boolean {
    if (!LVTS.some((lvt) => lvt === offset)) return false;
    let mask: number = R.Lvt.VECTOR | R.Lvt.MASKED;
    if (offset === R.Reg.LVT_TIMER) mask |= 0x6_0000;
    else if (offset !== R.Reg.LVT_ERROR) mask |= R.Lvt.MODE;
    if (offset === R.Reg.LVT_LINT0 || offset === R.Reg.LVT_LINT1) mask |= R.Lvt.ACTIVE_LOW | R.Lvt.LEVEL;
    const forced = this.get(R.Reg.SVR) & R.SVR_ENABLE ? 0 : R.Lvt.MASKED;
    this.put(offset, (value & mask) | forced);
    if (offset === R.Reg.LVT_TIMER) this.timer.setMode((value >> 17) & 3);
    return true;
  }

  readMmio(gpa: bigint, size: number): bigint {
    const offset = Number(gpa & 0xfffn);
    // Registers are 32 bits wide at multiples of 16; narrower reads see parts of them, anything else is undefined.
    const shift = (offset & 0xf) * 8;
    if (shift >= 32) return 0n;
    const value = this.readRegister(offset & 0xff0);
    if (value === undefined) {
      this.error(R.Esr.ILLEGAL_REGISTER);
      return 0n;
    }
    return BigInt.asUintN(size * 8, BigInt(value >>> 0) >> BigInt(shift));
  }

  writeMmio(gpa: bigint, _size: number, value: bigint): void {
    const offset = Number(gpa & 0xfffn);
    if (offset & 0xf) return;
    if (!this.writeRegister(offset, Number(value & 0xffff_ffffn))) this.error(R.Esr.ILLEGAL_REGISTER);
  }

  /** RDMSR of 0x800–0x8FF in x2APIC mode; undefined: #GP(0). */
  readMsr(msr: number): bigint | undefined {
    if (!this.x2apic || !this.enabled) return undefined;
    const offset = (msr - R.X2APIC_MSR_BASE) << 4;
    if (offset === R.Reg.ICR_HIGH || offset === R.Reg.EOI || offset === R.Reg.SELF_IPI || offset === R.Reg.LVT_CMCI)
      return undefined;
    if (offset === R.Reg.ICR_LOW) return (BigInt(this.get(R.Reg.ICR_HIGH) >>> 0) << 32n) | BigInt(this.get(R.Reg.ICR_LOW) >>> 0);
    const value = this.readRegister(offset);
    return value === undefined ? undefined : BigInt(value >>> 0);
  }

  /** WRMSR of 0x800–0x8FF in x2APIC mode; false: #GP(0). */
  writeMsr(msr: number, value: bigint): boolean {
    if (!this.x2apic || !this.enabled) return false;
    const offset = (msr - R.X2APIC_MSR_BASE) << 4;
    const low = Number(value & 0xffff_ffffn);
    const high = Number(value >> 32n);
    if (offset === R.Reg.ICR_LOW) {
      this.put(R.Reg.ICR_LOW, low & ~R.Icr.PENDING);
      this.put(R.Reg.ICR_HIGH, high);
      this.sendIpi(low, high);
      return true;
    }
    if (high !== 0) return false;
    if (offset === R.Reg.SELF_IPI) {
      if (low > 0xff) return false;
      this.sendIpi(low, this.world.id);
      return true;
    }
    // Must be zero: an EOI or an ESR write with a value.
    if ((offset === R.Reg.EOI || offset === R.Reg.ESR) && low !== 0) return false;
    if (offset === R.Reg.ICR_HIGH) return false;
    return this.writeRegister(offset, low);
  }

  save(): LocalApicState {
    return {
      version: 2,
      registers: [...this.registers],
      irr: this.irr.save(),
      isr: this.isr.save(),
      tmr: this.tmr.save(),
      errors: this.errors,
      timer: this.timer.save(),
    };
  }
  restore(state: LocalApicState): void {
    requireVersion(this.name, state, 2);
    state.registers.forEach((value, index) => {
      this.registers[index] = value;
    });
    this.irr.restore(state.irr);
    this.isr.restore(state.isr);
    this.tmr.restore(state.tmr);
    this.errors = state.errors;
    this.timer.restore(state.timer);
  }

  inspect(): InspectNode {
    const vectors = (set: VectorSet) => set.vectors.map((vector) => hex(vector)).join(' ') || 'none';
    const set = (offset: number) => (value: bigint) => value <= 0xffff_ffffn && this.writeRegister(offset, Number(value));
    const lvt = (name: string, offset: number): InspectNode => {
      const value = this.get(offset);
      const mode = offset === R.Reg.LVT_TIMER ? '' : `, ${R.DELIVERY_NAMES[(value >> 8) & 7]}`;
      return {
        name,
        value: hex(value, 8),
        detail: value & R.Lvt.MASKED ? 'masked' : `vector ${hex(value & R.Lvt.VECTOR)}${mode}`,
        set: set(offset),
      };
    };
    const icr = this.get(R.Reg.ICR_LOW);
    return {
      name: this.name,
      value: !this.enabled ? 'disabled' : this.x2apic ? 'x2APIC' : 'xAPIC',
      detail: `id ${this.id}, software ${this.softwareEnabled ? 'enabled' : 'disabled'}`,
      children: [
        { name: 'TPR', value: hex(this.get(R.Reg.TPR), 2), set: set(R.Reg.TPR) },
        { name: 'PPR', value: hex(this.ppr, 2) },
        { name: 'LDR', value: hex(this.ldr >>> 0, 8), set: set(R.Reg.LDR) },
        { name: 'DFR', value: hex(this.get(R.Reg.DFR), 8), set: set(R.Reg.DFR) },
        { name: 'SVR', value: hex(this.get(R.Reg.SVR), 3), set: set(R.Reg.SVR) },
        { name: 'IRR', value: vectors(this.irr) },
        { name: 'ISR', value: vectors(this.isr) },
        { name: 'TMR', value: vectors(this.tmr) },
        { name: 'ESR', value: hex(this.get(R.Reg.ESR), 2) },
        {
          name: 'ICR',
          value: hex(icr, 8),
          detail: `${R.DELIVERY_NAMES[(icr >> 8) & 7]} ${hex(icr & 0xff)} to ${R.SHORTHAND_NAMES[(icr >> 18) & 3] || hex(this.get(R.Reg.ICR_HIGH))}`,
        },
        lvt('LVT timer', R.Reg.LVT_TIMER),
        lvt('LVT LINT0', R.Reg.LVT_LINT0),
        lvt('LVT LINT1', R.Reg.LVT_LINT1),
        lvt('LVT error', R.Reg.LVT_ERROR),
        this.timer.inspect(),
      ],
    };
  }
}

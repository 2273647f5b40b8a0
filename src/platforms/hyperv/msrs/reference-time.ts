import type { InspectNode } from '../../../devices/inspect.ts';
import type { Processor } from '../../../processor/processor.ts';
import { TSC_OFFSET } from '../../../processor/state/layout.ts';
import { hex } from '../../../x86/address.ts';
import { Msr, PAGE_ADDRESS, PAGE_ENABLED } from '../abi/msrs.ts';
import { ReferenceTscPage } from '../abi/structures.ts';
import { type Hyperv, TICKS_PER_UNIT } from '../hyperv.ts';
import type { OverlayPage } from '../overlay/overlays.ts';
import type { MsrGroup } from './msr-group.ts';

/** Of the TSC and of the local APIC's timer: a tick is 1 ns. */
const FREQUENCY = 1_000_000_000n;
/** Guest time that a read of the counter takes: 1 µs. */
const READ_TICKS = 1000n;
/** 2^64 / 100, rounded up: (tsc * scale) >> 64 is then tsc / 100, rounded down, for all of a guest's life. */
const SCALE = ((1n << 64n) + TICKS_PER_UNIT - 1n) / TICKS_PER_UNIT;

/**
 * Partition reference time, in units of 100 ns: as a counter, and as a page by which the guest computes it from its TSC without an exit
 * (TLFS, "Partition reference time enlightenment").
 */
export class ReferenceTime implements MsrGroup {
  readonly msrs = [Msr.TIME_REF_COUNT, Msr.REFERENCE_TSC, Msr.TSC_FREQUENCY, Msr.APIC_FREQUENCY, Msr.TSC_INVARIANT_CONTROL];
  private control = 0n;
  private sequence = 0;
  private invariantControl = 0n;
  /** What TSCs are ahead of guest time, as the page has it. */
  private tscAhead = 0n;
  /** What the page adds to the time that it makes of the TSC. */
  private offset = 0n;
  /** The TSCs of all processors are ahead by the same: what the page says is right. */
  private isUniform = true;
  private readonly page: OverlayPage;

  constructor(private readonly hyperv: Pick<Hyperv, 'machine' | 'overlays'>) {
    this.page = hyperv.overlays.make('reference TSC page', { writable: true });
  }

  /** The time now, computed as the guest does by the page: so it is never behind what the guest has seen there. */
  now(): bigint {
    return this.at(this.hyperv.machine.now());
  }

  private at(ticks: bigint): bigint {
    return (((ticks + this.tscAhead) * SCALE) >> 64n) + this.offset;
  }

  /** CPUID says that the TSC is invariant (leaf 0x80000007). */
  get showsInvariantTsc(): boolean {
    return this.invariantControl !== 0n;
  }

  read(processor: Processor, msr: number): bigint | undefined {
    switch (msr) {
      case Msr.TIME_REF_COUNT:
        return this.readCounter(processor);
      case Msr.REFERENCE_TSC:
        return this.control;
      case Msr.TSC_INVARIANT_CONTROL:
        return this.invariantControl;
      default:
        return FREQUENCY;
    }
  }

  /**
   * Takes as long as leaving the guest does on real processors. So no two reads give the same, on whichever processor, and a guest that waits
   * for a time by reading doesn't do so a hundred times within it.
   */
  private readCounter(processor: Processor): bigint {
    processor.skipTime(READ_TICKS);
    return this.at(processor.ticks);
  }

  write(_processor: Processor, msr: number, value: bigint): boolean {
    if (msr === Msr.TSC_INVARIANT_CONTROL) {
      if (value > 1n) return false;
      this.invariantControl = value;
      return true;
    }
    if ((value & PAGE_ENABLED) === 0n) this.page.remove();
    else if (!this.page.place(value & PAGE_ADDRESS)) return false;
    this.control = value;
    this.fillPage();
    return true;
  }

  /** A TSC was written: the page tells how to go on from there, or that it can't. */
  tscMoved(): void {
    const { machine } = this.hyperv;
    const ticks = machine.now();
    const [first = 0n, ...others] = machine.processors.map(({ state }) => BigInt.asUintN(64, ticks + state.get64(TSC_OFFSET)));
    const isUniform = others.every((tsc) => tsc === first);
    const tscAhead = first - ticks;
    if (isUniform === this.isUniform && (!isUniform || tscAhead === this.tscAhead)) return;
    this.isUniform = isUniform;
    if (isUniform) {
      // It never goes back, but isn't to run ahead more and more either.
      const seen = this.at(ticks);
      const due = ticks / TICKS_PER_UNIT;
      this.tscAhead = tscAhead;
      this.offset = later(seen, due) - ((first * SCALE) >> 64n);
    }
    this.fillPage();
  }

  /** Another sequence number with each change. 0 says that only the counter is right: when TSCs differ. */
  private fillPage(): void {
    if ((this.control & PAGE_ENABLED) === 0n) return;
    const view = new DataView(new ArrayBuffer(ReferenceTscPage.SIZE));
    if (this.isUniform) {
      this.sequence = this.sequence === 0xffff_ffff ? 1 : this.sequence + 1;
      view.setUint32(ReferenceTscPage.SEQUENCE, this.sequence, true);
      view.setBigUint64(ReferenceTscPage.SCALE, SCALE, true);
      view.setBigInt64(ReferenceTscPage.OFFSET, this.offset, true);
    }
    this.page.write(0, new Uint8Array(view.buffer));
  }

  reset(vcpu: number): void {
    if (vcpu !== 0) return;
    this.control = 0n;
    this.sequence = 0;
    this.invariantControl = 0n;
    this.tscAhead = 0n;
    this.offset = 0n;
    this.isUniform = true;
  }

  inspect(): readonly InspectNode[] {
    const { gpa } = this.page;
    const isOn = (this.control & PAGE_ENABLED) !== 0n;
    const state = this.isUniform ? `sequence ${this.sequence}` : 'invalid: the TSCs differ';
    return [
      { name: 'reference time', value: this.now().toLocaleString('en-US'), detail: 'units of 100 ns' },
      {
        name: 'reference TSC page',
        value: isOn ? hex(this.control & PAGE_ADDRESS) : 'off',
        detail: isOn ? state : undefined,
        memory: gpa === undefined ? undefined : { space: 'gpa', address: gpa },
      },
    ];
  }
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

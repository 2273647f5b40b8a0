import type { Processor } from '../../../processor/processor.ts';
import { Msr } from '../abi/msrs.ts';
import type { MsrGroup } from './msr-group.ts';

/** Vector, bit 16 to enable, target virtual processor in the upper half. */
const CONTROL_BITS = 0xffff_ffff_0001_00ffn;
const FIRST_VECTOR = 16n;
const ENABLED = 1n << 16n;

/**
 * What a guest that has clocks of its own guests to keep asks for: an interrupt when the TSC's frequency changes with a migration, and a TSC
 * that is emulated until it has taken note. There is no migration: the frequency never changes.
 */
export class Reenlightenment implements MsrGroup {
  readonly msrs = [Msr.REENLIGHTENMENT_CONTROL, Msr.TSC_EMULATION_CONTROL, Msr.TSC_EMULATION_STATUS];
  private control = 0n;
  private emulation = 0n;

  read(_processor: Processor, msr: number): bigint {
    if (msr === Msr.REENLIGHTENMENT_CONTROL) return this.control;
    return msr === Msr.TSC_EMULATION_CONTROL ? this.emulation : 0n;
  }

  write(_processor: Processor, msr: number, value: bigint): boolean {
    if (msr === Msr.REENLIGHTENMENT_CONTROL) {
      const hasVector = (value & 0xffn) >= FIRST_VECTOR;
      if ((value & ~CONTROL_BITS) !== 0n || ((value & ENABLED) !== 0n && !hasVector)) return false;
      this.control = value;
      return true;
    }
    if (value > 1n) return false;
    // Nothing is being emulated, and a guest can only say so.
    if (msr === Msr.TSC_EMULATION_STATUS) return value === 0n;
    this.emulation = value;
    return true;
  }

  reset(vcpu: number): void {
    if (vcpu !== 0) return;
    this.control = 0n;
    this.emulation = 0n;
  }
}

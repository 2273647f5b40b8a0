import type { DecodedInstruction } from '../../x86/instruction.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { SystemContext } from '../system/context.ts';

/** The memory operand of an instruction that saves or restores state. Works in units of 8 bytes. */
export class GuestArea {
  private readonly start: bigint;

  /** Throws #GP where the operand isn't aligned. */
  constructor(
    private readonly context: SystemContext,
    private readonly instruction: DecodedInstruction,
    alignment: 16 | 64,
  ) {
    this.start = context.effectiveAddress(instruction);
    const { segment } = instruction;
    const base = context.mode === 64 && segment < 4 ? 0n : context.state.segment(segment).base;
    if (((base + this.start) & BigInt(alignment - 1)) !== 0n) throw new GuestFault(Vector.GP, 0);
  }

  private at(offset: number): bigint {
    return BigInt.asUintN(this.instruction.addressSize, this.start + BigInt(offset));
  }

  /** Throws what writing the first `size` bytes would. */
  requireWritable(size: number): void {
    this.context.probeWrite(this.instruction.segment, this.at(0), size);
  }

  read64(offset: number): bigint {
    return this.context.readVirtual(this.instruction.segment, this.at(offset), 8);
  }
  write64(offset: number, value: bigint): void {
    this.context.writeVirtual(this.instruction.segment, this.at(offset), 8, BigInt.asUintN(64, value));
  }

  /** Copies a range of an image that has the area's layout, from the area or to it. */
  load(image: DataView, from: number, to: number): void {
    for (let at = from; at < to; at += 8) image.setBigUint64(at, this.read64(at), true);
  }
  store(image: DataView, from: number, to: number): void {
    for (let at = from; at < to; at += 8) this.write64(at, image.getBigUint64(at, true));
  }
}

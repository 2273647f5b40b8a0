import type { RunStop } from '../../../hypervisor/partition/run.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import type { Processor, Watch } from '../../../processor/processor.ts';
import { GuestDebug } from '../abi/flags.ts';
import { KvmExit } from '../abi/kvm-run.ts';
import type { RunExit } from '../api/run.ts';

/** Bits of DR6 that are always 1, the one for a single step, and DR7 as it is without breakpoints. */
const DR6_ONES = 0xffff_0ff0n;
const DR6_STEP = 0x4000n;
const DR7_USUAL = 0x400n;
const LENGTHS = [1n, 2n, 8n, 4n] as const;
/** R/W fields of DR7. */
const Kind = { EXECUTE: 0, WRITE: 1, ACCESS: 3 } as const;

/** A vCPU as the VMM's debugger has it: KVM_SET_GUEST_DEBUG. */
export class GuestDebugging {
  private control = 0;
  private registers: readonly bigint[] = [];

  constructor(private readonly processor: Processor) {}

  get steps(): boolean {
    return this.has(GuestDebug.SINGLESTEP);
  }

  private has(bit: number): boolean {
    return (this.control & GuestDebug.ENABLE) !== 0 && (this.control & bit) !== 0;
  }

  set(control: number, registers: readonly bigint[]): void {
    const { processor } = this;
    this.control = control;
    this.registers = registers;
    processor.holdInterrupts = this.has(GuestDebug.BLOCKIRQ);
    processor.debugExceptions = this.has(GuestDebug.USE_SW_BP) ? 1 << Vector.BP : 0;
    const enabled = this.has(GuestDebug.USE_HW_BP) ? [0, 1, 2, 3].filter((index) => this.isEnabled(index)) : [];
    const addresses = enabled.filter((index) => this.kind(index) === Kind.EXECUTE).map((index) => this.address(index));
    processor.setBreakpoints(new Set(addresses));
    processor.setWatches(enabled.flatMap((index) => this.watch(index)));
    const injected = control & GuestDebug.INJECT_DB ? Vector.DB : control & GuestDebug.INJECT_BP ? Vector.BP : undefined;
    if (injected !== undefined) processor.inject({ vector: injected, type: 'exception' });
  }

  private get dr7(): bigint {
    return this.has(GuestDebug.USE_HW_BP) ? (this.registers[7] ?? 0n) : DR7_USUAL;
  }
  private isEnabled(index: number): boolean {
    return ((this.dr7 >> BigInt(index * 2)) & 3n) !== 0n;
  }
  private kind(index: number): number {
    return Number((this.dr7 >> BigInt(16 + index * 4)) & 3n);
  }
  private address(index: number): bigint {
    return this.registers[index] ?? 0n;
  }
  private watch(index: number): Watch[] {
    const kind = this.kind(index);
    if (kind !== Kind.WRITE && kind !== Kind.ACCESS) return [];
    const length = LENGTHS[Number((this.dr7 >> BigInt(18 + index * 4)) & 3n)] ?? 1n;
    const address = this.address(index) & ~(length - 1n);
    return [{ id: index, space: 'gva', address, length, read: kind === Kind.ACCESS, write: true }];
  }

  /** KVM_EXIT_DEBUG behind a single step. */
  stepped(): RunExit {
    return this.exit(Vector.DB, DR6_STEP);
  }

  /** KVM_EXIT_DEBUG of what a run stopped for; undefined for other stops. */
  exitOf(stop: RunStop): RunExit | undefined {
    if (stop.kind === 'exception') return this.exit(Vector.BP, 0n);
    if (stop.kind === 'watch') return this.exit(Vector.DB, 1n << BigInt(stop.hit.watch));
    if (stop.kind !== 'breakpoint') return undefined;
    const { linearRip } = this.processor;
    const hit = [0, 1, 2, 3].filter((index) => this.isEnabled(index) && this.address(index) === linearRip);
    return this.exit(
      Vector.DB,
      hit.reduce((bits, index) => bits | (1n << BigInt(index)), 0n),
    );
  }

  private exit(exception: number, dr6: bigint): RunExit {
    return { reason: KvmExit.DEBUG, exception, pc: this.processor.linearRip, dr6: dr6 | DR6_ONES, dr7: this.dr7 };
  }
}

import type { ExitRecord } from '../../../../src/hypervisor/journal/exit-journal.ts';
import { plainRecord } from '../../../../src/hypervisor/journal/exit-journal.ts';
import type { GuestPartition } from '../../../../src/hypervisor/partition/guest-partition.ts';
import type { PartitionConfiguration } from '../../../../src/platforms/configuration.ts';
import type { Processor } from '../../../../src/processor/processor.ts';
import { guest } from '../../run-guest.ts';

export type Vendor = 'intel' | 'amd';

/** Where tests put input and output. */
export const INPUT = 0x20_0000n;
export const OUTPUT = 0x20_1000n;

const FAST = 1n << 16n;

/** A control word of its parts. */
export function control(
  code: number,
  parts: { fast?: boolean; variable?: number; reps?: number; start?: number; nested?: boolean } = {},
): bigint {
  const { fast = false, variable = 0, reps = 0, start = 0, nested = false } = parts;
  return (
    BigInt(code) |
    (fast ? FAST : 0n) |
    (BigInt(variable) << 17n) |
    (nested ? 1n << 31n : 0n) |
    (BigInt(reps) << 32n) |
    (BigInt(start) << 48n)
  );
}

/** Fields one after the other: `[value, bytes]`, little-endian. */
export function bytesOf(...fields: readonly (readonly [value: bigint | number, size: number])[]): Uint8Array {
  const bytes: number[] = [];
  for (const [value, size] of fields)
    for (let at = 0; at < size; at++) bytes.push(Number((BigInt(value) >> BigInt(8 * at)) & 0xffn));
  return Uint8Array.from(bytes);
}

export interface Result {
  readonly status: number;
  readonly reps: number;
  readonly record: ExitRecord;
}

/** What the guest does before it makes its first call. */
export const SETUP_INSTRUCTIONS = 8;

/** Says who it is, has the hypercall page at 2.5 MiB, and makes calls from elsewhere. */
export const sourceOf = (mode: 32 | 64, instruction: string) => `
  bits ${mode}
  _start:
    mov ecx, 0x40000000
    mov eax, 1
    xor edx, edx
    wrmsr
    mov ecx, 0x40000001
    mov eax, 0x280001
    wrmsr
    nop
  again:
    ${instruction}
    jmp again
`;

/** A guest that does nothing but hypercalls, one after the other; its test sets the registers. */
export class Caller {
  readonly partition: GuestPartition;
  readonly processor: Processor;

  constructor(
    readonly vendor: Vendor,
    readonly mode: 32 | 64 = 64,
    configuration: Partial<PartitionConfiguration> = {},
  ) {
    const instruction = vendor === 'intel' ? 'vmcall' : 'vmmcall';
    this.partition = guest(sourceOf(mode, instruction), { platform: 'hyperv', vendor, ...configuration });
    const [processor] = this.partition.processors;
    if (!processor) throw new Error('no vCPU');
    this.processor = processor;
    this.partition.run({ instructions: SETUP_INSTRUCTIONS });
  }

  /** As it was behind its construction. */
  reset(): void {
    this.partition.reset();
    this.partition.run({ instructions: SETUP_INSTRUCTIONS });
  }

  write(gpa: bigint, bytes: Uint8Array): void {
    this.processor.writeMemory('gpa', gpa, bytes);
  }
  read(gpa: bigint, length: number): DataView {
    const bytes = this.processor.readMemory('gpa', gpa, length).slice();
    return new DataView(bytes.buffer);
  }

  /** Makes one round of a call: until the vCPU has left for it once. */
  round(word: bigint, input = INPUT, output = OUTPUT): Result {
    const { state } = this.processor;
    const set = (high: number, low: number, value: bigint) => {
      state.setGpr(high, value >> 32n);
      state.setGpr(low, value & 0xffff_ffffn);
    };
    if (this.mode === 64) {
      state.setGpr(1, word);
      state.setGpr(2, input);
      state.setGpr(8, output);
    } else {
      set(2, 0, word);
      set(3, 1, input);
      set(7, 6, output);
    }
    this.processor.stateChanged();
    return this.next();
  }

  /** Goes on until the vCPU has left for a hypercall again. */
  next(): Result {
    const before = this.partition.journal.latest(1)[0]?.seq ?? 0;
    for (let tries = 0; tries < 100; tries++) {
      this.partition.run({ instructions: 1, stopAtEntry: true });
      if (this.partition.end) throw new Error(this.partition.end.message);
      const [record] = this.partition.journal.latest(1);
      if (record && record.seq > before && record.reason === 'hypercall') {
        const result = this.result;
        // Past the jump, so that the next call can be set up.
        if (record.result?.startsWith('HV_STATUS')) this.partition.run({ instructions: 1 });
        return { status: Number(result & 0xffffn), reps: Number((result >> 32n) & 0xfffn), record: plainRecord(record) };
      }
    }
    throw new Error('the guest makes no hypercalls');
  }

  /** Makes a call to its end. */
  call(word: bigint, input?: bigint, output?: bigint): Result {
    for (let result = this.round(word, input, output); ; result = this.next())
      if (!result.record.result?.startsWith('continued')) return result;
  }

  /** RAX, or EDX:EAX. */
  get result(): bigint {
    const { state } = this.processor;
    return this.mode === 64 ? state.gpr(0) : (state.gpr(2) << 32n) | state.gpr(0);
  }
}

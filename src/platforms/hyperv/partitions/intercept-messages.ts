import type { ExitDetail, VmExit } from '../../../processor/exit.ts';
import type { Processor } from '../../../processor/processor.ts';
import type { SegmentValue } from '../../../processor/state/cpu-state.ts';
import { DR, Segment, VECTOR_SIZE, VECTORS } from '../../../processor/state/layout.ts';
import { Access, InterceptMessageType } from '../abi/intercepts.ts';
import type { LeafValues } from '../cpuid.ts';

/** An intercept as it is told to a parent: a type of abi/intercepts.ts, and a payload (TLFS, HV_X64_*_INTERCEPT_MESSAGE). */
export interface InterceptMessage {
  readonly type: number;
  readonly payload: Uint8Array;
}

type ExitOf<Reason extends ExitDetail['reason']> = VmExit & { readonly reason: Reason };
type AccessNumber = (typeof Access)[keyof typeof Access];

const HEADER = 40;
/** Bytes of code that a message has. */
const CODE = 16;
const CR0_PE = 1n;
const CR0_AM = 1n << 18n;
const EFER_LMA = 1n << 10n;
/** Enabled breakpoints of DR7. */
const DEBUG_ACTIVE = 0xffn;

/** Writes the parts of a message one after the other. */
class Payload {
  private readonly view: DataView;
  private at = 0;

  constructor(size: number) {
    this.view = new DataView(new ArrayBuffer(size));
  }
  u8(...values: readonly number[]): this {
    for (const value of values) this.view.setUint8(this.at++, value);
    return this;
  }
  u16(value: number): this {
    this.view.setUint16(this.at, value, true);
    this.at += 2;
    return this;
  }
  u32(...values: readonly number[]): this {
    for (const value of values) {
      this.view.setUint32(this.at, value, true);
      this.at += 4;
    }
    return this;
  }
  u64(...values: readonly bigint[]): this {
    for (const value of values) {
      this.view.setBigUint64(this.at, value, true);
      this.at += 8;
    }
    return this;
  }
  /** A segment register in 16 bytes. */
  segment({ base, limit, selector, rights }: SegmentValue): this {
    return this.u64(base).u32(limit).u16(selector).u16(rights);
  }
  /** Up to 16 bytes of code, the rest zeroes. */
  code(bytes: Uint8Array): this {
    for (let index = 0; index < CODE; index++) this.u8(bytes[index] ?? 0);
    return this;
  }
  get bytes(): Uint8Array {
    return new Uint8Array(this.view.buffer);
  }
}

/** The part that all messages of x64 begin with: HV_X64_INTERCEPT_MESSAGE_HEADER, 40 bytes. */
function begin(processor: Processor, exit: VmExit, access: AccessNumber, size: number): Payload {
  const { state, index, cpl, virtualTpr } = processor;
  const length = Math.min(exit.instructionLength, 15);
  const bit = (isSet: boolean, number: number) => (isSet ? 1 << number : 0);
  const execution =
    cpl |
    bit((state.cr0 & CR0_PE) !== 0n, 2) |
    bit((state.cr0 & CR0_AM) !== 0n, 3) |
    bit((state.efer & EFER_LMA) !== 0n, 4) |
    bit((state.get64(DR + 7 * 8) & DEBUG_ACTIVE) !== 0n, 5) |
    bit(processor.injected !== undefined, 6);
  return new Payload(Math.max(size, HEADER))
    .u32(index)
    .u8(length | ((virtualTpr & 15) << 4), access)
    .u16(execution)
    .segment(state.segment(Segment.CS))
    .u64(exit.rip, BigInt(state.rflags >>> 0));
}

function codeAt(processor: Processor): Uint8Array {
  return processor.readMemory('gva', processor.linearRip, CODE);
}

/** HV_X64_IO_PORT_INTERCEPT_MESSAGE. */
export function ioPortMessage(processor: Processor, exit: ExitOf<'io'>): InterceptMessage {
  const { state } = processor;
  const code = codeAt(processor);
  const { bytes } = begin(processor, exit, exit.write ? Access.WRITE : Access.READ, 0x80)
    .u16(exit.port)
    .u8(exit.size | (exit.string ? 8 : 0) | (exit.rep ? 16 : 0), code.length)
    .u32(0)
    .u64(state.gpr(0))
    .code(code)
    .segment(state.segment(Segment.DS))
    .segment(state.segment(Segment.ES))
    .u64(state.gpr(1), state.gpr(6), state.gpr(7));
  return { type: InterceptMessageType.IO_PORT, payload: bytes };
}

/** What touched guest physical memory that isn't mapped, or mustn't be touched in that way. */
export interface MemoryAccess {
  readonly gpa: bigint;
  readonly gva: bigint | undefined;
  readonly access: AccessNumber;
  readonly isMapped: boolean;
}

/** HV_X64_MEMORY_INTERCEPT_MESSAGE. */
export function memoryMessage(
  processor: Processor,
  exit: VmExit,
  { gpa, gva, access, isMapped }: MemoryAccess,
): InterceptMessage {
  const code = access === Access.EXECUTE ? new Uint8Array() : codeAt(processor);
  const CACHE_WB = 6;
  const { bytes } = begin(processor, exit, access, 0x50)
    .u32(CACHE_WB)
    .u8(code.length, gva === undefined ? 0 : 3, processor.virtualTpr << 4, 0)
    .u64(gva ?? 0n, gpa)
    .code(code);
  return { type: isMapped ? InterceptMessageType.GPA_INTERCEPT : InterceptMessageType.UNMAPPED_GPA, payload: bytes };
}

/** HV_X64_MSR_INTERCEPT_MESSAGE. */
export function msrMessage(processor: Processor, exit: ExitOf<'msr-read'> | ExitOf<'msr-write'>): InterceptMessage {
  const { state } = processor;
  const access = exit.reason === 'msr-write' ? Access.WRITE : Access.READ;
  const { bytes } = begin(processor, exit, access, 0x40)
    .u32(exit.msr >>> 0, 0)
    .u64(state.gpr(2), state.gpr(0));
  return { type: InterceptMessageType.MSR, payload: bytes };
}

/** HV_X64_CPUID_INTERCEPT_MESSAGE. `usual`: what the guest gets when the parent has no other answer. */
export function cpuidMessage(processor: Processor, exit: ExitOf<'cpuid'>, usual: LeafValues): InterceptMessage {
  const { state } = processor;
  const wide = (value: number) => BigInt(value >>> 0);
  const { bytes } = begin(processor, exit, Access.EXECUTE, 0x68)
    .u64(state.gpr(0), state.gpr(1), state.gpr(2), state.gpr(3))
    .u64(wide(usual.eax), wide(usual.ecx), wide(usual.edx), wide(usual.ebx));
  return { type: InterceptMessageType.CPUID, payload: bytes };
}

/** HV_X64_EXCEPTION_INTERCEPT_MESSAGE. */
export function exceptionMessage(processor: Processor, exit: ExitOf<'exception'>): InterceptMessage {
  const { state } = processor;
  const code = codeAt(processor);
  const hasError = exit.errorCode !== undefined;
  const message = begin(processor, exit, Access.EXECUTE, 0xf0)
    .u16(exit.vector)
    .u8((hasError ? 1 : 0) | (exit.type === 3 ? 0 : 2), code.length)
    .u32(exit.errorCode ?? 0)
    .u64(exit.payload ?? 0n, 0n)
    .code(code)
    .segment(state.segment(Segment.DS))
    .segment(state.segment(Segment.SS));
  for (let number = 0; number < 16; number++) message.u64(state.gpr(number));
  return { type: InterceptMessageType.EXCEPTION, payload: message.bytes };
}

/** HV_X64_HYPERCALL_INTERCEPT_MESSAGE. */
export function hypercallMessage(processor: Processor, exit: VmExit): InterceptMessage {
  const { state } = processor;
  const message = begin(processor, exit, Access.EXECUTE, 0xc8);
  for (const number of [0, 3, 1, 2, 8, 6, 7]) message.u64(state.gpr(number));
  for (let xmm = 0; xmm < 6; xmm++)
    message.u64(state.get64(VECTORS + xmm * VECTOR_SIZE), state.get64(VECTORS + xmm * VECTOR_SIZE + 8));
  return { type: InterceptMessageType.HYPERCALL, payload: message.bytes };
}

/** One that has nothing to say but where the vCPU is: HLT, or a triple fault. */
export function plainMessage(processor: Processor, exit: VmExit, type: number): InterceptMessage {
  return { type, payload: begin(processor, exit, Access.EXECUTE, HEADER).bytes };
}

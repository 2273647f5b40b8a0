import type { DecodedInstruction } from '../../x86/instruction.ts';
import { type FloatEnvironment, FloatFlag, isStopped, type RoundingMode } from '../softfloat/environment.ts';
import { defaultNan, EXTENDED80, type Unpacked, unpackParts } from '../softfloat/format.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';
import { EXCEPTIONS, PRECISIONS, Status, TOP_MASK, TOP_SHIFT, withSummary } from './words.ts';

const INDEFINITE = defaultNan(EXTENDED80);

/**
 * The x87 unit during one instruction. Memory is read before anything changes and written before registers change; the
 * status word and the tags are kept here until {@link commit}, so that an access that faults leaves everything as it was.
 */
export class FpuUnit {
  status: number;
  readonly control: number;
  private tags: number;
  private memoryOffset: bigint | undefined;
  readonly environment: FloatEnvironment;

  constructor(
    readonly context: SystemContext,
    readonly instruction: DecodedInstruction,
  ) {
    const { state } = context;
    this.control = state.get32(L.X87_CONTROL);
    this.status = state.get32(L.X87_STATUS);
    this.tags = state.get32(L.X87_TAGS);
    this.environment = {
      rounding: ((this.control >> 10) & 3) as RoundingMode,
      masks: this.control & EXCEPTIONS,
      daz: false,
      ftz: false,
      nanRule: 'larger-significand',
      flags: 0,
      roundedUp: false,
    };
  }

  /** The environment with the precision that the control word asks for: of FADD, FSUB, FMUL, FDIV and FSQRT only. */
  get withPrecision(): FloatEnvironment {
    this.environment.precision = PRECISIONS[(this.control >> 8) & 3];
    return this.environment;
  }

  /** True when the ModRM byte names a register, not memory. */
  get isRegister(): boolean {
    return this.instruction.modrm?.mod === 3;
  }
  /** i of ST(i). */
  get index(): number {
    return (this.instruction.modrm?.rm ?? 0) & 7;
  }
  /** ModRM.reg, which tells the instructions of an opcode apart. */
  get digit(): number {
    return (this.instruction.modrm?.reg ?? 0) & 7;
  }

  // --- registers --------------------------------------------------------------------------------------------------------

  private get top(): number {
    return (this.status & TOP_MASK) >> TOP_SHIFT;
  }
  private set top(value: number) {
    this.status = (this.status & ~TOP_MASK) | ((value & 7) << TOP_SHIFT);
  }
  private physical(index: number): number {
    return (this.top + index) & 7;
  }
  private place(index: number): number {
    return L.X87_REGISTERS + this.physical(index) * L.X87_REGISTER_SIZE;
  }

  isEmpty(index: number): boolean {
    return (this.tags & (1 << this.physical(index))) === 0;
  }

  significand(index: number): bigint {
    return this.context.state.get64(this.place(index));
  }
  /** Sign and exponent, 16 bits. */
  signExponent(index: number): number {
    return this.context.state.get32(this.place(index) + 8) & 0xffff;
  }
  value(index: number): Unpacked {
    return unpackParts(EXTENDED80, this.signExponent(index), this.significand(index));
  }

  /** Writes ST(index): 80 bits. */
  write(index: number, bits: bigint): void {
    this.writeParts(index, Number(bits >> 64n), BigInt.asUintN(64, bits));
  }
  writeParts(index: number, signExponent: number, significand: bigint): void {
    const at = this.place(index);
    this.context.state.set64(at, significand);
    this.context.state.set64(at + 8, BigInt(signExponent));
    this.tags |= 1 << this.physical(index);
  }
  writeIndefinite(index: number): void {
    this.write(index, INDEFINITE);
  }
  free(index: number): void {
    this.tags &= ~(1 << this.physical(index));
  }
  freeAll(): void {
    this.tags = 0;
  }
  pop(): void {
    this.free(0);
    this.rotate(1);
  }
  rotate(by: number): void {
    this.top = this.top + by;
  }

  /** Makes room for a push: false when the register is in use and the exception isn't masked. Masked, NaN is pushed instead. */
  push(bits: bigint): void {
    const overflows = !this.isEmpty(-1);
    if (overflows && !this.stackFault(true)) return;
    this.rotate(-1);
    if (overflows) this.writeIndefinite(0);
    else this.write(0, bits);
  }

  // --- exceptions -------------------------------------------------------------------------------------------------------

  /** A stack overflow or underflow; true when it is masked. */
  stackFault(overflow: boolean): boolean {
    this.status |= FloatFlag.IE | Status.SF | (overflow ? Status.C1 : 0);
    return (this.control & FloatFlag.IE) !== 0;
  }

  /**
   * Takes the exceptions that an operation raised; false when one of them stops the instruction before it has a result (IE, DE
   * or ZE, not masked).
   */
  takeExceptions(): boolean {
    const { environment } = this;
    this.status |= environment.flags;
    if (environment.roundedUp) this.status |= Status.C1;
    return !isStopped(environment);
  }

  setConditions(conditions: number): void {
    this.status = (this.status & ~(Status.C0 | Status.C2 | Status.C3)) | conditions;
  }

  // --- memory -----------------------------------------------------------------------------------------------------------

  /** Offset of the memory operand, which is noted for the data pointer. */
  private address(displacement = 0): bigint {
    this.memoryOffset ??= this.context.effectiveAddress(this.instruction);
    return BigInt.asUintN(this.instruction.addressSize, this.memoryOffset + BigInt(displacement));
  }
  /** Notes the memory operand for the data pointer, where it isn't accessed. */
  noteAddress(): void {
    this.address();
  }
  read(size: 1 | 2 | 4 | 8, displacement = 0): bigint {
    return this.context.readVirtual(this.instruction.segment, this.address(displacement), size);
  }
  store(size: 1 | 2 | 4 | 8, value: bigint, displacement = 0): void {
    this.context.writeVirtual(this.instruction.segment, this.address(displacement), size, value);
  }
  /** Throws what a write of that many bytes would throw. */
  probe(length: number): void {
    this.context.probeWrite(this.instruction.segment, this.address(), length);
  }
  /** Reads ten bytes. */
  readExtended(displacement = 0): bigint {
    const low = this.read(8, displacement);
    return low | (this.read(2, displacement + 8) << 64n);
  }
  storeExtended(bits: bigint): void {
    this.probe(10);
    this.store(8, BigInt.asUintN(64, bits));
    this.store(2, bits >> 64n, 8);
  }

  // --- the end ----------------------------------------------------------------------------------------------------------

  /** Writes what has changed, and where the instruction and its operand lie. */
  commit(): void {
    const { state } = this.context;
    const { instruction } = this;
    state.set32(L.X87_STATUS, withSummary(this.status, this.control));
    state.set32(L.X87_TAGS, this.tags);
    const { mod = 0, reg = 0, rm = 0 } = instruction.modrm ?? {};
    state.set32(L.X87_OPCODE, ((instruction.opcode & 7) << 8) | (mod << 6) | ((reg & 7) << 3) | (rm & 7));
    state.set64(L.X87_IP, state.rip);
    // Intel's processors keep no selectors any more (CPUID leaf 7, EBX bit 13).
    const selector = this.context.model.has('zerofcsfds')
      ? () => 0
      : (segment: number) => state.get32(L.SEGMENTS + segment * L.SEGMENT_SIZE + L.SEG_SELECTOR);
    state.set32(L.X87_CS, selector(L.Segment.CS));
    if (this.memoryOffset === undefined) return;
    state.set64(L.X87_DP, this.memoryOffset);
    state.set32(L.X87_DS, selector(instruction.segment));
  }
}

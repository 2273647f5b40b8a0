import type { OperandSize } from '../../x86/instruction.ts';
import type { RegisterSegment, Value } from '../../x86/semantics.ts';
import { type Decoded, NO_REGISTER } from '../decoder/decode.ts';
import { InstructionBuilder, LOADS, type Shape, STORES } from '../generator/instruction-builder.ts';
import { Constant, Expression, emit, emitTruth, known } from '../generator/value-builder.ts';
import { VectorBuilder } from '../generator/vector-builder.ts';
import * as O from '../interpreter/operation.ts';
import * as L from '../state/layout.ts';
import { Code, Op, VOID } from '../wasm/code.ts';
import { BITS, DYNAMIC, RegionFlags, settle } from './region-flags.ts';
import { Local, VECTOR_LOCALS } from './region-locals.ts';
import { RegionVectors } from './region-vectors.ts';

/** The mode that a region's code was decoded in. */
export interface RegionMode {
  readonly mode: 16 | 32 | 64;
  readonly stackWidth: 16 | 32 | 64;
  /** Segments whose accesses need no checks, as bits. */
  readonly flat: number;
}

/** Where the instruction that code is made for stands. */
export interface Place {
  readonly rip: bigint;
  readonly decoded: Decoded;
  /** Instructions of its block from it on: the budget that was charged for them at the block's head. */
  readonly charged: number;
}

/** The ways out of an instruction, which depend on the region's structure. */
export interface Exits {
  /** Goes on at a known offset in CS, in the region or outside. Ends the code of its path. */
  goTo(rip: bigint): void;
  /** Goes on at the offset in the RIP local. */
  dispatch(): void;
}

const EXTENDED = 0xffff_ffffn;

/** No instruction. */
const NOTHING: Shape = {
  operands: [],
  memory: false,
  size: 32,
  addressSize: 64,
  stackWidth: 64,
  rep: 'none',
  vectorLength: 128,
  isVex: false,
  alignment: 'natural',
};

const firstFree = (hasVectors: boolean): number => Local.FIRST_FREE + (hasVectors ? VECTOR_LOCALS : 0);

/**
 * Turns instructions' semantics into the code of a region, where registers are locals. What the region can't do (a TLB miss, a
 * fault) it leaves to the interpreter: the instruction is abandoned before it has changed anything, and done again there.
 */
export class RegionBuilder extends InstructionBuilder {
  readonly flags = new RegionFlags(this);
  private readonly vectors = new RegionVectors(this);
  readonly vector = new VectorBuilder(this, this.vectors, () => this.shape);
  protected shape: Shape = NOTHING;
  private place: Place | undefined;
  private memoryOffset: Value | undefined;
  /** The offset whose place in memory is in the HOST local, with the right to write. */
  private hostOf: { readonly offset: Value; readonly size: OperandSize } | undefined;
  /** Registers whose upper halves are known to be 0. */
  narrow = new Set<number>();
  /** The path has ended: what follows is not reached. */
  ended = false;
  /** An instruction may be abandoned. */
  mayLeave = false;
  /** Most locals that were in use at once. */
  locals: number;
  /** Registers that were read or written, and those that were written. */
  readonly used = new Set<number>();
  readonly written = new Set<number>();

  constructor(
    private readonly mode: RegionMode,
    private readonly exits: Exits,
    /** Index of the function that makes FLAG_BITS. */
    readonly flagBitsFunction: number,
    /** The region has vector instructions. */
    readonly hasVectors = false,
  ) {
    super(firstFree(hasVectors));
    this.locals = this.localsUsed;
  }

  /** Labels that are open. */
  get labels(): number {
    return this.depth;
  }
  open(opcode: number): number {
    this.code.op(opcode, VOID);
    return this.depth++;
  }
  close(): void {
    this.code.op(Op.end);
    this.depth--;
  }
  /** Branches to the label that {@link open} gave. */
  branch(label: number, opcode: number = Op.br): void {
    this.code.op(opcode).u(this.depth - 1 - label);
  }

  /** Forgets what is known about registers and flags: other paths come in. */
  join(): void {
    this.flags.state = DYNAMIC;
    this.narrow = new Set();
    this.ended = false;
  }
  /** At the region's entry the flags are as the state has them. */
  enter(): void {
    this.flags.state = BITS;
  }

  /** Makes the code of one instruction. `muted`: nobody will see what it does to the flags. */
  instruction(place: Place, muted = false): void {
    const { decoded } = place;
    this.flags.muted = muted;
    this.place = place;
    const { vex, definition } = decoded.form;
    const alignment = definition.alignment ?? 'natural';
    this.shape = { ...decoded.request, operands: decoded.form.operands, isVex: vex, alignment };
    this.vector.reset();
    this.vectors.reset();
    this.memoryOffset = undefined;
    this.hostOf = undefined;
    this.localsUsed = firstFree(this.hasVectors);
    decoded.form.definition.semantics?.(this);
  }

  protected override newLocal(): number {
    const local = super.newLocal();
    this.locals = Math.max(this.locals, this.localsUsed);
    return local;
  }

  get current(): Place {
    if (!this.place) throw new Error('no instruction');
    return this.place;
  }

  /** Leaves the region in front of an offset in CS, with the given number of instructions not retired. */
  leave(rip: bigint, giveBack: number): void {
    const { code } = this;
    code.i64(rip).set(Local.RIP);
    if (giveBack > 0) code.get(Local.BUDGET).i32(giveBack).op(Op.i32_add).set(Local.BUDGET);
    this.flags.settle();
    this.branch(0);
  }

  /** Leaves in front of the current instruction. */
  private abandon(): void {
    this.mayLeave = true;
    this.leave(this.current.rip, this.current.charged);
  }

  override condition(code: number): Value {
    const compared = this.flags.compared(code);
    if (!compared) return super.condition(code);
    return code & 1 ? this.isZero(compared) : compared;
  }

  // --- operands -------------------------------------------------------------------------------------------------------

  /** General register of a register operand, and whether it is the second byte of one. */
  private registerOf(index: number): { readonly number: number; readonly high: boolean } {
    const { instruction, uniformBytes, vexRegister } = this.current.decoded;
    const { place, width } = this.operand(index);
    let number: number;
    if (place === 'Z') number = (instruction.opcode & 7) | ((instruction.rex & 1) << 3);
    else if (place === 'G') number = instruction.modrm?.reg ?? 0;
    else if (place === 'B') number = vexRegister;
    else if (place === 'A') return { number: 0, high: false };
    else number = instruction.modrm?.rm ?? 0;
    if (width === 'b' && !uniformBytes && number >= 4 && number < 8) return { number: number - 4, high: true };
    return { number, high: false };
  }

  read(index: number): Value {
    const { place } = this.operand(index);
    const size = this.operandSize(index);
    if (this.isMemory(index)) return this.load('operand', this.effectiveAddress(), size);
    switch (place) {
      case 'S':
        return this.keep(this.segmentSelector((this.current.decoded.instruction.modrm?.reg ?? 0) & 7));
      case 'C':
        return this.keep(this.register(1, 8));
      case 'D':
        return this.keep(this.register(2, 16));
      case '1':
        return this.constant(1);
      case 'I':
        return this.zeroExtend(this.constant(this.current.decoded.instruction.immediate), this.size);
      case 'J':
        return this.constant(this.current.decoded.instruction.immediate);
      case 'E':
      case 'R':
      case 'Z':
      case 'G':
      case 'B':
      case 'A': {
        const { number, high } = this.registerOf(index);
        return this.keep(high ? this.high(number) : this.register(number, size));
      }
      default:
        throw new Error(`operand place ${place} can't be read`);
    }
  }

  readForWrite(index: number): Value {
    if (!this.isMemory(index)) return this.read(index);
    return this.loadForWrite('operand', this.effectiveAddress(), this.operandSize(index));
  }

  write(index: number, value: Value): void {
    const size = this.operandSize(index);
    if (this.isMemory(index)) {
      this.store('operand', this.effectiveAddress(), size, value);
      return;
    }
    if (!'ERZGBA'.includes(this.operand(index).place)) throw new Error(`operand ${index} can't be written`);
    const { number, high } = this.registerOf(index);
    if (high) this.setHigh(number, value);
    else this.setRegister(number, size, value);
  }

  effectiveAddress(): Value {
    if (this.memoryOffset) return this.memoryOffset;
    const { base, index, scale, displacement } = this.current.decoded.instruction;
    let sum: Value | undefined;
    if (base !== NO_REGISTER) sum = this.register(base, 64);
    if (index !== NO_REGISTER) {
      const scaled = this.shl(this.register(index, 64), this.constant(Math.log2(scale)));
      sum = sum ? this.add(sum, scaled) : scaled;
    }
    const whole = sum ? this.add(sum, this.constant(displacement)) : this.constant(displacement);
    this.memoryOffset = this.keep(this.zeroExtend(whole, this.addressSize));
    return this.memoryOffset;
  }

  displaceMemory(offset: Value): void {
    this.memoryOffset = this.keep(this.zeroExtend(this.add(this.effectiveAddress(), offset), this.addressSize));
  }

  // --- registers ------------------------------------------------------------------------------------------------------

  private gpr(number: number): Value {
    this.used.add(number);
    return new Expression((code) => code.get(Local.GPR + number));
  }
  private setGpr(number: number, value: Value): void {
    this.used.add(number);
    this.written.add(number);
    emit(this.code, value);
    this.code.set(Local.GPR + number);
  }

  register(number: number, size: OperandSize): Value {
    const whole = this.gpr(number);
    return size === 32 && this.narrow.has(number) ? whole : this.zeroExtend(whole, size);
  }

  setRegister(number: number, size: OperandSize, value: Value): void {
    if (size >= 32) {
      this.setGpr(number, this.zeroExtend(value, size));
      if (size === 32) this.narrow.add(number);
      else this.narrow.delete(number);
      return;
    }
    const mask = (1n << BigInt(size)) - 1n;
    this.setGpr(number, this.or(this.and(this.gpr(number), this.constant(~mask)), this.and(value, this.constant(mask))));
  }

  high(number: number): Value {
    return this.and(this.shr(this.gpr(number), this.constant(8)), this.constant(0xff));
  }

  setHigh(number: number, value: Value): void {
    const byte = this.shl(this.and(value, this.constant(0xff)), this.constant(8));
    this.setGpr(number, this.or(this.and(this.gpr(number), this.constant(~0xff00n)), byte));
  }

  // --- memory ---------------------------------------------------------------------------------------------------------

  private segmentNumber(segment: RegisterSegment): number {
    return segment === 'operand' ? this.current.decoded.instruction.segment : segment;
  }

  /** Computes the linear address into a local, behind the checks of the segment. */
  linear(segment: RegisterSegment, offset: Value, size: number, write: boolean): number {
    const { code } = this;
    const number = this.segmentNumber(segment);
    const base = new Expression((target) => target.get(Local.BASE).memory(Op.i64_load, O.ENGINE_BASES + number * 8));
    let address = offset;
    if (this.mode.mode !== 64) {
      if (!(this.mode.flat & (1 << number))) {
        const end = O.ENGINE_SEGMENT_ENDS + number * 16 + (write ? 8 : 0);
        emit(code, this.add(offset, this.constant(size / 8)));
        code.get(Local.BASE).memory(Op.i64_load, end).op(Op.i64_gt_u);
        this.abandonIf();
      }
      address = this.and(this.add(offset, base), this.constant(EXTENDED));
    } else if (number >= L.Segment.FS) address = this.add(offset, base);
    const local = this.newLocal();
    emit(code, address);
    code.set(local);
    return local;
  }

  /** Abandons the instruction when the number on the stack isn't 0. */
  abandonIf(): void {
    this.code.rarely();
    this.open(Op.if);
    this.abandon();
    this.close();
  }

  /** Finds the page of an access in the TLB, or abandons; leaves the place in the partition's memory on the stack. */
  locate(linear: number, size: number, write: boolean): void {
    const { code } = this;
    const at = new Expression((target) => target.get(linear));
    code.get(linear).op(Op.i32_wrap_i64);
    code
      .i32(8)
      .op(Op.i32_shr_u)
      .i32((O.TLB_ENTRIES - 1) << 4)
      .op(Op.i32_and);
    code.get(write ? Local.TLB_WRITE : Local.TLB_READ).op(Op.i32_add);
    code.tee(Local.ENTRY).memory(Op.i64_load, 0);
    // The page of the last byte: an access that crosses into the next page doesn't match.
    emit(code, this.and(this.add(at, this.constant(size / 8 - 1)), this.constant(-4096)));
    code.op(Op.i64_ne);
    this.abandonIf();
    code.get(linear).op(Op.i32_wrap_i64).get(Local.ENTRY).memory(Op.i32_load, 8).op(Op.i32_add);
  }

  load(segment: RegisterSegment, offset: Value, size: OperandSize): Value {
    this.locate(this.linear(segment, offset, size, false), size, false);
    return this.loaded(size);
  }

  private loaded(size: OperandSize): Value {
    const local = this.newLocal();
    this.code.memory(LOADS[size], 0).set(local);
    return new Expression((code) => code.get(local));
  }

  loadForWrite(segment: RegisterSegment, offset: Value, size: OperandSize): Value {
    this.locate(this.linear(segment, offset, size, true), size, true);
    this.code.tee(Local.HOST);
    this.hostOf = { offset, size };
    return this.loaded(size);
  }

  store(segment: RegisterSegment, offset: Value, size: OperandSize, value: Value): void {
    const { code } = this;
    if (this.hostOf?.offset === offset && this.hostOf.size === size) code.get(Local.HOST);
    else this.locate(this.linear(segment, offset, size, true), size, true);
    emit(code, value);
    code.memory(STORES[size], 0);
  }

  // --- control --------------------------------------------------------------------------------------------------------

  when(condition: Value, then: () => void, otherwise?: () => void): void {
    if (this.decided(condition, then, otherwise)) return;
    const { code, flags } = this;
    const before = flags.state;
    const narrow = this.narrow;
    const offset = this.memoryOffset;
    const host = this.hostOf;
    const arms: { readonly state: typeof before; readonly narrow: Set<number> }[] = [];
    const arm = (body: () => void) => {
      flags.state = before;
      this.narrow = new Set(narrow);
      this.memoryOffset = offset;
      this.hostOf = host;
      this.ended = false;
      body();
      if (this.ended) return;
      arms.push({ state: flags.state, narrow: this.narrow });
      // Where an arm changes the flags, the recipe must be known at run time behind it.
      if (flags.state !== before) flags.settle();
    };
    emitTruth(code, condition);
    const start = code.length;
    this.open(Op.if);
    arm(then);
    if (otherwise) {
      code.op(Op.else);
      arm(otherwise);
    } else arms.push({ state: before, narrow });
    this.close();
    this.memoryOffset = offset;
    this.hostOf = host;
    this.ended = arms.length === 0;
    const [first] = arms;
    const same = arms.every((item) => item.state === first?.state);
    if (!same && arms.some((item) => item.state === before)) this.settleBefore(start, before);
    flags.state = same ? (first?.state ?? before) : DYNAMIC;
    this.narrow = new Set([...narrow].filter((number) => arms.every((item) => item.narrow.has(number))));
  }

  /** Sets the recipe in front of a branch whose condition is on the stack already. */
  private settleBefore(at: number, state: typeof this.flags.state): void {
    const settled = new Code();
    settle(settled, state);
    this.code.insert(at, settled);
  }

  protected codeLimit(): Value {
    return new Expression((code) => code.get(Local.BASE).memory(Op.i64_load32_u, O.ENGINE_CODE_LIMIT));
  }

  jump(target: Value, checked = false): void {
    if (!checked) this.checkJump(target);
    const offset = this.zeroExtend(target, this.size);
    const fixed = known(offset);
    if (fixed !== undefined) this.exits.goTo(fixed);
    else {
      emit(this.code, offset);
      this.code.set(Local.RIP);
      this.exits.dispatch();
    }
    this.ended = true;
  }

  jumpRelative(): void {
    this.jump(this.add(this.nextRip(), this.read(0)));
  }

  nextRip(): Value {
    const { rip, decoded } = this.current;
    return new Constant(rip + BigInt(decoded.instruction.length));
  }

  eventsFollow(condition: Value): void {
    this.when(condition, () => {
      this.abandon();
      this.ended = true;
    });
  }

  runPasses(): void {
    throw new Error('REP instructions are not translated');
  }

  repeatWhile(): void {
    throw new Error('REP instructions are not translated');
  }

  raise(): void {
    this.abandon();
    this.ended = true;
  }
}

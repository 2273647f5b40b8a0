import { ByteReader, DwarfError, littleEndian, type ByteReader as Reader, toLittleEndian } from './byte-reader.ts';
import { At, Encoding } from './constants.ts';
import type { Unit } from './unit.ts';

/** Something that a location needs can't be had now: a register that was not kept, memory that can't be read. */
export class UnavailableError extends Error {}

/** Where an object, or a piece of one, is (DWARF5 2.6). */
export type Location =
  | { readonly kind: 'memory'; readonly address: bigint }
  /** A DWARF register number of the program's own machine. */
  | { readonly kind: 'register'; readonly register: number }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** A pointer that the compiler removed; what it points at is described by the entry at `entry` of `.debug_info`. */
  | { readonly kind: 'implicit-pointer'; readonly entry: number; readonly offset: bigint }
  | { readonly kind: 'nowhere' };

/** A part of an object: `bits` of it lie at `location`, from `bitOffset` on there. */
export interface Piece {
  readonly location: Location;
  readonly bits: number;
  readonly bitOffset: number;
}

export type ObjectLocation = Location | { readonly kind: 'pieces'; readonly pieces: readonly Piece[] };

/** What an expression is evaluated in. Register numbers are the program's own. */
export interface ExpressionContext {
  readonly unit?: Unit;
  /** Bytes of an address, which is also the width of the untyped stack. */
  readonly addressSize: number;
  readonly version: number;
  readonly is64: boolean;
  register(number: number): bigint | undefined;
  memory(address: bigint, length: number): Uint8Array | undefined;
  frameBase?(): bigint;
  frameAddress?(): bigint;
  /** Value that a register or an expression had on entry to the function. */
  entryValue?(expression: Uint8Array): bigint | undefined;
  readonly objectAddress?: bigint;
  readonly initial?: readonly bigint[];
}

const MAX_STEPS = 10_000;
const MAX_STACK = 1_000;
const MAX_CALLS = 16;

/** DW_OP_* (DWARF5 7.7.1). Runs of literals, registers and base registers are given by their first number. */
const Op = {
  ADDR: 0x03,
  DEREF: 0x06,
  CONST1U: 0x08,
  CONST1S: 0x09,
  CONST2U: 0x0a,
  CONST2S: 0x0b,
  CONST4U: 0x0c,
  CONST4S: 0x0d,
  CONST8U: 0x0e,
  CONST8S: 0x0f,
  CONSTU: 0x10,
  CONSTS: 0x11,
  DUP: 0x12,
  DROP: 0x13,
  OVER: 0x14,
  PICK: 0x15,
  SWAP: 0x16,
  ROT: 0x17,
  XDEREF: 0x18,
  ABS: 0x19,
  AND: 0x1a,
  DIV: 0x1b,
  MINUS: 0x1c,
  MOD: 0x1d,
  MUL: 0x1e,
  NEG: 0x1f,
  NOT: 0x20,
  OR: 0x21,
  PLUS: 0x22,
  PLUS_UCONST: 0x23,
  SHL: 0x24,
  SHR: 0x25,
  SHRA: 0x26,
  XOR: 0x27,
  BRA: 0x28,
  EQ: 0x29,
  GE: 0x2a,
  GT: 0x2b,
  LE: 0x2c,
  LT: 0x2d,
  NE: 0x2e,
  SKIP: 0x2f,
  LIT0: 0x30,
  REG0: 0x50,
  BREG0: 0x70,
  REGX: 0x90,
  FBREG: 0x91,
  BREGX: 0x92,
  PIECE: 0x93,
  DEREF_SIZE: 0x94,
  XDEREF_SIZE: 0x95,
  NOP: 0x96,
  PUSH_OBJECT_ADDRESS: 0x97,
  CALL2: 0x98,
  CALL4: 0x99,
  CALL_REF: 0x9a,
  FORM_TLS_ADDRESS: 0x9b,
  CALL_FRAME_CFA: 0x9c,
  BIT_PIECE: 0x9d,
  IMPLICIT_VALUE: 0x9e,
  STACK_VALUE: 0x9f,
  IMPLICIT_POINTER: 0xa0,
  ADDRX: 0xa1,
  CONSTX: 0xa2,
  ENTRY_VALUE: 0xa3,
  CONST_TYPE: 0xa4,
  REGVAL_TYPE: 0xa5,
  DEREF_TYPE: 0xa6,
  XDEREF_TYPE: 0xa7,
  CONVERT: 0xa8,
  REINTERPRET: 0xa9,
  GNU_PUSH_TLS_ADDRESS: 0xe0,
  GNU_UNINIT: 0xf0,
  GNU_IMPLICIT_POINTER: 0xf2,
  GNU_ENTRY_VALUE: 0xf3,
  GNU_CONST_TYPE: 0xf4,
  GNU_REGVAL_TYPE: 0xf5,
  GNU_DEREF_TYPE: 0xf6,
  GNU_CONVERT: 0xf7,
  GNU_REINTERPRET: 0xf9,
  GNU_PARAMETER_REF: 0xfa,
  GNU_ADDR_INDEX: 0xfb,
  GNU_CONST_INDEX: 0xfc,
} as const;

/** Type of a stack entry; undefined is the generic type: an unsigned address. */
interface StackType {
  readonly encoding: number;
  readonly size: number;
}

interface Entry {
  /** The value's bits, unsigned. */
  readonly value: bigint;
  readonly type?: StackType;
}

/** If the expression is just one register, its number: such an expression in entry_value and call sites names it. */
export function singleRegister(expression: Uint8Array): number | undefined {
  const op = expression[0] ?? 0;
  if (op >= Op.REG0 && op < Op.REG0 + 32 && expression.length === 1) return op - Op.REG0;
  if (op !== Op.REGX) return undefined;
  const reader = new ByteReader(expression, 1);
  const register = reader.uleb();
  return reader.atEnd ? register : undefined;
}

/** Where an address that an expression has as it was linked is now. */
function placed(linked: bigint, { unit }: ExpressionContext): bigint {
  return unit?.moved(linked) ?? linked;
}

/** If the expression is just one address, as that of a static variable: the address. */
export function staticAddress(expression: Uint8Array, context: ExpressionContext): bigint | undefined {
  const op = expression[0];
  const isIndex = op === Op.ADDRX || op === Op.GNU_ADDR_INDEX;
  if (op !== Op.ADDR && !isIndex) return undefined;
  const reader = new ByteReader(expression, 1);
  const address = isIndex ? context.unit?.indexedAddress(reader.uleb()) : placed(reader.unsigned(context.addressSize), context);
  return reader.atEnd ? address : undefined;
}

/** The value an expression leaves on its stack: an address, a frame base, a rule's value. */
export function evaluateValue(expression: Uint8Array, context: ExpressionContext): bigint {
  const machine = new Machine(context);
  machine.run(expression, 0);
  return machine.top();
}

/** Where an object is. An empty expression: nowhere. Throws DwarfError, UnavailableError. */
export function evaluateLocation(expression: Uint8Array, context: ExpressionContext): ObjectLocation {
  if (expression.length === 0) return { kind: 'nowhere' };
  const machine = new Machine(context);
  machine.run(expression, 0);
  return machine.location();
}

class Machine {
  private readonly stack: Entry[] = [];
  private readonly pieces: Piece[] = [];
  /** A location that isn't on the stack: a register, a value. */
  private own: Location | undefined;
  private steps = 0;
  private readonly bits: number;

  constructor(private readonly context: ExpressionContext) {
    this.bits = 8 * context.addressSize;
    for (const value of context.initial ?? []) this.push(value);
  }

  top(): bigint {
    // Some producers give a frame base as a register's location: its value is meant.
    if (this.own?.kind === 'register') return this.register(this.own.register);
    if (this.own?.kind === 'bytes') return littleEndian(this.own.bytes);
    const entry = this.stack.at(-1);
    if (!entry) throw new DwarfError('an expression leaves no value');
    return entry.value;
  }

  location(): ObjectLocation {
    if (this.pieces.length > 0) return { kind: 'pieces', pieces: this.pieces };
    return this.current();
  }

  private current(): Location {
    if (this.own) return this.own;
    const entry = this.stack.at(-1);
    return entry ? { kind: 'memory', address: entry.value } : { kind: 'nowhere' };
  }

  private push(value: bigint, type?: StackType): undefined {
    if (this.stack.length >= MAX_STACK) throw new DwarfError('an expression fills its stack');
    this.stack.push({ value: BigInt.asUintN(type ? 8 * type.size : this.bits, value), type });
  }

  private pop(): Entry {
    const entry = this.stack.pop();
    if (!entry) throw new DwarfError('an expression takes from an empty stack');
    return entry;
  }

  private register(number: number): bigint {
    const value = this.context.register(number);
    if (value === undefined) throw new UnavailableError(`register ${number} was not kept`);
    return value;
  }

  private load(address: bigint, size: number): bigint {
    const bytes = this.context.memory(address, size);
    if (!bytes || bytes.length < size) throw new UnavailableError(`Cannot access memory at address 0x${address.toString(16)}`);
    return littleEndian(bytes);
  }

  private stackType(offset: number): StackType | undefined {
    if (offset === 0) return undefined;
    const { unit } = this.context;
    const die = unit?.dieAt(unit.offset + offset);
    const size = die?.number(At.BYTE_SIZE);
    const encoding = die?.number(At.ENCODING);
    if (size === undefined || encoding === undefined || size < 1 || size > 16)
      throw new DwarfError('an expression names a type that is no base type');
    return { size, encoding };
  }

  run(expression: Uint8Array, depth: number): undefined {
    if (depth > MAX_CALLS) throw new DwarfError('an expression calls itself');
    const reader = new ByteReader(expression);
    while (!reader.atEnd) {
      if (++this.steps > MAX_STEPS) throw new DwarfError('an expression does not end');
      this.step(reader.u8(), reader, depth);
    }
  }

  private step(op: number, reader: Reader, depth: number): undefined {
    const { context } = this;
    if (op >= Op.LIT0 && op < Op.LIT0 + 32) return this.push(BigInt(op - Op.LIT0));
    if (op >= Op.REG0 && op < Op.REG0 + 32) return this.place({ kind: 'register', register: op - Op.REG0 });
    if (op >= Op.BREG0 && op < Op.BREG0 + 32) return this.push(this.register(op - Op.BREG0) + reader.slebBig());
    switch (op) {
      case Op.ADDR:
        return this.push(placed(reader.unsigned(context.addressSize), context));
      case Op.ADDRX:
      case Op.CONSTX:
      case Op.GNU_ADDR_INDEX:
      case Op.GNU_CONST_INDEX: {
        if (!context.unit) throw new DwarfError('an indexed address has no unit');
        const isConstant = op === Op.CONSTX || op === Op.GNU_CONST_INDEX;
        return this.push(isConstant ? context.unit.indexedConstant(reader.uleb()) : context.unit.indexedAddress(reader.uleb()));
      }
      case Op.CONST1U:
      case Op.CONST2U:
      case Op.CONST4U:
      case Op.CONST8U:
        return this.push(reader.unsigned(1 << ((op - Op.CONST1U) >> 1)));
      case Op.CONST1S:
      case Op.CONST2S:
      case Op.CONST4S:
      case Op.CONST8S:
        return this.push(reader.signed(1 << ((op - Op.CONST1S) >> 1)));
      case Op.CONSTU:
        return this.push(reader.ulebBig());
      case Op.CONSTS:
        return this.push(reader.slebBig());
      case Op.DUP:
        return this.pick(0);
      case Op.DROP:
        this.pop();
        return;
      case Op.OVER:
        return this.pick(1);
      case Op.PICK:
        return this.pick(reader.u8());
      case Op.SWAP: {
        const first = this.pop();
        const second = this.pop();
        this.stack.push(first, second);
        return;
      }
      case Op.ROT: {
        const first = this.pop();
        const second = this.pop();
        const third = this.pop();
        this.stack.push(first, third, second);
        return;
      }
      case Op.DEREF:
        return this.push(this.load(this.pop().value, context.addressSize));
      case Op.DEREF_SIZE:
        return this.push(this.load(this.pop().value, boundedSize(reader.u8())));
      case Op.XDEREF:
      case Op.XDEREF_SIZE: {
        const size = op === Op.XDEREF ? context.addressSize : boundedSize(reader.u8());
        const address = this.pop().value;
        this.pop();
        return this.push(this.load(address, size));
      }
      case Op.PLUS_UCONST: {
        const { value, type } = this.pop();
        return this.push(value + reader.ulebBig(), type);
      }
      case Op.ABS:
      case Op.NEG:
      case Op.NOT:
        return this.unary(op);
      case Op.BRA:
      case Op.SKIP: {
        const distance = BigInt.asIntN(16, reader.unsigned(2));
        if (op === Op.SKIP || this.pop().value !== 0n) reader.seek(reader.offset + Number(distance));
        return;
      }
      case Op.REGX:
        return this.place({ kind: 'register', register: reader.uleb() });
      case Op.BREGX: {
        const register = reader.uleb();
        return this.push(this.register(register) + reader.slebBig());
      }
      case Op.FBREG: {
        if (!context.frameBase) throw new UnavailableError('the function has no frame base');
        return this.push(context.frameBase() + reader.slebBig());
      }
      case Op.CALL_FRAME_CFA: {
        if (!context.frameAddress) throw new UnavailableError('the frame has no known address');
        return this.push(context.frameAddress());
      }
      case Op.PIECE:
        return this.piece(8 * reader.uleb(), 0);
      case Op.BIT_PIECE:
        return this.piece(reader.uleb(), reader.uleb());
      case Op.NOP:
      case Op.GNU_UNINIT:
        return;
      case Op.PUSH_OBJECT_ADDRESS: {
        if (context.objectAddress === undefined) throw new UnavailableError('the object has no address');
        return this.push(context.objectAddress);
      }
      case Op.CALL2:
      case Op.CALL4:
      case Op.CALL_REF:
        return this.call(op, reader, depth);
      case Op.FORM_TLS_ADDRESS:
      case Op.GNU_PUSH_TLS_ADDRESS:
        throw new UnavailableError('thread-local variables of a guest have no known address');
      case Op.IMPLICIT_VALUE:
        return this.place({ kind: 'bytes', bytes: reader.slice(reader.uleb()) });
      case Op.STACK_VALUE: {
        const { value, type } = this.pop();
        return this.place({ kind: 'bytes', bytes: toLittleEndian(value, type?.size ?? context.addressSize) });
      }
      case Op.IMPLICIT_POINTER:
      case Op.GNU_IMPLICIT_POINTER: {
        const entry = context.version <= 2 ? Number(reader.unsigned(context.addressSize)) : reader.sectionOffset(context.is64);
        return this.place({ kind: 'implicit-pointer', entry, offset: reader.slebBig() });
      }
      case Op.ENTRY_VALUE:
      case Op.GNU_ENTRY_VALUE: {
        const value = context.entryValue?.(reader.slice(reader.uleb()));
        if (value === undefined) throw new UnavailableError('optimized out');
        return this.push(value);
      }
      case Op.GNU_PARAMETER_REF:
        throw new UnavailableError('optimized out');
      case Op.CONST_TYPE:
      case Op.GNU_CONST_TYPE: {
        const type = this.stackType(reader.uleb());
        return this.push(littleEndian(reader.slice(reader.u8())), type);
      }
      case Op.REGVAL_TYPE:
      case Op.GNU_REGVAL_TYPE: {
        const register = reader.uleb();
        return this.push(this.register(register), this.stackType(reader.uleb()));
      }
      case Op.DEREF_TYPE:
      case Op.GNU_DEREF_TYPE:
      case Op.XDEREF_TYPE: {
        const size = boundedSize(reader.u8());
        const type = this.stackType(reader.uleb());
        const address = this.pop().value;
        if (op === Op.XDEREF_TYPE) this.pop();
        return this.push(this.load(address, size), type);
      }
      case Op.CONVERT:
      case Op.GNU_CONVERT:
        return this.convert(this.stackType(reader.uleb()));
      case Op.REINTERPRET:
      case Op.GNU_REINTERPRET: {
        const type = this.stackType(reader.uleb());
        return this.push(this.pop().value, type);
      }
      default:
        if (op >= Op.AND && op <= Op.NE) return this.binary(op);
        throw new DwarfError(`operation 0x${op.toString(16)} is unknown`);
    }
  }

  private pick(index: number): undefined {
    const entry = this.stack.at(-1 - index);
    if (!entry) throw new DwarfError('an expression takes from an empty stack');
    this.push(entry.value, entry.type);
  }

  private place(location: Location): undefined {
    this.own = location;
  }

  private piece(bits: number, bitOffset: number): undefined {
    if (this.pieces.length >= MAX_STACK) throw new DwarfError('an object has too many pieces');
    this.pieces.push({ location: this.current(), bits, bitOffset });
    this.own = undefined;
    this.stack.length = 0;
  }

  private call(op: number, reader: Reader, depth: number): undefined {
    const { unit } = this.context;
    const operand = op === Op.CALL_REF ? reader.sectionOffset(this.context.is64) : op === Op.CALL2 ? reader.u16() : reader.u32();
    const die = op === Op.CALL_REF ? unit?.info.unitAround(operand)?.dieAt(operand) : unit?.dieAt(unit.offset + operand);
    const raw = die?.raw(At.LOCATION);
    if (raw?.kind === 'block') this.run(raw.bytes, depth + 1);
  }

  private unary(op: number): undefined {
    const { value, type } = this.pop();
    if (type?.encoding === Encoding.FLOAT) {
      const number = floatOf(value, type.size);
      return this.push(floatBits(op === Op.ABS ? Math.abs(number) : -number, type.size), type);
    }
    const signed = BigInt.asIntN(type ? 8 * type.size : this.bits, value);
    this.push(op === Op.NOT ? ~value : op === Op.NEG ? -signed : signed < 0n ? -signed : signed, type);
  }

  private binary(op: number): undefined {
    const right = this.pop();
    const left = this.pop();
    const { type } = left;
    if (type?.encoding === Encoding.FLOAT) return this.floatBinary(op, left, right, type);
    const bits = type ? 8 * type.size : this.bits;
    const isUnsigned = type !== undefined && type.encoding !== Encoding.SIGNED && type.encoding !== Encoding.SIGNED_CHAR;
    // The generic type compares and divides as a signed one (DWARF5 2.5.1.4), and its remainder is unsigned.
    const read = (value: bigint) => (isUnsigned ? BigInt.asUintN(bits, value) : BigInt.asIntN(bits, value));
    const a = read(left.value);
    const b = read(right.value);
    const shift = right.value > BigInt(bits) ? BigInt(bits) : right.value;
    const flag = (condition: boolean) => this.push(condition ? 1n : 0n);
    switch (op) {
      case Op.AND:
        return this.push(left.value & right.value, type);
      case Op.OR:
        return this.push(left.value | right.value, type);
      case Op.XOR:
        return this.push(left.value ^ right.value, type);
      case Op.PLUS:
        return this.push(a + b, type);
      case Op.MINUS:
        return this.push(a - b, type);
      case Op.MUL:
        return this.push(a * b, type);
      case Op.DIV:
      case Op.MOD: {
        if (right.value === 0n) throw new DwarfError('an expression divides by zero');
        if (op === Op.DIV) return this.push(a / b, type);
        return this.push(type ? a % b : left.value % right.value, type);
      }
      case Op.SHL:
        return this.push(left.value << shift, type);
      case Op.SHR:
        return this.push(BigInt.asUintN(bits, left.value) >> shift, type);
      case Op.SHRA:
        return this.push(BigInt.asIntN(bits, left.value) >> shift, type);
      case Op.EQ:
        return flag(a === b);
      case Op.NE:
        return flag(a !== b);
      case Op.GE:
        return flag(a >= b);
      case Op.GT:
        return flag(a > b);
      case Op.LE:
        return flag(a <= b);
      case Op.LT:
        return flag(a < b);
      default:
        throw new DwarfError(`operation 0x${op.toString(16)} is unknown`);
    }
  }

  private floatBinary(op: number, left: Entry, right: Entry, type: StackType): undefined {
    const a = floatOf(left.value, type.size);
    const b = floatOf(right.value, type.size);
    const number = (value: number) => this.push(floatBits(value, type.size), type);
    const flag = (condition: boolean) => this.push(condition ? 1n : 0n);
    switch (op) {
      case Op.PLUS:
        return number(a + b);
      case Op.MINUS:
        return number(a - b);
      case Op.MUL:
        return number(a * b);
      case Op.DIV:
        return number(a / b);
      case Op.EQ:
        return flag(a === b);
      case Op.NE:
        return flag(a !== b);
      case Op.GE:
        return flag(a >= b);
      case Op.GT:
        return flag(a > b);
      case Op.LE:
        return flag(a <= b);
      case Op.LT:
        return flag(a < b);
      default:
        throw new DwarfError('an expression combines the bits of a floating-point number');
    }
  }

  private convert(target: StackType | undefined): undefined {
    const { value, type } = this.pop();
    const fromFloat = type?.encoding === Encoding.FLOAT;
    const isSigned = type?.encoding === Encoding.SIGNED || type?.encoding === Encoding.SIGNED_CHAR;
    const integer = type && isSigned ? BigInt.asIntN(8 * type.size, value) : value;
    if (target?.encoding === Encoding.FLOAT)
      return this.push(floatBits(type && fromFloat ? floatOf(value, type.size) : Number(integer), target.size), target);
    if (type && fromFloat) {
      const number = Math.trunc(floatOf(value, type.size));
      return this.push(Number.isFinite(number) ? BigInt(number) : 0n, target);
    }
    this.push(integer, target);
  }
}

function boundedSize(size: number): number {
  if (size < 1 || size > 16) throw new DwarfError(`an expression reads ${size} bytes`);
  return size;
}

function floatOf(bits: bigint, size: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt.asUintN(64, bits), true);
  if (size === 8) return view.getFloat64(0, true);
  if (size === 4) return view.getFloat32(0, true);
  throw new UnavailableError(`a floating-point number of ${size} bytes can't be computed with`);
}

function floatBits(value: number, size: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  if (size === 4) view.setFloat32(0, value, true);
  else if (size === 8) view.setFloat64(0, value, true);
  else throw new UnavailableError(`a floating-point number of ${size} bytes can't be computed with`);
  return view.getBigUint64(0, true);
}

import { integerType } from '../expressions/builtin-types.ts';
import { frameRegister, programRegister, RBP, RETURN_ADDRESS, RSP } from '../registers.ts';
import type { FrameContext, FrameRegisters } from '../symbol-source.ts';
import type { ArrayType, Type } from '../values/type.ts';
import { sizeOf, stripped } from '../values/type.ts';
import { OPTIMIZED_OUT, readInteger, type Storage, type Value } from '../values/value.ts';
import { DwarfError, toLittleEndian } from './byte-reader.ts';
import { type CallFrameInfo, callerRegister, frameAddress } from './call-frame.ts';
import type { CodeIndex, FunctionCode } from './code-index.ts';
import { At, Tag } from './constants.ts';
import type { DebugInfo } from './debug-info.ts';
import type { Die } from './die.ts';
import {
  type ExpressionContext,
  evaluateLocation,
  evaluateValue,
  type Location,
  type ObjectLocation,
  type Piece,
  UnavailableError,
} from './expression.ts';
import { expressionAt } from './locations.ts';
import type { TypeReader } from './type-reader.ts';
import type { Unit } from './unit.ts';

/** A value on entry may need the caller's value on its entry, and so on: this far. */
const MAX_ENTRY_DEPTH = 8;
const MAX_OBJECT = 1 << 20;

/** The address whose line, scope and frame table count: in a caller, that of the call. */
export function placeOf(frame: FrameContext): bigint {
  return frame.isCaller ? frame.pc - 1n : frame.pc;
}

/** Reads the objects of a frame: evaluates locations in it, and follows it to its caller. */
export class FrameReader {
  constructor(
    private readonly info: DebugInfo,
    private readonly code: CodeIndex,
    private readonly frames: CallFrameInfo,
    private readonly types: TypeReader,
    /** Follows a frame that no table describes. */
    private readonly fallback: (frame: FrameContext) => FrameRegisters | undefined,
    private readonly addressSize: number,
  ) {}

  functionAt(frame: FrameContext): FunctionCode | undefined {
    const place = placeOf(frame);
    return this.code.unitAt(place)?.functionAt(place);
  }

  /** Registers of the caller. */
  unwind(frame: FrameContext): FrameRegisters | undefined {
    const row = this.frames.rowAt(placeOf(frame));
    if (!row) return this.fallback(frame);
    const context = this.plainContext(frame);
    try {
      const cfa = frameAddress(row, context);
      if (cfa === undefined) return undefined;
      const pc = callerRegister(row, row.returnRegister, cfa, context);
      // The outermost frame says that it has no return address.
      if (pc === undefined) return undefined;
      const { addressSize } = this;
      const known = new Map<number, bigint | undefined>([
        [RETURN_ADDRESS, pc],
        [RSP, cfa],
      ]);
      return {
        isInterrupted: row.isSignalFrame,
        get: (number) => {
          if (!known.has(number)) {
            const own = programRegister(number, addressSize);
            const isListed = own >= 0 && row.rules.has(own);
            let value: bigint | undefined;
            try {
              value = isListed ? callerRegister(row, own, cfa, context) : frame.registers.get(number);
            } catch (error) {
              if (!(error instanceof DwarfError || error instanceof UnavailableError)) throw error;
            }
            known.set(number, value);
          }
          return known.get(number);
        },
      };
    } catch (error) {
      if (error instanceof DwarfError || error instanceof UnavailableError) return undefined;
      throw error;
    }
  }

  /** The frame of the caller, as a context of its own. */
  caller(frame: FrameContext): FrameContext | undefined {
    const registers = this.unwind(frame);
    const pc = registers?.get(RETURN_ADDRESS);
    if (!registers || pc === undefined) return undefined;
    return { ...frame, pc, registers, isCaller: registers.isInterrupted !== true };
  }

  private plainContext(frame: FrameContext): ExpressionContext {
    const { addressSize } = this;
    return {
      addressSize,
      version: 4,
      is64: false,
      register: (number) => {
        const own = frameRegister(number, addressSize);
        const value = own === undefined ? undefined : frame.registers.get(own);
        return value === undefined || own === undefined || own > RETURN_ADDRESS ? value : BigInt.asUintN(8 * addressSize, value);
      },
      memory: frame.memory,
    };
  }

  /** The frame address (DW_OP_call_frame_cfa). Without a frame table: that of a function that keeps a frame pointer. */
  private frameAddress(frame: FrameContext): bigint {
    const row = this.frames.rowAt(placeOf(frame));
    const context = this.plainContext(frame);
    const cfa = row && frameAddress(row, context);
    if (cfa !== undefined) return cfa;
    const caller = this.fallback(frame)?.get(RSP);
    if (caller !== undefined) return caller;
    const bp = frame.registers.get(RBP);
    if (bp === undefined) throw new UnavailableError('<the frame address is unknown>');
    return bp + BigInt(2 * this.addressSize);
  }

  /** What expressions of a unit are evaluated in. */
  context(frame: FrameContext, unit: Unit, depth = 0): ExpressionContext {
    const owner = this.functionAt(frame);
    const context: ExpressionContext = {
      ...this.plainContext(frame),
      unit,
      addressSize: unit.addressSize,
      version: unit.version,
      is64: unit.is64,
      frameAddress: () => this.frameAddress(frame),
      frameBase: () => {
        const expression = owner && expressionAt(owner.die, At.FRAME_BASE, placeOf(frame));
        if (!expression) throw new UnavailableError('<the frame base is unknown>');
        return evaluateValue(expression, { ...context, frameBase: undefined });
      },
      entryValue: (expression) =>
        owner && depth < MAX_ENTRY_DEPTH ? this.entryValue(frame, owner, expression, depth) : undefined,
    };
    return context;
  }

  /** A register's value on entry: what the call site in the caller says that it passed. */
  private entryValue(frame: FrameContext, owner: FunctionCode, expression: Uint8Array, depth: number): bigint | undefined {
    const caller = this.caller(frame);
    const calling = caller && this.functionAt(caller);
    if (!caller || !calling) return undefined;
    const { unit } = calling.die;
    const end = unit.endIndex(calling.die.index);
    for (let index = calling.die.index + 1; index < end; index++) {
      const tag = unit.tagAtIndex(index);
      if (tag !== Tag.CALL_SITE && tag !== Tag.GNU_CALL_SITE) continue;
      const site = unit.dieAtIndex(index);
      if (!site) continue;
      const returnsTo = site.address(At.CALL_RETURN_PC) ?? (tag === Tag.GNU_CALL_SITE ? site.address(At.LOW_PC) : undefined);
      if (returnsTo !== caller.pc) continue;
      // The site must have called this function, not one that then jumped here.
      const origin = site.reference(At.CALL_ORIGIN) ?? site.reference(At.ABSTRACT_ORIGIN);
      if (origin && !isSameFunction(origin, owner.die)) return undefined;
      for (const parameter of site.childrenWith(Tag.CALL_SITE_PARAMETER, Tag.GNU_CALL_SITE_PARAMETER)) {
        const location = parameter.raw(At.LOCATION);
        const value = parameter.raw(At.CALL_VALUE) ?? parameter.raw(At.GNU_CALL_SITE_VALUE);
        if (location?.kind !== 'block' || value?.kind !== 'block' || !sameBytes(location.bytes, expression)) continue;
        return evaluateValue(value.bytes, this.context(caller, unit, depth + 1));
      }
      return undefined;
    }
    return undefined;
  }

  /** A variable, parameter or constant of a frame as a value. Never throws: what can't be had says why. */
  variable(die: Die, frame: FrameContext, depth = 0): Value {
    const type = this.concrete(this.types.typeOf(die), frame, die.unit);
    const storage = this.info.guard<Storage>(
      `The location of the variable at offset ${die.offset}`,
      { kind: 'unavailable', reason: '<its location is damaged>' },
      () => this.storage(die, type, frame, depth),
    );
    return { type, storage };
  }

  private storage(die: Die, type: Type, frame: FrameContext, depth: number): Storage {
    const constant = die.owner(At.CONST_VALUE)?.raw(At.CONST_VALUE);
    if (constant?.kind === 'constant')
      return { kind: 'bytes', bytes: toLittleEndian(constant.value, Math.min(Math.max(sizeOf(type), 1), 16)) };
    if (constant?.kind === 'block') return { kind: 'bytes', bytes: constant.bytes };
    const owner = die.owner(At.LOCATION);
    if (!owner) return { kind: 'unavailable', reason: OPTIMIZED_OUT };
    try {
      const expression = expressionAt(owner, At.LOCATION, placeOf(frame));
      if (!expression) return { kind: 'unavailable', reason: OPTIMIZED_OUT };
      return this.place(evaluateLocation(expression, this.context(frame, owner.unit, depth)), sizeOf(type), frame, depth);
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      const isPlain = error.message === 'optimized out' || error.message.startsWith('register ');
      return {
        kind: 'unavailable',
        reason: isPlain ? OPTIMIZED_OUT : error.message.startsWith('<') ? error.message : `<${error.message}>`,
      };
    }
  }

  private place(location: ObjectLocation, size: number, frame: FrameContext, depth: number): Storage {
    switch (location.kind) {
      case 'memory':
        return { kind: 'memory', address: location.address };
      case 'register': {
        const register = frameRegister(location.register, this.addressSize);
        return register === undefined || frame.registers.get(register) === undefined
          ? { kind: 'unavailable', reason: OPTIMIZED_OUT }
          : { kind: 'register', register, offset: 0 };
      }
      case 'bytes':
        return { kind: 'bytes', bytes: location.bytes };
      case 'nowhere':
        return { kind: 'unavailable', reason: OPTIMIZED_OUT };
      case 'implicit-pointer':
        return { kind: 'synthetic-pointer', target: () => this.implicitTarget(location, frame, depth) };
      case 'pieces':
        return this.assemble(location.pieces, size, frame);
    }
  }

  private implicitTarget(location: Extract<Location, { kind: 'implicit-pointer' }>, frame: FrameContext, depth: number): Value {
    const die = this.info.unitAround(location.entry)?.dieAt(location.entry);
    if (!die || depth >= MAX_ENTRY_DEPTH) throw new UnavailableError(OPTIMIZED_OUT);
    if (location.offset !== 0n) throw new UnavailableError(OPTIMIZED_OUT);
    return this.variable(die, frame, depth + 1);
  }

  /** An object whose parts lie apart, as bytes. */
  private assemble(pieces: readonly Piece[], size: number, frame: FrameContext): Storage {
    const total = Math.min(Math.max(size, 0), MAX_OBJECT);
    const bytes = new Uint8Array(total);
    const known = new Uint8Array(total);
    let at = 0;
    for (const { location, bits, bitOffset } of pieces) {
      if (at >= 8 * total) break;
      const count = Math.min(bits, 8 * total - at);
      const source = this.pieceBytes(location, Math.ceil((bitOffset + count) / 8), frame);
      if (source) copyBits(source, bitOffset, bytes, at, count, known);
      at += count;
    }
    return { kind: 'bytes', bytes, known };
  }

  private pieceBytes(location: Location, size: number, frame: FrameContext): Uint8Array | undefined {
    switch (location.kind) {
      case 'memory':
        return frame.memory(location.address, size);
      case 'register': {
        const register = frameRegister(location.register, this.addressSize);
        const value = register === undefined ? undefined : frame.registers.get(register);
        return value === undefined ? undefined : toLittleEndian(value, Math.min(size, 64));
      }
      case 'bytes':
        return location.bytes;
      default:
        return undefined;
    }
  }

  /** The type with the lengths that its arrays have in this frame. */
  private concrete(type: Type, frame: FrameContext, unit: Unit): Type {
    const plain = stripped(type);
    if (plain.kind !== 'array' || !hasBound(plain)) return type;
    const element = this.concrete(plain.element, frame, unit);
    if (!plain.bound) return { kind: 'array', element, count: plain.count };
    const { isUpperBound, objectSize } = plain.bound;
    try {
      const expression = plain.bound.expressionAt(placeOf(frame));
      if (!expression) return { kind: 'array', element, count: undefined };
      const context = this.context(frame, unit);
      const found =
        objectSize === undefined
          ? evaluateValue(expression, context)
          : readInteger(
              {
                type: integerType(objectSize, true, 8),
                storage: this.place(evaluateLocation(expression, context), objectSize, frame, 0),
              },
              frame,
            );
      const count = Number(BigInt.asIntN(64, found)) + (isUpperBound ? 1 : 0);
      return { kind: 'array', element, count: Number.isSafeInteger(count) && count >= 0 ? count : 0 };
    } catch (error) {
      if (error instanceof UnavailableError || error instanceof DwarfError) return { kind: 'array', element, count: undefined };
      throw error;
    }
  }
}

function hasBound(type: ArrayType): boolean {
  let at: Type = type;
  for (let depth = 0; depth < 16 && at.kind === 'array'; depth++) {
    if (at.bound) return true;
    at = stripped(at.element);
  }
  return false;
}

function isSameFunction(a: Die, b: Die): boolean {
  const keys = a.lineage().map(({ key }) => key);
  if (b.lineage().some(({ key }) => keys.includes(key))) return true;
  // A declaration in the caller's unit.
  return a.name !== undefined && a.name === b.name;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function copyBits(source: Uint8Array, from: number, target: Uint8Array, to: number, count: number, known: Uint8Array): void {
  if (from % 8 === 0 && to % 8 === 0 && count % 8 === 0) {
    const slice = source.subarray(from / 8, (from + count) / 8);
    target.set(slice, to / 8);
    known.fill(0xff, to / 8, to / 8 + slice.length);
    return;
  }
  for (let bit = 0; bit < count; bit++) {
    const at = from + bit;
    if (at >> 3 >= source.length) return;
    if (((source[at >> 3] ?? 0) >> (at & 7)) & 1)
      target[(to + bit) >> 3] = (target[(to + bit) >> 3] ?? 0) | (1 << ((to + bit) & 7));
    known[(to + bit) >> 3] = (known[(to + bit) >> 3] ?? 0) | (1 << ((to + bit) & 7));
  }
}

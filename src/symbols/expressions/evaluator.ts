import { toLittleEndian } from '../dwarf/byte-reader.ts';
import { UnavailableError } from '../dwarf/expression.ts';
import { EvaluationError, type FrameContext } from '../symbol-source.ts';
import { readFloat } from '../values/float.ts';
import { activeVariant } from '../values/format.ts';
import { sliceElements } from '../values/rust-slice.ts';
import { isInteger, isSigned, type StructType, sizeOf, stripped, type Type, typeName } from '../values/type.ts';
import { addressOf, memberOf, part, pointee, readBytes, readInteger, type Value } from '../values/value.ts';
import { CHAR, DOUBLE, FLOAT, INT, integerType, pointerTo, standardType, wordsType } from './builtin-types.ts';
import { complain } from './lexer.ts';
import { type Expression, parseExpression, type WrittenType } from './parser.ts';

/** What names mean in a frame. */
export interface Scope {
  readonly frame: FrameContext;
  /** Bytes of a pointer in the program. */
  readonly pointerSize: number;
  /** A variable, function, enumerator or symbol. */
  variable(name: string): Value | undefined;
  type(name: string, keyword?: 'struct' | 'union' | 'enum' | 'class'): Type | undefined;
  register(name: string): Value | undefined;
}

const MAX_ANONYMOUS = 16;
const MAX_SLICE = 100_000n;

/** Evaluates a C expression. Throws EvaluationError: one sentence with the place. */
export function evaluateExpression(text: string, scope: Scope): Value {
  const evaluator = new Evaluator(scope);
  const isType = (name: string) => scope.variable(name) === undefined && evaluator.namedType(name) !== undefined;
  const expression = parseExpression(text, isType);
  return evaluator.evaluate(expression);
}

export function integerValue(value: bigint, type: Type): Value {
  return { type, storage: { kind: 'bytes', bytes: toLittleEndian(value, Math.max(1, sizeOf(type))) } };
}

function floatValue(value: number, type: Type = DOUBLE): Value {
  const bytes = new Uint8Array(sizeOf(type));
  const view = new DataView(bytes.buffer);
  if (bytes.length === 4) view.setFloat32(0, value, true);
  else if (bytes.length === 8) view.setFloat64(0, value, true);
  else return floatValue(value, DOUBLE);
  return { type, storage: { kind: 'bytes', bytes } };
}

/** A value as a number that a condition or an assignment can use. */
export type Scalar = { readonly kind: 'integer'; readonly value: bigint } | { readonly kind: 'float'; readonly value: number };

/** The scalar that a value holds; undefined for structs and the like. Throws UnavailableError. */
export function scalarOf(value: Value, frame: FrameContext): Scalar | undefined {
  const type = stripped(value.type);
  switch (type.kind) {
    case 'base':
      if (type.encoding === 'float') return { kind: 'float', value: readFloat(readBytes(value, frame)) };
      return { kind: 'integer', value: readInteger(value, frame) };
    case 'enum':
      return { kind: 'integer', value: readInteger(value, frame) };
    case 'pointer':
      if (type.style !== '*') return scalarOf(pointee(value, frame), frame);
      return { kind: 'integer', value: readInteger(value, frame) };
    case 'array':
    case 'function': {
      const address = addressOf(value);
      return address === undefined ? undefined : { kind: 'integer', value: address };
    }
    default:
      return undefined;
  }
}

class Evaluator {
  constructor(private readonly scope: Scope) {}

  evaluate(expression: Expression): Value {
    try {
      return this.value(expression);
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      const reason = error.message.replace(/^<(error: )?|>$/g, '');
      throw complain(`${reason.charAt(0).toUpperCase()}${reason.slice(1)}`, expression.at);
    }
  }

  private value(expression: Expression): Value {
    const { scope } = this;
    switch (expression.kind) {
      case 'integer':
        return this.constant(expression.value, expression.suffix, expression.isDecimal);
      case 'float':
        return floatValue(expression.value, expression.isSingle ? FLOAT : DOUBLE);
      case 'character':
        return integerValue(BigInt(expression.value), CHAR);
      case 'string': {
        const bytes = new Uint8Array(expression.bytes.length + 1);
        bytes.set(expression.bytes);
        return { type: { kind: 'array', element: CHAR, count: bytes.length }, storage: { kind: 'bytes', bytes } };
      }
      case 'name':
        return this.named(expression.text, expression.at);
      case 'register': {
        const value = scope.register(expression.text);
        if (!value) throw complain(`There is no register "$${expression.text}"`, expression.at);
        return value;
      }
      case 'unary':
        return this.unary(expression);
      case 'binary':
        return this.binary(expression);
      case 'choice':
        return this.evaluate(this.isTrue(expression.condition) ? expression.yes : expression.no);
      case 'member':
        return this.member(expression);
      case 'index':
        return this.index(expression);
      case 'cast':
        return this.cast(this.operand(expression.operand), this.type(expression.type), expression.at);
      case 'size-of-type':
        return this.size(sizeOf(this.type(expression.type)));
      case 'size-of':
        return this.size(sizeOf(this.operand(expression.operand).type));
    }
  }

  private size(bytes: number): Value {
    return integerValue(BigInt(bytes), integerType(this.scope.pointerSize, false, this.scope.pointerSize));
  }

  private constant(value: bigint, suffix: string, isDecimal: boolean): Value {
    const { pointerSize } = this.scope;
    const least = suffix.includes('l') ? (suffix.includes('ll') ? 8 : pointerSize) : 4;
    for (const size of [4, 8, 16]) {
      if (size < least) continue;
      if (!suffix.includes('u') && value < 1n << BigInt(8 * size - 1))
        return integerValue(value, integerType(size, true, pointerSize));
      const mayBeUnsigned = suffix.includes('u') || !isDecimal || size >= 8;
      if (mayBeUnsigned && value < 1n << BigInt(8 * size)) return integerValue(value, integerType(size, false, pointerSize));
    }
    return integerValue(value, integerType(16, false, pointerSize));
  }

  private named(name: string, at: number): Value {
    const value = this.scope.variable(name);
    if (value) return value;
    if (name === 'true' || name === 'false')
      return integerValue(name === 'true' ? 1n : 0n, wordsType(['bool'], this.scope.pointerSize) ?? INT);
    const self = this.scope.variable('this');
    const found = self && this.findMember(this.dereference(self, at), name);
    if (found) return found;
    if (this.namedType(name))
      throw complain(`"${name}" is a type; to look at memory as one, write (${name} *) and an address`, at);
    throw complain(`"${name}" is not known here`, at);
  }

  namedType(name: string): Type | undefined {
    return this.scope.type(name) ?? standardType(name, this.scope.pointerSize);
  }

  private type(written: WrittenType): Type {
    const { pointerSize } = this.scope;
    const { base } = written;
    let type =
      base.kind === 'words'
        ? wordsType(base.words, pointerSize)
        : base.kind === 'tag'
          ? this.scope.type(base.name, base.keyword)
          : this.namedType(base.name);
    if (!type) {
      const name =
        base.kind === 'words' ? base.words.join(' ') : base.kind === 'tag' ? `${base.keyword} ${base.name}` : base.name;
      throw complain(`The program has no type "${name}"`, written.at);
    }
    for (const declarator of written.declarators) {
      if (declarator.kind === '*') type = pointerTo(type, pointerSize);
      else if (declarator.kind === '&') type = { kind: 'pointer', style: '&', size: pointerSize, target: type };
      else if (declarator.kind === 'array') type = { kind: 'array', element: type, count: declarator.count };
      else type = { kind: 'function', result: type, parameters: [], isVariadic: false, isPrototyped: false };
    }
    return type;
  }

  /** A value with references followed. */
  private operand(expression: Expression): Value {
    const value = this.evaluate(expression);
    const type = stripped(value.type);
    return type.kind === 'pointer' && type.style !== '*' ? pointee(value, this.scope.frame) : value;
  }

  /** What arithmetic uses: an array is the address of its first element. */
  private scalar(expression: Expression): { value: Value; scalar: Scalar } {
    const value = this.decay(this.operand(expression));
    const scalar = scalarOf(value, this.scope.frame);
    if (!scalar) throw complain(`${article(typeName(value.type))} is not a number`, expression.at);
    return { value, scalar };
  }

  private decay(value: Value): Value {
    const type = stripped(value.type);
    const address = addressOf(value);
    if ((type.kind !== 'array' && type.kind !== 'function') || address === undefined) return value;
    const target = type.kind === 'array' ? type.element : value.type;
    return integerValue(address, pointerTo(target, this.scope.pointerSize));
  }

  private isTrue(expression: Expression): boolean {
    const { scalar } = this.scalar(expression);
    return scalar.kind === 'float' ? scalar.value !== 0 : scalar.value !== 0n;
  }

  private dereference(value: Value, at: number): Value {
    const plain = this.decay(value);
    const type = stripped(plain.type);
    if (type.kind !== 'pointer') {
      // As gdb does: an integer is the address of an int... of a long, where memory is meant.
      if (isInteger(type)) throw complain(`"*" needs a pointer; write (int *) before the address of an int`, at);
      if (type.kind === 'array') return part(plain, 0, type.element);
      throw complain(`"*" needs a pointer, not ${article(typeName(value.type))}`, at);
    }
    if (stripped(type.target).kind === 'void') throw complain('A void pointer points at nothing known; cast it first', at);
    return pointee(plain, this.scope.frame);
  }

  private unary(expression: Extract<Expression, { kind: 'unary' }>): Value {
    const { operator, at } = expression;
    if (operator === '*') return this.dereference(this.operand(expression.operand), at);
    if (operator === '&') {
      const value = this.operand(expression.operand);
      const address = addressOf(value);
      if (address === undefined) throw complain('It has no address: it is kept in a register or was optimized out', at);
      if (value.bits) throw complain('A bit-field has no address', at);
      return integerValue(address, pointerTo(value.type, this.scope.pointerSize));
    }
    if (operator === '!') return integerValue(this.isTrue(expression.operand) ? 0n : 1n, INT);
    const { value, scalar } = this.scalar(expression.operand);
    if (scalar.kind === 'float') {
      if (operator === '~') throw complain('"~" needs an integer', at);
      return floatValue(operator === '-' ? -scalar.value : scalar.value, stripped(value.type));
    }
    const type = this.promoted(value.type);
    return integerValue(operator === '-' ? -scalar.value : operator === '~' ? ~scalar.value : scalar.value, type);
  }

  private promoted(type: Type): Type {
    const size = sizeOf(type);
    if (stripped(type).kind === 'pointer') return integerType(size, false, this.scope.pointerSize);
    return size < 4 ? INT : integerType(size, isSigned(type), this.scope.pointerSize);
  }

  /** The type that C computes in (C17 6.3.1.8). */
  private common(left: Type, right: Type): Type {
    const a = this.promoted(left);
    const b = this.promoted(right);
    const size = Math.max(sizeOf(a), sizeOf(b));
    const signed = (isSigned(a) || sizeOf(a) < size) && (isSigned(b) || sizeOf(b) < size);
    return integerType(size, signed, this.scope.pointerSize);
  }

  private binary(expression: Extract<Expression, { kind: 'binary' }>): Value {
    const { operator, at } = expression;
    if (operator === '&&' || operator === '||') {
      const left = this.isTrue(expression.left);
      const result = operator === '&&' ? left && this.isTrue(expression.right) : left || this.isTrue(expression.right);
      return integerValue(result ? 1n : 0n, INT);
    }
    if (operator === '@') return this.slice(expression);
    const left = this.scalar(expression.left);
    const right = this.scalar(expression.right);
    const pointer = this.pointerArithmetic(operator, left, right);
    if (pointer) return pointer;
    if (left.scalar.kind === 'float' || right.scalar.kind === 'float') return this.floatArithmetic(operator, left, right, at);
    const a = left.scalar.value;
    const b = right.scalar.value;
    if (operator === '<<' || operator === '>>') {
      const type = this.promoted(left.value.type);
      if (b < 0n || b >= BigInt(8 * sizeOf(type))) throw complain(`A shift by ${b} is not defined`, at);
      return integerValue(operator === '<<' ? a << b : a >> b, type);
    }
    const type = this.common(left.value.type, right.value.type);
    const bits = 8 * sizeOf(type);
    const x = isSigned(type) ? BigInt.asIntN(bits, a) : BigInt.asUintN(bits, a);
    const y = isSigned(type) ? BigInt.asIntN(bits, b) : BigInt.asUintN(bits, b);
    const flag = (condition: boolean) => integerValue(condition ? 1n : 0n, INT);
    switch (operator) {
      case '+':
        return integerValue(x + y, type);
      case '-':
        return integerValue(x - y, type);
      case '*':
        return integerValue(x * y, type);
      case '/':
      case '%':
        if (y === 0n) throw complain('Division by zero', at);
        return integerValue(operator === '/' ? x / y : x % y, type);
      case '&':
        return integerValue(x & y, type);
      case '|':
        return integerValue(x | y, type);
      case '^':
        return integerValue(x ^ y, type);
      case '==':
        return flag(x === y);
      case '!=':
        return flag(x !== y);
      case '<':
        return flag(x < y);
      case '>':
        return flag(x > y);
      case '<=':
        return flag(x <= y);
      case '>=':
        return flag(x >= y);
      default:
        throw complain(`"${operator}" is not expected`, at);
    }
  }

  private floatArithmetic(
    operator: string,
    left: { value: Value; scalar: Scalar },
    right: { value: Value; scalar: Scalar },
    at: number,
  ): Value {
    const a = Number(left.scalar.value);
    const b = Number(right.scalar.value);
    const isSingle = [left, right].every(({ value, scalar }) => scalar.kind === 'integer' || sizeOf(value.type) <= 4);
    const number = (value: number) => floatValue(value, isSingle ? FLOAT : DOUBLE);
    const flag = (condition: boolean) => integerValue(condition ? 1n : 0n, INT);
    switch (operator) {
      case '+':
        return number(a + b);
      case '-':
        return number(a - b);
      case '*':
        return number(a * b);
      case '/':
        return number(a / b);
      case '==':
        return flag(a === b);
      case '!=':
        return flag(a !== b);
      case '<':
        return flag(a < b);
      case '>':
        return flag(a > b);
      case '<=':
        return flag(a <= b);
      case '>=':
        return flag(a >= b);
      default:
        throw complain(`"${operator}" needs integers`, at);
    }
  }

  private pointerArithmetic(
    operator: string,
    left: { value: Value; scalar: Scalar },
    right: { value: Value; scalar: Scalar },
  ): Value | undefined {
    if (operator !== '+' && operator !== '-') return undefined;
    const a = stripped(left.value.type);
    const b = stripped(right.value.type);
    if (left.scalar.kind === 'float' || right.scalar.kind === 'float') return undefined;
    const step = (target: Type) => BigInt(Math.max(1, sizeOf(target)));
    if (a.kind === 'pointer' && b.kind === 'pointer' && operator === '-')
      return integerValue(
        (left.scalar.value - right.scalar.value) / step(a.target),
        integerType(a.size, true, this.scope.pointerSize),
      );
    if (a.kind === 'pointer' && b.kind !== 'pointer') {
      const distance = right.scalar.value * step(a.target);
      return integerValue(left.scalar.value + (operator === '+' ? distance : -distance), left.value.type);
    }
    if (b.kind === 'pointer' && a.kind !== 'pointer' && operator === '+')
      return integerValue(right.scalar.value + left.scalar.value * step(b.target), right.value.type);
    return undefined;
  }

  /** `x@n`: n objects from x on, as an array. */
  private slice(expression: Extract<Expression, { kind: 'binary' }>): Value {
    const value = this.operand(expression.left);
    const { scalar } = this.scalar(expression.right);
    const address = addressOf(value);
    if (address === undefined) throw complain('What stands before "@" must lie in memory', expression.at);
    if (scalar.kind === 'float' || scalar.value < 1n || scalar.value > MAX_SLICE)
      throw complain(`What stands behind "@" must be a number from 1 to ${MAX_SLICE}`, expression.at);
    return { type: { kind: 'array', element: value.type, count: Number(scalar.value) }, storage: value.storage };
  }

  /** What a Rust slice refers to; undefined for another value. */
  private elementsOf(value: Value): Value | undefined {
    try {
      return sliceElements(value, this.scope.frame);
    } catch (error) {
      if (error instanceof UnavailableError) return undefined;
      throw error;
    }
  }

  private index(expression: Extract<Expression, { kind: 'index' }>): Value {
    let object = this.operand(expression.object);
    let place = this.scalar(expression.index);
    // C lets the two change places.
    if (stripped(place.value.type).kind === 'pointer' && isInteger(object.type)) {
      const swapped = this.scalar(expression.object);
      object = place.value;
      place = swapped;
    }
    if (place.scalar.kind === 'float') throw complain('An index must be an integer', expression.index.at);
    object = this.elementsOf(object) ?? object;
    const type = stripped(object.type);
    if (type.kind === 'array') {
      const size = sizeOf(type.element);
      const address = addressOf(object);
      const offset = place.scalar.value * BigInt(size);
      if (address !== undefined) return { type: type.element, storage: { kind: 'memory', address: this.wrap(address + offset) } };
      if (place.scalar.value < 0n || place.scalar.value >= BigInt(type.count ?? 0))
        throw complain(`Index ${place.scalar.value} lies outside of the array`, expression.index.at);
      return part(object, Number(offset), type.element);
    }
    if (type.kind !== 'pointer')
      throw complain(`"[" needs an array or a pointer, not ${article(typeName(object.type))}`, expression.at);
    if (stripped(type.target).kind === 'void')
      throw complain('A void pointer points at nothing known; cast it first', expression.at);
    return pointee(object, this.scope.frame, place.scalar.value * BigInt(sizeOf(type.target)));
  }

  private wrap(address: bigint): bigint {
    return BigInt.asUintN(8 * this.scope.pointerSize, address);
  }

  private member(expression: Extract<Expression, { kind: 'member' }>): Value {
    let object = this.operand(expression.object);
    // As gdb does, a dot after a pointer goes through it.
    if (expression.isArrow || stripped(object.type).kind === 'pointer') object = this.dereference(object, expression.at);
    if (stripped(object.type).kind !== 'struct')
      throw complain(`${article(typeName(object.type))} has no members`, expression.at);
    const found = this.findMember(object, expression.name);
    if (!found) throw complain(`${typeName(object.type)} has no member "${expression.name}"`, expression.at);
    return found;
  }

  /** A member by name, also through anonymous members, base classes and the active variant. */
  private findMember(object: Value, name: string, depth = 0): Value | undefined {
    const type = stripped(object.type);
    if (type.kind !== 'struct' || depth > MAX_ANONYMOUS) return undefined;
    const direct = type.members.find((member) => member.name === name && !member.isBase);
    if (direct) return memberOf(object, direct);
    const inner = type.members.filter((member) => member.name === undefined || member.isBase);
    for (const member of inner) {
      const found = this.findMember(memberOf(object, member), name, depth + 1);
      if (found) return found;
    }
    return this.variantMember(object, type, name, depth);
  }

  private variantMember(object: Value, type: StructType, name: string, depth: number): Value | undefined {
    const active = activeVariant(object, type, this.scope.frame);
    if (!active) return undefined;
    return active.name === name ? active.value : this.findMember(active.value, name, depth + 1);
  }

  private cast(value: Value, type: Type, at: number): Value {
    const target = stripped(type);
    const plain = this.decay(value);
    if (target.kind === 'void') return { type, storage: { kind: 'bytes', bytes: new Uint8Array(1) } };
    if (target.kind === 'struct' || target.kind === 'array' || target.kind === 'function') {
      // A symbol without a type, or memory: seen as the type.
      if (addressOf(value) !== undefined) return { type, storage: value.storage };
      throw complain(`A value can't be cast to ${typeName(type)}; cast its address to a pointer`, at);
    }
    if (target.kind === 'pointer' && target.style !== '*') {
      const address = addressOf(value);
      if (address === undefined) throw complain('A reference needs something that lies in memory', at);
      return { type: target.target, storage: { kind: 'memory', address } };
    }
    const scalar = scalarOf(plain, this.scope.frame);
    if (!scalar) {
      if (target.kind === 'base' && addressOf(value) !== undefined) return { type, storage: value.storage };
      throw complain(`${article(typeName(value.type))} can't be cast to ${typeName(type)}`, at);
    }
    // What is a function only because nobody knows its type is an object of the type.
    if (target.kind === 'base' && target.encoding === 'float') return floatValue(Number(scalar.value), type);
    if (target.kind === 'base' && target.encoding === 'boolean')
      return integerValue(scalar.kind === 'float' ? (scalar.value === 0 ? 0n : 1n) : scalar.value === 0n ? 0n : 1n, type);
    if (scalar.kind === 'float') {
      if (target.kind === 'pointer') throw complain('A floating-point number is no address', at);
      return integerValue(Number.isFinite(scalar.value) ? BigInt(Math.trunc(scalar.value)) : 0n, type);
    }
    return integerValue(scalar.value, type);
  }
}

function article(name: string): string {
  return `${/^[aeiou]/i.test(name) ? 'An' : 'A'} ${name}`;
}

/** Bytes of a scalar value that is assigned to an object of a type. Throws EvaluationError when it doesn't fit. */
export function encodeScalar(scalar: Scalar, type: Type, bits?: Value['bits']): Uint8Array {
  const target = stripped(type);
  const size = sizeOf(type);
  if (target.kind === 'base' && target.encoding === 'float') {
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    const number = Number(scalar.value);
    if (size === 4) view.setFloat32(0, number, true);
    else if (size === 8) view.setFloat64(0, number, true);
    else throw new EvaluationError(`A ${typeName(type)} can't be set; only float and double can.`);
    return bytes;
  }
  if (scalar.kind === 'float' && !Number.isInteger(scalar.value))
    throw new EvaluationError(`${scalar.value} is not a value of ${typeName(type)}; give an integer.`);
  const value = BigInt(scalar.value);
  const width = BigInt(bits?.size ?? 8 * size);
  if (value >= 1n << width || value < -(1n << (width - 1n)))
    throw new EvaluationError(`${value} does not fit into the ${width} bits of ${typeName(type)}.`);
  if (target.kind === 'base' && target.encoding === 'boolean' && value !== 0n && value !== 1n)
    throw new EvaluationError(`${value} is not a value of ${typeName(type)}; give true or false.`);
  return toLittleEndian(value, bits ? Math.ceil((bits.offset + bits.size) / 8) : size);
}

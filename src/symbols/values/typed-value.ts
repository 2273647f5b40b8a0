import { littleEndian, toLittleEndian } from '../dwarf/byte-reader.ts';
import { UnavailableError } from '../dwarf/expression.ts';
import { encodeScalar, type Scalar, scalarOf } from '../expressions/evaluator.ts';
import { EvaluationError, type TypedValue } from '../symbol-source.ts';
import { activeVariant, formatValue, type ShowContext } from './format.ts';
import { sliceElements } from './rust-slice.ts';
import { type Member, type StructType, sizeOf, stripped, type Type, typeName } from './type.ts';
import { addressOf, memberOf, part, pointee, readBytes, type Value } from './value.ts';

/** What a value is presented in. */
export interface PresentContext extends ShowContext {
  /** Evaluates the text that a user assigns. Throws EvaluationError. */
  evaluate(text: string): Value;
}

type Child = ReturnType<TypedValue['children']>[number];

/** Hands a value out to whoever shows it. `expression` evaluates to it again. */
export function present(value: Value, expression: string, context: PresentContext): TypedValue {
  return new Presented(value, expression, context);
}

class Presented implements TypedValue {
  readonly typeName: string;
  readonly byteSize: number;
  readonly encode?: (text: string) => Uint8Array;
  private shownText: string | undefined;

  constructor(
    private readonly value: Value,
    private readonly expression: string,
    private readonly context: PresentContext,
  ) {
    this.typeName = typeName(value.type);
    this.byteSize = value.bits ? Math.ceil((value.bits.offset + value.bits.size) / 8) : sizeOf(value.type);
    const { kind } = stripped(value.type);
    const isPlace = value.storage.kind === 'memory' || value.storage.kind === 'register';
    if (isPlace && (kind === 'base' || kind === 'enum' || kind === 'pointer')) this.encode = (text) => this.encodeText(text);
  }

  get text(): string {
    this.shownText ??= formatValue(this.value, this.context);
    return this.shownText;
  }

  get address(): bigint | undefined {
    return addressOf(this.value);
  }

  get register(): number | undefined {
    return this.value.storage.kind === 'register' ? this.value.storage.register : undefined;
  }

  get target(): bigint | undefined {
    if (stripped(this.value.type).kind !== 'pointer') return undefined;
    try {
      return addressOf(pointee(this.value, this.context.frame));
    } catch (error) {
      if (error instanceof UnavailableError) return undefined;
      throw error;
    }
  }

  get scalar(): bigint | number | undefined {
    try {
      return scalarOf(this.value, this.context.frame)?.value;
    } catch (error) {
      if (error instanceof UnavailableError) return undefined;
      throw error;
    }
  }

  private encodeText(text: string): Uint8Array {
    const { value, context } = this;
    const type = stripped(value.type);
    const scalar = this.assigned(text, type);
    const bytes = encodeScalar(scalar, type.kind === 'pointer' && type.style !== '*' ? type.target : value.type, value.bits);
    if (!value.bits) return bytes;
    // The other bits of the bytes stay as they are.
    const { offset, size } = value.bits;
    const mask = ((1n << BigInt(size)) - 1n) << BigInt(offset);
    try {
      const old = littleEndian(readBytes(value, context.frame));
      return toLittleEndian((old & ~mask) | ((littleEndian(bytes) << BigInt(offset)) & mask), bytes.length);
    } catch (error) {
      if (error instanceof UnavailableError) throw new EvaluationError(`The bit-field can't be read: ${error.message}.`);
      throw error;
    }
  }

  private assigned(text: string, type: Type): Scalar {
    if (type.kind === 'enum') {
      const named = type.values.find(({ name }) => name === text.trim());
      if (named) return { kind: 'integer', value: named.value };
    }
    const assigned = this.context.evaluate(text);
    let scalar: Scalar | undefined;
    try {
      scalar = scalarOf(assigned, this.context.frame);
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
    }
    if (!scalar) throw new EvaluationError(`"${text}" is not a value of ${this.typeName}.`);
    return scalar;
  }

  get hasChildren(): boolean {
    return this.childCount > 0;
  }

  get childCount(): number {
    return this.attempt(0, () => {
      const value = this.shown();
      const type = stripped(value.type);
      switch (type.kind) {
        case 'struct':
          return type.variants ? (activeVariant(value, type, this.context.frame) ? 1 : 0) : type.members.length;
        case 'array':
          return sizeOf(type.element) > 0 ? (type.count ?? 0) : 0;
        case 'pointer':
          return this.isFollowable(value, type.target) ? this.structBehind(value)?.members.length || 1 : 0;
        default:
          return 0;
      }
    });
  }

  children(start = 0, count = this.childCount - start): readonly Child[] {
    const from = Math.max(0, Math.trunc(start));
    return this.attempt<readonly Child[]>([], () => {
      const value = this.shown();
      const type = stripped(value.type);
      const end = Math.min(this.childCount, from + Math.max(0, Math.trunc(count)));
      const base = primary(this.expression);
      if (type.kind === 'array') {
        const size = sizeOf(type.element);
        return Array.from({ length: Math.max(0, end - from) }, (_, offset) => {
          const index = from + offset;
          return this.child(`[${index}]`, part(value, index * size, type.element), `${base}[${index}]`);
        });
      }
      if (type.kind === 'struct') return this.members(value, type, `${base}.`).slice(from, end);
      if (type.kind !== 'pointer') return [];
      const target = pointee(value, this.context.frame);
      const behind = this.structBehind(value);
      if (behind && behind.members.length > 0) return this.members(target, behind, `${base}->`).slice(from, end);
      return [this.child(`*${this.expression}`, target, `*${base}`)].slice(from, end);
    });
  }

  /** The value itself, or what a C++ reference or a Rust slice refers to. */
  private shown(): Value {
    const type = stripped(this.value.type);
    if (type.kind === 'pointer' && type.style !== '*') return pointee(this.value, this.context.frame);
    return sliceElements(this.value, this.context.frame) ?? this.value;
  }

  private isFollowable(value: Value, target: Type): boolean {
    const { kind } = stripped(target);
    if (kind === 'void' || kind === 'function') return false;
    if (value.storage.kind === 'synthetic-pointer') return true;
    const scalar = scalarOf(value, this.context.frame);
    return scalar !== undefined && scalar.value !== 0n;
  }

  private structBehind(value: Value): StructType | undefined {
    const type = stripped(value.type);
    const target = type.kind === 'pointer' ? stripped(type.target) : undefined;
    return target?.kind === 'struct' && !target.variants ? target : undefined;
  }

  private members(value: Value, type: StructType, access: string): Child[] {
    const active = activeVariant(value, type, this.context.frame);
    if (active) return [this.child(active.name, active.value, `${access}${active.name}`)];
    const whole = access.endsWith('->') ? access.slice(0, -2) : access.slice(0, -1);
    return type.members.map((member) =>
      this.child(memberLabel(member), memberOf(value, member), memberExpression(member, access, whole)),
    );
  }

  private child(name: string, value: Value, expression: string): Child {
    return { name, value: present(value, expression, this.context), expression };
  }

  private attempt<T>(otherwise: T, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof UnavailableError) return otherwise;
      throw error;
    }
  }
}

function memberLabel(member: Member): string {
  if (member.isBase) return `<${member.name ?? 'base'}>`;
  const type = stripped(member.type);
  return member.name ?? `<anonymous ${type.kind === 'struct' ? type.keyword : type.kind}>`;
}

/** Members of anonymous members and of base classes are found from the outer object. */
function memberExpression(member: Member, access: string, whole: string): string {
  if (member.name === undefined || member.isBase) return access.endsWith('->') ? `(*${whole})` : whole;
  return `${access}${member.name}`;
}

/** An expression that postfix operators can follow. */
function primary(expression: string): string {
  return /^[A-Za-z_$][\w$:]*((\.|->)\w+|\[\d+\])*$/.test(expression) ? expression : `(${expression})`;
}

import type { OperandSize } from '../../x86/instruction.ts';
import type { Value } from '../../x86/semantics.ts';
import { SplitFlags } from '../generator/split-flags.ts';
import { Expression, emit } from '../generator/value-builder.ts';
import { type Code, Op } from '../wasm/code.ts';
import { bitsByRecipe, OVERRIDDEN, overridden, Recipe, RecipeKind, recipeOf } from './recipes.ts';
import type { RegionBuilder } from './region-builder.ts';
import { Local } from './region-locals.ts';

/**
 * What is known of the flags at a place in the code: the recipe that they come from, or `dynamic` where paths with several
 * recipes meet; its number then is in a local. The operands are in locals either way; the second one only while the recipe is
 * known.
 */
export type FlagState =
  | { readonly recipe: number; readonly kind?: RecipeKind; readonly size?: OperandSize; readonly isOverridden?: boolean }
  | { readonly recipe: 'dynamic' };

export const DYNAMIC: FlagState = { recipe: 'dynamic' };
export const BITS: FlagState = { recipe: Recipe.BITS };
const LOGIC: FlagState = { recipe: Recipe.LOGIC };

/** The arguments of the function that makes FLAG_BITS. */
export const FLAG_WORDS = [Local.RECIPE, Local.FLAG_A, Local.FLAG_RESULT, Local.FLAG_BITS, Local.FLAG_OVERRIDE] as const;

/** Leaves the number of a state's recipe in its local, unless it is there. */
export function settle(code: Code, state: FlagState): void {
  if (state.recipe === 'dynamic') return;
  code.i32(state.isOverridden ? state.recipe | OVERRIDDEN : state.recipe).set(Local.RECIPE);
}

const local = (index: number): Value => new Expression((code) => code.get(index));

/** Arithmetic flags of translated code: noted where they are written, made where they are read. */
export class RegionFlags extends SplitFlags {
  state: FlagState = DYNAMIC;
  /** Nobody will see what the instruction does to the flags. */
  muted = false;
  /** Something has read the flags. */
  wasRead = false;

  constructor(private readonly region: RegionBuilder) {
    super(region);
  }

  private assign(index: number, value: Value): void {
    emit(this.region.code, value);
    this.region.code.set(index);
  }

  /** Leaves the number of the recipe in its local, for who comes here by another way. */
  settle(): void {
    settle(this.region.code, this.state);
  }

  protected result(): Value {
    this.wasRead = true;
    return local(Local.FLAG_RESULT);
  }
  protected bits(): Value {
    this.wasRead = true;
    const { state, builder: s } = this;
    if (state.recipe === 'dynamic') {
      const { code } = this.region;
      for (const index of FLAG_WORDS) code.get(index);
      code.op(Op.call).u(this.region.flagBitsFunction).set(Local.FLAG_BITS);
      this.state = BITS;
      return local(Local.FLAG_BITS);
    }
    let bits: Value;
    if (state.recipe === Recipe.LOGIC) bits = s.constant(0);
    else if (state.kind === undefined || state.size === undefined) bits = local(Local.FLAG_BITS);
    else bits = bitsByRecipe(s, state.kind, state.size, local(Local.FLAG_A), local(Local.FLAG_RESULT), local(Local.FLAG_BITS));
    return state.isOverridden ? s.keep(overridden(s, bits, local(Local.FLAG_OVERRIDE))) : s.keep(bits);
  }
  protected storeBits(value: Value): void {
    if (this.muted) return;
    this.assign(Local.FLAG_BITS, value);
    this.state = BITS;
  }
  protected storeResult(result: Value, size: OperandSize): void {
    if (this.muted) return;
    this.assign(Local.FLAG_RESULT, this.region.signExtend(result, size));
  }

  private note(kind: RecipeKind, a: Value, b: Value, result: Value, size: OperandSize): void {
    if (this.muted) return;
    const s = this.region;
    // All are computed before one is set: they may depend on the flags.
    emit(s.code, a);
    emit(s.code, s.zeroExtend(b, size));
    emit(s.code, s.signExtend(result, size));
    s.code.set(Local.FLAG_RESULT).set(Local.FLAG_B).set(Local.FLAG_A);
    this.state = { recipe: recipeOf(kind, size), kind, size };
  }

  /** CF and OF alone go into a word of their own: what the others come from stays. */
  override set(bits: { carry?: Value; overflow?: Value; adjust?: Value; result?: Value; size?: OperandSize }): void {
    if (this.muted) return;
    if (bits.adjust || bits.result || !bits.carry) {
      super.set(bits);
      return;
    }
    const s = this.region;
    const overflow = s.keep(bits.overflow ?? this.overflow());
    const carry = s.keep(bits.carry);
    this.assign(Local.FLAG_OVERRIDE, s.or(s.shl(carry, s.constant(63)), s.shl(s.xor(carry, overflow), s.constant(62))));
    if (this.state.recipe !== 'dynamic') this.state = { ...this.state, isOverridden: true };
    else s.code.get(Local.RECIPE).i32(OVERRIDDEN).op(Op.i32_or).set(Local.RECIPE);
  }

  override addition(a: Value, b: Value, result: Value, size: OperandSize, carryIn?: Value): void {
    if (carryIn) super.addition(a, b, result, size);
    else this.note(RecipeKind.ADD, a, b, result, size);
  }
  override subtraction(a: Value, b: Value, result: Value, size: OperandSize, borrowIn?: Value): void {
    if (borrowIn) super.subtraction(a, b, result, size);
    else this.note(RecipeKind.SUB, a, b, result, size);
  }
  override logic(result: Value, size: OperandSize): void {
    if (this.muted) return;
    this.storeResult(result, size);
    this.state = LOGIC;
  }
  override increment(_a: Value, result: Value, size: OperandSize, decrement: boolean): void {
    if (this.muted) return;
    const s = this.region;
    this.assign(Local.FLAG_BITS, s.shl(this.carry(), s.constant(63)));
    this.storeResult(result, size);
    const kind = decrement ? RecipeKind.DEC : RecipeKind.INC;
    this.state = { recipe: recipeOf(kind, size), kind, size };
  }

  /** What the recipe says without making FLAG_BITS; undefined where it can't. */
  private operation():
    | { readonly kind: RecipeKind; readonly size: OperandSize; readonly a: Value; readonly b: Value }
    | undefined {
    const { state } = this;
    this.wasRead = true;
    if (state.recipe === 'dynamic' || state.kind === undefined || state.size === undefined) return undefined;
    return { kind: state.kind, size: state.size, a: local(Local.FLAG_A), b: local(Local.FLAG_B) };
  }
  private get isOverridden(): boolean {
    return this.state.recipe !== 'dynamic' && this.state.isOverridden === true;
  }
  private get hasCorrections(): boolean {
    this.wasRead = true;
    return this.state.recipe === Recipe.BITS || this.state.recipe === 'dynamic';
  }

  override carry(): Value {
    const s = this.region;
    if (this.isOverridden) return s.shr(local(Local.FLAG_OVERRIDE), s.constant(63));
    const operation = this.operation();
    if (operation?.kind === RecipeKind.ADD) return s.lessU(s.zeroExtend(this.result(), operation.size), operation.a);
    if (operation?.kind === RecipeKind.SUB) return s.lessU(operation.a, operation.b);
    if (operation) return s.shr(local(Local.FLAG_BITS), s.constant(63));
    return super.carry();
  }
  override overflow(): Value {
    const s = this.region;
    if (this.isOverridden) {
      const word = local(Local.FLAG_OVERRIDE);
      return s.shr(s.xor(word, s.shl(word, s.constant(1))), s.constant(63));
    }
    const operation = this.operation();
    if (!operation || operation.kind > RecipeKind.SUB) return super.overflow();
    const { kind, size, a, b } = operation;
    const changed = s.xor(a, this.result());
    const differs = kind === RecipeKind.SUB ? s.xor(a, b) : s.xor(b, this.result());
    return s.and(s.shr(s.and(changed, differs), s.constant(size - 1)), s.constant(1));
  }
  override adjust(): Value {
    const s = this.region;
    const operation = this.operation();
    if (!operation || operation.kind > RecipeKind.SUB) return super.adjust();
    return s.and(s.shr(s.xor(s.xor(operation.a, operation.b), this.result()), s.constant(4)), s.constant(1));
  }
  override sign(): Value {
    return this.hasCorrections ? super.sign() : this.region.lessS(this.result(), this.region.constant(0));
  }
  override parity(): Value {
    if (this.hasCorrections) return super.parity();
    const s = this.region;
    return s.and(s.xor(s.countOnes(s.and(this.result(), s.constant(0xff))), s.constant(1)), s.constant(1));
  }

  /** A condition of Jcc that follows from the operands of a comparison directly; undefined for others. */
  compared(condition: number): Value | undefined {
    const s = this.region;
    if (this.isOverridden) return undefined;
    if (this.state.recipe === Recipe.LOGIC) {
      const result = this.result();
      // No carry, no overflow: below or equal is equal, less or equal is 0 or negative.
      if (condition >> 1 === 3) return s.isZero(result);
      if (condition >> 1 === 6) return s.lessS(result, s.constant(0));
      return condition >> 1 === 7 ? s.lessS(result, s.constant(1)) : undefined;
    }
    const operation = this.operation();
    if (operation?.kind !== RecipeKind.SUB) return undefined;
    const { size, a, b } = operation;
    const wide = (value: Value) => s.signExtend(value, size);
    switch (condition >> 1) {
      case 2:
        return s.equal(a, b);
      case 3:
        return s.isZero(s.lessU(b, a));
      case 6:
        return s.lessS(wide(a), wide(b));
      case 7:
        return s.isZero(s.lessS(wide(b), wide(a)));
      default:
        return undefined;
    }
  }
}

import type { OperandSize } from '../../x86/instruction.ts';
import type { Value } from '../../x86/semantics.ts';
import { carriesOfAddition, carriesOfStep, carriesOfSubtraction } from '../generator/split-flags.ts';
import { Expression, emit, ValueBuilder } from '../generator/value-builder.ts';
import { type Code, I32, I64, Op, VOID } from '../wasm/code.ts';
import type { FunctionType } from '../wasm/module.ts';

/**
 * Flags that nobody reads cost nothing: translated code only notes what they come from, as a number (the recipe) and the
 * operands, and makes FLAG_BITS of it where the region is left or somebody asks.
 */
export const Recipe = {
  /** FLAG_BITS are there. */
  BITS: 0,
  /** No carries: AND, OR, XOR, TEST. */
  LOGIC: 1,
} as const;

/** Added to a recipe: CF and OF are not what it says, but stand where FLAG_BITS has them in a word of their own. */
export const OVERRIDDEN = 32;

/** What a recipe with operands does; each in four sizes. */
export const RecipeKind = { ADD: 0, SUB: 1, INC: 2, DEC: 3 } as const;
export type RecipeKind = (typeof RecipeKind)[keyof typeof RecipeKind];

const SIZES: readonly OperandSize[] = [8, 16, 32, 64];
const FIRST = 2;
const COUNT = FIRST + 4 * SIZES.length;

/** Number of a recipe with operands. */
export function recipeOf(kind: RecipeKind, size: OperandSize): number {
  return FIRST + kind * SIZES.length + SIZES.indexOf(size);
}

/**
 * FLAG_BITS by a recipe with operands. `a` is the first operand (of ADD and SUB), `result` the result, sign-extended, and
 * `carry` what CF was, as bit 63 (for INC and DEC).
 */
export function bitsByRecipe(s: ValueBuilder, kind: RecipeKind, size: OperandSize, a: Value, result: Value, carry: Value): Value {
  if (kind === RecipeKind.ADD) return carriesOfAddition(s, a, s.keep(s.sub(result, a)), result, size);
  if (kind === RecipeKind.SUB) return carriesOfSubtraction(s, a, s.keep(s.sub(a, result)), result, size);
  const decrement = kind === RecipeKind.DEC;
  const before = s.keep(decrement ? s.add(result, s.constant(1)) : s.sub(result, s.constant(1)));
  return carriesOfStep(s, before, s.keep(s.zeroExtend(result, size)), size, decrement, carry);
}

/** FLAG_BITS with CF and OF from another word. */
export function overridden(s: ValueBuilder, bits: Value, carryAndOverflow: Value): Value {
  return s.or(s.and(bits, s.constant((1n << 62n) - 1n)), carryAndOverflow);
}

/** Type of the function that {@link flagBitsFunction} makes: recipe, a, result, bits or carry, overriding word → FLAG_BITS. */
export const FLAG_BITS_TYPE: FunctionType = { parameters: [I32, I64, I64, I64, I64], results: [I64] };

class RecipeBuilder extends ValueBuilder {}

let made: { readonly body: Code; readonly locals: number } | undefined;

/** The function that each module of translated code has for flags whose recipe isn't known while code is made. */
export function flagBitsFunction(): { readonly body: Code; readonly locals: number } {
  made ??= makeFlagBitsFunction();
  return made;
}

function makeFlagBitsFunction(): { readonly body: Code; readonly locals: number } {
  const builder = new RecipeBuilder(FLAG_BITS_TYPE.parameters.length);
  const { code } = builder;
  const parameter = (index: number) => new Expression((target) => target.get(index));
  const answer = (value: Value) => {
    const bits = builder.keep(value);
    code.get(0).i32(OVERRIDDEN).op(Op.i32_and, Op.if, VOID);
    emit(code, overridden(builder, bits, parameter(4)));
    code.op(Op.return, Op.end);
    emit(code, bits);
    code.op(Op.return);
  };
  for (let index = 0; index < COUNT; index++) code.op(Op.block, VOID);
  code
    .get(0)
    .i32(OVERRIDDEN - 1)
    .op(Op.i32_and, Op.br_table)
    .u(COUNT - 1);
  for (let index = 0; index < COUNT; index++) code.u(index);
  code.op(Op.end);
  for (let index = 0; index < COUNT; index++) {
    if (index === Recipe.BITS) answer(parameter(3));
    else if (index === Recipe.LOGIC) answer(new Expression((target) => target.i64(0n)));
    else {
      const kind = ((index - FIRST) >> 2) as RecipeKind;
      const size = SIZES[(index - FIRST) & 3] ?? 64;
      answer(bitsByRecipe(builder, kind, size, parameter(1), parameter(2), parameter(3)));
    }
    if (index < COUNT - 1) code.op(Op.end);
  }
  code.op(Op.unreachable);
  return { body: code, locals: builder.localsUsed - FLAG_BITS_TYPE.parameters.length };
}

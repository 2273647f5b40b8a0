import type { InstructionDefinition } from '../notation.ts';
import { arithmetic } from './arithmetic.ts';
import { bitManipulation } from './bit-manipulation.ts';
import { bits } from './bits.ts';
import { controlFlow } from './control-flow.ts';
import { decimal } from './decimal.ts';
import { extensions } from './extensions.ts';
import { flags } from './flags.ts';
import { moves } from './moves.ts';
import { multiplyDivide } from './multiply-divide.ts';
import { savedState } from './saved-state.ts';
import { shifts } from './shifts.ts';
import { strings } from './strings.ts';
import { system } from './system.ts';
import { avx } from './vector/avx.ts';
import { floatArithmetic } from './vector/float-arithmetic.ts';
import { floatComparisons } from './vector/float-comparisons.ts';
import { floatConversions } from './vector/float-conversions.ts';
import { fusedArithmetic } from './vector/fused.ts';
import { packedArithmetic } from './vector/packed-arithmetic.ts';
import { packedShifts } from './vector/packed-shifts.ts';
import { shuffles } from './vector/shuffles.ts';
import { specialInstructions } from './vector/special.ts';
import { vectorMoves } from './vector/vector-moves.ts';
import { x87 } from './x87.ts';

/** Every instruction that the processor knows. */
export const instructionDefinitions: readonly InstructionDefinition[] = [
  ...arithmetic,
  ...shifts,
  ...multiplyDivide,
  ...moves,
  ...bits,
  ...bitManipulation,
  ...strings,
  ...controlFlow,
  ...flags,
  ...decimal,
  ...system,
  ...extensions,
  ...savedState,
  ...vectorMoves,
  ...packedArithmetic,
  ...packedShifts,
  ...shuffles,
  ...floatArithmetic,
  ...floatComparisons,
  ...floatConversions,
  ...fusedArithmetic,
  ...avx,
  ...specialInstructions,
  ...x87,
];

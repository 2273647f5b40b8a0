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
import { shifts } from './shifts.ts';
import { strings } from './strings.ts';
import { system } from './system.ts';

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
];

import { mixedSeed, nextSeed } from '../../x86/split-mix.ts';
import * as L from '../state/layout.ts';
import type { SystemHelper } from './context.ts';
import { bytesOf, reg, rm, undefinedInstruction, writeRegister } from './operands.ts';

const ARITHMETIC_FLAGS = 0x8d5;
const CF = 1;
/** What the opcode's ModRM.reg says: 6 is RDRAND. */
const RDSEED = 7;

/** RDRAND and RDSEED: never out of numbers, and the same numbers in every run, since their source is a part of the state. */
export const rdrand: SystemHelper = (context, instruction) => {
  // With F2 or F3 they are other instructions, or none.
  if (instruction.rep !== 'none') undefinedInstruction();
  const name = (reg(instruction) & 7) === RDSEED ? 'rdseed' : 'rdrand';
  if (context.intercepts[name]) return { reason: 'vmx', instruction: name };
  const { state } = context;
  const next = nextSeed(state.get64(L.RANDOM));
  state.set64(L.RANDOM, next);
  const size = bytesOf(instruction.operandSize);
  writeRegister(context, rm(instruction), size, BigInt.asUintN(size * 8, mixedSeed(next)));
  state.rflags = (state.rflags & ~ARITHMETIC_FLAGS) | CF;
  return 'next';
};

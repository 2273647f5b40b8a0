import * as L from '../state/layout.ts';
import type { SystemHelper } from './context.ts';
import { bytesOf, reg, rm, undefinedInstruction, writeRegister } from './operands.ts';

const STEP = 0x9e37_79b9_7f4a_7c15n;
const ARITHMETIC_FLAGS = 0x8d5;
const CF = 1;
/** What the opcode's ModRM.reg says: 6 is RDRAND. */
const RDSEED = 7;

/** The next number of a SplitMix64 sequence (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators). */
function mixed(state: bigint): bigint {
  let z = state;
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
  return z ^ (z >> 31n);
}

/** RDRAND and RDSEED: never out of numbers, and the same numbers in every run, since their source is a part of the state. */
export const rdrand: SystemHelper = (context, instruction) => {
  // With F2 or F3 they are other instructions, or none.
  if (instruction.rep !== 'none') undefinedInstruction();
  const name = (reg(instruction) & 7) === RDSEED ? 'rdseed' : 'rdrand';
  if (context.intercepts[name]) return { reason: 'vmx', instruction: name };
  const { state } = context;
  const next = BigInt.asUintN(64, state.get64(L.RANDOM) + STEP);
  state.set64(L.RANDOM, next);
  const size = bytesOf(instruction.operandSize);
  writeRegister(context, rm(instruction), size, BigInt.asUintN(size * 8, mixed(next)));
  state.rflags = (state.rflags & ~ARITHMETIC_FLAGS) | CF;
  return 'next';
};

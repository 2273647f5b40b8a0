import { StackCursor } from '../segmentation/stack.ts';
import * as L from '../state/layout.ts';
import type { SystemHelper } from './context.ts';
import { bytesOf, rm, writeRegister } from './operands.ts';

const RSP = 4;
const RBP = 5;

function wordOf(bits: number): 2 | 4 | 8 {
  return bits === 16 ? 2 : bits === 64 ? 8 : 4;
}

/** ENTER: pushes the frame pointer, copies up to 31 outer ones, makes room. Nothing is committed before all accesses passed. */
export const enter: SystemHelper = (context, instruction) => {
  const { state } = context;
  const size = wordOf(instruction.operandSize);
  const width = context.stackWidth;
  const level = instruction.immediate2 & 31;
  const room = instruction.immediate & 0xffffn;
  const stack = StackCursor.current(context);
  const frame = state.gpr(RBP);
  stack.push(frame, size);
  // The frame pointer gets all of ESP, also when the stack counts in SP.
  const newFrame = width === 16 ? (state.gpr(RSP) & 0xffff_0000n) | stack.pointer : stack.pointer;
  let outer = BigInt.asUintN(width, frame);
  for (let index = 1; index < level; index++) {
    outer = BigInt.asUintN(width, outer - BigInt(size));
    stack.push(context.readVirtual(L.Segment.SS, outer, size), size);
  }
  if (level > 0) stack.push(newFrame, size);
  const top = BigInt.asUintN(width, stack.pointer - room);
  context.probeWrite(L.Segment.SS, top, 1);
  stack.pointer = top;
  stack.commit();
  writeRegister(context, RBP, size, newFrame);
  return 'next';
};

/** POP to ModRM: an address with rSP counts with the value after the pop. */
export const popMemory: SystemHelper = (context, instruction) => {
  const { state } = context;
  const size = wordOf(instruction.operandSize);
  const stack = StackCursor.current(context);
  const value = stack.pop(size);
  if (instruction.modrm?.mod === 3) {
    stack.commit();
    writeRegister(context, rm(instruction), bytesOf(instruction.operandSize), value);
    return 'next';
  }
  const old = state.gpr(RSP);
  stack.commit();
  try {
    context.writeVirtual(instruction.segment, context.effectiveAddress(instruction), size, value);
  } catch (error) {
    state.setGpr(RSP, old);
    throw error;
  }
  return 'next';
};

import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { LEGACY_SIZE } from '../models/state-components.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from '../system/context.ts';
import { low32 } from '../system/operands.ts';
import { requireAvailable } from '../x87/availability.ts';
import { GuestArea } from './guest-area.ts';
import {
  MXCSR_MASK,
  MXCSR_RANGE,
  mxcsrOf,
  putX87,
  putXmm,
  takeMxcsr,
  takeX87,
  takeXmm,
  X87_RANGES,
  xmmRange,
} from './legacy-image.ts';

const CR4_OSFXSR = 1n << 9n;
const REX_W = 8;

/** Vector registers that an instruction in this mode reaches. */
export const reachable = (context: SystemContext): number => (context.mode === 64 ? 16 : 8);

/** FXSAVE. Without CR4.OSFXSR it saves x87 alone, which is one of the ways that the manuals allow. */
const fxsave: SystemHelper = (context, instruction) => {
  requireAvailable(context);
  const area = new GuestArea(context, instruction, 16);
  const { state } = context;
  const image = new DataView(new ArrayBuffer(LEGACY_SIZE));
  const ranges: (readonly [number, number])[] = [...X87_RANGES];
  takeX87(state, image, (instruction.rex & REX_W) !== 0);
  if ((state.cr4 & CR4_OSFXSR) !== 0n) {
    takeMxcsr(state, image);
    takeXmm(state, image, reachable(context));
    ranges.push(MXCSR_RANGE, xmmRange(reachable(context)));
  }
  area.requireWritable(LEGACY_SIZE);
  for (const [from, to] of ranges) area.store(image, from, to);
  return 'next';
};

/** FXRSTOR. */
const fxrstor: SystemHelper = (context, instruction) => {
  requireAvailable(context);
  const area = new GuestArea(context, instruction, 16);
  const { state } = context;
  const image = new DataView(new ArrayBuffer(LEGACY_SIZE));
  area.load(image, 0, LEGACY_SIZE);
  const mxcsr = mxcsrOf(image);
  if (mxcsr === undefined) throw new GuestFault(Vector.GP, 0);
  putX87(context, image, (instruction.rex & REX_W) !== 0);
  if ((state.cr4 & CR4_OSFXSR) !== 0n) {
    state.set32(L.MXCSR, mxcsr);
    putXmm(state, image, reachable(context));
  }
  return 'next';
};

/** LDMXCSR and its VEX form. */
const ldmxcsr: SystemHelper = (context, instruction) => {
  const value = low32(context.readVirtual(instruction.segment, context.effectiveAddress(instruction), 4));
  if ((value & ~MXCSR_MASK) !== 0) throw new GuestFault(Vector.GP, 0);
  context.state.set32(L.MXCSR, value);
  return 'next';
};

/** STMXCSR and its VEX form. */
const stmxcsr: SystemHelper = (context, instruction) => {
  const value = BigInt(context.state.get32(L.MXCSR));
  context.writeVirtual(instruction.segment, context.effectiveAddress(instruction), 4, value);
  return 'next';
};

export const legacyStateHelpers: Readonly<Record<string, SystemHelper>> = { fxsave, fxrstor, ldmxcsr, stmxcsr };

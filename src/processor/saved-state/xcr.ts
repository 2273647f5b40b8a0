import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { Component, supportedComponents } from '../models/state-components.ts';
import * as L from '../state/layout.ts';
import type { SystemHelper } from '../system/context.ts';
import { low32, readEdxEax, requireCpl0, undefinedInstruction, writeEdxEax } from '../system/operands.ts';
import { componentsInUse } from './in-use.ts';

const CR4_OSXSAVE = 1n << 18n;

/** XGETBV: XCR0, or with ECX 1 those of its components that are in use. */
export const xgetbv: SystemHelper = (context) => {
  const { state, model } = context;
  if ((state.cr4 & CR4_OSXSAVE) === 0n) undefinedInstruction();
  const index = low32(state.gpr(1));
  if (index > (model.has('xgetbv1') ? 1 : 0)) throw new GuestFault(Vector.GP, 0);
  const enabled = state.get64(L.XCR0);
  writeEdxEax(context, index === 0 ? enabled : enabled & BigInt(componentsInUse(context)));
  return 'next';
};

/** XSETBV (Intel SDM vol. 1, 13.3): x87 is always enabled, AVX only with SSE. */
export const xsetbv: SystemHelper = (context) => {
  const { state, model } = context;
  if ((state.cr4 & CR4_OSXSAVE) === 0n) undefinedInstruction();
  requireCpl0(context);
  const index = low32(state.gpr(1));
  const value = readEdxEax(context);
  if (context.intercepts.xsetbv) return { reason: 'xsetbv', index, value };
  const needed = Component.X87 | (value & BigInt(Component.AVX) ? Component.SSE : 0);
  const isRight = (value & ~BigInt(supportedComponents(model))) === 0n && (Number(value) & needed) === needed;
  if (index !== 0 || !isRight) throw new GuestFault(Vector.GP, 0);
  state.set64(L.XCR0, value);
  context.modeChanged();
  return 'next';
};

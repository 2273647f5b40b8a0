import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from '../system/context.ts';
import { isRegister, writeRegister } from '../system/operands.ts';
import { numeric, requireAvailable, requireAvailableToWait, requireNoException } from './availability.ts';
import { CONTROL_MASK, CONTROL_ONES, EXCEPTIONS, INITIAL_CONTROL, Status, withSummary } from './words.ts';

/** FNINIT's state; the registers keep their values. */
export function initialize({ state }: SystemContext): void {
  state.set32(L.X87_CONTROL, INITIAL_CONTROL);
  state.set32(L.X87_STATUS, 0);
  state.set32(L.X87_TAGS, 0);
  state.set32(L.X87_OPCODE, 0);
  state.set64(L.X87_IP, 0n);
  state.set64(L.X87_DP, 0n);
  state.set32(L.X87_CS, 0);
  state.set32(L.X87_DS, 0);
}

/** Writes the control word; exceptions that it unmasks are pending now. */
export function setControl({ state }: SystemContext, value: number): void {
  const control = (value & CONTROL_MASK) | CONTROL_ONES;
  state.set32(L.X87_CONTROL, control);
  state.set32(L.X87_STATUS, withSummary(state.get32(L.X87_STATUS), control));
}

const initializeHelper: SystemHelper = (context) => {
  requireAvailable(context);
  initialize(context);
  return 'next';
};

const clearExceptions: SystemHelper = (context) => {
  requireAvailable(context);
  const { state } = context;
  state.set32(L.X87_STATUS, state.get32(L.X87_STATUS) & ~(EXCEPTIONS | Status.SF | Status.ES | Status.B));
  return 'next';
};

const ignored: SystemHelper = (context) => {
  requireAvailable(context);
  return 'next';
};

const storeControl: SystemHelper = (context, instruction) => {
  requireAvailable(context);
  const control = BigInt(context.state.get32(L.X87_CONTROL));
  context.writeVirtual(instruction.segment, context.effectiveAddress(instruction), 2, control);
  return 'next';
};

const loadControl: SystemHelper = (context, instruction) => {
  requireAvailable(context);
  requireNoException(context);
  setControl(context, Number(context.readVirtual(instruction.segment, context.effectiveAddress(instruction), 2)));
  return 'next';
};

const storeStatus: SystemHelper = (context, instruction) => {
  requireAvailable(context);
  const status = BigInt(context.state.get32(L.X87_STATUS));
  if (isRegister(instruction)) writeRegister(context, 0, 2, status);
  else context.writeVirtual(instruction.segment, context.effectiveAddress(instruction), 2, status);
  return 'next';
};

const wait: SystemHelper = (context) => {
  requireAvailableToWait(context);
  requireNoException(context);
  return 'next';
};

export const controlHelpers: Readonly<Record<string, SystemHelper>> = {
  x87_initialize: initializeHelper,
  x87_clear_exceptions: clearExceptions,
  x87_ignored: ignored,
  x87_store_control: storeControl,
  x87_load_control: loadControl,
  x87_store_status: storeStatus,
  x87_wait: wait,
  x87_nothing: numeric(() => undefined, true),
  x87_decrement_top: numeric((unit) => unit.rotate(-1)),
  x87_increment_top: numeric((unit) => unit.rotate(1)),
  x87_free: numeric((unit) => unit.free(unit.index)),
  x87_free_pop: numeric((unit) => {
    unit.free(unit.index);
    unit.pop();
  }),
};

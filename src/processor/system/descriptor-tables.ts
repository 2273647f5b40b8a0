import { isCanonical } from '../../x86/address.ts';
import type { DecodedInstruction } from '../../x86/instruction.ts';
import type { ExitDetail } from '../exit.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { type Descriptor, findDescriptor, isLong, isNull, Rights, rpl } from '../segmentation/descriptor.ts';
import { dataSegment, loadLdt, loadTaskRegister } from '../segmentation/load.ts';
import { StackCursor } from '../segmentation/stack.ts';
import { Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from './context.ts';
import {
  bytesOf,
  readRm,
  reg,
  requireCpl0,
  requireProtectedMode,
  rm,
  undefinedInstruction,
  writeRegister,
  writeRm,
} from './operands.ts';

const CR4_UMIP = 1n << 11n;
const MOV_SS_SHADOW = 2;

/** UMIP: SGDT, SIDT, SLDT, STR and SMSW only at level 0. */
export function checkUmip({ state }: SystemContext): void {
  if ((state.cr4 & CR4_UMIP) !== 0n && state.cpl !== 0) throw new GuestFault(Vector.GP, 0);
}

const TABLE_BITS = { idtr: 1, gdtr: 2, ldtr: 4, tr: 8 } as const;
type TableRegister = keyof typeof TABLE_BITS;

function tableExit({ displacement }: DecodedInstruction, table: TableRegister, write: boolean): ExitDetail {
  return { reason: 'descriptor-table', table, write, displacement };
}

const loadTable =
  (table: 'gdtr' | 'idtr', baseSlot: number, limitSlot: number): SystemHelper =>
  (context, instruction) => {
    requireCpl0(context);
    if (context.intercepts.descriptorTable.write & TABLE_BITS[table]) return tableExit(instruction, table, true);
    const at = context.effectiveAddress(instruction);
    const second = BigInt.asUintN(instruction.addressSize, at + 2n);
    const limit = context.readVirtual(instruction.segment, at, 2);
    let base = context.readVirtual(instruction.segment, second, context.mode === 64 ? 8 : 4);
    if (context.mode === 64 && !isCanonical(base)) throw new GuestFault(Vector.GP, 0);
    if (context.mode !== 64 && instruction.operandSize === 16) base &= 0xff_ffffn;
    context.state.set64(baseSlot, base);
    context.state.set32(limitSlot, Number(limit));
    return 'next';
  };

const storeTable =
  (table: 'gdtr' | 'idtr', baseSlot: number, limitSlot: number): SystemHelper =>
  (context, instruction) => {
    checkUmip(context);
    if (context.intercepts.descriptorTable.read & TABLE_BITS[table]) return tableExit(instruction, table, false);
    const at = context.effectiveAddress(instruction);
    const second = BigInt.asUintN(instruction.addressSize, at + 2n);
    const bytes = context.mode === 64 ? 8 : 4;
    context.probeWrite(instruction.segment, at, 2 + bytes);
    context.writeVirtual(instruction.segment, at, 2, BigInt(context.state.get32(limitSlot)));
    context.writeVirtual(instruction.segment, second, bytes, BigInt.asUintN(bytes * 8, context.state.get64(baseSlot)));
    return 'next';
  };

export const lgdt = loadTable('gdtr', L.GDTR_BASE, L.GDTR_LIMIT);
export const lidt = loadTable('idtr', L.IDTR_BASE, L.IDTR_LIMIT);
export const sgdt = storeTable('gdtr', L.GDTR_BASE, L.GDTR_LIMIT);
export const sidt = storeTable('idtr', L.IDTR_BASE, L.IDTR_LIMIT);

const loadRegister =
  (table: 'ldtr' | 'tr', load: (context: SystemContext, selector: number) => void): SystemHelper =>
  (context, instruction) => {
    requireProtectedMode(context);
    requireCpl0(context);
    if (context.intercepts.descriptorTable.write & TABLE_BITS[table]) return tableExit(instruction, table, true);
    load(context, Number(readRm(context, instruction, 2)));
    return 'next';
  };

const storeRegister =
  (table: 'ldtr' | 'tr', segment: number): SystemHelper =>
  (context, instruction) => {
    requireProtectedMode(context);
    checkUmip(context);
    if (context.intercepts.descriptorTable.read & TABLE_BITS[table]) return tableExit(instruction, table, false);
    writeRm(context, instruction, BigInt(context.state.segment(segment).selector), 2);
    return 'next';
  };

export const lldt = loadRegister('ldtr', loadLdt);
export const ltr = loadRegister('tr', loadTaskRegister);
export const sldt = storeRegister('ldtr', L.Segment.LDTR);
export const str = storeRegister('tr', L.Segment.TR);

/** Loads a data segment register; one into SS holds events back for an instruction. */
function setDataSegment(context: SystemContext, index: number, selector: number): void {
  const { state } = context;
  state.setSegment(index, dataSegment(context, index, selector));
  if (index === L.Segment.SS) state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) | MOV_SS_SHADOW);
  context.modeChanged();
}

export const movToSegment: SystemHelper = (context, instruction) => {
  const index = reg(instruction) & 7;
  if (index === L.Segment.CS || index > L.Segment.GS) undefinedInstruction();
  setDataSegment(context, index, Number(readRm(context, instruction, 2)));
  return 'next';
};

const POPPED: Readonly<Record<number, number>> = { 7: 0, 23: 2, 31: 3, 161: 4, 169: 5 };

export const popSegment: SystemHelper = (context, instruction) => {
  const stack = StackCursor.current(context);
  const size = instruction.operandSize === 16 ? 2 : instruction.operandSize === 64 ? 8 : 4;
  const selector = Number(stack.pop(size) & 0xffffn);
  const index = POPPED[instruction.opcode] ?? 0;
  const value = dataSegment(context, index, selector);
  stack.commit();
  context.state.setSegment(index, value);
  if (index === L.Segment.SS) context.state.set32(L.INTERRUPTIBILITY, context.state.get32(L.INTERRUPTIBILITY) | MOV_SS_SHADOW);
  context.modeChanged();
  return 'next';
};

const FAR_POINTER: Readonly<Record<number, number>> = { 196: 0, 197: 3, 178: 2, 180: 4, 181: 5 };

/** LES, LDS, LSS, LFS, LGS. */
export const loadFarPointer: SystemHelper = (context, instruction) => {
  const bits = instruction.operandSize === 64 && context.model.vendor === 'amd' ? 32 : instruction.operandSize;
  const bytes = bytesOf(bits);
  const at = context.effectiveAddress(instruction);
  const offset = context.readVirtual(instruction.segment, at, bytes);
  const second = BigInt.asUintN(instruction.addressSize, at + BigInt(bytes));
  const selector = Number(context.readVirtual(instruction.segment, second, 2));
  const index = FAR_POINTER[instruction.opcode] ?? 0;
  context.state.setSegment(index, dataSegment(context, index, selector));
  writeRegister(context, reg(instruction), bytes, offset);
  context.modeChanged();
  return 'next';
};

/** The descriptor for LAR, LSL, VERR, VERW, if it can be seen from here. */
function visible(context: SystemContext, instruction: DecodedInstruction): Descriptor | undefined {
  requireProtectedMode(context);
  const selector = Number(readRm(context, instruction, 2));
  const descriptor = isNull(selector) ? undefined : findDescriptor(context, selector);
  if (!descriptor) return undefined;
  const conforming = descriptor.isCode && (descriptor.type & Rights.CONFORMING) !== 0;
  const seen = conforming || (context.state.cpl <= descriptor.dpl && rpl(selector) <= descriptor.dpl);
  return seen ? descriptor : undefined;
}

function setZero(context: SystemContext, on: boolean): void {
  const { state } = context;
  state.rflags = on ? state.rflags | Flag.ZF : state.rflags & ~Flag.ZF;
}

const LAR_TYPES: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 9, 11, 12]);
const LONG_LAR_TYPES: ReadonlySet<number> = new Set([2, 9, 11, 12]);
const LSL_TYPES: ReadonlySet<number> = new Set([1, 2, 3, 9, 11]);
const LONG_LSL_TYPES: ReadonlySet<number> = new Set([2, 9, 11]);

export const lar: SystemHelper = (context, instruction) => {
  const descriptor = visible(context, instruction);
  const types = isLong(context) ? LONG_LAR_TYPES : LAR_TYPES;
  const valid = descriptor !== undefined && (!descriptor.isSystem || types.has(descriptor.type));
  if (valid) writeRegister(context, reg(instruction), bytesOf(instruction.operandSize), BigInt(descriptor.high & 0x00ff_ff00));
  setZero(context, valid);
  return 'next';
};

export const lsl: SystemHelper = (context, instruction) => {
  const descriptor = visible(context, instruction);
  const types = isLong(context) ? LONG_LSL_TYPES : LSL_TYPES;
  const valid = descriptor !== undefined && (!descriptor.isSystem || types.has(descriptor.type));
  if (valid) writeRegister(context, reg(instruction), bytesOf(instruction.operandSize), BigInt(descriptor.limit));
  setZero(context, valid);
  return 'next';
};

export const verr: SystemHelper = (context, instruction) => {
  const descriptor = visible(context, instruction);
  const readable = descriptor && !descriptor.isSystem && (!descriptor.isCode || descriptor.type & Rights.READABLE);
  setZero(context, Boolean(readable));
  return 'next';
};

export const verw: SystemHelper = (context, instruction) => {
  const descriptor = visible(context, instruction);
  setZero(context, Boolean(descriptor && !descriptor.isSystem && !descriptor.isCode && descriptor.type & Rights.WRITABLE));
  return 'next';
};

export const arpl: SystemHelper = (context, instruction) => {
  requireProtectedMode(context);
  const destination = Number(readRm(context, instruction, 2));
  const source = Number(context.state.gpr(reg(instruction)) & 3n);
  const raise = rpl(destination) < source;
  if (raise) {
    const value = BigInt((destination & ~3) | source);
    if (instruction.modrm?.mod === 3) writeRegister(context, rm(instruction), 2, value);
    else context.writeVirtual(instruction.segment, context.effectiveAddress(instruction), 2, value);
  }
  setZero(context, raise);
  return 'next';
};

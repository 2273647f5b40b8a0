import { isCanonical } from '../../x86/address.ts';
import type { DecodedInstruction } from '../../x86/instruction.ts';
import type { ExitDetail } from '../exit.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { Mmu } from '../mmu/mmu.ts';
import { Rights } from '../segmentation/descriptor.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from './context.ts';
import { keepOwned, lmswLeaves, moveLeaves, seenBits } from './control-intercepts.ts';
import { checkUmip } from './descriptor-tables.ts';
import { isRegister, operandLinear, readRm, reg, requireCpl0, rm, undefinedInstruction, writeRm } from './operands.ts';

const CR0 = { PE: 1n, TS: 8n, ET: 0x10n, WP: 1n << 16n, NW: 1n << 29n, CD: 1n << 30n, PG: 1n << 31n } as const;
const CR0_DEFINED = 0xe005_003fn;
const CR4 = {
  PSE: 1n << 4n,
  PAE: 1n << 5n,
  PGE: 1n << 7n,
  PCIDE: 1n << 17n,
  SMEP: 1n << 20n,
  SMAP: 1n << 21n,
  PKE: 1n << 22n,
} as const;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;

const generalFault = (): never => {
  throw new GuestFault(Vector.GP, 0);
};

/** CR4 bits that the model has. */
export function cr4Mask(context: Pick<SystemContext, 'model'>): bigint {
  const features: readonly (readonly [bit: number, feature: string])[] = [
    [0, 'vme'],
    [1, 'vme'],
    [2, 'tsc'],
    [3, 'de'],
    [4, 'pse'],
    [5, 'pae'],
    [6, 'mce'],
    [7, 'pge'],
    [8, 'msr'],
    [9, 'fxsr'],
    [10, 'sse'],
    [11, 'umip'],
    [16, 'fsgsbase'],
    [17, 'pcid'],
    [18, 'xsave'],
    [20, 'smep'],
    [21, 'smap'],
    [22, 'pku'],
  ];
  return features.reduce((mask, [bit, feature]) => (context.model.has(feature) ? mask | (1n << BigInt(bit)) : mask), 0n);
}

/** Loads the PDPTEs when PAE paging (not 4-level) is or becomes active. */
function loadPdptesIfNeeded(context: SystemContext, cr0: bigint, cr3: bigint, cr4: bigint): void {
  if ((cr0 & CR0.PG) === 0n || (cr4 & CR4.PAE) === 0n || (context.state.efer & EFER_LMA) !== 0n) return;
  new Mmu(context.state, context.memory, context.model).loadPdptes(cr3);
}

/** MOV to CR0 and LMSW, with all checks and the entry into and exit from long mode. */
export function writeCr0(context: SystemContext, value: bigint): void {
  const { state } = context;
  const old = state.cr0;
  if (value >> 32n !== 0n) generalFault();
  const next = (value & CR0_DEFINED) | CR0.ET;
  if (next & CR0.PG && !(next & CR0.PE)) generalFault();
  if (next & CR0.NW && !(next & CR0.CD)) generalFault();
  if ((next & CR0.PG) === 0n && context.mode === 64) generalFault();
  if ((next & CR0.PG) === 0n && (state.cr4 & CR4.PCIDE) !== 0n) generalFault();
  const paging = (next & CR0.PG) !== 0n;
  const turnedOn = paging && (old & CR0.PG) === 0n;
  if (turnedOn && (state.efer & EFER_LME) !== 0n) {
    if ((state.cr4 & CR4.PAE) === 0n) generalFault();
    if (state.segment(L.Segment.CS).rights & Rights.L) generalFault();
    // A busy 16-bit TSS has no meaning in long mode.
    if ((state.segment(L.Segment.TR).rights & 13) === 1) generalFault();
    state.set64(L.EFER, state.efer | EFER_LMA);
  } else if ((old ^ next) & (CR0.PG | CR0.CD | CR0.NW)) loadPdptesIfNeeded(context, next, state.cr3, state.cr4);
  if (!paging && (old & CR0.PG) !== 0n) state.set64(L.EFER, state.efer & ~EFER_LMA);
  state.set64(L.CR0, next);
  if ((old ^ next) & (CR0.PG | CR0.PE | CR0.WP)) context.flushTlb(true);
  context.modeChanged();
}

/** MOV to CR3. */
export function writeCr3(context: SystemContext, value: bigint): void {
  const { state } = context;
  const long = (state.efer & EFER_LMA) !== 0n;
  let next = value;
  if (long) {
    // Bit 63 asks for no flush under PCIDE and isn't stored.
    if ((state.cr4 & CR4.PCIDE) !== 0n) next &= ~(1n << 63n);
    if (next >> BigInt(context.model.physicalAddressBits) !== 0n) generalFault();
  } else {
    next &= 0xffff_ffffn;
    loadPdptesIfNeeded(context, state.cr0, next, state.cr4);
  }
  state.set64(L.CR3, next);
  // The PDPTEs of PAE paging are loaded anew, whatever CR3 was.
  if (long || (state.cr4 & CR4.PAE) === 0n) context.addressSpaceChanged();
  else context.flushTlb(false);
}

/** MOV to CR4. */
export function writeCr4(context: SystemContext, value: bigint): void {
  const { state } = context;
  const old = state.cr4;
  if ((value & ~cr4Mask(context)) !== 0n) generalFault();
  const long = (state.efer & EFER_LMA) !== 0n;
  if (long && (value & CR4.PAE) === 0n) generalFault();
  if ((value & ~old & CR4.PCIDE) !== 0n && (!long || (state.cr3 & 0xfffn) !== 0n)) generalFault();
  const paging = CR4.PSE | CR4.PAE | CR4.PGE | CR4.PCIDE | CR4.SMEP | CR4.SMAP | CR4.PKE;
  if ((old ^ value) & (CR4.PSE | CR4.PAE | CR4.PGE | CR4.SMEP)) loadPdptesIfNeeded(context, state.cr0, state.cr3, value);
  state.set64(L.CR4, value);
  if ((old ^ value) & paging) context.flushTlb(true);
  context.modeChanged();
}

type ControlRegister = 0 | 2 | 3 | 4 | 8;

/** A control register has been written: leaves behind the instruction where that is intercepted (AMD APM vol. 2, table B-1, offset 010h). */
function trapWrite(
  context: SystemContext,
  write: Pick<Extract<ExitDetail, { reason: 'cr' }>, 'register' | 'access' | 'gpr' | 'value'>,
): void {
  if (context.intercepts.crTraps & (1 << write.register)) context.leaveBehind({ reason: 'cr', ...write, trap: true });
}

function controlRegister(instruction: DecodedInstruction): ControlRegister {
  const number = reg(instruction);
  if (number === 0 || number === 2 || number === 3 || number === 4 || number === 8) return number;
  return undefinedInstruction();
}

const wide = (context: SystemContext, value: bigint): bigint => (context.mode === 64 ? value : value & 0xffff_ffffn);

export const movToControl: SystemHelper = (context, instruction) => {
  const register = controlRegister(instruction);
  requireCpl0(context);
  const gpr = rm(instruction);
  const value = wide(context, context.state.gpr(gpr));
  const leaves = moveLeaves(context, register, value);
  if (leaves) return { reason: 'cr', register, access: 'mov-to', gpr, value, selective: leaves === 'selective' };
  if (register === 0) writeCr0(context, keepOwned(context.intercepts.cr0, context.state.cr0, value));
  else if (register === 2) context.state.set64(L.CR2, value);
  else if (register === 3) writeCr3(context, value);
  else if (register === 4) writeCr4(context, keepOwned(context.intercepts.cr4, context.state.cr4, value));
  else {
    if (value > 15n) generalFault();
    context.taskPriority = Number(value);
    context.eventsChanged();
  }
  trapWrite(context, { register, access: 'mov-to', gpr, value });
  return 'next';
};

export const movFromControl: SystemHelper = (context, instruction) => {
  const register = controlRegister(instruction);
  requireCpl0(context);
  const gpr = rm(instruction);
  if (context.intercepts.cr.read & (1 << register)) return { reason: 'cr', register, access: 'mov-from', gpr, value: 0n };
  const { state, intercepts } = context;
  const read = () => {
    if (register === 8) return BigInt(context.taskPriority);
    if (register === 0) return seenBits(intercepts.cr0, state.cr0);
    if (register === 4) return seenBits(intercepts.cr4, state.cr4);
    return state.get64(register === 2 ? L.CR2 : L.CR3);
  };
  state.setGpr(gpr, wide(context, read()));
  return 'next';
};

/** INVPCID (Intel SDM vol. 2): what it would drop is right anyway, since translations follow the tables. */
export const invpcid: SystemHelper = (context, instruction) => {
  requireCpl0(context);
  const { state } = context;
  if (context.intercepts.invpcid) {
    const { displacement } = instruction;
    return { reason: 'invlpg', address: operandLinear(context, instruction), invpcid: { displacement } };
  }
  const type = wide(context, state.gpr(reg(instruction)));
  const offset = context.effectiveAddress(instruction);
  const descriptor = context.readVirtual(instruction.segment, offset, 8);
  const address = context.readVirtual(instruction.segment, offset + 8n, 8);
  if (type > 3n) generalFault();
  if (type < 2n) {
    if (descriptor >> 12n !== 0n) generalFault();
    if (descriptor !== 0n && (state.cr4 & CR4.PCIDE) === 0n) generalFault();
  }
  if (type === 0n && !isCanonical(address)) generalFault();
  return 'next';
};

export const clts: SystemHelper = (context) => {
  requireCpl0(context);
  const { cr, cr0: owned } = context.intercepts;
  const isOwned = (owned.mask & CR0.TS) !== 0n;
  // TS of the hypervisor's that the guest sees clear is left alone.
  if (isOwned && (seenBits(owned, context.state.cr0) & CR0.TS) === 0n && !(cr.write & 1)) return 'next';
  if (cr.write & 1 || isOwned) return { reason: 'cr', register: 0, access: 'clts', gpr: 0, value: context.state.cr0 & ~CR0.TS };
  context.state.set64(L.CR0, context.state.cr0 & ~CR0.TS);
  context.modeChanged();
  trapWrite(context, { register: 0, access: 'clts', gpr: 0, value: context.state.cr0 });
  return 'next';
};

export const lmsw: SystemHelper = (context, instruction) => {
  requireCpl0(context);
  const { state, intercepts } = context;
  const source = readRm(context, instruction, 2);
  // PE can be set but not cleared.
  const value = (state.cr0 & ~0xen) | (source & 0xfn);
  const leaves = lmswLeaves(context, source);
  if (leaves) {
    const memory = isRegister(instruction) ? undefined : operandLinear(context, instruction);
    const selective = leaves === 'selective';
    return { reason: 'cr', register: 0, access: 'lmsw', gpr: rm(instruction), value, selective, source, memory };
  }
  writeCr0(context, keepOwned(intercepts.cr0, state.cr0, value));
  trapWrite(context, { register: 0, access: 'lmsw', gpr: rm(instruction), value });
  return 'next';
};

export const smsw: SystemHelper = (context, instruction) => {
  checkUmip(context);
  const { state, intercepts } = context;
  if (intercepts.cr.read & 1) return { reason: 'cr', register: 0, access: 'smsw', gpr: rm(instruction), value: 0n };
  writeRm(context, instruction, seenBits(intercepts.cr0, state.cr0), 2);
  return 'next';
};

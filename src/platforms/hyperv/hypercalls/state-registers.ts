import type { Processor } from '../../../processor/processor.ts';
import * as L from '../../../processor/state/layout.ts';
import { cr4Mask } from '../../../processor/system/control-registers.ts';
import { isCanonical } from '../../../x86/address.ts';
import { HvRegister, PROCESSOR_MSRS } from '../abi/registers.ts';
import { segmentOf, tableOf, type WideValue, wide, wideSegment, wideTable } from '../abi/vp-values.ts';

/** Registers of the processor's own state. A write says whether the value is one that the register can have. */
interface StateRegister {
  read(processor: Processor): WideValue;
  write(processor: Processor, value: WideValue): boolean;
}

const UPPER = 32n;
const CR0_ET = 0x10n;
const CR0_DEFINED = 0xe005_003fn;
const CR0_PE = 1n;
const CR0_NW = 1n << 29n;
const CR0_CD = 1n << 30n;
const CR0_PG = 1n << 31n;
const EFER_DEFINED = 0xd01n;
const RFLAGS_ONE = 2n;
const RFLAGS_DEFINED = 0x3f_7fd7n;
const DR6_ONES = 0xffff_0ff0n;
const DR6_DEFINED = 0xe00fn;
const DR7_ONES = 0x400n;
const DR7_DEFINED = 0xffff_2bffn;
const MXCSR_DEFINED = 0xffffn;
const XCR0_X87 = 1n;
const XCR0_SSE = 2n;
const XCR0_AVX = 4n;
const TOP_SHIFT = 11;
const DPL_SHIFT = 5;
const SS = L.Segment.SS;

/** A register that is 64 bits of the state. `allows` says which values it can have; `kept` what of them is stored. */
function slot(
  offset: number,
  allows: (value: bigint, processor: Processor) => boolean = () => true,
  kept: (value: bigint) => bigint = (value) => value,
): StateRegister {
  return {
    read: ({ state }) => wide(state.get64(offset)),
    write: (processor, { low, high }) => {
      if (high !== 0n || !allows(low, processor)) return false;
      processor.state.set64(offset, kept(low));
      return true;
    },
  };
}

/** Paging and caching as CR0 may have them; that it goes with CR4 and EFER is looked at before the vCPU runs. */
function isCr0(value: bigint): boolean {
  if (value >> UPPER) return false;
  return !(value & CR0_PG && !(value & CR0_PE)) && !(value & CR0_NW && !(value & CR0_CD));
}

function isXcr0(value: bigint, { model }: Processor): boolean {
  const known = XCR0_X87 | XCR0_SSE | (model.has('avx') ? XCR0_AVX : 0n);
  return (value & XCR0_X87) !== 0n && (value & ~known) === 0n && ((value & XCR0_AVX) === 0n || (value & XCR0_SSE) !== 0n);
}

function general(index: number): StateRegister {
  return slot(L.GPR + index * 8);
}

function xmm(index: number): StateRegister {
  const offset = L.VECTORS + index * L.VECTOR_SIZE;
  return {
    read: ({ state }) => wide(state.get64(offset), state.get64(offset + 8)),
    write: ({ state }, { low, high }) => {
      state.set64(offset, low);
      state.set64(offset + 8, high);
      return true;
    },
  };
}

/** ST(index). */
function x87(index: number): StateRegister {
  const offset = ({ state }: Processor) =>
    L.X87_REGISTERS + (((state.get32(L.X87_STATUS) >> TOP_SHIFT) + index) & 7) * L.X87_REGISTER_SIZE;
  return {
    read: (processor) => {
      const at = offset(processor);
      return wide(processor.state.get64(at), processor.state.get64(at + 8) & 0xffffn);
    },
    write: (processor, { low, high }) => {
      const at = offset(processor);
      processor.state.set64(at, low);
      processor.state.set64(at + 8, high & 0xffffn);
      return true;
    },
  };
}

function segment(index: number): StateRegister {
  return {
    read: ({ state }) => wideSegment(state.segment(index)),
    write: ({ state }, value) => {
      const written = segmentOf(value);
      if (!isCanonical(written.base)) return false;
      state.setSegment(index, written);
      // The privilege level is that of SS.
      if (index === SS) state.cpl = (written.rights >> DPL_SHIFT) & 3;
      return true;
    },
  };
}

function table(base: number, limit: number): StateRegister {
  return {
    read: ({ state }) => wideTable(state.get64(base), state.get32(limit)),
    write: ({ state }, value) => {
      const written = tableOf(value);
      if (!isCanonical(written.base)) return false;
      state.set64(base, written.base);
      state.set32(limit, written.limit);
      return true;
    },
  };
}

/** An MSR of the processor, with what its model says of its values. */
function msr(index: number): StateRegister {
  return {
    read: ({ model, state }) => {
      const readTsc = () => BigInt.asUintN(64, state.ticks + state.get64(L.TSC_OFFSET));
      return wide(model.msr(index)?.read({ state, readTsc }) ?? 0n);
    },
    write: (processor, { low, high }) => high === 0n && processor.writeRegister({ kind: 'msr', index }, low) === undefined,
  };
}

const rflags: StateRegister = {
  read: ({ state }) => wide(BigInt(state.rflags)),
  write: ({ state }, { low, high }) => {
    if (high !== 0n || (low & ~RFLAGS_DEFINED) !== 0n || !(low & RFLAGS_ONE)) return false;
    state.rflags = Number(low);
    return true;
  },
};

/** HV_X64_FP_CONTROL_STATUS_REGISTER: control, status, tags, opcode, instruction pointer. */
const fpControl: StateRegister = {
  read: ({ state }) => {
    const words = [L.X87_CONTROL, L.X87_STATUS, L.X87_TAGS, L.X87_OPCODE].map((at) => BigInt(state.get32(at) & 0xffff));
    const [control = 0n, status = 0n, tags = 0n, opcode = 0n] = words;
    return wide(control | (status << 16n) | ((tags & 0xffn) << 32n) | (opcode << 48n), state.get64(L.X87_IP));
  },
  write: ({ state }, { low, high }) => {
    const word = (shift: bigint) => Number((low >> shift) & 0xffffn);
    state.set32(L.X87_CONTROL, (word(0n) & 0x1f3f) | 0x40);
    state.set32(L.X87_STATUS, word(16n));
    state.set32(L.X87_TAGS, word(32n) & 0xff);
    state.set32(L.X87_OPCODE, word(48n) & 0x7ff);
    state.set64(L.X87_IP, high);
    return true;
  },
};

/** HV_X64_XMM_CONTROL_STATUS_REGISTER: data pointer, MXCSR and its mask. */
const xmmControl: StateRegister = {
  read: ({ state }) => wide(state.get64(L.X87_DP), BigInt(state.get32(L.MXCSR)) | (MXCSR_DEFINED << UPPER)),
  write: ({ state }, { low, high }) => {
    const mxcsr = high & 0xffff_ffffn;
    if (mxcsr & ~MXCSR_DEFINED) return false;
    state.set64(L.X87_DP, low);
    state.set32(L.MXCSR, Number(mxcsr));
    return true;
  },
};

const R = HvRegister;
const many = (first: number, count: number, make: (index: number) => StateRegister): [number, StateRegister][] =>
  Array.from({ length: count }, (_, index) => [first + index, make(index)]);

/** By their numbers. */
const REGISTERS: ReadonlyMap<number, StateRegister> = new Map<number, StateRegister>([
  ...many(R.RAX, 16, general),
  [R.RIP, slot(L.RIP, isCanonical)],
  [R.RFLAGS, rflags],
  ...many(R.XMM0, 16, xmm),
  ...many(R.FPMMX0, 8, x87),
  [R.FP_CONTROL_STATUS, fpControl],
  [R.XMM_CONTROL_STATUS, xmmControl],
  [R.CR0, slot(L.CR0, isCr0, (value) => (value & CR0_DEFINED) | CR0_ET)],
  [R.CR2, slot(L.CR2)],
  [R.CR3, slot(L.CR3, (value, { model }) => value >> BigInt(model.physicalAddressBits) === 0n)],
  [R.CR4, slot(L.CR4, (value, processor) => (value & ~cr4Mask(processor)) === 0n)],
  [R.XFEM, slot(L.XCR0, isXcr0)],
  ...many(R.DR0, 4, (index) => slot(L.DR + index * 8)),
  [
    R.DR6,
    slot(
      L.DR + 48,
      (value) => value >> UPPER === 0n,
      (value) => (value & DR6_DEFINED) | DR6_ONES,
    ),
  ],
  [
    R.DR7,
    slot(
      L.DR + 56,
      (value) => value >> UPPER === 0n,
      (value) => (value & DR7_DEFINED) | DR7_ONES,
    ),
  ],
  ...many(R.ES, 8, segment),
  [R.IDTR, table(L.IDTR_BASE, L.IDTR_LIMIT)],
  [R.GDTR, table(L.GDTR_BASE, L.GDTR_LIMIT)],
  [R.EFER, slot(L.EFER, (value) => (value & ~EFER_DEFINED) === 0n)],
  ...[...PROCESSOR_MSRS].map(([register, index]): [number, StateRegister] => [register, msr(index)]),
]);

export function stateRegister(register: number): StateRegister | undefined {
  return REGISTERS.get(register);
}

const CR4_PAE = 1n << 5n;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;
const RIGHTS_L = 1 << 13;

/** Why registers that each are right don't go together, so that no processor could run with them; undefined when one could. */
export function problemOfState({ state }: Processor): string | undefined {
  const { cr0, cr4, efer } = state;
  const isLong = (efer & EFER_LMA) !== 0n;
  const isPaging = (cr0 & CR0_PG) !== 0n;
  if (isLong !== (isPaging && (efer & EFER_LME) !== 0n)) return 'EFER.LMA is not what CR0.PG and EFER.LME make it';
  if (isLong && !(cr4 & CR4_PAE)) return 'long mode without CR4.PAE';
  if (!isLong && state.segment(L.Segment.CS).rights & RIGHTS_L) return 'a 64-bit code segment outside long mode';
  return undefined;
}

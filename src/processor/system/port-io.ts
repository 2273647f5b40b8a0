import type { DecodedInstruction } from '../../x86/instruction.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { isProtected, isVirtual8086 } from '../segmentation/descriptor.ts';
import { Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { PortDetail, SystemContext, SystemHelper } from './context.ts';
import { iopl } from './flag-rules.ts';
import { writeRegister } from './operands.ts';

type PortSize = 1 | 2 | 4;

const VALUE_MASKS = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff } as const;

/** I/O permission (Intel SDM vol. 1, 19.5): IOPL, else the bitmap of the TSS. Throws #GP(0). */
function checkPort(context: SystemContext, port: number, size: PortSize): void {
  const { state } = context;
  const checked = isVirtual8086(context) || (isProtected(context) && state.cpl > iopl(context));
  if (!checked) return;
  const tss = state.segment(L.Segment.TR);
  const refuse = () => new GuestFault(Vector.GP, 0);
  if ((tss.rights & 8) === 0 || tss.limit < 0x67) throw refuse();
  const map = Number(context.readLinear(tss.base + 0x66n, 2, false)) + (port >> 3);
  // Two bytes are read, since the bits may straddle.
  if (map + 1 > tss.limit) throw refuse();
  const bits = Number(context.readLinear(tss.base + BigInt(map), 2, false)) >> (port & 7);
  if (bits & ((1 << size) - 1)) throw refuse();
}

/** Opcodes with bit 0 clear are byte forms. */
function sizeOf({ opcode, operandSize }: DecodedInstruction): PortSize {
  if ((opcode & 1) === 0) return 1;
  return operandSize === 16 ? 2 : 4;
}

function portOf(context: SystemContext, instruction: DecodedInstruction): { port: number; immediate: boolean } {
  const immediate = instruction.opcode < 0xec;
  return { port: immediate ? Number(instruction.immediate & 0xffn) : context.state.get32(L.GPR + 2 * 8) & 0xffff, immediate };
}

export const input: SystemHelper = (context, instruction) => {
  const size = sizeOf(instruction);
  const { port, immediate } = portOf(context, instruction);
  checkPort(context, port, size);
  const detail: PortDetail = { reason: 'io', port, size, write: false, value: 0, string: false, rep: false, immediate };
  const value = context.portAccess(detail);
  if (value === undefined) return detail;
  writeRegister(context, 0, size, BigInt(value));
  return 'next';
};

export const output: SystemHelper = (context, instruction) => {
  const size = sizeOf(instruction);
  const { port, immediate } = portOf(context, instruction);
  checkPort(context, port, size);
  const value = (context.state.get32(L.GPR) & VALUE_MASKS[size]) >>> 0;
  const detail: PortDetail = { reason: 'io', port, size, write: true, value, string: false, rep: false, immediate };
  return context.portAccess(detail) === undefined ? detail : 'next';
};

/**
 * One pass of INS or OUTS under its REP prefix. `transfer` moves one element from or to an offset; it gives false when the
 * instruction must leave first. The result is undefined then.
 */
function stringPass(
  context: SystemContext,
  instruction: DecodedInstruction,
  index: number,
  transfer: (offset: bigint) => boolean,
): 'next' | 'jumped' | undefined {
  const { state } = context;
  const width = instruction.addressSize;
  const get = (register: number) => BigInt.asUintN(width, state.gpr(register));
  const put = (register: number, value: bigint) => {
    const cut = BigInt.asUintN(width, value);
    state.setGpr(register, width === 16 ? (state.gpr(register) & ~0xffffn) | cut : cut);
  };
  const repeats = instruction.rep !== 'none';
  if (repeats && get(1) === 0n) return 'next';
  const offset = get(index);
  if (!transfer(offset)) return undefined;
  const step = BigInt(sizeOf(instruction));
  put(index, offset + (state.rflags & Flag.DF ? -step : step));
  if (!repeats) return 'next';
  put(1, get(1) - 1n);
  return get(1) === 0n ? 'next' : 'jumped';
}

/** The detail of INS or OUTS. */
function stringDetail(context: SystemContext, instruction: DecodedInstruction, write: boolean, value: number): PortDetail {
  const rep = instruction.rep !== 'none';
  const port = context.state.get32(L.GPR + 2 * 8) & 0xffff;
  return { reason: 'io', port, size: sizeOf(instruction), write, value, string: true, rep, immediate: false };
}

export const inputString: SystemHelper = (context, instruction) => {
  const detail = stringDetail(context, instruction, false, 0);
  const { port, size } = detail;
  checkPort(context, port, size);
  const done = stringPass(context, instruction, 7, (offset) => {
    context.probeWrite(L.Segment.ES, offset, size);
    const value = context.portAccess(detail);
    if (value === undefined) return false;
    context.writeVirtual(L.Segment.ES, offset, size, BigInt(value));
    return true;
  });
  return done ?? detail;
};

export const outputString: SystemHelper = (context, instruction) => {
  const { port, size } = stringDetail(context, instruction, true, 0);
  checkPort(context, port, size);
  let detail: PortDetail | undefined;
  const done = stringPass(context, instruction, 6, (offset) => {
    detail = stringDetail(context, instruction, true, Number(context.readVirtual(instruction.segment, offset, size)));
    return context.portAccess(detail) !== undefined;
  });
  return done ?? detail ?? 'next';
};

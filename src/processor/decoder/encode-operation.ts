import type { HandlerTable } from '../interpreter/handler-table.ts';
import * as O from '../interpreter/operation.ts';
import * as L from '../state/layout.ts';
import type { Decoded } from './decode.ts';
import { NO_REGISTER } from './decode.ts';

const ADDRESS_MASK = { 16: 0xffffn, 32: 0xffff_ffffn, 64: 0xffff_ffff_ffff_ffffn } as const;

/** Byte offset in the state block of an 8-bit register: AH–BH are the second bytes of the first four. */
function byteRegister(number: number, uniform: boolean): number {
  return !uniform && number >= 4 && number < 8 ? L.GPR + (number - 4) * 8 + 1 : L.GPR + number * 8;
}

const slot = (register: number): number => (register === NO_REGISTER ? L.ZERO : L.GPR + register * 8);

/**
 * Writes the operation for a decoded instruction at byte offset `at` of the partition's memory, for the vCPU whose state block
 * is at `base`. `instructionIndex` tells
 * helpers which instruction it is; `checked` makes memory operands go through the segment checks; `mayLink` says whether a
 * relative jump may be linked to the operation at its target. Returns true when a helper does the instruction.
 */
export function encodeOperation(
  view: DataView,
  base: number,
  at: number,
  decoded: Decoded,
  rip: bigint,
  table: HandlerTable,
  instructionIndex: number,
  checked: boolean,
  mayLink: (target: bigint) => boolean = () => false,
): boolean {
  const { form, instruction, request } = decoded;
  const handler = form.definition.semantics ? table.find(form, request) : undefined;
  view.setInt32(at + O.OP_HANDLER, handler ?? O.Handler.HELPER, true);
  view.setUint8(at + O.OP_LENGTH, instruction.length);
  view.setBigUint64(at + O.OP_RIP, BigInt.asUintN(64, rip), true);
  const immediate = form.places.includes('1') ? 1n : instruction.immediate;
  view.setBigInt64(at + O.OP_IMMEDIATE, BigInt.asIntN(64, immediate), true);
  view.setBigInt64(at + O.OP_DISPLACEMENT, BigInt.asIntN(64, instruction.displacement), true);
  view.setInt32(at + O.OP_BASE, base + slot(instruction.base), true);
  const { vectorIndex } = decoded;
  const index = vectorIndex === undefined ? slot(instruction.index) : L.VECTORS + vectorIndex * L.VECTOR_SIZE;
  view.setInt32(at + O.OP_INDEX, base + index, true);
  view.setInt32(at + O.OP_SCALE, Math.log2(instruction.scale), true);
  view.setInt32(at + O.OP_SEGMENT_BASE, base + O.ENGINE_BASES + instruction.segment * 8, true);
  view.setInt32(at + O.OP_SEGMENT, instruction.segment, true);
  view.setInt32(at + O.OP_CHECKED, checked ? 1 : 0, true);
  view.setBigUint64(at + O.OP_ADDRESS_MASK, ADDRESS_MASK[instruction.addressSize], true);
  view.setInt32(at + O.OP_INSTRUCTION, instructionIndex, true);

  // The accumulator, unless another register is in that place.
  let a: number = form.places.includes('A') ? L.GPR : L.ZERO;
  let b = L.ZERO;
  let c = L.ZERO;
  for (const { place, width } of form.operands) {
    const byte = width === 'b';
    const number = place === 'Z' ? (instruction.opcode & 7) | ((instruction.rex & 1) << 3) : (instruction.modrm?.rm ?? 0);
    if (place === 'Z' || place === 'E' || place === 'R')
      a = byte ? byteRegister(number, decoded.uniformBytes) : L.GPR + number * 8;
    const reg = instruction.modrm?.reg ?? 0;
    if (place === 'G') b = byte ? byteRegister(reg, decoded.uniformBytes) : L.GPR + reg * 8;
    if (place === 'B') c = L.GPR + decoded.vexRegister * 8;
    if (place === 'V') b = L.VECTORS + reg * L.VECTOR_SIZE;
    if (place === 'W' || place === 'U') a = L.VECTORS + number * L.VECTOR_SIZE;
    if (place === 'H') c = L.VECTORS + decoded.vexRegister * L.VECTOR_SIZE;
    if (place === 'K') b = L.X87_REGISTERS + (reg & 7) * L.X87_REGISTER_SIZE;
    if (place === 'Q' || place === 'N') a = L.X87_REGISTERS + (number & 7) * L.X87_REGISTER_SIZE;
    if (place === 'S') b = L.SEGMENTS + (reg & 7) * L.SEGMENT_SIZE + L.SEG_SELECTOR;
  }
  view.setInt32(at + O.OP_REGISTER_A, base + a, true);
  view.setInt32(at + O.OP_REGISTER_B, base + b, true);
  view.setInt32(at + O.OP_REGISTER_C, base + c, true);
  if (form.operands.some(({ place }) => place === 'J')) {
    const target = BigInt.asUintN(request.size, rip + BigInt(instruction.length) + instruction.immediate);
    view.setInt32(at + O.OP_LINK, mayLink(target) ? O.UNLINKED : O.NEVER_LINKED, true);
  }
  return handler === undefined;
}

/** Writes an operation that is no instruction. The end of a block may be linked to the operation that follows it. */
export function encodeMarker(view: DataView, at: number, handler: number, rip: bigint, mayLink = false): void {
  view.setInt32(at + O.OP_LINK, mayLink ? O.UNLINKED : O.NEVER_LINKED, true);
  view.setInt32(at + O.OP_HANDLER, handler, true);
  view.setUint8(at + O.OP_LENGTH, 0);
  view.setBigUint64(at + O.OP_RIP, BigInt.asUintN(64, rip), true);
}

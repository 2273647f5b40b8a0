import { OpCodeOperandKind as Kind } from 'iced-x86';
import { AssemblyError } from './diagnostic.ts';
import type { EncodeRequest } from './encoder.ts';
import type { Value } from './expression.ts';
import { MODE_BIT, type Opcode } from './opcodes.ts';
import type { ImmediateOperand, MemoryOperand, Operand, RegisterOperand } from './operands.ts';
import type { RegisterClass } from './registers.ts';

/** Kinds that are a register alone. */
const REGISTER_KINDS: Readonly<Record<number, RegisterClass>> = {
  [Kind.r8_reg]: 'r8',
  [Kind.r8_opcode]: 'r8',
  [Kind.r16_reg]: 'r16',
  [Kind.r16_reg_mem]: 'r16',
  [Kind.r16_rm]: 'r16',
  [Kind.r16_opcode]: 'r16',
  [Kind.r32_reg]: 'r32',
  [Kind.r32_reg_mem]: 'r32',
  [Kind.r32_rm]: 'r32',
  [Kind.r32_opcode]: 'r32',
  [Kind.r32_vvvv]: 'r32',
  [Kind.r64_reg]: 'r64',
  [Kind.r64_reg_mem]: 'r64',
  [Kind.r64_rm]: 'r64',
  [Kind.r64_opcode]: 'r64',
  [Kind.r64_vvvv]: 'r64',
  [Kind.seg_reg]: 'seg',
  [Kind.cr_reg]: 'cr',
  [Kind.dr_reg]: 'dr',
  [Kind.tr_reg]: 'tr',
  [Kind.bnd_reg]: 'bnd',
  [Kind.mm_reg]: 'mm',
  [Kind.mm_rm]: 'mm',
  [Kind.xmm_reg]: 'xmm',
  [Kind.xmm_rm]: 'xmm',
  [Kind.xmm_vvvv]: 'xmm',
  [Kind.xmm_is4]: 'xmm',
  [Kind.xmm_is5]: 'xmm',
  [Kind.ymm_reg]: 'ymm',
  [Kind.ymm_rm]: 'ymm',
  [Kind.ymm_vvvv]: 'ymm',
  [Kind.ymm_is4]: 'ymm',
  [Kind.ymm_is5]: 'ymm',
  [Kind.zmm_reg]: 'zmm',
  [Kind.zmm_rm]: 'zmm',
  [Kind.zmm_vvvv]: 'zmm',
  [Kind.k_reg]: 'k',
  [Kind.k_rm]: 'k',
  [Kind.k_vvvv]: 'k',
  [Kind.sti_opcode]: 'st',
};

/** Kinds that are a register or memory. */
const REGISTER_OR_MEMORY: Readonly<Record<number, RegisterClass>> = {
  [Kind.r8_or_mem]: 'r8',
  [Kind.r16_or_mem]: 'r16',
  [Kind.r32_or_mem]: 'r32',
  [Kind.r32_or_mem_mpx]: 'r32',
  [Kind.r64_or_mem]: 'r64',
  [Kind.r64_or_mem_mpx]: 'r64',
  [Kind.mm_or_mem]: 'mm',
  [Kind.xmm_or_mem]: 'xmm',
  [Kind.ymm_or_mem]: 'ymm',
  [Kind.zmm_or_mem]: 'zmm',
  [Kind.k_or_mem]: 'k',
  [Kind.bnd_or_mem_mpx]: 'bnd',
};

/** Memory whose index is a vector register. */
const VECTOR_INDEX: Readonly<Record<number, RegisterClass>> = {
  [Kind.mem_vsib32x]: 'xmm',
  [Kind.mem_vsib64x]: 'xmm',
  [Kind.mem_vsib32y]: 'ymm',
  [Kind.mem_vsib64y]: 'ymm',
  [Kind.mem_vsib32z]: 'zmm',
  [Kind.mem_vsib64z]: 'zmm',
};

const FIXED: Readonly<Record<number, string>> = {
  [Kind.es]: 'es',
  [Kind.cs]: 'cs',
  [Kind.ss]: 'ss',
  [Kind.ds]: 'ds',
  [Kind.fs]: 'fs',
  [Kind.gs]: 'gs',
  [Kind.al]: 'al',
  [Kind.cl]: 'cl',
  [Kind.ax]: 'ax',
  [Kind.dx]: 'dx',
  [Kind.eax]: 'eax',
  [Kind.rax]: 'rax',
  [Kind.st0]: 'st0',
};

export const BRANCHES: Readonly<Record<number, { readonly short: boolean; readonly size: number }>> = {
  [Kind.br16_1]: { short: true, size: 16 },
  [Kind.br32_1]: { short: true, size: 32 },
  [Kind.br64_1]: { short: true, size: 64 },
  [Kind.br16_2]: { short: false, size: 16 },
  [Kind.br32_4]: { short: false, size: 32 },
  [Kind.br64_4]: { short: false, size: 64 },
  [Kind.xbegin_2]: { short: false, size: 16 },
  [Kind.xbegin_4]: { short: false, size: 32 },
};

/** Bits that an immediate keeps of its number; undefined for other operands. */
export function immediateBits(kind: number): number | undefined {
  return IMMEDIATE_BITS[kind];
}

const IMMEDIATE_BITS: Readonly<Record<number, number>> = {
  [Kind.imm8]: 8,
  [Kind.imm8sex16]: 16,
  [Kind.imm8sex32]: 32,
  [Kind.imm8sex64]: 32,
  [Kind.imm16]: 16,
  [Kind.imm32]: 32,
  [Kind.imm32sex64]: 32,
};

export const SHORT_IMMEDIATES: ReadonlySet<number> = new Set([Kind.imm8sex16, Kind.imm8sex32, Kind.imm8sex64]);

export const fitsSigned = (value: bigint, bits: number): boolean => BigInt.asIntN(bits, value) === value;
export const fitsEither = (value: bigint, bits: number): boolean =>
  value >= -(1n << BigInt(bits - 1)) && value < 1n << BigInt(bits);
/** A number that no section moves. */
export const isPlain = (value: Value): boolean => value.section === undefined && !value.unknown;

function immediateFits(kind: number, { value, size, strict }: ImmediateOperand): boolean {
  const { number } = value;
  const byte = (bits: number) => {
    if (strict && size !== 0) return size === 8;
    // What wraps to a signed byte at the operand size is one.
    return isPlain(value) && fitsSigned(BigInt.asIntN(bits, number), 8) && fitsEither(number, bits);
  };
  switch (kind) {
    case Kind.imm8:
    case Kind.imm4_m2z:
      return size === 0 || size === 8;
    case Kind.imm8_const_1:
      return isPlain(value) && number === 1n && !strict;
    case Kind.imm8sex16:
      return byte(16);
    case Kind.imm8sex32:
    case Kind.imm8sex64:
      return byte(32);
    case Kind.imm16:
      return size !== 32 && size !== 64 && !(strict && size === 8);
    case Kind.imm32:
      return size !== 16 && size !== 64 && !(strict && size === 8);
    case Kind.imm32sex64:
      return size !== 16 && !(strict && (size === 8 || size === 64));
    case Kind.imm64:
      return size === 0 || size === 64;
    default:
      return false;
  }
}

function registerFits(kind: number, operand: RegisterOperand, opcode: Opcode): boolean {
  if (operand.extended && !opcode.evex) return false;
  if (FIXED[kind] !== undefined) return FIXED[kind] === operand.name;
  return (REGISTER_OR_MEMORY[kind] ?? REGISTER_KINDS[kind]) === operand.class;
}

function memoryFits(kind: number, memory: MemoryOperand, opcode: Opcode, mode: number): boolean {
  const { index, size, broadcast } = memory;
  if (broadcast !== undefined) {
    if (opcode.broadcastBits === 0 || broadcast * opcode.broadcastBits !== opcode.memoryBits) return false;
    if (size !== 0 && size !== opcode.broadcastBits) return false;
  } else if (size !== 0 && opcode.memoryBits !== 0 && size !== opcode.memoryBits) return false;
  if (index !== undefined && index.size > 64) return VECTOR_INDEX[kind] === index.class && (!index.extended || opcode.evex);
  if (kind === Kind.mem_offs) {
    const alone = memory.base === undefined && index === undefined && !memory.relative;
    return alone && (mode !== 64 || memory.displacementSize === 8);
  }
  // `[qword 5]` is the form with a 64-bit address, where there is one.
  const isWide = mode === 64 && memory.displacementSize === 8 && memory.base === undefined && index === undefined;
  if (isWide) return false;
  return (
    REGISTER_OR_MEMORY[kind] !== undefined ||
    kind === Kind.mem ||
    kind === Kind.mem_mpx ||
    kind === Kind.mem_mib ||
    kind === Kind.sibmem
  );
}

function operandFits(kind: number, operand: Operand, opcode: Opcode, request: EncodeRequest): boolean {
  switch (operand.type) {
    case 'register':
      return registerFits(kind, operand, opcode);
    case 'memory':
      return memoryFits(kind, operand, opcode, request.mode);
    case 'far':
      return kind === Kind.farbr2_2 || kind === Kind.farbr4_2;
    case 'rounding':
      return false;
    default:
      return branchOrImmediateFits(kind, operand, request);
  }
}

function branchOrImmediateFits(kind: number, operand: ImmediateOperand, request: EncodeRequest): boolean {
  const branch = BRANCHES[kind];
  if (branch) {
    if (operand.distance === 'far') return false;
    return branch.short ? !request.near && operand.distance !== 'near' : operand.distance !== 'short';
  }
  if (kind === Kind.imm32sex64 && request.mnemonic === 'mov' && request.operands[0]?.type === 'register' && operand.size === 0) {
    // There is a form with 64 bits: an address may lie anywhere, and a larger number must be kept whole.
    return isPlain(operand.value) && fitsSigned(operand.value.number, 32) && immediateFits(kind, operand);
  }
  return immediateFits(kind, operand);
}

/** Decorations and rounding of the request are possible with the encoding. */
function decorationsFit(opcode: Opcode, operands: readonly Operand[], rounding: string | undefined): boolean {
  if (rounding !== undefined && !(rounding === 'sae' ? opcode.suppressExceptions : opcode.rounding)) return false;
  // Rounding and suppressed exceptions are there for registers alone, and only at the longest vector.
  if (rounding !== undefined && operands.some(({ type }) => type === 'memory')) return false;
  return operands.every((operand) => {
    if (operand.type !== 'register' && operand.type !== 'memory') return true;
    if (operand.mask !== undefined && !opcode.mask) return false;
    return !operand.zeroing || opcode.zeroing;
  });
}

/** Operand size that the operands ask for; 0 when none says. */
function statedSize(operands: readonly Operand[]): number {
  for (const operand of operands) {
    if (operand.type === 'register' && ['r16', 'r32', 'r64'].includes(operand.class)) return operand.size;
    if (operand.type !== 'register' && operand.type !== 'rounding' && [16, 32, 64].includes(operand.size)) return operand.size;
  }
  return 0;
}

/** Encodings that fit the operands; a size that nothing states is the mode's own. */
export function candidates(
  request: EncodeRequest,
  list: readonly Opcode[],
  operands: readonly Operand[],
  rounding: string | undefined,
): readonly Opcode[] {
  const { mode, size: wanted } = request;
  const far = operands.some((operand) => operand.type === 'far' || (operand.type === 'memory' && operand.far));
  const fitting = list.filter(
    (opcode) =>
      (opcode.modes & MODE_BIT[mode]) !== 0 &&
      opcode.kinds.length === operands.length &&
      opcode.far === far &&
      (wanted === undefined || opcode.operandSize === wanted) &&
      decorationsFit(opcode, operands, rounding) &&
      opcode.kinds.every((kind, index) => {
        const operand = operands[index];
        return operand !== undefined && operandFits(kind, operand, opcode, request);
      }),
  );
  const settled = settleMemorySize(request.mnemonic, fitting, operands);
  const sized = statedSize(operands);
  const natural = settled.filter(({ operandSize, default64 }) => {
    if (operandSize === 0) return true;
    if (mode !== 64) return operandSize === mode;
    return operandSize === (default64 || (far && request.operands[0]?.type === 'memory') ? 64 : 32);
  });
  const [only] = operands;
  const isPush = mode === 64 && only?.type === 'immediate' && only.size !== 16;
  if (
    sized !== 0 &&
    !isPush &&
    !operands.some((operand) => operand.type === 'immediate' && operand.size !== 0 && operands.length > 1)
  ) {
    const bySize = operands.length === 1 && only?.type !== 'register';
    return bySize ? settled.filter(({ operandSize }) => operandSize === 0 || operandSize === sized) : settled;
  }
  return natural.length > 0 ? natural : settled;
}

/** Memory of unstated size: with vector registers NASM takes the smallest, with general ones it refuses, but for jumps. */
function settleMemorySize(mnemonic: string, fitting: readonly Opcode[], operands: readonly Operand[]): readonly Opcode[] {
  const memory = operands.find((operand) => operand.type === 'memory');
  if (memory?.type !== 'memory' || memory.size !== 0 || memory.far || memory.broadcast !== undefined) return fitting;
  const sizes = new Set(fitting.map(({ memoryBits }) => memoryBits));
  if (sizes.size < 2 || mnemonic === 'jmp' || mnemonic === 'call') return fitting;
  const isSized = operands.some((operand) => operand.type === 'immediate' && operand.size !== 0);
  if (isSized && fitting.some(({ memoryBits }) => memoryBits === 8))
    return fitting.filter((opcode) => isStatedByImmediate(opcode, operands));
  const isVector = operands.some(
    (operand) => operand.type === 'register' && ['mm', 'xmm', 'ymm', 'zmm', 'k'].includes(operand.class),
  );
  if (!isVector)
    throw new AssemblyError('The size of the operation is not stated.', 'Write byte, word, dword or qword before the "[".');
  const smallest = Math.min(...sizes);
  return fitting.filter(({ memoryBits }) => memoryBits === smallest);
}

/** `mov [x], dword 5`: the immediate says how wide the memory is. */
function isStatedByImmediate(opcode: Opcode, operands: readonly Operand[]): boolean {
  return operands.some((operand) => operand.type === 'immediate' && operand.size === opcode.memoryBits);
}

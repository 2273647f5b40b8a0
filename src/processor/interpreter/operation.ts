import { FPU_SCRATCH } from '../state/layout.ts';

/**
 * A predecoded instruction, as generated code reads it: OPERATION_SIZE bytes in the vCPU's cache area. Register operands
 * are places in the partition's memory, so one handler serves all registers, AH–BH included.
 */

export const OPERATION_SIZE = 96;

export const OP_HANDLER = 0; // i32
export const OP_LENGTH = 4; // u8
/** Instructions from this one to the last of its block, itself included; of what is no instruction: those behind it. */
export const OP_REST = 5; // u8
/** RIP of the instruction. */
export const OP_RIP = 8; // i64
export const OP_IMMEDIATE = 16; // i64
export const OP_DISPLACEMENT = 24; // i64
export const OP_BASE = 32; // i32: place of the base register's slot, or of ZERO
export const OP_INDEX = 36; // i32
export const OP_SCALE = 40; // i32: shift count
/** Place of the slot with the segment's effective base. */
export const OP_SEGMENT_BASE = 44; // i32
export const OP_REGISTER_A = 48; // i32: register in ModRM.rm or in the opcode
/**
 * Of relative jumps and of block ends, which have no registers: the operation that they lead to, once it is known. UNLINKED
 * before that; NEVER_LINKED where the way there must be looked up each time.
 */
export const OP_LINK = OP_REGISTER_A; // i32
export const UNLINKED = 0;
export const NEVER_LINKED = -1;
export const OP_REGISTER_B = 52; // i32: register in ModRM.reg
/** 1 where segment limits and rights must be checked: or-ed into the tag, it makes every TLB lookup miss. */
export const OP_CHECKED = 56; // i32
export const OP_SEGMENT = 60; // i32: number of the memory operand's segment
export const OP_ADDRESS_MASK = 64; // i64
/** Index of the decoded instruction for a TypeScript helper. */
export const OP_INSTRUCTION = 72; // i32
export const OP_REGISTER_C = 76; // i32: register in VEX.vvvv
/** Of the first operation of a block: times that it may still be jumped to before it is hot. */
export const OP_HEAT = 80; // i32
/** Of TRANSLATED: number of the region's function, the operation's own handler, and the context that the region holds in (0: in any). */
export const OP_REGION = 84; // i32
export const OP_ORIGINAL = 88; // i32
export const OP_CONTEXT = 92; // i32
/** In no context, without being looked at first. */
export const NO_CONTEXT = -1;

/** Handlers that are no instructions, at the front of the table. */
export const Handler = {
  /** End of a decoded block: go on at OP_RIP. */
  END: 0,
  /** The block was dropped: decode again. */
  DROPPED: 1,
  BREAK: 2,
  HELPER: 3,
  /** OP_IMMEDIATE is the vector of an exception to raise. */
  RAISE: 4,
  /** The code from here on has been translated. */
  TRANSLATED: 5,
  FIRST_INSTRUCTION: 6,
} as const;

/**
 * What the generated function returns. HOT: RIP has become hot. CONTEXT: the region at RIP must be looked at in the new context.
 * EVENTS: events must be looked at. ELSEWHERE only the main function returns, to its driver: the operation is done by another
 * function, since it is one for that, or leads to translated code, or since the budget doesn't reach to the end of its block.
 * Reasons that are handlers too have the same numbers.
 */
export const Left = {
  BUDGET: 0,
  MISS: 1,
  BREAK: 2,
  HELPER: 3,
  RAISE: 4,
  ABORT: 5,
  HOT: 6,
  CONTEXT: 7,
  EVENTS: 8,
  ELSEWHERE: 9,
} as const;

/** Slots in the engine's part of the state block. */
export const ENGINE_ABORT = 0x400; // i32
export const ENGINE_BUDGET = 0x404; // i32
export const ENGINE_OPERATION = 0x408; // i32
export const ENGINE_TLB_READ = 0x40c; // i32
export const ENGINE_TLB_WRITE = 0x410; // i32
export const ENGINE_CONTEXT = 0x414; // i32
export const ENGINE_LINEAR_MASK = 0x418; // i64
/** Effective segment bases, 6 × i64: 0 for ES CS SS DS in 64-bit mode. */
export const ENGINE_BASES = 0x420;
export const ENGINE_VECTOR = 0x450; // i32
/** Highest offset that code may have: the limit of CS, or all ones in 64-bit mode, which has no limits. */
export const ENGINE_CODE_LIMIT = 0x454; // i32
/** 0 while no external interrupt waits for EFLAGS.IF. */
export const ENGINE_INTERRUPTS_WAIT = 0x458; // i32

/**
 * Where the offsets of each segment that need no closer look end (exclusive), outside 64-bit mode: 6 pairs of i64, for reads
 * and for writes. 0 where each access must be checked.
 */
export const ENGINE_SEGMENT_ENDS = 0x460;

/** Offsets in the vCPU's block of the caches. */
export const TLB = 0x2000;
export const TLB_ENTRIES = 8192;
export const TLB_SIZE = TLB_ENTRIES * 16;
/** Order of the four tables. */
export const TlbTable = { READ_SUPERVISOR: 0, READ_USER: 1, WRITE_SUPERVISOR: 2, WRITE_USER: 3, NEVER: 4 } as const;
export const TLB_TABLES = 5;
/** Address spaces whose translations are kept side by side. */
export const TLB_SETS = 4;
export const TLB_SET_SIZE = TLB_TABLES * TLB_SIZE;
export const JUMP_CACHE = TLB + TLB_SETS * TLB_SET_SIZE;
export const JUMP_ENTRIES = 16384;
/** How far a context's number is shifted before it goes into the place of a jump cache entry. */
export const JUMP_CONTEXT_SHIFT = 6;
export const OPERATIONS = JUMP_CACHE + JUMP_ENTRIES * 16;

/** Where vectors pass between generated code and what it calls: three operands, and the result; 16 bytes each. */
export const VECTOR_OPERANDS = FPU_SCRATCH;
export const VECTOR_RESULT = FPU_SCRATCH + 0x40;

/** Access descriptor of the slow path: bytes | flags | segment << 8 (7: the memory operand's own). */
export const ACCESS_WRITE = 0x10;
/** A read that a write follows: faults as a write. */
export const ACCESS_INTENT = 0x20;
/** Of a vector: it has 32 bytes, not 16. */
export const ACCESS_DOUBLE = 0x40;
export const OPERAND_SEGMENT = 7;

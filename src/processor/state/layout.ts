/**
 * Where the state of one vCPU lies, as byte offsets from the vCPU's base in its partition's WebAssembly memory. Generated
 * code gets the base as an argument, so that any number of vCPUs share a memory and its code.
 */

/** General registers RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8–R15: 16 × i64, in encoding order. */
export const GPR = 0x000;
/** Slot 16 reads as zero: the "no base, no index" register of predecoded operands. */
export const ZERO = 0x080;
/** The bits of RFLAGS outside the arithmetic ones (TF IF DF IOPL NT RF VM AC VIF VIP ID), bit 1 set, arithmetic flags clear. */
export const EFLAGS = 0x088; // i32

export const RIP = 0x090; // i64
/**
 * Arithmetic flags, kept apart from EFLAGS in a form that costs an instruction little to store. FLAG_RESULT is its result,
 * sign-extended to 64 bits. FLAG_BITS is the vector of carries out of its bits, shifted up so that the highest is bit 63:
 * CF = bit 63, OF = bit 63 ^ bit 62, AF = bit 3. ZF = (FLAG_RESULT == 0), SF = sign of FLAG_RESULT ^ FLAG_BITS[1],
 * PF = even parity of FLAG_RESULT[7:0] ^ FLAG_BITS[0]; these two corrections and bit 2 are 0 behind arithmetic. The other
 * bits mean nothing.
 */
export const FLAG_RESULT = 0x098; // i64
export const FLAG_BITS = 0x0a0; // i64
/** Instructions retired since reset. */
export const ICOUNT = 0x0a8; // i64
/** Ticks that passed without instructions (halted). */
export const IDLE_TICKS = 0x0b0; // i64
/** Added to ICOUNT + IDLE_TICKS to make the TSC. */
export const TSC_OFFSET = 0x0b8; // i64

/**
 * Segment registers ES CS SS DS FS GS (encoding order), then LDTR and TR: SEGMENT_SIZE bytes each.
 * The hidden part is kept decoded, limit in bytes with granularity applied.
 */
export const SEGMENTS = 0x0c0;
export const SEGMENT_SIZE = 0x20;
export const SEG_BASE = 0x00; // i64
export const SEG_LIMIT = 0x08; // i32 (unsigned)
export const SEG_SELECTOR = 0x0c; // i32
/** As in a VMCS: [3:0] type, 4 S, [6:5] DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable. */
export const SEG_RIGHTS = 0x10; // i32

export const Segment = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

export const GDTR_BASE = 0x1c0; // i64
export const IDTR_BASE = 0x1c8; // i64
export const GDTR_LIMIT = 0x1d0; // i32
export const IDTR_LIMIT = 0x1d4; // i32
export const CR0 = 0x1d8; // i64
export const CR2 = 0x1e0; // i64
export const CR3 = 0x1e8; // i64
export const CR4 = 0x1f0; // i64
export const EFER = 0x1f8; // i64
/** DR0–DR3, DR6, DR7: i64 at DR + 8 * number (4 and 5 are unused). */
export const DR = 0x200;
/** 0–3. */
export const CPL = 0x240; // i32
/** Bit 0 STI shadow, bit 1 MOV SS shadow, bit 3 NMI blocked until IRET (VMCS interruptibility state). */
export const INTERRUPTIBILITY = 0x244; // i32
/** VMCS activity state: 0 active, 1 HLT, 2 shutdown, 3 wait-for-SIPI. */
export const ACTIVITY = 0x248; // i32
export const XCR0 = 0x250; // i64
/** State of the source of random numbers. */
export const RANDOM = 0x258; // i64

/** MSRs that the processor owns: i64 each. */
export const MSR_STAR = 0x260;
export const MSR_LSTAR = 0x268;
export const MSR_CSTAR = 0x270;
export const MSR_SFMASK = 0x278;
export const MSR_KERNEL_GS_BASE = 0x280;
export const MSR_SYSENTER_CS = 0x288;
export const MSR_SYSENTER_ESP = 0x290;
export const MSR_SYSENTER_EIP = 0x298;
export const MSR_PAT = 0x2a0;
export const MSR_APIC_BASE = 0x2a8;
export const MSR_TSC_AUX = 0x2b0;
export const MSR_MISC_ENABLE = 0x2b8;
export const MSR_DEBUGCTL = 0x2c0;
export const MSR_TSC_ADJUST = 0x2c8;
export const MSR_MTRR_DEF_TYPE = 0x2d0;
export const MSR_MTRR_FIXED = 0x2d8; // 11 × i64
export const MSR_MTRR_VARIABLE = 0x330; // 16 × i64 (8 base/mask pairs)
/** PDPTEs of PAE paging, loaded when CR3 is (Intel SDM vol. 3, 4.4.1): 4 × i64. */
export const PDPTE = 0x3b0;

/** End of the architectural state without the floating-point unit: all below is hashed and saved. */
export const ARCHITECTURAL_END = 0x400;

/** Bytes from ARCHITECTURAL_END to ENGINE_END belong to the engine (abort flags, TLB pointers …). */
export const ENGINE = 0x400;
export const ENGINE_END = 0x1000;
/** Start of the state of x87, SSE and AVX, which is hashed and saved up to FPU_ARCHITECTURAL_END. */
export const FPU = 0x1000;
/** YMM0–YMM15, 32 bytes each; XMM0–XMM15 are their low halves. */
export const VECTORS = 0x1000;
export const VECTOR_SIZE = 0x20;
/**
 * The x87 registers R0–R7 by their physical numbers (ST(i) is R[(TOP + i) & 7]), 16 bytes each: 64 bits of significand, 16 of
 * sign and exponent, the rest 0. MM0–MM7 are the significands of R0–R7.
 */
export const X87_REGISTERS = 0x1200;
export const X87_REGISTER_SIZE = 0x10;
export const X87_CONTROL = 0x1280; // i32
/** Status word with TOP in [13:11]. */
export const X87_STATUS = 0x1284; // i32
/** Bit i: R[i] is not empty, as FXSAVE writes it. */
export const X87_TAGS = 0x1288; // i32
/** Eleven bits of the last opcode that was no control instruction. */
export const X87_OPCODE = 0x128c; // i32
export const X87_IP = 0x1290; // i64
export const X87_DP = 0x1298; // i64
export const X87_CS = 0x12a0; // i32: selector
export const X87_DS = 0x12a4; // i32: selector
export const MXCSR = 0x12a8; // i32
export const PKRU = 0x12ac; // i32
export const FPU_ARCHITECTURAL_END = 0x12c0;
/** Bytes from here to FPU_END are scratch of generated code and helpers, not state. */
export const FPU_SCRATCH = 0x1400;
export const FPU_END = 0x2000;
/** Start of the vCPU's TLBs, jump cache and decoded code. */
export const CACHES = 0x2000;
/** Bytes that each vCPU takes in its partition's memory, unless it is made to take less: for less decoded code. */
export const VCPU_SIZE = 0x100_0000;
export const SMALL_VCPU_SIZE = VCPU_SIZE / 2;

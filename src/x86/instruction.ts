/**
 * A decoded instruction as plain data: what TypeScript helpers of the processor get to see.
 */

export type OperandSize = 8 | 16 | 32 | 64;

export interface DecodedInstruction {
  /** Mnemonic of its definition, upper case. */
  readonly mnemonic: string;
  readonly length: number;
  readonly operandSize: OperandSize;
  readonly addressSize: 16 | 32 | 64;
  /** Size of a near branch, push or pop. */
  readonly stackSize: 16 | 32 | 64;
  readonly opcode: number;
  /** Segment register number 0–5 that memory operands use (overrides applied). */
  readonly segment: number;
  readonly rep: 'none' | 'rep' | 'repne';
  readonly lock: boolean;
  readonly modrm?: {
    readonly mod: number;
    /** With REX.R. */
    readonly reg: number;
    /** With REX.B; a register number where mod is 3. */
    readonly rm: number;
  };
  /** Registers 0–15, or 16 for none. */
  readonly base: number;
  readonly index: number;
  readonly scale: 1 | 2 | 4 | 8;
  readonly displacement: bigint;
  readonly ripRelative: boolean;
  /** First immediate as encoded, sign-extended to 64 bits as its form says; second one of ENTER and far pointers. */
  readonly immediate: bigint;
  readonly immediate2: number;
  /** REX prefix, or what VEX has of it. */
  readonly rex: number;
}

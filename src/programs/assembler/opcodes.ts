import { opcodes } from './generated/opcode-table.ts';
import { aliases, modeAliases, sizedNames, stringInstructions, waiting } from './mnemonics.ts';

/** One encoding of an instruction. */
export interface Opcode {
  /** iced's code. */
  readonly code: number;
  /** Bits as `MODE_BIT`. */
  readonly modes: number;
  /** 16, 32 or 64, or 0 where the size doesn't depend on a prefix. */
  readonly operandSize: number;
  readonly far: boolean;
  readonly default64: boolean;
  readonly rounding: boolean;
  readonly suppressExceptions: boolean;
  readonly mask: boolean;
  readonly zeroing: boolean;
  readonly vex: boolean;
  readonly evex: boolean;
  /** Bits of its memory operand; 0 where NASM has no keyword for them. */
  readonly memoryBits: number;
  /** Bits of one element that can be broadcast; 0 when none can. */
  readonly broadcastBits: number;
  /** iced's operand kinds. */
  readonly kinds: readonly number[];
}

export const MODE_BIT = { 16: 1, 32: 2, 64: 4 } as const;

const byMnemonic = new Map<string, Opcode[]>();
for (const [code, mnemonic, modes, operandSize, flags, memoryBits, broadcastBits, kinds] of opcodes) {
  const has = (bit: number) => (flags & bit) !== 0;
  const opcode: Opcode = {
    code,
    modes,
    operandSize,
    far: has(1),
    default64: has(2),
    rounding: has(4),
    suppressExceptions: has(8),
    mask: has(16),
    zeroing: has(32),
    vex: has(64),
    evex: has(128),
    memoryBits,
    broadcastBits,
    kinds,
  };
  const list = byMnemonic.get(mnemonic);
  if (list) list.push(opcode);
  else byMnemonic.set(mnemonic, [opcode]);
}

export function opcodesOf(mnemonic: string): readonly Opcode[] | undefined {
  return byMnemonic.get(mnemonic);
}

const names = [byMnemonic, aliases, modeAliases, sizedNames, stringInstructions, waiting] as const;

/** True for what the assembler takes as an instruction; lower case. */
export function isMnemonic(word: string): boolean {
  return names.some((map) => map.has(word));
}

export function mnemonicNames(): readonly string[] {
  return [...new Set(names.flatMap((map) => [...map.keys()]))];
}

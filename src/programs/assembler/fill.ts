import { AssemblyError } from './diagnostic.ts';
import { encodeInstruction } from './encoder.ts';
import type { Value } from './expression.ts';
import type { Token } from './lexer.ts';
import { isMnemonic } from './opcodes.ts';

const WIDTHS: Readonly<Record<string, number>> = { db: 1, dw: 2, dd: 4, dq: 8 };

/** Bytes of ALIGN's second operand, repeated: `align 16, db 0` or `align 16, nop`. */
export function fill(
  tokens: readonly Token[],
  length: number,
  mode: 16 | 32 | 64,
  evaluate: (tokens: readonly Token[]) => Value,
): Uint8Array {
  const [first, ...rest] = tokens;
  const word = first?.kind === 'name' ? first.text.toLowerCase() : '';
  const width = WIDTHS[word];
  let unit: Uint8Array;
  if (width !== undefined) {
    const { number } = evaluate(rest);
    unit = Uint8Array.from({ length: width }, (_, index) => Number((number >> BigInt(index * 8)) & 0xffn));
  } else if (isMnemonic(word) && rest.length === 0)
    unit = encodeInstruction({ mnemonic: word, prefixes: [], operands: [], mode, address: 0n, near: false });
  else
    throw new AssemblyError('ALIGN fills with a data directive or an instruction.', 'For example: align 16, db 0', first?.column);
  // NASM repeats the filler once for each byte of the gap; wider ones are cut here to the gap.
  return Uint8Array.from({ length }, (_, index) => unit[index % unit.length] ?? 0);
}

import { LineSymbols } from './line-symbols.ts';
import type { SymbolSource } from './symbol-source.ts';

/** What symbols are made from; a program of programs/ has this shape. */
export interface SymbolInput {
  readonly mode: 16 | 32 | 64;
  readonly symbols: readonly {
    readonly name: string;
    readonly address: bigint;
    readonly size: number;
    readonly kind: 'function' | 'object' | 'label';
    readonly global: boolean;
  }[];
  readonly sourceLines?: {
    readonly files: readonly string[];
    readonly lines: readonly {
      readonly address: bigint;
      readonly length: number;
      readonly file: number;
      readonly line: number;
    }[];
  };
}

/** Opens the debug information of a program: the assembler's lines and labels, or an ELF file's symbols. */
export function openSymbols(input: SymbolInput): SymbolSource {
  return new LineSymbols(input);
}

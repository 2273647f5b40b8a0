import { DwarfSymbols } from './dwarf/dwarf-symbols.ts';
import { LineSymbols } from './line-symbols.ts';
import type { SymbolSource } from './symbol-source.ts';
import type { TableSymbol } from './symbol-table.ts';

/** What symbols are made from; a program of programs/ has this shape. */
export interface SymbolInput {
  readonly mode: 16 | 32 | 64;
  readonly symbols: readonly TableSymbol[];
  /** How far the program lies from where it was linked to, where it has been moved. Its own line table isn't moved with it. */
  readonly bias?: bigint;
  readonly sourceLines?: {
    readonly files: readonly string[];
    readonly lines: readonly {
      readonly address: bigint;
      readonly length: number;
      readonly file: number;
      readonly line: number;
    }[];
  };
  /** Sections by name, uncompressed, with the addresses they are linked to. */
  readonly sections?: ReadonlyMap<string, { readonly address: bigint; readonly bytes: Uint8Array }>;
}

/** Opens the debug information of a program: DWARF, the assembler's lines and labels, or an ELF file's symbols. Never throws. */
export function openSymbols(input: SymbolInput): SymbolSource {
  const { sections } = input;
  const hasDwarf = ['.debug_info', '.eh_frame', '.debug_frame'].some((name) => sections?.has(name));
  if (!input.sourceLines && sections && hasDwarf) return new DwarfSymbols({ ...input, sections });
  return new LineSymbols(input);
}

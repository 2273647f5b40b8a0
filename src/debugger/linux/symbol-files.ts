import { readElf } from '../../programs/elf/elf-file.ts';
import type { FileAccess } from '../../programs/program.ts';
import { openSymbols } from '../../symbols/open-symbols.ts';
import type { SymbolSource } from '../../symbols/symbol-source.ts';

const PAGE = 4096n;
/** As long as Linux keeps the name of a process (TASK_COMM_LEN, with its zero). */
const LONGEST_NAME = 15;

/** An ELF file that the user gave for its symbols: of the kernel, or of a program that runs on it. */
export class SymbolFile {
  /** The name that a process has which runs it. */
  readonly name: string;
  readonly isKernel: boolean;
  private opened: { readonly bias: bigint; readonly symbols: SymbolSource } | undefined;

  private constructor(
    readonly path: string,
    private readonly elf: ReturnType<typeof readElf>,
  ) {
    this.name = (path.split(/[\\/]/).at(-1) ?? path).slice(0, LONGEST_NAME);
    this.isKernel = this.address('start_kernel') !== undefined && this.address('_text') !== undefined;
  }

  /** Throws ProgramError with one sentence. */
  static read(path: string, files: FileAccess): SymbolFile {
    return new SymbolFile(path, readElf(files.read(path), path));
  }

  /** A symbol's address as it was linked. */
  address(name: string): bigint | undefined {
    return this.elf.symbols.find((symbol) => symbol.name === name)?.address;
  }

  /** How far a program lies from where it was linked to, when its first instruction is at `entry`; undefined where it is another one. */
  biasOf(entry: bigint): bigint | undefined {
    const bias = entry - this.elf.entry;
    const isFixed = this.elf.segments.every(({ virtualAddress }) => virtualAddress >= PAGE);
    return isFixed ? (bias === 0n ? bias : undefined) : bias % PAGE === 0n ? bias : undefined;
  }

  /** Its symbols where it lies `bias` from where it was linked to. */
  symbols(bias: bigint): SymbolSource {
    const { is64, symbols, sections } = this.elf;
    if (this.opened?.bias !== bias)
      this.opened = { bias, symbols: openSymbols({ mode: is64 ? 64 : 32, symbols, sections, bias }) };
    return this.opened.symbols;
  }
}

/** The file whose program a process has begun to run: that of its name, else the only one that begins at that very address. */
export function programFile(files: readonly SymbolFile[], name: string, entry: bigint): SymbolFile | undefined {
  const possible = files.filter((file) => !file.isKernel && file.biasOf(entry) !== undefined);
  const fixed = possible.filter((file) => file.biasOf(entry) === 0n);
  return possible.find((file) => file.name === name) ?? (fixed.length === 1 ? fixed[0] : undefined);
}

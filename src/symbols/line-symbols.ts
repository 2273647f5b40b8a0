import { matchingPaths } from './dwarf/paths.ts';
import type { SymbolInput } from './open-symbols.ts';
import {
  EvaluationError,
  type FrameContext,
  type FrameRegisters,
  type FunctionInfo,
  type LineRange,
  type SymbolSource,
  type TypedValue,
} from './symbol-source.ts';
import { lastAtOrBefore, movedSymbols, nameMatcher, SymbolTable, type TableSymbol } from './symbol-table.ts';
import { unwindWithoutInformation } from './unwind/without-information.ts';

/** Symbols that are labels and lines alone: no types, no variables. Frames are followed through the frame pointer. */
export class LineSymbols implements SymbolSource {
  readonly producer: string;
  readonly files: readonly string[];
  private readonly lines: readonly LineRange[];
  private readonly table: SymbolTable;

  constructor(input: SymbolInput) {
    this.producer = input.sourceLines ? 'hyperscope assembler' : 'symbol table';
    this.files = input.sourceLines?.files ?? [];
    this.lines = (input.sourceLines?.lines ?? []).map(({ address, length, file, line }) => ({
      low: address,
      high: address + BigInt(length),
      position: { path: this.files[file] ?? '', line },
      isStatement: true,
    }));
    this.table = new SymbolTable(movedSymbols(input));
  }

  lineAt(address: bigint): LineRange | undefined {
    const found = this.lines[lastAtOrBefore(this.lines, address, ({ low }) => low)];
    return found && address < found.high ? found : undefined;
  }

  private linesIn(path: string): LineRange[] {
    const files = matchingPaths(this.files, path);
    return this.lines.filter(({ position }) => files.includes(position.path));
  }

  addressesOf(path: string, line: number): { line: number; addresses: readonly bigint[] } {
    const own = this.linesIn(path);
    const next = own.reduce(
      (best, { position }) => (position.line >= line && position.line < best ? position.line : best),
      Number.MAX_SAFE_INTEGER,
    );
    const addresses: bigint[] = [];
    let previous = -1n;
    for (const { low, high, position } of own) {
      // Lines that follow each other without a gap (a macro's) are one place.
      if (position.line === next && low !== previous) addresses.push(low);
      previous = position.line === next ? high : -1n;
    }
    return { line: addresses.length > 0 ? next : line, addresses };
  }

  linesOf(path: string): readonly number[] {
    return [...new Set(this.linesIn(path).map(({ position }) => position.line))].sort((a, b) => a - b);
  }

  functionAt(address: bigint): FunctionInfo | undefined {
    const found = this.table.around(address);
    if (!found) return undefined;
    const { symbol, high } = found;
    return { ...this.functionOf(symbol), high };
  }

  private functionOf({ name, address, size }: TableSymbol): FunctionInfo {
    return {
      name,
      low: address,
      high: address + BigInt(Math.max(size, 1)),
      bodyStart: address,
      declaration: this.lineAt(address)?.position,
    };
  }

  functionsNamed(name: string): readonly FunctionInfo[] {
    const matches = nameMatcher(name);
    return matches ? this.table.code.filter((label) => matches(label.name)).map((label) => this.functionOf(label)) : [];
  }

  inlineFramesAt(): readonly never[] {
    return [];
  }

  describe(address: bigint): string | undefined {
    return this.table.describe(address);
  }

  /** At most so many names of its symbols that begin with a text. */
  namesWith(prefix: string, most: number): readonly string[] {
    return this.table.namesWith(prefix, most);
  }

  symbol(name: string): { readonly address: bigint; readonly size: number } | undefined {
    return this.table.named(name)[0];
  }

  unwind(frame: FrameContext): FrameRegisters | undefined {
    const hasLines = this.lines.length > 0;
    return unwindWithoutInformation(frame, {
      functionStart: (address) => this.table.around(address)?.symbol.address,
      isCode: (address) => (hasLines ? this.lineAt(address) !== undefined : this.table.around(address) !== undefined),
      isOutermost: (address) => this.table.around(address)?.symbol.name === '_start',
    });
  }

  variables(): readonly never[] {
    return [];
  }

  evaluate(expression: string): TypedValue {
    throw new EvaluationError(`"${expression}" is not known: this program has labels and lines, but no types.`);
  }
}

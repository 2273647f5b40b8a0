import { LineSymbols } from '../line-symbols.ts';
import type {
  FrameContext,
  FrameRegisters,
  FunctionInfo,
  InlineFrame,
  LineRange,
  SymbolSource,
  TypedValue,
  Variable,
} from '../symbol-source.ts';
import { EvaluationError } from '../symbol-source.ts';
import type { LinuxKernel } from './kernel.ts';
import { KERNEL_HALF } from './kernel-memory.ts';
import type { KernelModule, ModuleReader } from './modules.ts';
import { type OrcTable, OrcUnwinder, type StackEnd } from './orc.ts';

/** A module with what it brings. */
interface LoadedModule {
  readonly module: KernelModule;
  readonly symbols: LineSymbols;
  readonly orc: OrcTable | undefined;
}

/**
 * The symbols of a guest that runs Linux: those of its program file first, then those that the kernel carries, of itself and of its
 * loaded modules. Until a kernel is found there are only the program's.
 */
export class LinuxSymbols implements SymbolSource {
  private kernel: LinuxKernel | undefined;
  private readonly modules = new Map<string, LoadedModule>();
  private unwinder: OrcUnwinder | undefined;
  private parts: readonly SymbolSource[];

  constructor(private readonly program: SymbolSource) {
    this.parts = [program];
  }

  /** Takes the symbols of a kernel, or none when the guest begins anew. */
  setKernel(kernel: LinuxKernel | undefined): void {
    this.kernel = kernel;
    this.modules.clear();
    this.unwinder = kernel && new OrcUnwinder(kernel.memory, (address) => this.orcAt(address));
    this.collect();
  }

  /** Takes the symbols of a module as they are now. */
  addModule(module: KernelModule, reader: ModuleReader): void {
    const symbols = new LineSymbols({ mode: 64, symbols: reader.symbolsOf(module) });
    this.modules.set(module.name, { module, symbols, orc: reader.orcOf(module) });
    this.collect();
  }

  removeModule(name: string): void {
    this.modules.delete(name);
    this.collect();
  }

  private collect(): void {
    const modules = [...this.modules.values()].map(({ symbols }) => symbols);
    this.parts = [this.program, ...modules, ...(this.kernel ? [this.kernel.symbols] : [])];
  }

  /** The first answer that a part gives. */
  private first<T>(ask: (part: SymbolSource) => T | undefined): T | undefined {
    for (const part of this.parts) {
      const answer = ask(part);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  private partAt(address: bigint): SymbolSource {
    return this.parts.find((part) => part.functionAt(address) !== undefined) ?? this.program;
  }

  get producer(): string {
    return this.program.producer;
  }
  get files(): readonly string[] {
    return this.program.files;
  }
  lineAt(address: bigint): LineRange | undefined {
    return this.program.lineAt(address);
  }
  addressesOf(path: string, line: number): { readonly line: number; readonly addresses: readonly bigint[] } {
    return this.program.addressesOf(path, line);
  }
  linesOf(path: string): readonly number[] {
    return this.program.linesOf(path);
  }
  inlineFramesAt(address: bigint): readonly InlineFrame[] {
    return this.program.inlineFramesAt(address);
  }

  functionAt(address: bigint): FunctionInfo | undefined {
    return this.first((part) => part.functionAt(address));
  }

  /** Each place once, as the first part names it. */
  functionsNamed(name: string): readonly FunctionInfo[] {
    const found = new Map<bigint, FunctionInfo>();
    for (const part of this.parts) for (const one of part.functionsNamed(name)) if (!found.has(one.low)) found.set(one.low, one);
    return [...found.values()];
  }

  describe(address: bigint): string | undefined {
    const module = this.moduleAt(address);
    if (module) return module.symbols.describe(address);
    return this.first((part) => part.describe(address));
  }

  symbol(name: string): { readonly address: bigint; readonly size: number } | undefined {
    const found = this.first((part) => part.symbol(name));
    if (found) return found;
    const address = this.kernel?.address(name);
    return address === undefined ? undefined : { address, size: 0 };
  }

  /** Names that begin with a text, in the order in which they are found. */
  namesWith(prefix: string, most: number): readonly string[] {
    const names: string[] = [];
    for (const name of this.kernel?.names ?? []) {
      if (names.length >= most) break;
      if (name.startsWith(prefix)) names.push(name);
    }
    for (const { symbols } of this.modules.values()) names.push(...symbols.namesWith(prefix, most - names.length));
    return names;
  }

  private moduleAt(address: bigint): LoadedModule | undefined {
    for (const loaded of this.modules.values()) {
      const { base, size } = loaded.module;
      if (address >= base && address < base + BigInt(size)) return loaded;
    }
    return undefined;
  }

  /** The module that an address lies in, for the name of a frame. */
  moduleNameAt(address: bigint): string | undefined {
    return this.moduleAt(address)?.module.name;
  }

  private orcAt(address: bigint): OrcTable | undefined {
    if (address < KERNEL_HALF) return undefined;
    const loaded = this.moduleAt(address) ?? [...this.modules.values()].find(({ symbols }) => symbols.functionAt(address));
    if (loaded) return loaded.orc;
    return this.kernel?.symbols.functionAt(address) ? this.kernel.orc : undefined;
  }

  private callerOf(frame: FrameContext): FrameRegisters | StackEnd | undefined {
    if (this.unwinder && frame.pc >= KERNEL_HALF) return this.unwinder.unwind(frame);
    return this.partAt(frame.isCaller ? frame.pc - 1n : frame.pc).unwind(frame);
  }

  unwind(frame: FrameContext): FrameRegisters | undefined {
    const caller = this.callerOf(frame);
    return caller === undefined || caller === 'outermost' || 'reason' in caller ? undefined : caller;
  }

  /** Why a frame of the kernel has no caller, where it should have one. */
  whyNoCaller(frame: FrameContext): string | undefined {
    const caller = this.callerOf(frame);
    return typeof caller === 'object' && 'reason' in caller ? caller.reason : undefined;
  }

  variables(frame: FrameContext): readonly Variable[] {
    return this.program.variables(frame);
  }

  /** In C where the program's file has types; else the names alone are known. Throws EvaluationError. */
  evaluate(expression: string, frame: FrameContext): TypedValue {
    if (this.program.producer === 'symbol table')
      throw new EvaluationError(`"${expression}" is not known: the kernel's own symbols have no types.`);
    return this.program.evaluate(expression, frame);
  }
}

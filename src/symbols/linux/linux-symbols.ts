import { LineSymbols } from '../line-symbols.ts';
import { RETURN_ADDRESS } from '../registers.ts';
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

/** A program that a process runs, with its symbols where it lies there. */
export interface RunningProgram {
  readonly symbols: SymbolSource;
  /** Guest physical address of the process's page tables. */
  readonly pageTables: bigint;
}

/**
 * The symbols of a guest that runs Linux: those of its program file first, then those of files that the user gave, then those that the
 * kernel carries, of itself and of its loaded modules. Until a kernel is found there are only the program's.
 */
export class LinuxSymbols implements SymbolSource {
  private kernel: LinuxKernel | undefined;
  /** Debug information of the kernel, from a file. */
  private details: SymbolSource | undefined;
  private readonly modules = new Map<string, LoadedModule>();
  private programs: readonly RunningProgram[] = [];
  private unwinder: OrcUnwinder | undefined;
  private parts: readonly SymbolSource[];
  private vcpu = 0;

  /** Page tables of the process that a vCPU runs. */
  private processOf: (vcpu: number) => bigint | undefined = () => undefined;

  constructor(private readonly program: SymbolSource) {
    this.parts = [program];
  }

  /** Says how to find out which process a vCPU runs. */
  setProcesses(processOf: (vcpu: number) => bigint | undefined): void {
    this.processOf = processOf;
  }

  /** User addresses mean what they do for the process that this vCPU runs. */
  lookFrom(vcpu: number): void {
    this.vcpu = vcpu;
  }

  /** Takes the symbols of a kernel (and of a file with its debug information), or none when the guest begins anew. */
  setKernel(kernel: LinuxKernel | undefined, details?: SymbolSource): void {
    this.kernel = kernel;
    this.details = details;
    this.modules.clear();
    this.programs = [];
    this.unwinder = kernel && new OrcUnwinder(kernel.memory, (address) => this.orcAt(address));
    this.collect();
  }

  /** Takes the programs of processes, as they are now. */
  setPrograms(programs: readonly RunningProgram[]): void {
    this.programs = programs;
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
    const kernel = [this.details, ...modules, this.kernel?.symbols].filter((part) => part !== undefined);
    this.parts = [this.program, ...kernel];
  }

  /** Everything that has names. */
  private get all(): readonly SymbolSource[] {
    return [...this.programs.map(({ symbols }) => symbols), ...this.parts];
  }

  /** What may know an address: of programs those of the process that is looked at. */
  private partsFor(address: bigint): readonly SymbolSource[] {
    if (address >= KERNEL_HALF || this.programs.length === 0) return this.parts;
    const space = this.processOf(this.vcpu);
    const own = this.programs.filter(({ pageTables }) => pageTables === space).map(({ symbols }) => symbols);
    return [...own, ...this.parts];
  }

  /** The processes, by their page tables, whose program has code at an address; undefined where no program has. */
  processesAt(address: bigint): readonly bigint[] | undefined {
    if (address >= KERNEL_HALF) return undefined;
    const found = this.programs.filter(({ symbols }) => symbols.functionAt(address) !== undefined);
    return found.length > 0 ? found.map(({ pageTables }) => pageTables) : undefined;
  }

  private partAt(address: bigint): SymbolSource {
    return this.partsFor(address).find((part) => part.functionAt(address) !== undefined) ?? this.program;
  }

  get producer(): string {
    return this.program.producer;
  }
  get files(): readonly string[] {
    return [...new Set(this.all.flatMap(({ files }) => files))];
  }
  lineAt(address: bigint): LineRange | undefined {
    return first(this.partsFor(address), (part) => part.lineAt(address));
  }
  addressesOf(path: string, line: number): { readonly line: number; readonly addresses: readonly bigint[] } {
    const found = this.all.map((part) => part.addressesOf(path, line)).filter(({ addresses }) => addresses.length > 0);
    const nearest = Math.min(...found.map((one) => one.line));
    const addresses = found.filter((one) => one.line === nearest).flatMap((one) => one.addresses);
    return { line: addresses.length > 0 ? nearest : line, addresses: [...new Set(addresses)] };
  }
  linesOf(path: string): readonly number[] {
    return [...new Set(this.all.flatMap((part) => part.linesOf(path)))].sort((a, b) => a - b);
  }
  inlineFramesAt(address: bigint): readonly InlineFrame[] {
    return this.partAt(address).inlineFramesAt(address);
  }

  functionAt(address: bigint): FunctionInfo | undefined {
    return first(this.partsFor(address), (part) => part.functionAt(address));
  }

  /** Each place once, as the first part names it. */
  functionsNamed(name: string): readonly FunctionInfo[] {
    const found = new Map<bigint, FunctionInfo>();
    for (const part of this.all) for (const one of part.functionsNamed(name)) if (!found.has(one.low)) found.set(one.low, one);
    return [...found.values()];
  }

  describe(address: bigint): string | undefined {
    const module = this.moduleAt(address);
    if (module) return module.symbols.describe(address);
    return first(this.partsFor(address), (part) => part.describe(address));
  }

  symbol(name: string): { readonly address: bigint; readonly size: number } | undefined {
    const found = first(this.all, (part) => part.symbol(name));
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

  private orcAt(address: bigint): OrcTable | undefined {
    if (address < KERNEL_HALF) return undefined;
    const loaded = this.moduleAt(address) ?? [...this.modules.values()].find(({ symbols }) => symbols.functionAt(address));
    if (loaded) return loaded.orc;
    return this.kernel?.symbols.functionAt(address) ? this.kernel.orc : undefined;
  }

  private callerOf(frame: FrameContext): FrameRegisters | StackEnd | undefined {
    if (!this.unwinder || frame.pc < KERNEL_HALF) return this.partAt(frame.isCaller ? frame.pc - 1n : frame.pc).unwind(frame);
    const caller = this.unwinder.unwind(frame);
    return caller === 'outermost' || 'reason' in caller ? caller : this.completed(caller, frame);
  }

  /** ORC leads to the caller; debug information that comes to the same knows more of its registers. */
  private completed(caller: FrameRegisters, frame: FrameContext): FrameRegisters {
    const detailed = this.details?.unwind(frame);
    if (!detailed || detailed.get(RETURN_ADDRESS) !== caller.get(RETURN_ADDRESS)) return caller;
    return { ...caller, get: (register) => caller.get(register) ?? detailed.get(register) };
  }

  unwind(frame: FrameContext): FrameRegisters | undefined {
    const caller = this.callerOf(frame);
    return caller === undefined || caller === 'outermost' || 'reason' in caller ? undefined : caller;
  }

  /** Why a frame has no caller, where it should have one: of the kernel, or of a process. */
  whyNoCaller(frame: FrameContext): string | undefined {
    const caller = this.callerOf(frame);
    if (caller !== undefined) return typeof caller === 'object' && 'reason' in caller ? caller.reason : undefined;
    const isOfProcess = frame.pc < KERNEL_HALF && this.processOf(this.vcpu) !== undefined;
    return isOfProcess && this.functionAt(frame.pc) === undefined ? 'no symbols of this program' : undefined;
  }

  /** The part whose source a frame stands in. */
  private languageOf(frame: FrameContext): SymbolSource {
    const place = frame.isCaller ? frame.pc - 1n : frame.pc;
    return this.partsFor(place).find((part) => part.lineAt(place) !== undefined) ?? this.program;
  }

  variables(frame: FrameContext): readonly Variable[] {
    return this.languageOf(frame).variables(frame);
  }

  /** In C where a file has types for the frame. Throws EvaluationError. */
  evaluate(expression: string, frame: FrameContext): TypedValue {
    return this.languageOf(frame).evaluate(expression, frame);
  }
}

/** The first answer that a part gives. */
function first<T>(parts: readonly SymbolSource[], ask: (part: SymbolSource) => T | undefined): T | undefined {
  for (const part of parts) {
    const answer = ask(part);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

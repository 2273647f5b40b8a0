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

const RBP = 6;
const RSP = 7;
const RETURN_ADDRESS = 16;

/** Symbols that are labels and lines alone: no types, no variables. Frames are followed through the frame pointer. */
export class LineSymbols implements SymbolSource {
  readonly producer: string;
  readonly files: readonly string[];
  private readonly lines: readonly LineRange[];
  private readonly labels: readonly {
    readonly name: string;
    readonly address: bigint;
    readonly size: number;
    readonly local: boolean;
  }[];

  constructor(input: SymbolInput) {
    this.producer = input.sourceLines ? 'hyperscope assembler' : 'symbol table';
    this.files = input.sourceLines?.files ?? [];
    this.lines = (input.sourceLines?.lines ?? []).map(({ address, length, file, line }) => ({
      low: address,
      high: address + BigInt(length),
      position: { path: this.files[file] ?? '', line },
      isStatement: true,
    }));
    this.labels = input.symbols
      .filter(({ kind }) => kind !== 'object')
      .map(({ name, address, size }) => ({ name, address, size, local: name.includes('.') }))
      .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    this.all = new Map(input.symbols.map(({ name, address, size }) => [name, { address, size }]));
  }

  private readonly all: ReadonlyMap<string, { readonly address: bigint; readonly size: number }>;

  /** Index of the last entry that starts at or before an address. */
  private static before<T>(entries: readonly T[], address: bigint, start: (entry: T) => bigint): number {
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const entry = entries[middle];
      if (entry !== undefined && start(entry) <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  lineAt(address: bigint): LineRange | undefined {
    const found = this.lines[LineSymbols.before(this.lines, address, ({ low }) => low)];
    return found && address < found.high ? found : undefined;
  }

  private sameFile(path: string): (line: LineRange) => boolean {
    const plain = (value: string) => value.replaceAll('\\', '/');
    const wanted = plain(path);
    const exact = this.files.find((file) => plain(file) === wanted);
    if (exact !== undefined) return ({ position }) => position.path === exact;
    // The editor's path and the assembler's may differ in what stands before.
    const tail = (value: string) => plain(value).split('/').slice(-2).join('/');
    const similar =
      this.files.find((file) => tail(file) === tail(path)) ??
      this.files.find((file) => plain(file).split('/').at(-1) === wanted.split('/').at(-1));
    return ({ position }) => position.path === similar;
  }

  addressesOf(path: string, line: number): { line: number; addresses: readonly bigint[] } {
    const own = this.lines.filter(this.sameFile(path));
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
    return [...new Set(this.lines.filter(this.sameFile(path)).map(({ position }) => position.line))].sort((a, b) => a - b);
  }

  functionAt(address: bigint): FunctionInfo | undefined {
    const globals = this.labels.filter(({ local }) => !local);
    const index = LineSymbols.before(globals, address, (label) => label.address);
    const label = globals[index];
    if (!label) return undefined;
    const high = label.size > 0 ? label.address + BigInt(label.size) : (globals[index + 1]?.address ?? label.address + 0x1000n);
    if (address >= high) return undefined;
    return {
      name: label.name,
      low: label.address,
      high,
      bodyStart: label.address,
      declaration: this.lineAt(label.address)?.position,
    };
  }

  functionsNamed(name: string): readonly FunctionInfo[] {
    const pattern = /^\/(.*)\/$/.exec(name)?.[1];
    let matches: (label: string) => boolean = (label) => label === name;
    if (pattern !== undefined) {
      try {
        const expression = new RegExp(pattern);
        matches = (label) => expression.test(label);
      } catch {
        return [];
      }
    }
    return this.labels
      .filter((label) => matches(label.name))
      .map(({ name: found, address, size }) => ({
        name: found,
        low: address,
        high: address + BigInt(Math.max(size, 1)),
        bodyStart: address,
      }));
  }

  inlineFramesAt(): readonly never[] {
    return [];
  }

  describe(address: bigint): string | undefined {
    const label = this.labels[LineSymbols.before(this.labels, address, (entry) => entry.address)];
    if (!label || address - label.address > 0x1_0000n) return undefined;
    const distance = address - label.address;
    return distance === 0n ? label.name : `${label.name}+0x${distance.toString(16)}`;
  }

  symbol(name: string): { readonly address: bigint; readonly size: number } | undefined {
    return this.all.get(name);
  }

  /**
   * Without unwind information: at a function's first instruction the return address is on top of the stack; else, where
   * a frame pointer was set up, it lies behind it. What isn't followed by known code is no frame.
   */
  unwind(frame: FrameContext): FrameRegisters | undefined {
    const size = frame.pointerSize;
    const word = (address: bigint): bigint | undefined => {
      const bytes = frame.memory(address, size);
      if (!bytes || bytes.length < size) return undefined;
      return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
    };
    const rsp = frame.registers.get(RSP);
    const rbp = frame.registers.get(RBP);
    if (rsp === undefined || rbp === undefined) return undefined;
    const own = this.functionAt(frame.pc);
    const known = (address: bigint | undefined): address is bigint =>
      address !== undefined && this.lineAt(address - 1n) !== undefined;
    const caller = (pc: bigint, sp: bigint, bp: bigint): FrameRegisters => ({
      get: (number) => (number === RETURN_ADDRESS ? pc : number === RSP ? sp : number === RBP ? bp : frame.registers.get(number)),
    });
    const top = word(rsp);
    if (own?.name !== '_start' && known(top)) return caller(top, rsp + BigInt(size), rbp);
    const behind = rbp >= rsp ? word(rbp + BigInt(size)) : undefined;
    const saved = word(rbp);
    if (known(behind) && saved !== undefined) return caller(behind, rbp + BigInt(2 * size), saved);
    return undefined;
  }

  variables(): readonly never[] {
    return [];
  }

  evaluate(expression: string): TypedValue {
    throw new EvaluationError(`"${expression}" is not known: this program has labels and lines, but no types.`);
  }
}

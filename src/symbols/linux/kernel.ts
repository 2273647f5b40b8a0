import { LineSymbols } from '../line-symbols.ts';
import type { TableSymbol } from '../symbol-table.ts';
import { Btf, BtfError } from './btf.ts';
import { type KernelSymbol, readKallsyms } from './kallsyms.ts';
import { KERNEL_HALF, KernelMemory, type PhysicalReader } from './kernel-memory.ts';
import type { OrcTable } from './orc.ts';

/** A part of guest physical memory. */
export interface RamPart {
  readonly gpa: bigint;
  readonly bytes: Uint8Array;
}

const BANNER = 'Linux version ';
const LONGEST_BANNER = 300;
/** Kernels are placed at such addresses, virtually and physically. */
const PLACEMENT = 0x20_0000n;
const MOST_BTF = 16 << 20;
const MOST_ORCS = 4_000_000n;
const CODE = /[tTwW]/;

/** A running (or loaded) Linux kernel, found in guest memory by its own symbol table. */
export class LinuxKernel {
  /** Functions and data by address; those of each processor's data are only in {@link address}. */
  readonly symbols: LineSymbols;
  readonly memory: KernelMemory;
  private readonly byName = new Map<string, bigint>();
  private types: Btf | undefined | null = null;

  private constructor(
    symbols: readonly KernelSymbol[],
    /** `Linux version 6.1.0 …`, one line. */
    readonly banner: string,
    bannerAt: bigint,
    physical: PhysicalReader,
  ) {
    for (const { name, address } of symbols) this.byName.set(name, address);
    this.symbols = new LineSymbols({ mode: 64, symbols: tableSymbols(symbols) });
    const start = this.address('_text') ?? 0n;
    const gpa = start - (this.address('linux_banner') ?? 0n) + bannerAt;
    const root = this.address('init_top_pgt') ?? this.address('init_level4_pgt') ?? start;
    this.memory = new KernelMemory(physical, { start, end: this.address('_end') ?? start, gpa }, root);
  }

  /**
   * Looks for a kernel in all RAM: for the tables of its symbols, and for its banner, whose place among them says where the image is.
   * It takes about a millisecond for 4 MiB. Undefined where there is none. Throws KallsymsError for tables that can't be used.
   */
  static find(ram: readonly RamPart[], physical: PhysicalReader): LinuxKernel | undefined {
    for (const { bytes } of ram) {
      const symbols = readKallsyms(bytes);
      const banner = symbols?.find(({ name }) => name === 'linux_banner')?.address;
      if (!symbols || banner === undefined) continue;
      for (const part of ram)
        for (const { at, text } of bannersIn(part.bytes)) {
          const gpa = part.gpa + BigInt(at);
          if ((banner - gpa) % PLACEMENT === 0n) return new LinuxKernel(symbols, text, gpa, physical);
        }
    }
    return undefined;
  }

  /** The running address of a symbol; for data of each processor its offset there. */
  address(name: string): bigint | undefined {
    return this.byName.get(name);
  }

  get names(): Iterable<string> {
    return this.byName.keys();
  }

  /** The kernel's type information; undefined where it has none that can be used. */
  get btf(): Btf | undefined {
    if (this.types === null) this.types = this.readBtf();
    return this.types;
  }

  private readBtf(): Btf | undefined {
    const [start, stop] = [this.address('__start_BTF'), this.address('__stop_BTF')];
    if (start === undefined || stop === undefined || stop <= start || stop - start > MOST_BTF) return undefined;
    const bytes = this.memory.read(start, Number(stop - start));
    try {
      return bytes && new Btf(bytes);
    } catch (error) {
      if (error instanceof BtfError) return undefined;
      throw error;
    }
  }

  /** How stacks of the kernel's own code are followed. */
  get orc(): OrcTable | undefined {
    const [addresses, stop] = [this.address('__start_orc_unwind_ip'), this.address('__stop_orc_unwind_ip')];
    const entries = this.address('__start_orc_unwind');
    if (addresses === undefined || stop === undefined || entries === undefined || stop <= addresses) return undefined;
    const count = (stop - addresses) / 4n;
    return count > MOST_ORCS ? undefined : { addresses, entries, count: Number(count) };
  }
}

/**
 * Symbols of code and data, each up to the next one. Of several at one address the first one names it: the kernel's build has sorted
 * them so, marks of its linker script last.
 */
function tableSymbols(symbols: readonly KernelSymbol[]): TableSymbol[] {
  const made: TableSymbol[] = [];
  let end: bigint | undefined;
  for (let index = symbols.length - 1; index >= 0; index--) {
    const symbol = symbols[index];
    if (!symbol || symbol.address < KERNEL_HALF) continue;
    const { name, address, type } = symbol;
    const next = symbols[index + 1]?.address;
    if (next !== undefined && next > address) end = next;
    const size = end === undefined ? 0 : Number(BigInt.asUintN(31, end - address));
    made.push({
      name,
      address,
      size,
      kind: CODE.test(type) ? 'function' : 'object',
      global: symbols[index - 1]?.address !== address,
    });
  }
  return made.reverse();
}

/** Where the kernel's banner may stand, which `/proc/version` shows. */
function* bannersIn(bytes: Uint8Array): Generator<{ readonly at: number; readonly text: string }> {
  const first = BANNER.charCodeAt(0);
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let length = 1;
    while (length < BANNER.length && bytes[at + length] === BANNER.charCodeAt(length)) length++;
    if (length < BANNER.length) continue;
    const text = String.fromCharCode(...bytes.subarray(at, at + LONGEST_BANNER)).split(/[\n\0]/)[0] ?? '';
    if (/^Linux version \d+\.\d+/.test(text)) yield { at, text };
  }
}

import type { TableSymbol } from '../symbol-table.ts';
import { type Btf, complete } from './btf.ts';
import { KERNEL_HALF, type KernelMemory } from './kernel-memory.ts';
import { linkedList } from './linked-list.ts';
import type { OrcTable } from './orc.ts';

/** A loaded module, as the kernel's list has it. */
export interface KernelModule {
  /** Of its `struct module`. */
  readonly address: bigint;
  readonly name: string;
  /** The part that stays: its code first. */
  readonly base: bigint;
  readonly size: number;
  /** Its symbol table at the moment: that of its file while it is initialized, a smaller one later. */
  readonly symbolTable: bigint;
}

const NAME_LENGTH = 56;
const SYMBOL_SIZE = 24;
const MOST_SYMBOLS = 100_000;
const MOST_MODULES = 4096;
const MOST_ORCS = 1_000_000;
const LONGEST_NAME = 512;
const UNDEFINED_SECTION = 0;
/** Symbol types of ELF. */
const Elf = { NOTYPE: 0, OBJECT: 1, FUNC: 2 } as const;

/** Reads `struct module`, whose layout the kernel's own type information says. */
export class ModuleReader {
  private readonly offsets: Readonly<
    Record<'list' | 'name' | 'base' | 'size' | 'kallsyms' | 'symtab' | 'count' | 'strtab', number>
  >;
  private readonly orc: Readonly<Record<'count' | 'addresses' | 'entries', number>> | undefined;

  private constructor(
    private readonly memory: KernelMemory,
    offsets: ModuleReader['offsets'],
    orc: ModuleReader['orc'],
  ) {
    this.offsets = offsets;
    this.orc = orc;
  }

  /** Undefined where the type information lacks what is needed. */
  static open(memory: KernelMemory, btf: Btf): ModuleReader | undefined {
    const offsets = complete({
      list: btf.offsetOf('module', 'list'),
      name: btf.offsetOf('module', 'name'),
      // 6.4 has a description of each kind of memory, the first one of code.
      base: btf.firstOffsetOf('module', 'core_layout.base', 'mem.base', 'module_core'),
      size: btf.firstOffsetOf('module', 'core_layout.size', 'mem.size', 'core_size'),
      kallsyms: btf.offsetOf('module', 'kallsyms'),
      symtab: btf.offsetOf('mod_kallsyms', 'symtab'),
      count: btf.offsetOf('mod_kallsyms', 'num_symtab'),
      strtab: btf.offsetOf('mod_kallsyms', 'strtab'),
    });
    const orc = complete({
      count: btf.offsetOf('module', 'arch.num_orcs'),
      addresses: btf.offsetOf('module', 'arch.orc_unwind_ip'),
      entries: btf.offsetOf('module', 'arch.orc_unwind'),
    });
    return offsets && new ModuleReader(memory, offsets, orc);
  }

  /** The modules on the list whose head is at an address. */
  list(head: bigint): readonly KernelModule[] {
    return [...linkedList(this.memory, head, this.offsets.list, MOST_MODULES)]
      .map((at) => this.at(at))
      .filter((module) => module !== undefined);
  }

  /** A module by the address of its structure; undefined where none can be read there. */
  at(address: bigint): KernelModule | undefined {
    const { memory, offsets } = this;
    const name = memory.text(address + BigInt(offsets.name), NAME_LENGTH);
    const base = memory.u64(address + BigInt(offsets.base));
    const size = memory.u32(address + BigInt(offsets.size));
    const symbolTable = memory.u64(address + BigInt(offsets.kallsyms));
    if (!name || !/^[\w.-]+$/.test(name) || base === undefined || size === undefined || symbolTable === undefined)
      return undefined;
    return base < KERNEL_HALF ? undefined : { address, name, base, size, symbolTable };
  }

  /** The symbols of a module's code and data, with their running addresses. */
  symbolsOf({ symbolTable }: KernelModule): readonly TableSymbol[] {
    const { memory, offsets } = this;
    const table = memory.u64(symbolTable + BigInt(offsets.symtab));
    const count = memory.u32(symbolTable + BigInt(offsets.count));
    const strings = memory.u64(symbolTable + BigInt(offsets.strtab));
    if (table === undefined || count === undefined || strings === undefined || count > MOST_SYMBOLS) return [];
    const bytes = memory.read(table, count * SYMBOL_SIZE);
    if (!bytes) return [];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const symbols: TableSymbol[] = [];
    for (let at = 0; at < bytes.length; at += SYMBOL_SIZE) {
      const type = view.getUint8(at + 4) & 15;
      const address = view.getBigUint64(at + 8, true);
      if (type > Elf.FUNC || address < KERNEL_HALF || view.getUint16(at + 6, true) === UNDEFINED_SECTION) continue;
      const name = memory.text(strings + BigInt(view.getUint32(at, true)), LONGEST_NAME);
      if (!name) continue;
      const kind = type === Elf.FUNC ? 'function' : type === Elf.OBJECT ? 'object' : 'label';
      const size = Number(BigInt.asUintN(31, view.getBigUint64(at + 16, true)));
      symbols.push({ name, address, size, kind, global: view.getUint8(at + 4) >> 4 !== 0 });
    }
    return symbols;
  }

  /** How a module's stacks are followed. */
  orcOf({ address }: KernelModule): OrcTable | undefined {
    const { memory, orc } = this;
    if (!orc) return undefined;
    const count = memory.u32(address + BigInt(orc.count));
    const addresses = memory.u64(address + BigInt(orc.addresses));
    const entries = memory.u64(address + BigInt(orc.entries));
    if (!count || count > MOST_ORCS || !addresses || !entries) return undefined;
    return { addresses, entries, count };
  }
}

import { labels, orderedSections } from './assemble.ts';
import { linesOf } from './assemble-program.ts';
import type { Assembly } from './assembly.ts';
import { ByteWriter } from './byte-writer.ts';
import type { Section } from './section.ts';
import { debugSections } from './write-lines.ts';

/** ELF constants (System V ABI, chapters 4 and 5). */
const MACHINE = { 32: 3, 64: 62 } as const;
const SHT = { PROGBITS: 1, SYMTAB: 2, STRTAB: 3, NOBITS: 8 } as const;
const SHF = { WRITE: 1, ALLOC: 2, EXECINSTR: 4 } as const;
const TYPE_EXECUTABLE = 2;
const PT_LOAD = 1;
const PF = { EXECUTE: 1, WRITE: 2, READ: 4 } as const;
const ABSOLUTE_SECTION = 0xfff1;
const SYMBOL_TYPES: Readonly<Record<string, number>> = { data: 1, object: 1, function: 2 };
const BIND_GLOBAL = 0x10;
/** File offsets of segments agree with their addresses in these bits. */
const SEGMENT_ALIGNMENT = 16;

interface Part {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly alignment: number;
  readonly entrySize: number;
}

/** An executable ELF file with the source's sections, its symbols, and DWARF lines, so that gdb can use it. */
export function writeElf(assembly: Assembly, is64: boolean): Uint8Array {
  const sections = orderedSections(assembly);
  const entry = assembly.symbols.get('_start')?.value.number ?? sections[0]?.start ?? 0n;
  const parts = partsOf(assembly, sections, is64);
  const names = new ByteWriter().number(0, 1);
  const nameOffsets = parts.map(({ name }) => {
    const at = names.length;
    names.text(name);
    return at;
  });
  const shstrtab = names.length;
  names.text('.shstrtab');
  parts.push({ ...plain('.shstrtab', names.bytes), type: SHT.STRTAB });
  nameOffsets.push(shstrtab);

  const out = new ByteWriter();
  const word = (value: bigint | number) => out.number(value, is64 ? 8 : 4);
  const headerSize = is64 ? 64 : 52;
  const segmentSize = is64 ? 56 : 32;
  let end = headerSize + segmentSize * sections.length;
  const offsets = parts.map((part) => {
    const residue = Number(part.address % BigInt(SEGMENT_ALIGNMENT));
    end += (SEGMENT_ALIGNMENT + residue - (end % SEGMENT_ALIGNMENT)) % SEGMENT_ALIGNMENT;
    const at = end;
    end += part.bytes.length;
    return at;
  });
  const sectionTable = (end + 15) & ~15;
  out.raw(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1)).zeroes(9);
  out
    .number(TYPE_EXECUTABLE, 2)
    .number(MACHINE[is64 ? 64 : 32], 2)
    .number(1, 4);
  word(entry);
  word(headerSize);
  word(sectionTable);
  out.number(0, 4).number(headerSize, 2).number(segmentSize, 2).number(sections.length, 2);
  out
    .number(is64 ? 64 : 40, 2)
    .number(parts.length + 1, 2)
    .number(parts.length, 2);
  sections.forEach((section, index) => {
    const flags = PF.READ | PF.WRITE | (section.code ? PF.EXECUTE : 0);
    out.number(PT_LOAD, 4);
    if (is64) out.number(flags, 4);
    word(offsets[index] ?? 0);
    word(section.start);
    word(section.load);
    word(section.bytes.length);
    word(section.size);
    if (!is64) out.number(flags, 4);
    word(SEGMENT_ALIGNMENT);
  });
  parts.forEach((part, index) => {
    out.zeroes((offsets[index] ?? 0) - out.length).raw(part.bytes);
  });
  out.zeroes(sectionTable - out.length).zeroes(is64 ? 64 : 40);
  parts.forEach((part, index) => {
    out.number(nameOffsets[index] ?? 0, 4).number(part.type, 4);
    word(part.flags);
    word(part.address);
    word(offsets[index] ?? 0);
    word(part.size);
    out.number(part.link, 4).number(part.info, 4);
    word(part.alignment);
    word(part.entrySize);
  });
  return out.bytes.slice();
}

function plain(name: string, bytes: Uint8Array): Part {
  const none = { flags: 0, address: 0n, link: 0, info: 0, entrySize: 0, alignment: 1 };
  return { ...none, name, type: SHT.PROGBITS, bytes, size: bytes.length };
}

function partsOf(assembly: Assembly, sections: readonly Section[], is64: boolean): Part[] {
  const { table, strings, locals } = symbolTable(assembly, sections, is64);
  const debug = debugSections(linesOf(assembly), is64);
  return [
    ...sections.map((section) => ({
      ...plain(section.name, section.bytes),
      type: section.noBits ? SHT.NOBITS : SHT.PROGBITS,
      flags: SHF.ALLOC | SHF.WRITE | (section.code ? SHF.EXECINSTR : 0),
      address: section.start,
      size: section.size,
    })),
    {
      ...plain('.symtab', table),
      type: SHT.SYMTAB,
      // The string table stands right behind.
      link: sections.length + 2,
      info: locals,
      alignment: 8,
      entrySize: is64 ? 24 : 16,
    },
    { ...plain('.strtab', strings), type: SHT.STRTAB },
    plain('.debug_line', debug.line),
    plain('.debug_info', debug.info),
    plain('.debug_abbrev', debug.abbrev),
  ];
}

/** Symbols with locals first, as ELF wants them. */
function symbolTable(
  assembly: Assembly,
  sections: readonly Section[],
  is64: boolean,
): { readonly table: Uint8Array; readonly strings: Uint8Array; readonly locals: number } {
  const exported = [...assembly.symbols.values()].filter(({ name, kind }) => kind === 'equ' && assembly.globals.has(name));
  const all = [...labels(assembly), ...exported];
  const isGlobal = (name: string) => assembly.globals.has(name) || name === '_start';
  const locals = all.filter(({ name }) => !isGlobal(name));
  const table = new ByteWriter().zeroes(is64 ? 24 : 16);
  const strings = new ByteWriter().number(0, 1);
  for (const { name, value } of [...locals, ...all.filter((symbol) => isGlobal(symbol.name))]) {
    const info = (isGlobal(name) ? BIND_GLOBAL : 0) | (SYMBOL_TYPES[assembly.globals.get(name) ?? ''] ?? 0);
    const index = sections.findIndex((section) => section.name === value.section);
    const section = index < 0 ? ABSOLUTE_SECTION : index + 1;
    table.number(strings.length, 4);
    strings.text(name);
    if (is64) table.number(info, 1).number(0, 1).number(section, 2).number(value.number, 8).number(0, 8);
    else table.number(value.number, 4).number(0, 4).number(info, 1).number(0, 1).number(section, 2);
  }
  return { table: table.bytes, strings: strings.bytes, locals: locals.length + 1 };
}

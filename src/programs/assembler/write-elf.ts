import { flatImage, labels } from './assemble.ts';
import { linesOf } from './assemble-program.ts';
import type { Assembly } from './assembly.ts';
import { lineProgram } from './write-lines.ts';

const MACHINE = { 32: 3, 64: 62 } as const;
const TYPE_EXECUTABLE = 2;
const PT_LOAD = 1;
const FLAGS_RWX = 7;
const SHT = { PROGBITS: 1, SYMTAB: 2, STRTAB: 3 } as const;
const ABSOLUTE_SECTION = 0xfff1;

/** Little-endian bytes of a growing file. */
class Output {
  readonly bytes: number[] = [];
  constructor(readonly is64: boolean) {}
  number(value: bigint | number, size: number): this {
    let rest = BigInt(value);
    for (let index = 0; index < size; index++) {
      this.bytes.push(Number(rest & 0xffn));
      rest >>= 8n;
    }
    return this;
  }
  /** An address or size of the file's class. */
  word(value: bigint | number): this {
    return this.number(value, this.is64 ? 8 : 4);
  }
  raw(bytes: ArrayLike<number>): this {
    for (let index = 0; index < bytes.length; index++) this.bytes.push(bytes[index] ?? 0);
    return this;
  }
}

interface Part {
  readonly name: string;
  readonly type: number;
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly link: number;
  readonly info: number;
  readonly entrySize: number;
}

/** An executable ELF file with one segment, the symbol table and DWARF lines, so that gdb can use it. */
export function writeElf(assembly: Assembly, is64: boolean): Uint8Array {
  const image = flatImage(assembly);
  const entry = assembly.symbols.get('_start')?.value.number ?? image.start;
  const { symbols, strings, locals } = symbolTable(assembly, is64);
  const lines = linesOf(assembly);
  const debug = lineProgram(lines, image.start, image.start + BigInt(image.bytes.length), is64);
  const plain = { address: 0n, link: 0, info: 0, entrySize: 0 };
  const parts: Part[] = [
    { ...plain, name: '.text', type: SHT.PROGBITS, address: image.start, bytes: image.bytes },
    { ...plain, name: '.symtab', type: SHT.SYMTAB, bytes: symbols, link: 3, info: locals, entrySize: is64 ? 24 : 16 },
    { ...plain, name: '.strtab', type: SHT.STRTAB, bytes: strings },
    { ...plain, name: '.debug_line', type: SHT.PROGBITS, bytes: debug.line },
    { ...plain, name: '.debug_info', type: SHT.PROGBITS, bytes: debug.info },
    { ...plain, name: '.debug_abbrev', type: SHT.PROGBITS, bytes: debug.abbrev },
  ];
  const names = ['', ...parts.map(({ name }) => name), '.shstrtab'];
  const nameBytes = new TextEncoder().encode(`${names.join('\0')}\0`);
  parts.push({ ...plain, name: '.shstrtab', type: SHT.STRTAB, bytes: nameBytes });

  const headerSize = is64 ? 64 : 52;
  const segmentSize = is64 ? 56 : 32;
  let offset = headerSize + segmentSize;
  const offsets = parts.map((part) => {
    offset = (offset + 15) & ~15;
    const at = offset;
    offset += part.bytes.length;
    return at;
  });
  const sectionTable = (offset + 15) & ~15;

  const out = new Output(is64);
  out.raw([0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  out
    .number(TYPE_EXECUTABLE, 2)
    .number(MACHINE[is64 ? 64 : 32], 2)
    .number(1, 4)
    .word(entry)
    .word(headerSize)
    .word(sectionTable)
    .number(0, 4);
  out
    .number(headerSize, 2)
    .number(segmentSize, 2)
    .number(1, 2)
    .number(is64 ? 64 : 40, 2)
    .number(parts.length + 1, 2)
    .number(parts.length, 2);
  const start = offsets[0] ?? 0;
  out.number(PT_LOAD, 4);
  if (is64) out.number(FLAGS_RWX, 4);
  out.word(start).word(image.start).word(image.start).word(image.bytes.length).word(image.size);
  if (!is64) out.number(FLAGS_RWX, 4);
  out.word(16);
  parts.forEach((part, index) => {
    out.raw(new Uint8Array((offsets[index] ?? 0) - out.bytes.length)).raw(part.bytes);
  });
  out.raw(new Uint8Array(sectionTable - out.bytes.length));
  out.raw(new Uint8Array(is64 ? 64 : 40));
  let nameAt = 1;
  parts.forEach((part, index) => {
    const allocated = part.address !== 0n ? 7 : 0;
    out
      .number(nameAt, 4)
      .number(part.type, 4)
      .word(allocated)
      .word(part.address)
      .word(offsets[index] ?? 0)
      .word(part.bytes.length);
    out.number(part.link, 4).number(part.info, 4).word(1).word(part.entrySize);
    nameAt += part.name.length + 1;
  });
  return Uint8Array.from(out.bytes);
}

/** Symbols with locals first, as ELF wants them. */
function symbolTable(assembly: Assembly, is64: boolean): { symbols: Uint8Array; strings: Uint8Array; locals: number } {
  const all = labels(assembly);
  const isGlobal = (name: string) => assembly.globals.has(name) || name === '_start';
  const ordered = [...all.filter(({ name }) => !isGlobal(name)), ...all.filter(({ name }) => isGlobal(name))];
  const out = new Output(is64);
  out.raw(new Uint8Array(is64 ? 24 : 16));
  let strings = '\0';
  for (const { name, value } of ordered) {
    const info = isGlobal(name) ? 0x10 : 0;
    const section = value.section === undefined ? ABSOLUTE_SECTION : 1;
    out.number(strings.length, 4);
    if (is64) out.number(info, 1).number(0, 1).number(section, 2).number(BigInt.asUintN(64, value.number), 8).number(0, 8);
    else out.number(BigInt.asUintN(32, value.number), 4).number(0, 4).number(info, 1).number(0, 1).number(section, 2);
    strings += `${name}\0`;
  }
  return {
    symbols: Uint8Array.from(out.bytes),
    strings: new TextEncoder().encode(strings),
    locals: 1 + all.filter(({ name }) => !isGlobal(name)).length,
  };
}

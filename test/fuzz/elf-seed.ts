/** Builds small executable ELF files that fuzzers damage: segments, notes, symbols and debug sections, of both classes. */

interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly link?: number;
  readonly entrySize?: number;
}

const LOAD = 1;
const NOTE = 4;
const LOAD_ADDRESS = 0x10_0000;

class Writer {
  private readonly bytes: number[] = [];
  constructor(private readonly wide: boolean) {}
  get length(): number {
    return this.bytes.length;
  }
  raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }
  number(value: number, size: number): this {
    for (let i = 0; i < size; i++) this.bytes.push(i < 6 ? Math.floor(value / 256 ** i) & 0xff : 0);
    return this;
  }
  half(value: number): this {
    return this.number(value, 2);
  }
  word(value: number): this {
    return this.number(value, 4);
  }
  /** An address or offset of the file's class. */
  native(value: number): this {
    return this.number(value, this.wide ? 8 : 4);
  }
  align(to: number): this {
    while (this.bytes.length % to !== 0) this.bytes.push(0);
    return this;
  }
  done(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}

function text(value: string): number[] {
  return [...value].map((letter) => letter.charCodeAt(0));
}

/** A line program of DWARF 4 with one file and a few rows. */
function debugLine(wide: boolean): Uint8Array {
  const prologue = new Writer(wide).raw([1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]);
  prologue.raw(text('src')).raw([0, 0]).raw(text('main.c')).raw([0, 1, 0, 0, 0]);
  const program = new Writer(wide)
    .raw([0, wide ? 9 : 5, 2])
    .native(LOAD_ADDRESS)
    .raw([0x14, 0x4b, 0x83, 3, 7, 1, 2, 8, 0, 1, 1]);
  const header = prologue.done();
  const rest = program.done();
  return new Writer(wide)
    .word(2 + 4 + header.length + rest.length)
    .half(4)
    .word(header.length)
    .raw(header)
    .raw(rest)
    .done();
}

/** A unit with one function. */
function debugInfo(wide: boolean): { info: Uint8Array; abbreviations: Uint8Array } {
  const abbreviations = Uint8Array.from([
    ...[1, 0x11, 1, 0x25, 0x08, 0x13, 0x0b, 0x03, 0x08, 0x10, 0x17, 0x11, 0x01, 0x12, 0x06, 0, 0],
    ...[2, 0x2e, 0, 0x03, 0x08, 0x11, 0x01, 0x12, 0x06, 0x40, 0x18, 0, 0, 0],
  ]);
  const body = new Writer(wide)
    .half(4)
    .word(0)
    .raw([wide ? 8 : 4]);
  body.raw([1]).raw(text('cc')).raw([0, 12]).raw(text('main.c')).raw([0]).word(0).native(LOAD_ADDRESS).word(32);
  body.raw([2]).raw(text('main')).raw([0]).native(LOAD_ADDRESS).word(16).raw([1, 0x9c, 0]);
  const bytes = body.done();
  return { info: new Writer(wide).word(bytes.length).raw(bytes).done(), abbreviations };
}

export function elfSeed(bits: 32 | 64, protocol: 'pvh' | 'multiboot1' | 'plain'): Uint8Array {
  const wide = bits === 64;
  const code = new Writer(wide);
  if (protocol === 'multiboot1') code.word(0x1bad_b002).word(3).word(0xe452_4ffb);
  code.raw([0xb0, 0x41, 0xba, 0xf8, 0x03, 0, 0, 0xee, 0xf4, 0xeb, 0xfd]).align(32);
  const note = new Writer(wide).word(4).word(4).word(18).raw(text('Xen')).raw([0]).word(LOAD_ADDRESS);
  const symbols = new Writer(wide).raw(new Uint8Array(wide ? 24 : 16));
  for (const [name, offset] of [
    [1, 0],
    [6, 8],
  ] as const) {
    symbols.word(name);
    if (wide)
      symbols
        .raw([0x12, 0])
        .half(1)
        .native(LOAD_ADDRESS + offset)
        .native(8);
    else
      symbols
        .native(LOAD_ADDRESS + offset)
        .native(8)
        .raw([0x12, 0])
        .half(1);
  }
  const { info, abbreviations } = debugInfo(wide);
  const sections: Section[] = [
    { name: '', type: 0, flags: 0, address: 0, bytes: new Uint8Array(0) },
    { name: '.text', type: 1, flags: 6, address: LOAD_ADDRESS, bytes: code.done() },
    { name: '.data', type: 1, flags: 3, address: LOAD_ADDRESS + 0x1000, bytes: Uint8Array.from(text('Hello')) },
    { name: '.note.Xen', type: 7, flags: 2, address: 0, bytes: protocol === 'pvh' ? note.done() : new Uint8Array(0) },
    { name: '.symtab', type: 2, flags: 0, address: 0, bytes: symbols.done(), link: 5, entrySize: wide ? 24 : 16 },
    { name: '.strtab', type: 3, flags: 0, address: 0, bytes: Uint8Array.from([0, ...text('main'), 0, ...text('loop'), 0]) },
    { name: '.debug_line', type: 1, flags: 0, address: 0, bytes: debugLine(wide) },
    { name: '.debug_info', type: 1, flags: 0, address: 0, bytes: info },
    { name: '.debug_abbrev', type: 1, flags: 0, address: 0, bytes: abbreviations },
  ];
  const names = ['', ...sections.slice(1).map((section) => section.name), '.shstrtab'];
  const nameBytes = [...names.flatMap((name) => [...text(name), 0])];
  sections.push({ name: '.shstrtab', type: 3, flags: 0, address: 0, bytes: Uint8Array.from(nameBytes) });

  const headerSize = wide ? 64 : 52;
  const programSize = wide ? 56 : 32;
  const out = new Writer(wide);
  const offsets: number[] = [];
  let at = headerSize + 3 * programSize;
  for (const section of sections) {
    at = Math.ceil(at / 16) * 16;
    offsets.push(at);
    at += section.bytes.length;
  }
  const sectionTable = Math.ceil(at / 16) * 16;
  out.raw([0x7f, ...text('ELF'), wide ? 2 : 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  out
    .half(2)
    .half(wide ? 62 : 3)
    .word(1)
    .native(LOAD_ADDRESS)
    .native(headerSize)
    .native(sectionTable)
    .word(0);
  out
    .half(headerSize)
    .half(programSize)
    .half(3)
    .half(wide ? 64 : 40)
    .half(sections.length)
    .half(sections.length - 1);
  for (const [type, index, flags, zeroes] of [
    [LOAD, 1, 5, 0],
    [LOAD, 2, 6, 0x100],
    [NOTE, 3, 4, 0],
  ] as const) {
    const section = sections[index];
    const offset = offsets[index];
    if (!section || offset === undefined) throw new Error('no such section');
    const length = section.bytes.length;
    out.word(type);
    if (wide) out.word(flags);
    out
      .native(offset)
      .native(section.address)
      .native(section.address)
      .native(length)
      .native(length + zeroes);
    if (!wide) out.word(flags);
    out.native(16);
  }
  for (const [index, section] of sections.entries()) {
    while (out.length < (offsets[index] ?? 0)) out.raw([0]);
    out.raw(section.bytes);
  }
  while (out.length < sectionTable) out.raw([0]);
  let name = 0;
  for (const [index, section] of sections.entries()) {
    out
      .word(name)
      .word(section.type)
      .native(section.flags)
      .native(section.address)
      .native(offsets[index] ?? 0)
      .native(section.bytes.length);
    out
      .word(section.link ?? 0)
      .word(0)
      .native(1)
      .native(section.entrySize ?? 0);
    name += (names[index] ?? '').length + 1;
  }
  return out.done();
}

import { unzlibSync } from 'fflate';
import { hex } from '../../x86/address.ts';
import { ProgramError, type ProgramSymbol } from '../program.ts';

/** ELF constants (System V ABI, chapters 4 and 5). */
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const MACHINE_386 = 3;
const MACHINE_X86_64 = 62;
const TYPE_RELOCATABLE = 1;
const PT_LOAD = 1;
const PT_NOTE = 4;
const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;
const SHF_COMPRESSED = 0x800n;
/** Beyond this a file is not a guest program but an attack on the reader's memory. */
const MAX_ENTRIES = 65_535;
const MAX_SECTION = 512 * 1024 * 1024;

export interface ElfSegment {
  readonly type: number;
  readonly offset: number;
  readonly virtualAddress: bigint;
  readonly physicalAddress: bigint;
  readonly bytes: Uint8Array;
  readonly memorySize: number;
}

export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly descriptor: Uint8Array;
}

export interface ElfFile {
  readonly is64: boolean;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  readonly notes: readonly ElfNote[];
  readonly sections: ReadonlyMap<string, { readonly address: bigint; readonly bytes: Uint8Array }>;
  readonly symbols: readonly ProgramSymbol[];
}

export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** Bounded reads: every offset is checked, a bad one is reported with what it was for. */
class Reader {
  readonly view: DataView;
  constructor(
    readonly bytes: Uint8Array,
    readonly path: string,
    readonly is64: boolean,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  fail(what: string): never {
    throw new ProgramError(
      `${this.path} is a damaged ELF file: ${what}. Build it again, or check that it was copied whole.`,
      this.path,
    );
  }

  slice(offset: number, length: number, what: string): Uint8Array {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.bytes.length))
      this.fail(
        `${what} at ${hex(Math.max(0, offset))} (${length} bytes) reaches beyond the file's end at ${hex(this.bytes.length)}`,
      );
    return this.bytes.subarray(offset, offset + length);
  }
  private at(offset: number, size: number): number {
    if (offset < 0 || offset + size > this.bytes.length)
      this.fail(`a header at ${hex(Math.max(0, offset))} reaches beyond the file's end`);
    return offset;
  }
  u16(offset: number): number {
    return this.view.getUint16(this.at(offset, 2), true);
  }
  u32(offset: number): number {
    return this.view.getUint32(this.at(offset, 4), true);
  }
  u64(offset: number): bigint {
    return this.view.getBigUint64(this.at(offset, 8), true);
  }
  /** A word of the file's class. */
  word(offset32: number, offset64: number): bigint {
    return this.is64 ? this.u64(offset64) : BigInt(this.u32(offset32));
  }
  /** A word that is a file offset or a size. */
  size(offset32: number, offset64: number, what: string): number {
    const value = this.word(offset32, offset64);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.fail(`${what} is ${hex(value)}`);
    return Number(value);
  }
}

/** Reads an executable ELF file for x86. Throws ProgramError with one sentence. */
export function readElf(bytes: Uint8Array, path: string): ElfFile {
  if (bytes.length < 52)
    throw new ProgramError(`${path} is too short to be an ELF file (${bytes.length} bytes). Build it again.`, path);
  const is64 = bytes[4] === CLASS_64;
  const reader = new Reader(bytes, path, is64);
  if (bytes[5] !== LITTLE_ENDIAN) throw new ProgramError(`${path} is a big-endian ELF file; build it for x86.`, path);
  const machine = reader.u16(18);
  if (machine !== MACHINE_386 && machine !== MACHINE_X86_64)
    throw new ProgramError(`${path} is an ELF file for machine ${machine}, not for x86; build it for x86-64 or i386.`, path);
  if (reader.u16(16) === TYPE_RELOCATABLE)
    throw new ProgramError(
      `${path} is a relocatable object file; link it first, for example with \`ld -Ttext=0x100000 -o program ${path}\`.`,
      path,
    );
  const segments = readSegments(reader);
  const { sections, symbols } = readSections(reader);
  return { is64, entry: reader.word(24, 24), segments, notes: readNotes(reader, segments), sections, symbols };
}

function readSegments(reader: Reader): ElfSegment[] {
  const table = reader.size(28, 32, 'the program header table offset');
  const entrySize = reader.u16(reader.is64 ? 54 : 42);
  const count = reader.u16(reader.is64 ? 56 : 44);
  const needed = reader.is64 ? 56 : 32;
  if (count > 0 && entrySize < needed) reader.fail(`its program headers have ${entrySize} bytes instead of ${needed}`);
  const segments: ElfSegment[] = [];
  for (let index = 0; index < count; index++) {
    const at = table + index * entrySize;
    const type = reader.u32(at);
    if (type !== PT_LOAD && type !== PT_NOTE) continue;
    const offset = reader.size(at + 4, at + 8, `segment ${index}'s offset`);
    const fileSize = reader.size(at + 16, at + 32, `segment ${index}'s size`);
    const memorySize = reader.size(at + 20, at + 40, `segment ${index}'s size in memory`);
    segments.push({
      type,
      offset,
      virtualAddress: reader.word(at + 8, at + 16),
      physicalAddress: reader.word(at + 12, at + 24),
      bytes: reader.slice(offset, fileSize, `segment ${index}`),
      memorySize,
    });
  }
  return segments;
}

function readNotes(reader: Reader, segments: readonly ElfSegment[]): ElfNote[] {
  const notes: ElfNote[] = [];
  for (const { type, bytes } of segments) {
    if (type !== PT_NOTE) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + 12 <= bytes.length; ) {
      const nameSize = view.getUint32(at, true);
      const descriptorSize = view.getUint32(at + 4, true);
      const name = at + 12;
      const descriptor = name + ((nameSize + 3) & ~3);
      const next = descriptor + ((descriptorSize + 3) & ~3);
      if (nameSize > bytes.length || descriptorSize > bytes.length || descriptor + descriptorSize > bytes.length)
        reader.fail('a note is longer than its segment');
      notes.push({
        name: text(bytes, name, nameSize),
        type: view.getUint32(at + 8, true),
        descriptor: bytes.subarray(descriptor, descriptor + descriptorSize),
      });
      if (next <= at) break;
      at = next;
    }
  }
  return notes;
}

function text(bytes: Uint8Array, start: number, limit = bytes.length - start): string {
  let end = start;
  while (end < Math.min(bytes.length, start + limit) && bytes[end] !== 0) end++;
  return new TextDecoder().decode(bytes.subarray(start, end));
}

interface SectionHeader {
  readonly name: number;
  readonly type: number;
  readonly flags: bigint;
  readonly address: bigint;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

function readSections(reader: Reader): Pick<ElfFile, 'sections' | 'symbols'> {
  const table = reader.size(32, 40, 'the section header table offset');
  const count = reader.u16(reader.is64 ? 60 : 48);
  const entrySize = reader.u16(reader.is64 ? 58 : 46);
  const namesIndex = reader.u16(reader.is64 ? 62 : 50);
  const sections = new Map<string, { address: bigint; bytes: Uint8Array }>();
  if (table === 0 || count === 0) return { sections, symbols: [] };
  if (entrySize < (reader.is64 ? 64 : 40) || count > MAX_ENTRIES) reader.fail(`its section headers have ${entrySize} bytes`);
  const headers: SectionHeader[] = [];
  for (let index = 0; index < count; index++) {
    const at = table + index * entrySize;
    headers.push({
      name: reader.u32(at),
      type: reader.u32(at + 4),
      flags: reader.word(at + 8, at + 8),
      address: reader.word(at + 12, at + 16),
      offset: reader.size(at + 16, at + 24, `section ${index}'s offset`),
      size: reader.size(at + 20, at + 32, `section ${index}'s size`),
      link: reader.u32(at + (reader.is64 ? 40 : 24)),
    });
  }
  const content = (header: SectionHeader | undefined): Uint8Array =>
    !header || header.type === SHT_NOBITS ? new Uint8Array() : reader.slice(header.offset, header.size, 'a section');
  const names = content(headers[namesIndex]);
  let symbols: ProgramSymbol[] = [];
  for (const header of headers) {
    const name = text(names, header.name);
    if (header.type === SHT_SYMTAB) symbols = readSymbols(reader, content(header), content(headers[header.link]));
    if (name !== '' && header.type !== SHT_NOBITS) {
      const raw = content(header);
      const bytes = (header.flags & SHF_COMPRESSED) !== 0n ? inflate(reader, name, raw) : raw;
      sections.set(name, { address: header.address, bytes });
    }
  }
  return { sections, symbols };
}

/** SHF_COMPRESSED with zlib (ELFCOMPRESS_ZLIB is 1). What can't be inflated is left out: debug information is optional. */
function inflate(reader: Reader, name: string, raw: Uint8Array): Uint8Array {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const header = reader.is64 ? 24 : 12;
  if (raw.length < header) reader.fail(`the compressed section ${name} has no header`);
  const size = reader.is64 ? Number(view.getBigUint64(8, true)) : view.getUint32(4, true);
  if (view.getUint32(0, true) !== 1 || !(size <= MAX_SECTION)) return new Uint8Array();
  try {
    return unzlibSync(raw.subarray(header), { out: new Uint8Array(size) });
  } catch {
    return new Uint8Array();
  }
}

const KINDS: Readonly<Record<number, ProgramSymbol['kind']>> = { 0: 'label', 1: 'object', 2: 'function' };

function readSymbols(reader: Reader, table: Uint8Array, names: Uint8Array): ProgramSymbol[] {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const size = reader.is64 ? 24 : 16;
  const symbols: ProgramSymbol[] = [];
  for (let at = size; at + size <= table.length; at += size) {
    const info = view.getUint8(at + (reader.is64 ? 4 : 12));
    const section = view.getUint16(at + (reader.is64 ? 6 : 14), true);
    const kind = KINDS[info & 15];
    const name = text(names, view.getUint32(at, true));
    if (!kind || section === 0 || name === '') continue;
    const address = reader.is64 ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 4, true));
    const length = reader.is64 ? Number(BigInt.asUintN(53, view.getBigUint64(at + 16, true))) : view.getUint32(at + 8, true);
    symbols.push({ name, address, size: length, kind, global: info >> 4 !== 0 });
  }
  return symbols;
}

export const SegmentType = { LOAD: PT_LOAD, NOTE: PT_NOTE } as const;

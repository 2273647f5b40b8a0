import { assembleProgram } from './assembler/assemble-program.ts';
import { type ElfFile, isElf, readElf, SegmentType } from './elf/elf-file.ts';
import { isLinuxKernel, linuxProgram } from './linux/bz-image.ts';
import { type BootProtocol, type FileAccess, type LoadSegment, type Program, ProgramError } from './program.ts';

export interface LoadOptions {
  /** Where a flat binary goes; default 1 MiB, 0x7C00 for 16-bit code. */
  readonly loadAddress?: bigint;
  /** Code size of a flat binary. */
  readonly mode?: 16 | 32 | 64;
}

const MULTIBOOT_MAGIC = 0x1bad_b002;
const MULTIBOOT_SEARCH = 8192;
const MULTIBOOT_ADDRESSES = 0x1_0000;
const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const SECTOR = 512;
const BOOT_SECTOR_ADDRESS = 0x7c00n;
const DEFAULT_ADDRESS = 0x10_0000n;
const NO_SECTIONS: Program['sections'] = new Map();

/**
 * Recognises a program by its content and reads it. Throws ProgramError: what is wrong, where, how to mend it.
 */
export function loadProgram(bytes: Uint8Array, path: string, options: LoadOptions, files: FileAccess): Program {
  if (bytes.length === 0) throw new ProgramError(`${path} is empty; there is nothing to run.`, path);
  if (isElf(bytes)) return elfProgram(readElf(bytes, path), bytes, path);
  if (isLinuxKernel(bytes)) return linuxProgram(bytes, path);
  if (options.mode !== undefined || options.loadAddress !== undefined) return flatProgram(bytes, path, options);
  if (/\.(asm|s|nasm|inc)$/i.test(path) || looksLikeText(bytes)) return assembleProgram(path, files);
  if (hasBootSignature(bytes)) return bootSector(bytes, path);
  throw new ProgramError(
    `${path} is neither guest assembly, ELF, nor a boot sector; for a flat binary give its code size, for example \`--mode 64 --load-address 0x100000\`.`,
    path,
  );
}

function hasBootSignature(bytes: Uint8Array): boolean {
  return bytes.length >= SECTOR && bytes[510] === 0x55 && bytes[511] === 0xaa;
}

function looksLikeText(bytes: Uint8Array): boolean {
  const head = bytes.subarray(0, 4096);
  return head.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte !== 127));
}

function bootSector(bytes: Uint8Array, path: string): Program {
  const sector = bytes.subarray(0, SECTOR);
  return {
    kind: bytes.length === SECTOR ? 'boot-sector' : 'disk-image',
    path,
    protocol: 'boot-sector',
    mode: 16,
    entry: BOOT_SECTOR_ADDRESS,
    segments: [{ gpa: BOOT_SECTOR_ADDRESS, bytes: sector, size: SECTOR }],
    symbols: [],
    sections: NO_SECTIONS,
  };
}

function flatProgram(bytes: Uint8Array, path: string, options: LoadOptions): Program {
  const mode = options.mode ?? 64;
  const gpa = options.loadAddress ?? (mode === 16 ? BOOT_SECTOR_ADDRESS : DEFAULT_ADDRESS);
  return {
    kind: 'flat',
    path,
    protocol: 'plain',
    mode,
    entry: gpa,
    segments: [{ gpa, bytes, size: bytes.length }],
    symbols: [],
    sections: NO_SECTIONS,
  };
}

/** How an ELF file wants to be entered: a PVH note wins over a Multiboot header, which wins over e_entry. */
function elfProgram(elf: ElfFile, bytes: Uint8Array, path: string): Program {
  const pvh = elf.notes.find(({ name, type }) => name === 'Xen' && type === XEN_ELFNOTE_PHYS32_ENTRY);
  const multiboot = findMultiboot(bytes);
  const common = { kind: elf.is64 ? 'elf64' : 'elf32', path, symbols: elf.symbols, sections: elf.sections } as const;
  if (!pvh && multiboot?.segment)
    return { ...common, protocol: 'multiboot1', mode: 32, entry: multiboot.entry ?? elf.entry, segments: [multiboot.segment] };
  const segments = elf.segments
    .filter(({ type, memorySize }) => type === SegmentType.LOAD && memorySize > 0)
    .map(
      (segment): LoadSegment => ({
        gpa: segment.physicalAddress,
        bytes: segment.bytes.subarray(0, segment.memorySize),
        size: segment.memorySize,
      }),
    );
  if (segments.length === 0) throw new ProgramError(`${path} has no loadable segments; link it as an executable.`, path);
  if (pvh) {
    const view = new DataView(pvh.descriptor.buffer, pvh.descriptor.byteOffset, pvh.descriptor.byteLength);
    if (view.byteLength < 4)
      throw new ProgramError(`The PVH note of ${path} is too short to hold an entry point; link it again.`, path);
    return { ...common, protocol: 'pvh', mode: 32, entry: BigInt(view.getUint32(0, true)), segments };
  }
  const protocol: BootProtocol = multiboot ? 'multiboot1' : 'plain';
  return { ...common, protocol, mode: multiboot || !elf.is64 ? 32 : 64, entry: physicalEntry(elf), segments };
}

/** e_entry is virtual; the program is entered with the first 4 GiB mapped to themselves, at the physical address. */
function physicalEntry(elf: ElfFile): bigint {
  for (const segment of elf.segments)
    if (
      segment.type === SegmentType.LOAD &&
      elf.entry >= segment.virtualAddress &&
      elf.entry < segment.virtualAddress + BigInt(segment.memorySize)
    )
      return elf.entry - segment.virtualAddress + segment.physicalAddress;
  return elf.entry;
}

/** A Multiboot 1 header in the first 8 KiB (Multiboot Specification 0.6.96, 3.1.1). */
function findMultiboot(bytes: Uint8Array): { segment?: LoadSegment; entry?: bigint } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 12 <= Math.min(bytes.length, MULTIBOOT_SEARCH); at += 4) {
    if (view.getUint32(at, true) !== MULTIBOOT_MAGIC) continue;
    const flags = view.getUint32(at + 4, true);
    if ((MULTIBOOT_MAGIC + flags + view.getUint32(at + 8, true)) >>> 0 !== 0) continue;
    if (!(flags & MULTIBOOT_ADDRESSES) || at + 32 > bytes.length) return {};
    const [header = 0, load = 0, loadEnd = 0, bssEnd = 0, entry = 0] = [12, 16, 20, 24, 28].map((offset) =>
      view.getUint32(at + offset, true),
    );
    const start = at - (header - load);
    if (start < 0) return {};
    const content = bytes.subarray(start, loadEnd > load ? start + loadEnd - load : bytes.length);
    return {
      segment: { gpa: BigInt(load), bytes: content, size: Math.max(content.length, bssEnd - load) },
      entry: BigInt(entry),
    };
  }
  return undefined;
}

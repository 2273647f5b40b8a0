import type { BootImage, EntryState } from '../boot-image.ts';
import { Header, type LinuxHeader } from '../linux/bz-image.ts';
import { type LoadSegment, type Program, ProgramError } from '../program.ts';
import type { BootOptions } from './boot-image.ts';
import { LowMemory } from './low-memory.ts';
import { identityMap, LowPages, segment, words } from './low-pages.ts';
import { placeInitrd, ramRanges, terminated } from './pvh.ts';
import { flatSegments } from './segments.ts';

const BOOT_PARAMS = 0x1_0000n;
const COMMAND_LINE = 0x2_0000n;
/** Offsets in boot_params (Linux: arch/x86/include/uapi/asm/bootparam.h). */
const Params = { SIZE: 0x1000, RSDP: 0x70, E820_ENTRIES: 0x1e8, E820_TABLE: 0x2d0 } as const;
const E820_ENTRY = 20;
/** A loader that has no number of its own. */
const UNKNOWN_LOADER = 0xff;
/** Selectors that the protocol prescribes (__BOOT_CS and __BOOT_DS). */
const CODE_SELECTOR = 0x10;
const DATA_SELECTOR = 0x18;
const CODE_32 = 0x00cf_9b00_0000_ffffn;
const CODE_64 = 0x00af_9b00_0000_ffffn;
const DATA = 0x00cf_9300_0000_ffffn;

/**
 * Linux's own boot protocol (Documentation/arch/x86/boot.rst): a 64-bit kernel with the first 4 GiB mapped to themselves, an older
 * 32-bit one without paging; RSI points at boot_params. Throws ProgramError where something has no room.
 */
export function linuxImage(program: Program, header: LinuxHeader, options: BootOptions): BootImage {
  const { ramTop, initrd, commandLine = '' } = options;
  checkRoom(program, header, ramTop);
  const line = terminated(commandLine);
  if (line.length - 1 > header.commandLineLongest)
    throw new ProgramError(
      `The command line has ${line.length - 1} bytes, and ${program.path} takes ${header.commandLineLongest}; shorten it.`,
      program.path,
    );
  const room = new LowMemory(program);
  const text = room.segment(COMMAND_LINE, line);
  const params = new Uint8Array(Params.SIZE);
  const view = new DataView(params.buffer);
  params.set(header.bytes, Header.START);
  view.setUint8(Header.LOADER_TYPE, UNKNOWN_LOADER);
  view.setUint32(Header.COMMAND_LINE, Number(text.gpa), true);
  if (options.rootPointer !== undefined) view.setBigUint64(Params.RSDP, options.rootPointer, true);
  const segments: LoadSegment[] = [...program.segments, text];
  if (initrd) {
    const last = BigInt(header.initrdLast) + 1n;
    const place = placeInitrd(program, initrd, last < ramTop ? last : ramTop);
    view.setUint32(Header.INITRD, Number(place.gpa), true);
    view.setUint32(Header.INITRD_SIZE, place.size, true);
    segments.push(place);
  }
  const ranges = ramRanges(ramTop, options.highMemory);
  view.setUint8(Params.E820_ENTRIES, ranges.length);
  ranges.forEach(({ start, size, type }, index) => {
    const at = Params.E820_TABLE + index * E820_ENTRY;
    view.setBigUint64(at, start, true);
    view.setBigUint64(at + 8, size, true);
    view.setUint32(at + 16, type, true);
  });
  const place = room.segment(BOOT_PARAMS, params);
  const is64 = program.mode === 64;
  const gdt = segment(LowPages.GDT, words([0n, 0n, is64 ? CODE_64 : CODE_32, DATA]));
  return {
    segments: [gdt, ...(is64 ? identityMap() : []), ...segments, place],
    entry: entryState(program, place.gpa, gdt.size),
  };
}

function entryState(program: Program, params: bigint, gdtSize: number): EntryState {
  const is64 = program.mode === 64;
  return {
    mode: is64 ? 64 : 32,
    rip: program.entry,
    registers: { rsp: LowPages.STACK_TOP, rsi: params, rflags: 2n },
    cr0: is64 ? 0x8000_0011n : 0x11n,
    cr3: is64 ? LowPages.PML4 : 0n,
    cr4: is64 ? 0x20n : 0n,
    efer: is64 ? 0x500n : 0n,
    gdt: { base: LowPages.GDT, limit: gdtSize - 1 },
    idt: { base: 0n, limit: 0 },
    segments: flatSegments(is64 ? 64 : 32, CODE_SELECTOR, DATA_SELECTOR),
  };
}

/** A kernel unpacks itself behind where it is loaded. Throws ProgramError where the RAM ends before. */
function checkRoom({ segments, path }: Program, { initSize }: LinuxHeader, ramTop: bigint): void {
  const [kernel] = segments;
  if (kernel === undefined) return;
  const end = kernel.gpa + BigInt(Math.max(initSize, kernel.size));
  if (end <= ramTop) return;
  const needed = (end + 0xf_ffffn) >> 20n;
  throw new ProgramError(
    `${path} unpacks itself into memory up to ${needed}M, and the guest has ${ramTop >> 20n}M; give it more with --memory, 256M for example.`,
    path,
  );
}

import { type Program, ProgramError } from '../program.ts';

/** Offsets in a kernel image and in boot_params alike (Linux: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"). */
export const Header = {
  /** Where the header begins, and the byte that its length is counted from. */
  START: 0x1f1,
  JUMP_LENGTH: 0x201,
  SETUP_SECTORS: 0x1f1,
  MAGIC: 0x202,
  VERSION: 0x206,
  LOADER_TYPE: 0x210,
  LOAD_FLAGS: 0x211,
  CODE32_START: 0x214,
  INITRD: 0x218,
  INITRD_SIZE: 0x21c,
  COMMAND_LINE: 0x228,
  INITRD_LAST: 0x22c,
  XLOAD_FLAGS: 0x236,
  COMMAND_LINE_LONGEST: 0x238,
  PREFERRED_ADDRESS: 0x258,
  INIT_SIZE: 0x260,
} as const;

const MAGIC = 0x5372_6448;
/** The first version with xloadflags: Linux 3.8, of 2013. */
const OLDEST = 0x20c;
const LOADED_HIGH = 1;
const HAS_64_BIT_ENTRY = 1;
const SECTOR = 512;
/** The entry of 64-bit kernels, behind where the kernel is loaded ("64-bit BOOT PROTOCOL"). */
const ENTRY_64 = 0x200n;
const NO_SECTIONS: Program['sections'] = new Map();

/** What a kernel's header says that its loader must know. */
export interface LinuxHeader {
  /** The header's bytes as they go into boot_params, at {@link Header.START}. */
  readonly bytes: Uint8Array;
  /** The setup code before the protected-mode part, which firmware would run in real mode. */
  readonly setup: Uint8Array;
  /** Bytes that the kernel needs from where it is loaded on, until it reads the memory map. */
  readonly initSize: number;
  /** Last address that the initial RAM disk may have. */
  readonly initrdLast: number;
  /** Longest command line, without its NUL. */
  readonly commandLineLongest: number;
}

/** Whether a file is a Linux kernel with a setup header. */
export function isLinuxKernel(bytes: Uint8Array): boolean {
  return bytes.length > Header.MAGIC + 4 && viewOf(bytes).getUint32(Header.MAGIC, true) === MAGIC;
}

/** A compressed kernel (bzImage): its protected-mode part where it wants to lie. Throws ProgramError for one that can't be booted. */
export function linuxProgram(bytes: Uint8Array, path: string): Program {
  const refuse = (what: string, hint: string): never => {
    throw new ProgramError(`${path} is a Linux kernel ${what}; ${hint}.`, path);
  };
  if (bytes.length < 2 * SECTOR) refuse('that ends within its header', 'the file is cut off: copy it again');
  const view = viewOf(bytes);
  const version = view.getUint16(Header.VERSION, true);
  const text = `${version >> 8}.${(version & 0xff).toString().padStart(2, '0')}`;
  if (version < OLDEST)
    refuse(`with boot protocol ${text}`, 'Linux 3.8 and later have 2.12, which is the least that can be booted');
  if ((view.getUint8(Header.LOAD_FLAGS) & LOADED_HIGH) === 0)
    refuse('that is loaded below 640 KiB (a zImage)', 'build a bzImage of it');
  const setupSectors = view.getUint8(Header.SETUP_SECTORS) || 4;
  const start = (setupSectors + 1) * SECTOR;
  if (bytes.length <= start)
    refuse(`of ${bytes.length} bytes whose setup code alone has ${start}`, 'the file is cut off: copy it again');
  const end = Header.MAGIC + view.getUint8(Header.JUMP_LENGTH);
  const is64 = (view.getUint16(Header.XLOAD_FLAGS, true) & HAS_64_BIT_ENTRY) !== 0;
  const gpa = view.getBigUint64(Header.PREFERRED_ADDRESS, true);
  const content = bytes.subarray(start);
  return {
    kind: 'linux',
    path,
    protocol: 'linux',
    mode: is64 ? 64 : 32,
    entry: is64 ? gpa + ENTRY_64 : gpa,
    segments: [{ gpa, bytes: content, size: content.length }],
    symbols: [],
    sections: NO_SECTIONS,
    linux: {
      bytes: bytes.subarray(Header.START, end),
      setup: bytes.subarray(0, start),
      initSize: view.getUint32(Header.INIT_SIZE, true),
      initrdLast: view.getUint32(Header.INITRD_LAST, true),
      commandLineLongest: view.getUint32(Header.COMMAND_LINE_LONGEST, true),
    },
  };
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

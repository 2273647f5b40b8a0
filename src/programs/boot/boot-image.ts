import type { BootImage, EntryState } from '../boot-image.ts';
import type { LoadSegment, Program } from '../program.ts';
import { linuxImage } from './linux.ts';
import { identityMap, LowPages, segment, words } from './low-pages.ts';
import { multibootImage } from './multiboot.ts';
import { pvhImage } from './pvh.ts';
import { realModeImage } from './real-mode.ts';
import { flatSegments } from './segments.ts';

export interface BootOptions {
  /** First address after the RAM below 4 GiB. */
  readonly ramTop: bigint;
  /** Bytes of RAM from 4 GiB on. */
  readonly highMemory?: bigint;
  readonly commandLine?: string;
  readonly initrd?: Uint8Array;
  /** Where firmware left ACPI's root pointer. */
  readonly rootPointer?: bigint;
}

const GDT_ENTRIES = [0n, 0n, 0x00cf_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn, 0x00af_9b00_0000_ffffn];
const CODE_64_SELECTOR = 0x20;
const CODE_32_SELECTOR = 0x10;
const DATA_SELECTOR = 0x18;

/** Puts together what must be in memory and in the boot vCPU before the program's first instruction. */
export function bootImage(program: Program, options: BootOptions): BootImage {
  switch (program.protocol) {
    case 'pvh':
      return pvhImage(program, options);
    case 'multiboot1':
      return multibootImage(program, options);
    case 'boot-sector':
      return realModeImage(program, options);
    default:
      if (program.linux) return linuxImage(program, program.linux, options);
      if (program.mode === 16) return realModeImage(program, options);
      return program.mode === 32 ? flat32(program) : long64(program);
  }
}

const gdtSegment = (): LoadSegment => segment(LowPages.GDT, words(GDT_ENTRIES));
const gdtRegister = { base: LowPages.GDT, limit: GDT_ENTRIES.length * 8 - 1 };

function flat32(program: Program): BootImage {
  const entry: EntryState = {
    mode: 32,
    rip: program.entry,
    registers: { rsp: LowPages.STACK_TOP, rflags: 2n },
    cr0: 0x11n,
    cr3: 0n,
    cr4: 0n,
    efer: 0n,
    gdt: gdtRegister,
    idt: { base: 0n, limit: 0 },
    segments: flatSegments(32, CODE_32_SELECTOR, DATA_SELECTOR),
  };
  return { entry, segments: [gdtSegment(), ...program.segments] };
}

/** Long mode: 4 GiB mapped to themselves, an IDT whose handlers halt on a page with a name of its own. */
function long64(program: Program): BootImage {
  const gates: bigint[] = [];
  const stubs = new Uint8Array(256 * 16);
  for (let vector = 0; vector < 256; vector++) {
    const handler = LowPages.EXCEPTION_STUBS + BigInt(vector * 16);
    gates.push((handler & 0xffffn) | (BigInt(CODE_64_SELECTOR) << 16n) | (0x8en << 40n) | ((handler >> 16n) << 48n), 0n);
    // cli; again: hlt; jmp again
    stubs.set([0xfa, 0xf4, 0xeb, 0xfd], vector * 16);
  }
  const entry: EntryState = {
    mode: 64,
    rip: program.entry,
    registers: { rsp: LowPages.STACK_TOP, rflags: 2n },
    cr0: 0x8000_0011n,
    cr3: LowPages.PML4,
    cr4: 0x20n,
    efer: 0x500n,
    gdt: gdtRegister,
    idt: { base: LowPages.IDT, limit: 0xfff },
    segments: flatSegments(64, CODE_64_SELECTOR, DATA_SELECTOR),
  };
  return {
    entry,
    segments: [
      gdtSegment(),
      segment(LowPages.IDT, words(gates)),
      segment(LowPages.EXCEPTION_STUBS, stubs),
      ...identityMap(),
      ...program.segments,
    ],
  };
}

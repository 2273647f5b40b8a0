import type { BootImage } from '../boot-image.ts';
import { type LoadSegment, type Program, ProgramError } from '../program.ts';
import type { BootOptions } from './boot-image.ts';
import { LowMemory } from './low-memory.ts';
import { flatSegments } from './segments.ts';

/** Guest physical addresses of the start-of-day structures (Xen: docs/misc/pvh.pandoc, start_info.h), where the program leaves them free. */
const START_INFO = 0x6000n;
const MODULES = 0x6040n;
const MEMORY_MAP = 0x7000n;
const COMMAND_LINE = 0x2_0000n;
const MAGIC = 0x336e_c578;
const FOUR_GIB = 0x1_0000_0000n;
const E820_RAM = 1;
const E820_RESERVED = 2;

/** RAM as the guest is told of it: conventional memory, then from 1 MiB, then from 4 GiB. */
export function ramRanges(
  ramTop: bigint,
  highMemory = 0n,
): readonly { readonly start: bigint; readonly size: bigint; readonly type: number }[] {
  const low = ramTop < 0xa_0000n ? ramTop : 0xa_0000n;
  const ranges = [{ start: 0n, size: low, type: E820_RAM }];
  if (ramTop > 0x10_0000n) {
    ranges.push({ start: 0xa_0000n, size: 0x6_0000n, type: E820_RESERVED });
    ranges.push({ start: 0x10_0000n, size: ramTop - 0x10_0000n, type: E820_RAM });
  }
  if (highMemory > 0n) ranges.push({ start: FOUR_GIB, size: highMemory, type: E820_RAM });
  return ranges;
}

/** A NUL-terminated string for the guest. */
export function terminated(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** Where an initial RAM disk goes: page-aligned at the top of low RAM. Throws when there is no room above the program. */
export function placeInitrd(program: Program, initrd: Uint8Array, ramTop: bigint): LoadSegment {
  const gpa = (ramTop - BigInt(initrd.length)) & ~0xfffn;
  const end = program.segments.reduce(
    (last, { gpa: start, size }) => (start + BigInt(size) > last ? start + BigInt(size) : last),
    0n,
  );
  if (gpa < end)
    throw new ProgramError(
      `The initrd (${initrd.length} bytes) doesn't fit into RAM beside the program; give the guest more with --memory.`,
    );
  return { gpa, bytes: initrd, size: initrd.length };
}

/** PVH: 32-bit protected mode without paging, EBX points at the start info. */
export function pvhImage(program: Program, options: BootOptions): BootImage {
  const segments: LoadSegment[] = [...program.segments];
  const room = new LowMemory(program);
  const commandLine = room.segment(COMMAND_LINE, terminated(options.commandLine ?? ''));
  const ranges = ramRanges(options.ramTop, options.highMemory);
  const info = new DataView(new ArrayBuffer(56));
  info.setUint32(0, MAGIC, true);
  info.setUint32(4, 1, true);
  info.setUint32(12, options.initrd ? 1 : 0, true);
  info.setBigUint64(24, commandLine.gpa, true);
  info.setBigUint64(32, options.rootPointer ?? 0n, true);
  info.setUint32(48, ranges.length, true);
  if (options.initrd) {
    const place = placeInitrd(program, options.initrd, options.ramTop);
    const module = new DataView(new ArrayBuffer(32));
    module.setBigUint64(0, place.gpa, true);
    module.setBigUint64(8, BigInt(place.size), true);
    const modules = room.segment(MODULES, new Uint8Array(module.buffer));
    info.setBigUint64(16, modules.gpa, true);
    segments.push(place, modules);
  }
  const map = new DataView(new ArrayBuffer(ranges.length * 24));
  ranges.forEach(({ start, size, type }, index) => {
    map.setBigUint64(index * 24, start, true);
    map.setBigUint64(index * 24 + 8, size, true);
    map.setUint32(index * 24 + 16, type, true);
  });
  const memoryMap = room.segment(MEMORY_MAP, new Uint8Array(map.buffer));
  info.setBigUint64(40, memoryMap.gpa, true);
  const startInfo = room.segment(START_INFO, new Uint8Array(info.buffer));
  segments.push(startInfo, memoryMap, commandLine);
  return {
    segments,
    entry: {
      mode: 32,
      rip: program.entry,
      registers: { rbx: startInfo.gpa, rflags: 2n },
      cr0: 0x11n,
      cr3: 0n,
      cr4: 0n,
      efer: 0n,
      gdt: { base: 0n, limit: 0 },
      idt: { base: 0n, limit: 0 },
      segments: flatSegments(32, 0, 0),
    },
  };
}

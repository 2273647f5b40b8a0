import type { BootImage } from '../boot-image.ts';
import type { LoadSegment, Program } from '../program.ts';
import type { BootOptions } from './boot-image.ts';
import { LowMemory } from './low-memory.ts';
import { placeInitrd, ramRanges, terminated } from './pvh.ts';
import { flatSegments } from './segments.ts';

/** Guest physical addresses of the information structures (Multiboot Specification 0.6.96, 3.3), where the program leaves them free. */
const INFO = 0x9500n;
const MODULES = 0x9600n;
const MEMORY_MAP = 0x9700n;
const COMMAND_LINE = 0x2_0000n;
const LOADER_MAGIC = 0x2bad_b002n;
const HAS_MEMORY = 1;
const HAS_COMMAND_LINE = 4;
const HAS_MODULES = 8;
const HAS_MEMORY_MAP = 0x40;

/** Multiboot 1: 32-bit protected mode without paging, EAX has the magic number, EBX points at the information. */
export function multibootImage(program: Program, options: BootOptions): BootImage {
  const segments: LoadSegment[] = [...program.segments];
  const room = new LowMemory(program);
  const info = new DataView(new ArrayBuffer(116));
  let flags = HAS_MEMORY | HAS_COMMAND_LINE | HAS_MEMORY_MAP;
  const upper = options.ramTop > 0x10_0000n ? (options.ramTop - 0x10_0000n) / 1024n : 0n;
  info.setUint32(4, Number(options.ramTop < 0xa_0000n ? options.ramTop / 1024n : 640n), true);
  info.setUint32(8, Number(upper), true);
  const commandLine = room.segment(COMMAND_LINE, terminated([program.path, options.commandLine].filter(Boolean).join(' ')));
  info.setUint32(16, Number(commandLine.gpa), true);
  if (options.initrd) {
    const place = placeInitrd(program, options.initrd, options.ramTop);
    const module = new DataView(new ArrayBuffer(16));
    module.setUint32(0, Number(place.gpa), true);
    module.setUint32(4, Number(place.gpa) + place.size, true);
    flags |= HAS_MODULES;
    const modules = room.segment(MODULES, new Uint8Array(module.buffer));
    info.setUint32(20, 1, true);
    info.setUint32(24, Number(modules.gpa), true);
    segments.push(place, modules);
  }
  const ranges = ramRanges(options.ramTop, options.highMemory);
  const map = new DataView(new ArrayBuffer(ranges.length * 24));
  ranges.forEach(({ start, size, type }, index) => {
    map.setUint32(index * 24, 20, true);
    map.setBigUint64(index * 24 + 4, start, true);
    map.setBigUint64(index * 24 + 12, size, true);
    map.setUint32(index * 24 + 20, type, true);
  });
  const memoryMap = room.segment(MEMORY_MAP, new Uint8Array(map.buffer));
  info.setUint32(0, flags, true);
  info.setUint32(44, map.byteLength, true);
  info.setUint32(48, Number(memoryMap.gpa), true);
  const information = room.segment(INFO, new Uint8Array(info.buffer));
  segments.push(information, memoryMap, commandLine);
  return {
    segments,
    entry: {
      mode: 32,
      rip: program.entry,
      registers: { rax: LOADER_MAGIC, rbx: information.gpa, rflags: 2n },
      cr0: 0x11n,
      cr3: 0n,
      cr4: 0n,
      efer: 0n,
      gdt: { base: 0n, limit: 0 },
      idt: { base: 0n, limit: 0 },
      segments: flatSegments(32, 0x10, 0x18),
    },
  };
}

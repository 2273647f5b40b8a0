import type { BootImage } from '../boot-image.ts';
import type { LoadSegment, Program } from '../program.ts';
import type { BootOptions } from './boot-image.ts';
import { realModeSegments } from './segments.ts';

/** Where the stand-ins for BIOS services lie, and the BIOS data area. */
const BIOS_SEGMENT = 0xf000;
const IRET_OFFSET = 0xe000;
const INT10_OFFSET = 0xe010;
const IRQ_OFFSET = 0xe040;
const IRQ2_OFFSET = 0xe050;
const BIOS_DATA_AREA = 0x400n;

const INT_VIDEO = 0x10;
const FIRST_IRQ = 0x08;
const SECOND_IRQ = 0x70;

/** INT 10h: function 0Eh writes AL to COM1; all others do nothing. */
const INT10 = [
  // cmp ah, 0eh; jne done; push dx
  0x80, 0xfc, 0x0e, 0x75, 0x06, 0x52,
  // mov dx, 3f8h; out dx, al; pop dx
  0xba, 0xf8, 0x03, 0xee, 0x5a,
  // done: iret
  0xcf,
];
/** Hardware interrupts: end of interrupt to the controllers. */
const IRQ = [0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf];
const IRQ2 = [0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf];

function interruptTable(): Uint8Array {
  const table = new Uint8Array(0x400);
  const view = new DataView(table.buffer);
  for (let vector = 0; vector < 256; vector++) {
    let offset = IRET_OFFSET;
    if (vector === INT_VIDEO) offset = INT10_OFFSET;
    else if (vector >= FIRST_IRQ && vector < FIRST_IRQ + 8) offset = IRQ_OFFSET;
    else if (vector >= SECOND_IRQ && vector < SECOND_IRQ + 8) offset = IRQ2_OFFSET;
    view.setUint16(vector * 4, offset, true);
    view.setUint16(vector * 4 + 2, BIOS_SEGMENT, true);
  }
  return table;
}

function at(offset: number, bytes: readonly number[]): LoadSegment {
  return { gpa: BigInt(BIOS_SEGMENT * 16 + offset), bytes: Uint8Array.from(bytes), size: bytes.length };
}

/** Real mode as a PC's firmware leaves it: interrupt table, BIOS data area, CS:IP 0000:entry, DL 80h, interrupts on. */
export function realModeImage(program: Program, options: BootOptions): BootImage {
  const data = new Uint8Array(0x100);
  const view = new DataView(data.buffer);
  view.setUint16(0x00, 0x3f8, true); // COM1
  view.setUint16(0x13, Number(options.ramTop < 0xa_0000n ? options.ramTop / 1024n : 640n), true);
  view.setUint8(0x49, 3); // text mode
  view.setUint16(0x4a, 80, true);
  const segments = [
    { gpa: 0n, bytes: interruptTable(), size: 0x400 },
    { gpa: BIOS_DATA_AREA, bytes: data, size: data.length },
    // Guests with less RAM than 1 MiB have no room for the services.
    ...(options.ramTop >= 0x10_0000n
      ? [at(IRET_OFFSET, [0xcf]), at(INT10_OFFSET, INT10), at(IRQ_OFFSET, IRQ), at(IRQ2_OFFSET, IRQ2)]
      : []),
    ...program.segments,
  ];
  // Code beyond the first 64 KiB is entered with a segment of its own.
  const selector = program.entry > 0xffffn ? Number((program.entry >> 4n) & 0xf000n) : 0;
  const base = BigInt(selector) * 16n;
  return {
    segments,
    entry: {
      mode: 16,
      rip: program.entry - base,
      registers: { rdx: 0x80n, rsp: 0x7c00n, rflags: 0x202n },
      cr0: 0x10n,
      cr3: 0n,
      cr4: 0n,
      efer: 0n,
      gdt: { base: 0n, limit: 0xffff },
      idt: { base: 0n, limit: 0x3ff },
      segments: realModeSegments(selector, base),
    },
  };
}

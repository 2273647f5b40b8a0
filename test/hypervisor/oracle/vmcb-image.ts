import { toSvmEvent } from '../../../src/hypervisor/events/event-fields.ts';
import { SVM_OFFSETS } from '../../../src/hypervisor/intercepts/places.ts';
import type { InterceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import { toVmcb } from '../../../src/hypervisor/intercepts/vmcb-controls.ts';
import type { Processor } from '../../../src/processor/processor.ts';
import * as L from '../../../src/processor/state/layout.ts';

const SAVE = 0x400;
/** Offsets of segments in the save area, by their numbers in the state: ES CS SS DS FS GS LDTR TR. */
const SEGMENTS = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x70, 0x90] as const;

/** Where the hypervisor of svm-oracle.asm keeps the permission maps. */
const IOPM = 0x50_4000n;
const MSRPM = 0x50_7000n;

/** The page of a VMCB for a vCPU as it stands, and for settings; `eventInj` as the field has it. */
export function vmcbImage(
  { state, injected, virtualTpr }: Processor,
  settings: InterceptSettings,
  eventInj: bigint = toSvmEvent(injected),
): Uint8Array {
  const page = new DataView(new ArrayBuffer(0x1000));
  const put16 = (at: number, value: number) => page.setUint16(at, value, true);
  const put32 = (at: number, value: number) => page.setUint32(at, value >>> 0, true);
  const put64 = (at: number, value: bigint) => page.setBigUint64(at, BigInt.asUintN(64, value), true);
  const controls = toVmcb(settings);
  for (const offset of SVM_OFFSETS) put32(offset, controls.words[offset]);
  put16(0x3c, controls.pauseFilterThreshold);
  put16(0x3e, controls.pauseFilterCount);
  put64(0x40, IOPM);
  put64(0x48, MSRPM);
  put32(0x58, 1);
  put32(0x60, controls.words[0x60] | virtualTpr);
  put32(0x64, controls.interruptVector);
  put64(0x68, state.get32(L.INTERRUPTIBILITY) & 3 ? 1n : 0n);
  put64(0xa8, eventInj);
  for (const [index, offset] of SEGMENTS.entries()) {
    const { selector, rights, limit, base } = state.segment(index);
    put16(SAVE + offset, selector);
    put16(SAVE + offset + 2, (rights & 0xff) | ((rights >> 4) & 0xf00));
    put32(SAVE + offset + 4, limit);
    put64(SAVE + offset + 8, base);
  }
  const table = (offset: number, limit: number, base: bigint) => {
    put32(SAVE + offset + 4, limit);
    put64(SAVE + offset + 8, base);
  };
  table(0x60, state.get32(L.GDTR_LIMIT), state.get64(L.GDTR_BASE));
  table(0x80, state.get32(L.IDTR_LIMIT), state.get64(L.IDTR_BASE));
  page.setUint8(SAVE + 0xcb, state.cpl);
  const registers: readonly (readonly [number, bigint])[] = [
    // EFER.SVME must be set in every guest.
    [0xd0, state.efer | 0x1000n],
    [0x148, state.cr4],
    [0x150, state.cr3],
    [0x158, state.cr0],
    [0x160, state.get64(L.DR + 7 * 8)],
    [0x168, state.get64(L.DR + 6 * 8)],
    [0x170, BigInt(state.rflags)],
    [0x178, state.rip],
    [0x1d8, state.gpr(4)],
    [0x1f8, state.gpr(0)],
    [0x240, state.get64(L.CR2)],
    [0x268, state.get64(L.MSR_PAT)],
  ];
  for (const [offset, value] of registers) put64(SAVE + offset, value);
  return new Uint8Array(page.buffer);
}

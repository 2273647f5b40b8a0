import type { CpuModel } from '../models/cpu-model.ts';
import type { CpuState, SegmentValue } from './cpu-state.ts';
import * as L from './layout.ts';

const DATA: SegmentValue = { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 };

/** Power-on state (Intel SDM vol. 3, table 10-1): real mode at F000:FFF0 with the base of CS at FFFF0000. */
export function resetState(state: CpuState, model: CpuModel, index: number): void {
  for (let offset = 0; offset < L.ENGINE_END; offset += 8) state.set64(offset, 0n);
  for (let offset = L.FPU; offset < L.FPU_ARCHITECTURAL_END; offset += 8) state.set64(offset, 0n);
  state.rflags = 2;
  state.rip = 0xfff0n;
  state.setGpr(2, BigInt(model.cpuid(1, 0).eax >>> 0));
  for (const segment of [L.Segment.ES, L.Segment.SS, L.Segment.DS, L.Segment.FS, L.Segment.GS]) state.setSegment(segment, DATA);
  state.setSegment(L.Segment.CS, { selector: 0xf000, base: 0xffff_0000n, limit: 0xffff, rights: 0x93 });
  state.setSegment(L.Segment.LDTR, { ...DATA, rights: 0x82 });
  state.setSegment(L.Segment.TR, { ...DATA, rights: 0x8b });
  state.set32(L.GDTR_LIMIT, 0xffff);
  state.set32(L.IDTR_LIMIT, 0xffff);
  state.set64(L.CR0, 0x6000_0010n);
  state.set64(L.DR + 6 * 8, 0xffff_0ff0n);
  state.set64(L.DR + 7 * 8, 0x400n);
  state.set64(L.XCR0, 1n);
  state.set64(L.RANDOM, BigInt(index));
  // Power-up leaves +0 in all x87 registers, none of them empty.
  state.set32(L.X87_CONTROL, 0x40);
  state.set32(L.X87_TAGS, 0xff);
  state.set32(L.MXCSR, 0x1f80);
  state.set64(L.MSR_PAT, 0x0007_0406_0007_0406n);
  state.set64(L.MSR_APIC_BASE, 0xfee0_0800n | (index === 0 ? 0x100n : 0n));
  // Fast strings; no branch trace store, no PEBS.
  state.set64(L.MSR_MISC_ENABLE, 0x1801n);
}

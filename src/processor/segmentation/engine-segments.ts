import * as O from '../interpreter/operation.ts';
import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import { segmentEnds } from './access.ts';

/** Keeps what generated code needs of segments, their bases and ends, as their registers are. */
export class EngineSegments {
  /** Limits and rights that the ends were made from; rights have no bit 31. */
  private readonly taken = new Uint32Array(12);

  constructor(private readonly state: CpuState) {
    this.forget();
  }

  /** Must be called when the slots may have been overwritten. */
  forget(): void {
    this.taken.fill(0xffff_ffff);
  }

  /** Takes over the segments in 64-bit mode: only FS and GS have bases, and none has a limit. */
  takeLong(): void {
    for (let segment = L.Segment.ES; segment < L.Segment.FS; segment++) {
      this.state.set32(O.ENGINE_BASES + segment * 8, 0);
      this.state.set32(O.ENGINE_BASES + segment * 8 + 4, 0);
    }
    this.takeBase(L.Segment.FS);
    this.takeBase(L.Segment.GS);
  }

  /** Takes over the segments in other modes. */
  take(): void {
    const { state, taken } = this;
    for (let segment = L.Segment.ES; segment <= L.Segment.GS; segment++) {
      this.takeBase(segment);
      const at = L.SEGMENTS + segment * L.SEGMENT_SIZE;
      const limit = state.get32(at + L.SEG_LIMIT);
      const rights = state.get32(at + L.SEG_RIGHTS);
      if (taken[segment * 2] === limit && taken[segment * 2 + 1] === rights) continue;
      taken[segment * 2] = limit;
      taken[segment * 2 + 1] = rights;
      const { read, write } = segmentEnds({ limit, rights });
      state.set64(O.ENGINE_SEGMENT_ENDS + segment * 16, read);
      state.set64(O.ENGINE_SEGMENT_ENDS + segment * 16 + 8, write);
    }
  }

  private takeBase(segment: number): void {
    const { state } = this;
    const from = L.SEGMENTS + segment * L.SEGMENT_SIZE + L.SEG_BASE;
    state.set32(O.ENGINE_BASES + segment * 8, state.get32(from));
    state.set32(O.ENGINE_BASES + segment * 8 + 4, state.get32(from + 4));
  }
}

import { type Gate, parseGate } from '../../processor/events/gate.ts';
import type { Processor } from '../../processor/processor.ts';
import { parseDescriptor } from '../../processor/segmentation/descriptor.ts';
import * as L from '../../processor/state/layout.ts';

/** A vector of the guest's interrupt table, and where it leads. */
export interface InterruptEntry {
  readonly vector: number;
  /** Undefined in real mode, whose table has plain far pointers. */
  readonly gate?: Gate;
  readonly selector: number;
  readonly offset: bigint;
  /** Linear address of the handler; undefined for a task gate or a code segment that can't be read. */
  readonly target?: bigint;
}

const LMA = 1n << 10n;
const VECTORS = 256;

export function isRealMode(processor: Processor): boolean {
  return (processor.state.cr0 & 1n) === 0n;
}

function codeBase(processor: Processor, selector: number): bigint | undefined {
  const { state } = processor;
  const table = selector & 4 ? state.segment(L.Segment.LDTR).base : state.get64(L.GDTR_BASE);
  const bytes = processor.readMemory('gva', table + BigInt(selector & 0xfff8), 8);
  if (bytes.length < 8) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  return parseDescriptor(view.getUint32(0, true), view.getUint32(4, true), selector, table).base;
}

/** Reads the guest's interrupt vectors, or some of them, without side effects. Absent gates are left out. */
export function interruptEntries(processor: Processor, vectors?: readonly number[]): InterruptEntry[] {
  const { state } = processor;
  const real = isRealMode(processor);
  const long = (state.efer & LMA) !== 0n;
  const size = real ? 4 : long ? 16 : 8;
  const length = Math.min(state.get32(L.IDTR_LIMIT) + 1, VECTORS * size);
  const bytes = processor.readMemory('gva', state.get64(L.IDTR_BASE), length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bases = new Map<number, bigint | undefined>();
  const entries: InterruptEntry[] = [];
  for (const vector of vectors ?? Array.from({ length: VECTORS }, (_, index) => index)) {
    const at = vector * size;
    if (at + size > view.byteLength) continue;
    if (real) {
      const selector = view.getUint16(at + 2, true);
      const offset = BigInt(view.getUint16(at, true));
      entries.push({ vector, selector, offset, target: BigInt(selector << 4) + offset });
      continue;
    }
    const gate = parseGate(view.getUint32(at, true), view.getUint32(at + 4, true), long ? view.getUint32(at + 8, true) : 0, long);
    if (!gate?.present) continue;
    const { selector, offset } = gate;
    if (gate.kind !== 'task' && !long && !bases.has(selector)) bases.set(selector, codeBase(processor, selector));
    const base = long ? 0n : bases.get(selector);
    entries.push({ vector, gate, selector, offset, target: base === undefined ? undefined : base + offset });
  }
  return entries;
}

/** Linear addresses of the handlers of some vectors, or of all. */
export function interruptTargets(processor: Processor, vectors?: readonly number[]): bigint[] {
  return interruptEntries(processor, vectors)
    .map(({ target }) => target)
    .filter((target) => target !== undefined);
}

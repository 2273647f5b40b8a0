import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { Component, LEGACY_SIZE, layoutOf } from '../models/state-components.ts';
import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from '../system/context.ts';
import { readEdxEax, requireCpl0 } from '../system/operands.ts';
import { initialize } from '../x87/control.ts';
import { reachable } from './fxsave.ts';
import { GuestArea } from './guest-area.ts';
import { componentsInUse } from './in-use.ts';
import {
  INITIAL_MXCSR,
  MXCSR_RANGE,
  mxcsrOf,
  putUpper,
  putX87,
  putXmm,
  takeMxcsr,
  takeUpper,
  takeX87,
  takeXmm,
  X87_RANGES,
  xmmRange,
} from './legacy-image.ts';

/** XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR and XRSTORS (Intel SDM vol. 1, 13.7 to 13.12). CR4.OSXSAVE and CR0.TS were looked at by the decoder. */

/** In the header: the components that are there, and those that the compacted format has a place for. */
const PRESENT = LEGACY_SIZE;
const PLACES = LEGACY_SIZE + 8;
const COMPACTED = 1n << 63n;
const REX_W = 8;

/** Components that EDX:EAX and XCR0 name. */
function requestedComponents(context: SystemContext): number {
  return Number(readEdxEax(context) & context.state.get64(L.XCR0));
}

type Kind = 'plain' | 'optimized' | 'compacted';

const save =
  (kind: Kind): SystemHelper =>
  (context, instruction) => {
    const area = new GuestArea(context, instruction, 64);
    const { state, model } = context;
    const requested = requestedComponents(context);
    const { offsets, end } = layoutOf(model.vendor, requested, kind === 'compacted');
    // The standard format has MXCSR in any case; in the compacted one it takes SSE along.
    const special = kind === 'compacted' && state.get32(L.MXCSR) !== INITIAL_MXCSR ? Component.SSE : 0;
    const present = requested & (componentsInUse(context) | special);
    const saved = kind === 'plain' ? requested : present;
    const image = new DataView(new ArrayBuffer(end));
    const ranges: (readonly [number, number])[] = [];
    area.requireWritable(end);
    if (saved & Component.X87) {
      takeX87(state, image, (instruction.rex & REX_W) !== 0);
      ranges.push(...X87_RANGES);
    }
    // MXCSR goes with SSE in the compacted format, with SSE or AVX in the standard one.
    if (kind === 'compacted' ? saved & Component.SSE : requested & (Component.SSE | Component.AVX)) {
      takeMxcsr(state, image);
      ranges.push(MXCSR_RANGE);
    }
    const count = reachable(context);
    if (saved & Component.SSE) {
      takeXmm(state, image, count);
      ranges.push(xmmRange(count));
    }
    const upper = offsets.get(Component.AVX);
    if (upper !== undefined && saved & Component.AVX) {
      takeUpper(state, image, upper, count);
      ranges.push([upper, upper + count * 16]);
    }
    const keys = offsets.get(Component.PKRU);
    if (keys !== undefined && saved & Component.PKRU) {
      image.setUint32(keys, state.get32(L.PKRU), true);
      ranges.push([keys, keys + 8]);
    }
    const others = kind === 'compacted' ? 0n : area.read64(PRESENT) & ~BigInt(requested);
    for (const [from, to] of ranges) area.store(image, from, to);
    area.write64(PRESENT, others | BigInt(present));
    if (kind === 'compacted') area.write64(PLACES, BigInt(requested) | COMPACTED);
    return 'next';
  };

interface Header {
  readonly present: number;
  readonly compacted: boolean;
  /** Components that have a place. */
  readonly places: number;
}

/** Reads the header. Throws #GP for what it must not have, which for XRSTORS is any but the compacted format. */
function readHeader(context: SystemContext, area: GuestArea, mustBeCompacted: boolean): Header {
  const present = area.read64(PRESENT);
  const places = area.read64(PLACES);
  const enabled = context.state.get64(L.XCR0);
  const compacted = (places & COMPACTED) !== 0n && (context.model.has('xsavec') || context.model.has('xsaves'));
  if (mustBeCompacted && !compacted) throw new GuestFault(Vector.GP, 0);
  // The standard format looks at 16 reserved bytes, the compacted one at all of them.
  let reserved = compacted ? 0n : places;
  for (let offset = 16; offset < (compacted ? 64 : 24); offset += 8) reserved |= area.read64(PRESENT + offset);
  const allowed = compacted ? places & ~COMPACTED : enabled;
  if (reserved !== 0n || (present & ~allowed) !== 0n || (allowed & ~enabled) !== 0n) throw new GuestFault(Vector.GP, 0);
  return { present: Number(present), compacted, places: Number(allowed) };
}

function initializeX87(context: SystemContext): void {
  initialize(context);
  clear(context.state, L.X87_REGISTERS, 8 * L.X87_REGISTER_SIZE);
}

function clear(state: CpuState, from: number, length: number): void {
  for (let at = from; at < from + length; at += 8) state.set64(at, 0n);
}

const restore =
  (mustBeCompacted: boolean): SystemHelper =>
  (context, instruction) => {
    const area = new GuestArea(context, instruction, 64);
    const { state, model } = context;
    const requested = requestedComponents(context);
    const { present, compacted, places } = readHeader(context, area, mustBeCompacted);
    const loaded = requested & present;
    const { offsets, end } = layoutOf(model.vendor, places, compacted);
    const image = new DataView(new ArrayBuffer(end));
    const count = reachable(context);
    // All is read and checked before anything changes.
    const loadsMxcsr = (compacted ? loaded & Component.SSE : requested & (Component.SSE | Component.AVX)) !== 0;
    if (loaded & Component.X87) for (const [from, to] of X87_RANGES) area.load(image, from, to);
    if (loadsMxcsr) area.load(image, ...MXCSR_RANGE);
    if (loaded & Component.SSE) area.load(image, ...xmmRange(count));
    const upper = offsets.get(Component.AVX) ?? 0;
    if (loaded & Component.AVX) area.load(image, upper, upper + count * 16);
    const keys = offsets.get(Component.PKRU) ?? 0;
    if (loaded & Component.PKRU) area.load(image, keys, keys + 8);
    const mxcsr = loadsMxcsr ? mxcsrOf(image) : INITIAL_MXCSR;
    if (mxcsr === undefined) throw new GuestFault(Vector.GP, 0);

    if (loaded & Component.X87) putX87(context, image, (instruction.rex & REX_W) !== 0);
    else if (requested & Component.X87) initializeX87(context);
    if (loadsMxcsr || requested & Component.SSE) state.set32(L.MXCSR, mxcsr);
    // What isn't loaded is zero in the image.
    if (requested & Component.SSE) putXmm(state, image, count);
    if (loaded & Component.AVX) putUpper(state, image, upper, count);
    else if (requested & Component.AVX) clearUpper(state, count);
    if (requested & Component.PKRU) {
      state.set32(L.PKRU, loaded & Component.PKRU ? image.getUint32(keys, true) : 0);
      context.flushTlb(true);
    }
    return 'next';
  };

function clearUpper(state: CpuState, count: number): void {
  for (let index = 0; index < count; index++) clear(state, L.VECTORS + index * L.VECTOR_SIZE + 16, 16);
}

const supervisor =
  (helper: SystemHelper): SystemHelper =>
  (context, instruction) => {
    requireCpl0(context);
    return helper(context, instruction);
  };

export const extendedStateHelpers: Readonly<Record<string, SystemHelper>> = {
  xsave: save('plain'),
  xsaveopt: save('optimized'),
  xsavec: save('compacted'),
  xsaves: supervisor(save('compacted')),
  xrstor: restore(false),
  xrstors: supervisor(restore(true)),
};

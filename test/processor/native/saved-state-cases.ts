import type { Random } from '../../support/random.ts';
import { AREA, CODE, DATA, Request } from './record.ts';
import type { VectorState } from './vector-state.ts';
import { fillVectorState } from './vector-values.ts';

/** Instructions with [RBX], without REX and with REX.W. */
const OPCODES = {
  fxsave: [0x0f, 0xae, 0x03],
  fxrstor: [0x0f, 0xae, 0x0b],
  xsave: [0x0f, 0xae, 0x23],
  xrstor: [0x0f, 0xae, 0x2b],
  xsaveopt: [0x0f, 0xae, 0x33],
  xsavec: [0x0f, 0xc7, 0x23],
} as const;
export type SavingInstruction = keyof typeof OPCODES;
export const SAVING_INSTRUCTIONS = Object.keys(OPCODES) as readonly SavingInstruction[];

const RAX = 0;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const X87 = 1;
const SSE = 2;
const AVX = 4;

/** Puts components into their initial configuration. */
function initialize(vectors: VectorState, components: number): void {
  vectors.initial = components;
  if (components & X87) {
    for (let register = 0; register < 8; register++) vectors.x87(register).fill(0);
    vectors.control = 0x37f;
    vectors.status = vectors.tags = vectors.opcode = 0;
    vectors.ip = vectors.dp = 0n;
  }
  for (let register = 0; register < 16; register++) {
    if (components & SSE) vectors.part(register, 0).fill(0);
    if (components & AVX) vectors.part(register, 1).fill(0);
  }
}

/** An image to restore, mostly a good one. */
function fillImage(area: Uint8Array, random: Random, compacted: boolean): void {
  const view = new DataView(area.buffer, area.byteOffset, area.length);
  view.setUint16(0, random.chance(0.5) ? 0x37f : random.below(0x10000), true);
  view.setUint32(24, random.chance(0.9) ? random.below(0x10000) : random.next() & 0xfffd_ffff, true);
  area.fill(0, 512, 576);
  view.setUint8(512, random.below(8));
  if (compacted) {
    view.setUint8(520, random.chance(0.8) ? view.getUint8(512) | random.below(8) : random.below(8));
    view.setUint8(527, 0x80);
  }
  // Headers that are none: reserved bytes, and components that no processor has.
  if (random.chance(0.15)) view.setUint8(512 + random.pick([3, 7, 8, 12, 15, 16, 20, 23, 24, 40, 63]), random.below(256) & 0x1f);
}

/** Makes a random case of an instruction that saves or restores state. */
export function makeSavingCase(name: SavingInstruction, random: Random, bytes: Uint8Array, bits: 32 | 64): Request {
  const request = new Request(bytes);
  request.clear();
  const { vectors, area } = request;
  if (!vectors || !area) throw new Error('the record has no room for the state');
  request.bits = bits;
  for (let index = 0; index < (bits === 64 ? 16 : 8); index++) request.gpr[index] = random.value() & 0xffff_ffffn;
  request.gpr[RSP] = DATA + 0x1000n;
  // Components that the host has and the emulated processor lacks are not asked for.
  const high = random.chance(0.2) ? random.next() & 0xffff_fd18 : 0;
  request.gpr[RAX] = BigInt(((random.chance(0.4) ? 7 : random.below(8)) | high) >>> 0);
  request.gpr[RDX] = random.chance(0.8) ? 0n : BigInt(random.next() & 0x7fff_ffff);
  const misplaced = random.chance(0.1) ? random.pick([1, 8, 16, 32, 48]) : 0;
  const place = random.below(20);
  // Where FXSAVE and FXRSTOR touch a page first that they may not is up to each processor.
  const offset = place === 0 ? 0x1f00 : place === 1 && name.startsWith('x') ? 0x2e00 : place === 2 ? 0x1e80 : AREA;
  request.gpr[RBX] = DATA + BigInt(offset + misplaced);
  fillVectorState(vectors, random);
  vectors.opcode = random.below(0x800);
  // What isn't canonical is made so by some processors.
  vectors.ip = BigInt.asUintN(64, BigInt.asIntN(48, random.u64()));
  vectors.dp = BigInt.asUintN(64, BigInt.asIntN(48, random.u64()));
  if (random.chance(0.4)) initialize(vectors, random.below(8));
  if (random.chance(0.4)) vectors.mxcsr = 0x1f80;
  area.set(random.bytes(area.length));
  if (name.includes('rstor')) fillImage(area, random, name === 'xrstor' && random.chance(0.5));
  // Saves look at what the header had.
  else view64(area).setBigUint64(512, BigInt(random.below(8)), true);
  request.rflags = 0x202;
  request.rip = CODE + 0x800n;
  request.code = [...(bits === 64 && random.chance(0.5) ? [0x48] : []), ...OPCODES[name]];
  return request;
}

/**
 * Where images may differ: AMD's processors forget opcode and pointers when no exception is pending, and MXCSR_MASK has a bit more on
 * some.
 */
export function forgiveImage(request: Request, real: Uint8Array, emulated: Uint8Array): void {
  const start = Number(request.register(RBX) - DATA);
  const take = (from: number, to: number): void => real.set(emulated.subarray(start + from, start + to), start + from);
  if (start + 32 > real.length) return;
  if (real.subarray(start + 6, start + 24).every((byte) => byte === 0)) take(6, 24);
  if (real[start + 28] === 0xff && real[start + 29] === 0xff) take(30, 32);
}

function view64(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

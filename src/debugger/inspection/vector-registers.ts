import type { Processor } from '../../processor/processor.ts';
import * as L from '../../processor/state/layout.ts';
import { formatFloat } from '../../symbols/values/float.ts';
import { hex } from '../../x86/address.ts';
import { describeControls } from './fpu-registers.ts';
import type { NamedRegister } from './registers.ts';

/** XMM0–XMM15, YMM0–YMM15 and MXCSR. */

/** Bits of MXCSR that can be set. */
const MXCSR_MASK = 0xffff;

/** Bits of the state from a place on, as one number. */
function bitsAt({ state }: Processor, name: string, at: number, bits: number): NamedRegister {
  return {
    name,
    bits,
    get: () => {
      let value = 0n;
      for (let word = 0; word < bits / 64; word++) value |= state.get64(at + word * 8) << BigInt(word * 64);
      return value;
    },
    set: (value) => {
      for (let word = 0; word < bits / 64; word++) state.set64(at + word * 8, BigInt.asUintN(64, value >> BigInt(word * 64)));
    },
  };
}

function mxcsr({ state }: Processor): NamedRegister {
  const get = () => state.get32(L.MXCSR);
  return {
    name: 'mxcsr',
    bits: 32,
    get: () => BigInt(get()),
    set: (value) => state.set32(L.MXCSR, Number(value) & MXCSR_MASK),
    note: () => {
      const value = get();
      const set = describeControls({ rounding: (value >> 13) & 3, masks: (value >> 7) & 0x3f, flags: value & 0x3f });
      return [set, value & 0x40 ? 'DAZ' : '', value & 0x8000 ? 'FTZ' : ''].filter((part) => part !== '').join(', ');
    },
  };
}

/** A register of SSE or AVX by its name in lower case. */
export function vectorRegister(processor: Processor, name: string): NamedRegister | undefined {
  if (name === 'mxcsr') return mxcsr(processor);
  const [, kind, number = ''] = /^([xy])mm(\d|1[0-5])$/.exec(name) ?? [];
  if (kind === undefined) return undefined;
  return bitsAt(processor, name, L.VECTORS + Number(number) * L.VECTOR_SIZE, kind === 'x' ? 128 : 256);
}

/** Names of the vector registers that the code's mode has, in the width that the processor has. */
export function vectorNames({ mode, model }: Processor): string[] {
  if (!model.has('sse')) return [];
  const kind = model.has('avx') ? 'ymm' : 'xmm';
  return [...Array.from({ length: mode === 64 ? 16 : 8 }, (_, index) => `${kind}${index}`), 'mxcsr'];
}

/** Ways to take a vector apart. */
export const LANES = ['f64', 'f32', 'u64', 'u32', 'u16', 'u8'] as const;
export type LaneKind = (typeof LANES)[number];

/** One lane of a vector, with its number as text. */
export interface Lane {
  readonly text: string;
  set(value: bigint): void;
  /** The bits of a lane of floating point for a decimal number. */
  parse?(text: string): bigint | undefined;
}

function floatBits(text: string, bytes: number): bigint | undefined {
  const number = /^[-+]?(inf|nan)$/i.test(text.trim())
    ? Number(text.trim().replace(/inf/i, 'Infinity').replace(/nan/i, 'NaN'))
    : /^[-+]?(?=\.?\d)\d*\.?\d*(e[-+]?\d+)?$/i.test(text.trim())
      ? Number(text)
      : undefined;
  if (number === undefined) return undefined;
  const view = new DataView(new ArrayBuffer(8));
  if (bytes === 4) view.setFloat32(0, number, true);
  else view.setFloat64(0, number, true);
  return view.getBigUint64(0, true);
}

/** The lanes of a vector register, the lowest first. */
export function lanesOf(register: NamedRegister, kind: LaneKind): Lane[] {
  const isFloat = kind.startsWith('f');
  const bits = BigInt(kind.slice(1));
  const mask = (1n << bits) - 1n;
  const bytes = Number(bits) / 8;
  const whole = register.get();
  return Array.from({ length: register.bits / Number(bits) }, (_, index): Lane => {
    const shift = BigInt(index) * bits;
    const value = (whole >> shift) & mask;
    return {
      text: isFloat
        ? formatFloat(Uint8Array.from({ length: bytes }, (_, byte) => Number((value >> BigInt(byte * 8)) & 0xffn)))
        : hex(value, bytes * 2),
      set: (next) => register.set((register.get() & ~(mask << shift)) | ((next & mask) << shift)),
      parse: isFloat ? (text) => floatBits(text, bytes) : undefined,
    };
  });
}

import type { Assist, AssistFrame } from './assist-frame.ts';

/** The least of eight words, and the first place that has it. */
const leastWord: Assist = (frame) => {
  let place = 0;
  for (let lane = 1; lane < 8; lane++) if (frame.u16(0, lane) < frame.u16(0, place)) place = lane;
  const least = frame.u16(0, place);
  frame.clear();
  frame.set16(0, least);
  frame.set16(1, place);
};

/** Eight sums of four absolute differences: a block of the second source against each of eight of the first (Intel SDM vol. 2B, MPSADBW). */
const shiftedDifferences: Assist = (frame, immediate) => {
  const first = ((immediate >> 2) & 1) * 4;
  const block = (immediate & 3) * 4;
  for (let lane = 0; lane < 8; lane++) {
    let sum = 0;
    for (let byte = 0; byte < 4; byte++) sum += Math.abs(frame.u8(0, first + lane + byte) - frame.u8(1, block + byte));
    frame.set16(lane, sum);
  }
};

/** A product of polynomials over GF(2). */
const carryless: Assist = (frame, immediate) => {
  const a = frame.u64(0, immediate & 1);
  let b = frame.u64(1, (immediate >> 4) & 1);
  let product = 0n;
  for (let shift = 0n; b !== 0n; shift++, b >>= 1n) if (b & 1n) product ^= a << shift;
  frame.set64(0, product);
  frame.set64(1, product >> 64n);
};

// --- strings (Intel SDM vol. 2B, 4.1) -------------------------------------------------------------------------------------------------

interface Text {
  readonly elements: readonly number[];
  /** How many of them are valid. */
  readonly length: number;
}

function readText(frame: AssistFrame, operand: number, words: boolean, signed: boolean, length: number | undefined): Text {
  const count = words ? 8 : 16;
  const elements = Array.from({ length: count }, (_, lane) => {
    const element = words ? frame.u16(operand, lane) : frame.u8(operand, lane);
    return signed ? (words ? (element << 16) >> 16 : (element << 24) >> 24) : element;
  });
  const end = elements.indexOf(0);
  return { elements, length: length ?? (end < 0 ? count : end) };
}

function clampLength(value: bigint, count: number): number {
  const length = BigInt.asIntN(64, value);
  const magnitude = length < 0n ? -length : length;
  return magnitude > BigInt(count) ? count : Number(magnitude);
}

/** Compares element `j` of the second text with element `i` of the first, as invalid ones are overridden in the four aggregations. */
function aggregate(a: Text, b: Text, mode: number): number {
  const count = a.elements.length;
  const equal = (i: number, j: number) => a.elements[i] === b.elements[j];
  let result = 0;
  for (let j = 0; j < count; j++) {
    let bit = false;
    if (mode === 0) bit = j < b.length && a.elements.slice(0, a.length).some((_, i) => equal(i, j));
    else if (mode === 1) {
      const element = b.elements[j] ?? 0;
      for (let i = 0; i + 1 < a.length && j < b.length; i += 2)
        bit ||= (a.elements[i] ?? 0) <= element && element <= (a.elements[i + 1] ?? 0);
    } else if (mode === 2) bit = j < a.length && j < b.length ? equal(j, j) : j >= a.length && j >= b.length;
    else {
      bit = true;
      for (let i = 0; i < a.length && i + j < count; i++) bit &&= i + j < b.length && equal(i, i + j);
    }
    if (bit) result |= 1 << j;
  }
  return result;
}

const CF = 1;
const ZF = 0x40;
const SF = 0x80;
const OF = 0x800;

function textComparison(isExplicit: boolean): Assist {
  return (frame, immediate) => {
    const words = (immediate & 1) !== 0;
    const count = words ? 8 : 16;
    const lengths = isExplicit ? [0, 1].map((lane) => clampLength(frame.u64(2, lane), count)) : [];
    const [a, b] = [0, 1].map((operand) => readText(frame, operand, words, (immediate & 2) !== 0, lengths[operand])) as [
      Text,
      Text,
    ];
    const all = (1 << count) - 1;
    let result = aggregate(a, b, (immediate >> 2) & 3);
    const polarity = (immediate >> 4) & 3;
    if (polarity === 1) result ^= all;
    else if (polarity === 3) result ^= (1 << b.length) - 1;
    frame.clear();
    if (immediate & 0x100) {
      if (immediate & 0x40)
        for (let lane = 0; lane < count; lane++) {
          const ones = (result >> lane) & 1 ? 0xffff : 0;
          if (words) frame.set16(lane, ones);
          else frame.set8(lane, ones & 0xff);
        }
      else frame.set16(0, result);
      return;
    }
    const last = 31 - Math.clz32(result);
    const first = 31 - Math.clz32(result & -result);
    frame.set32(0, result === 0 ? count : immediate & 0x40 ? last : first);
    const flags = (result !== 0 ? CF : 0) | (b.length < count ? ZF : 0) | (a.length < count ? SF : 0) | (result & 1 ? OF : 0);
    frame.set32(2, flags);
  };
}

/** The assists for integers and text. */
export const integerAssists: ReadonlyMap<string, Assist> = new Map([
  ['phminposuw', leastWord],
  ['mpsadbw', shiftedDifferences],
  ['pclmulqdq', carryless],
  ['pcmpestr', textComparison(true)],
  ['pcmpistr', textComparison(false)],
]);

import type { Assist } from './assist-frame.ts';

// --- AES (FIPS 197) --------------------------------------------------------------------------------------------------------------

/** Twice a polynomial over GF(2^8). */
const double = (x: number): number => ((x << 1) ^ (x & 0x80 ? 0x11b : 0)) & 0xff;

function multiply(a: number, b: number): number {
  let product = 0;
  for (let [left, factor] = [a, b]; factor !== 0; left = double(left), factor >>= 1) if (factor & 1) product ^= left;
  return product;
}

const substitution = new Uint8Array(256);
const inverseSubstitution = new Uint8Array(256);
/** Powers of 3, which are all numbers but 0. */
const powers: number[] = [1];
for (let index = 1; index < 255; index++) powers.push(multiply(powers[index - 1] ?? 1, 3));
const exponents = new Map(powers.map((power, index) => [power, index]));

for (let x = 0; x < 256; x++) {
  const inverse = x === 0 ? 0 : (powers[(255 - (exponents.get(x) ?? 0)) % 255] ?? 0);
  const rotate = (count: number) => ((inverse << count) | (inverse >> (8 - count))) & 0xff;
  const value = inverse ^ rotate(1) ^ rotate(2) ^ rotate(3) ^ rotate(4) ^ 0x63;
  substitution[x] = value;
  inverseSubstitution[value] = x;
}

const products = new Map(
  [2, 3, 9, 11, 13, 14].map((factor) => [factor, Uint8Array.from({ length: 256 }, (_, x) => multiply(x, factor))]),
);
const times = (factor: number, x: number): number => products.get(factor)?.[x] ?? 0;

/** Each column times a circulant matrix, whose first row is given. */
function mixColumns(state: readonly number[], row: readonly [number, number, number, number]): number[] {
  return state.map((_, index) => {
    const column = index & ~3;
    return row.reduce((sum, factor, k) => {
      const x = state[column + ((index + k) & 3)] ?? 0;
      return sum ^ (factor === 1 ? x : times(factor, x));
    }, 0);
  });
}

const MIX = [2, 3, 1, 1] as const;
const UNMIX = [14, 11, 13, 9] as const;

function round(box: Uint8Array, direction: 1 | -1, mix: typeof MIX | typeof UNMIX | undefined): Assist {
  return (frame) => {
    // Row r of the state is shifted by r columns.
    let state = Array.from({ length: 16 }, (_, index) => box[frame.u8(0, (index + direction * 4 * (index & 3) + 64) & 15)] ?? 0);
    if (mix) state = mixColumns(state, mix);
    for (const [index, value] of state.entries()) frame.set8(index, value ^ frame.u8(1, index));
  };
}

const inverseMix: Assist = (frame) => {
  const state = Array.from({ length: 16 }, (_, index) => frame.u8(0, index));
  for (const [index, value] of mixColumns(state, UNMIX).entries()) frame.set8(index, value);
};

const keyGeneration: Assist = (frame, immediate) => {
  const substituted = (lane: number) =>
    [0, 1, 2, 3].reduce((word, byte) => word | ((substitution[frame.u8(0, lane * 4 + byte)] ?? 0) << (byte * 8)), 0);
  const rotated = (word: number) => (word >>> 8) | (word << 24);
  for (const [half, lane] of [1, 3].entries()) {
    const word = substituted(lane);
    frame.set32(half * 2, word);
    frame.set32(half * 2 + 1, rotated(word) ^ immediate);
  }
};

// --- SHA-1 and SHA-256 (FIPS 180-4) -------------------------------------------------------------------------------------------------

const rotateLeft = (x: number, count: number): number => (x << count) | (x >>> (32 - count));
const rotateRight = (x: number, count: number): number => rotateLeft(x, 32 - count);
const choose = (x: number, y: number, z: number): number => (x & y) ^ (~x & z);
const majority = (x: number, y: number, z: number): number => (x & y) ^ (x & z) ^ (y & z);
const parity = (x: number, y: number, z: number): number => x ^ y ^ z;

const SHA1 = [
  [choose, 0x5a82_7999],
  [parity, 0x6ed9_eba1],
  [majority, 0x8f1b_bcdc],
  [parity, 0xca62_c1d6],
] as const;

const sha1Rounds: Assist = (frame, immediate) => {
  const [mix, constant] = SHA1[(immediate & 3) as 0 | 1 | 2 | 3];
  let [a, b, c, d] = [3, 2, 1, 0].map((lane) => frame.u32(0, lane)) as [number, number, number, number];
  let e = 0;
  // The first message word has E added already.
  for (const lane of [3, 2, 1, 0]) {
    const next = (mix(b, c, d) + rotateLeft(a, 5) + frame.u32(1, lane) + e + constant) | 0;
    [a, b, c, d, e] = [next, a, rotateLeft(b, 30), c, d];
  }
  for (const [index, value] of [d, c, b, a].entries()) frame.set32(index, value);
};

const sha1NextE: Assist = (frame) => {
  for (let lane = 0; lane < 3; lane++) frame.set32(lane, frame.u32(1, lane));
  frame.set32(3, (frame.u32(1, 3) + rotateLeft(frame.u32(0, 3), 30)) | 0);
};

const sha1Message1: Assist = (frame) => {
  const words = [0, 1, 2, 3].map((lane) => frame.u32(0, lane));
  frame.set32(3, (words[3] ?? 0) ^ (words[1] ?? 0));
  frame.set32(2, (words[2] ?? 0) ^ (words[0] ?? 0));
  frame.set32(1, (words[1] ?? 0) ^ frame.u32(1, 3));
  frame.set32(0, (words[0] ?? 0) ^ frame.u32(1, 2));
};

const sha1Message2: Assist = (frame) => {
  const w16 = rotateLeft(frame.u32(0, 3) ^ frame.u32(1, 2), 1);
  const w17 = rotateLeft(frame.u32(0, 2) ^ frame.u32(1, 1), 1);
  const w18 = rotateLeft(frame.u32(0, 1) ^ frame.u32(1, 0), 1);
  const w19 = rotateLeft(frame.u32(0, 0) ^ w16, 1);
  for (const [index, value] of [w19, w18, w17, w16].entries()) frame.set32(index, value);
};

const sha256Rounds: Assist = (frame) => {
  // C, D, G and H come from the first source, A, B, E and F from the second.
  const of = (operand: number, lane: number) => frame.u32(operand, lane);
  type State = readonly [number, number, number, number, number, number, number, number];
  let state: State = [of(1, 3), of(1, 2), of(0, 3), of(0, 2), of(1, 1), of(1, 0), of(0, 1), of(0, 0)];
  for (const lane of [0, 1]) {
    const [a, b, c, d, e, f, g, h] = state;
    const sum1 = rotateRight(e, 6) ^ rotateRight(e, 11) ^ rotateRight(e, 25);
    const sum0 = rotateRight(a, 2) ^ rotateRight(a, 13) ^ rotateRight(a, 22);
    const t1 = (h + sum1 + choose(e, f, g) + frame.u32(2, lane)) | 0;
    state = [(t1 + sum0 + majority(a, b, c)) | 0, a, b, c, (d + t1) | 0, e, f, g];
  }
  const [a, b, , , e, f] = state;
  for (const [index, value] of [f, e, b, a].entries()) frame.set32(index, value);
};

const sigma0 = (x: number): number => rotateRight(x, 7) ^ rotateRight(x, 18) ^ (x >>> 3);
const sigma1 = (x: number): number => rotateRight(x, 17) ^ rotateRight(x, 19) ^ (x >>> 10);

const sha256Message1: Assist = (frame) => {
  const words = [frame.u32(0, 0), frame.u32(0, 1), frame.u32(0, 2), frame.u32(0, 3), frame.u32(1, 0)];
  for (let lane = 0; lane < 4; lane++) frame.set32(lane, ((words[lane] ?? 0) + sigma0(words[lane + 1] ?? 0)) | 0);
};

const sha256Message2: Assist = (frame) => {
  const w16 = (frame.u32(0, 0) + sigma1(frame.u32(1, 2))) | 0;
  const w17 = (frame.u32(0, 1) + sigma1(frame.u32(1, 3))) | 0;
  const w18 = (frame.u32(0, 2) + sigma1(w16)) | 0;
  const w19 = (frame.u32(0, 3) + sigma1(w17)) | 0;
  for (const [index, value] of [w16, w17, w18, w19].entries()) frame.set32(index, value);
};

/** The assists for AES and SHA. */
export const cipherAssists: ReadonlyMap<string, Assist> = new Map([
  ['aesenc', round(substitution, 1, MIX)],
  ['aesenclast', round(substitution, 1, undefined)],
  ['aesdec', round(inverseSubstitution, -1, UNMIX)],
  ['aesdeclast', round(inverseSubstitution, -1, undefined)],
  ['aesimc', inverseMix],
  ['aeskeygen', keyGeneration],
  ['sha1rnds4', sha1Rounds],
  ['sha1nexte', sha1NextE],
  ['sha1msg1', sha1Message1],
  ['sha1msg2', sha1Message2],
  ['sha256rnds2', sha256Rounds],
  ['sha256msg1', sha256Message1],
  ['sha256msg2', sha256Message2],
]);

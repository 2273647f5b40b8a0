const PREFIX_BYTES: Readonly<Record<string, number>> = {
  wait: 0x9b,
  fwait: 0x9b,
  lock: 0xf0,
  rep: 0xf3,
  repe: 0xf3,
  repz: 0xf3,
  repne: 0xf2,
  repnz: 0xf2,
  bnd: 0xf2,
  xacquire: 0xf2,
  xrelease: 0xf3,
  es: 0x26,
  cs: 0x2e,
  ss: 0x36,
  ds: 0x3e,
  fs: 0x64,
  gs: 0x65,
};
/** NASM's order: wait, repetition, lock, segment, operand size, address size. */
const ORDER = [[0x9b], [0xf2, 0xf3], [0xf0], [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65], [0x66], [0x67]];
const rank = (byte: number): number => ORDER.findIndex((group) => group.includes(byte));

/** Prefix words as bytes; sizes only where they differ from the mode's. REX.W of `o64` goes into the instruction itself. */
export function prefixBytes(words: readonly string[], mode: number): readonly number[] {
  if (words.length === 0) return NONE;
  const bytes = words.flatMap((word) => {
    const byte = PREFIX_BYTES[word];
    if (byte !== undefined) return [byte];
    const size = Number(word.slice(1));
    if (word.startsWith('a')) return size === mode ? [] : [0x67];
    return size === 64 || (size === 16) === (mode === 16) ? [] : [0x66];
  });
  return bytes.sort((a, b) => rank(a) - rank(b));
}

const NONE: readonly number[] = [];

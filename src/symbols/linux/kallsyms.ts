import { byteOf } from './bytes.ts';
import { KERNEL_HALF } from './kernel-memory.ts';

/** A symbol as the kernel knows it: its type is the letter that `nm` gives, its address the running one. */
export interface KernelSymbol {
  readonly name: string;
  readonly address: bigint;
  readonly type: string;
}

/** Tables that contradict themselves. One sentence that says which. */
export class KallsymsError extends Error {}

/** More symbols than any kernel has. */
const MOST_SYMBOLS = 2_000_000;
const FEWEST_SYMBOLS = 16;
const TOKENS = 256;
/** Names between two markers. */
const MARKED = 256;
/** The tables of a kernel with all symbols take about 5 MiB. */
const MOST_BYTES = 64 << 20;
/** A guest may put in what looks like tables and is none: no more is looked at than so many token tables, and names. */
const MOST_TABLES = 8;
const MOST_STEPS = 20_000_000;
/** Digits always stand for themselves, one after the other: nothing else in a kernel looks like this. */
const DIGITS = Uint8Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? 0x30 + index / 2 : 0));
const FIRST_DIGIT = 0x30;

const align8 = (offset: number) => (offset + 7) & ~7;

/**
 * Finds the tables that `scripts/kallsyms.c` of Linux puts into a kernel, by their content, and reads them. They stand together in
 * read-only data; their order, and the width of some, has changed over the versions: 4.6 and later are read, with addresses or with
 * offsets from a base. `image` is memory that holds them whole: it comes from a guest, and nothing in it is believed. Undefined where
 * there are none. Throws KallsymsError where there are some that can't be used.
 */
export function readKallsyms(image: Uint8Array): readonly KernelSymbol[] | undefined {
  let problem: KallsymsError | undefined;
  let tables = 0;
  for (let at = indexOfDigits(image, 0); at >= 0 && tables < MOST_TABLES; at = indexOfDigits(image, at + 1)) {
    const tokens = readTokens(image, at);
    if (!tokens) continue;
    tables++;
    try {
      return new Tables(image, tokens).symbols();
    } catch (error) {
      if (!(error instanceof KallsymsError)) throw error;
      problem = error;
    }
  }
  if (problem) throw problem;
  return undefined;
}

/** Where the tokens of the digits begin, from an offset on; -1 for nowhere. (Horspool's search, by the last two bytes of the window.) */
function indexOfDigits(image: Uint8Array, from: number): number {
  const last = DIGITS.length - 1;
  for (let end = from + last; end < image.length; ) {
    const [before, byte] = [byteOf(image, end - 1) - FIRST_DIGIT, byteOf(image, end) - FIRST_DIGIT];
    const isDigit = before >= 0 && before < 10;
    if (byte === -FIRST_DIGIT && isDigit) {
      if (before === 9 && DIGITS.every((wanted, index) => image[end - last + index] === wanted)) return end - last;
      end += before === 9 ? DIGITS.length : last - 1 - 2 * before;
    } else if (byte >= 0 && byte < 10 && (byte === 0 || before === -FIRST_DIGIT)) end += last - 2 * byte;
    else end += DIGITS.length;
  }
  return -1;
}

interface Tokens {
  readonly texts: readonly string[];
  readonly start: number;
  /** Behind the index. */
  readonly end: number;
}

/** The token table around its digits, as its index has it: 256 offsets of 16 bits behind it. */
function readTokens(image: Uint8Array, digits: number): Tokens | undefined {
  let end = digits;
  for (let token = FIRST_DIGIT; token < TOKENS; token++) {
    const zero = image.indexOf(0, end);
    if (zero < 0 || zero - digits > 0xffff) return undefined;
    end = zero + 1;
  }
  const index = align8(end);
  if (index + 2 * TOKENS > image.length) return undefined;
  const offsetOf = (token: number) => byteOf(image, index + 2 * token) | (byteOf(image, index + 2 * token + 1) << 8);
  const start = digits - offsetOf(FIRST_DIGIT);
  if (start < 0 || offsetOf(0) !== 0) return undefined;
  const texts: string[] = [];
  for (let token = 0; token < TOKENS; token++) {
    const next = token + 1 < TOKENS ? start + offsetOf(token + 1) : end;
    const at = start + offsetOf(token);
    if (next <= at || next > end || image[next - 1] !== 0) return undefined;
    texts.push(String.fromCharCode(...image.subarray(at, next - 1)));
  }
  return { texts, start, end: index + 2 * TOKENS };
}

/** The tables around a token table. */
class Tables {
  private readonly view: DataView;
  /** Offset of `kallsyms_num_syms`. */
  private readonly head: number;
  private readonly count: number;
  /** Names that were looked at to find the tables. */
  private steps = 0;

  constructor(
    private readonly image: Uint8Array,
    private readonly tokens: Tokens,
  ) {
    this.view = new DataView(image.buffer, image.byteOffset, image.byteLength);
    const head = this.findHead();
    if (head === undefined) throw new KallsymsError("The kernel's symbol names can't be found in front of their tokens.");
    this.head = head;
    this.count = this.view.getUint32(head, true);
  }

  symbols(): readonly KernelSymbol[] {
    const addresses = this.addresses();
    const { image, tokens } = this;
    const symbols: KernelSymbol[] = [];
    let at = this.head + 8;
    for (let index = 0; index < this.count; index++) {
      const { from, to } = this.nameAt(at);
      let text = '';
      for (let place = from; place < to; place++) text += tokens.texts[byteOf(image, place)] ?? '';
      at = to;
      symbols.push({ type: text.charAt(0), name: text.slice(1), address: addresses(index) });
    }
    return symbols;
  }

  /** A name's tokens: behind their count, which has a second byte where its highest bit is set (6.1 and later). */
  private nameAt(at: number): { readonly from: number; readonly to: number } {
    const first = byteOf(this.image, at);
    const from = first < 0x80 ? at + 1 : at + 2;
    const length = first < 0x80 ? first : (first & 0x7f) | (byteOf(this.image, at + 1) << 7);
    return { from, to: from + length };
  }

  /** `kallsyms_num_syms` stands in front of the names, whose markers lead to the tokens. */
  private findHead(): number | undefined {
    const { start } = this.tokens;
    const { view } = this;
    // Tables are aligned in the kernel, and so is the memory that they are looked for in.
    const lowest = Math.max(0, start - MOST_BYTES);
    for (let at = (start & ~7) - 16; at >= lowest && this.steps < MOST_STEPS; at -= 8) {
      const count = view.getUint32(at, true);
      // At least a length, a type and a letter; at most as many bytes as names have.
      const bytes = start - at;
      if (count < FEWEST_SYMBOLS || count > MOST_SYMBOLS || view.getUint32(at + 4, true) !== 0) continue;
      if (bytes < 2 * count || bytes > 128 * count + 4096) continue;
      if (this.hasMarkers(at, count)) return at;
    }
    return undefined;
  }

  /** Whether markers of 4 or (before 5.0) 8 bytes each stand behind the names, and say where these are. */
  private hasMarkers(head: number, count: number): boolean {
    const { view, tokens } = this;
    const wanted: number[] = [];
    let at = head + 8;
    for (let index = 0; index < count; index++) {
      if (index % MARKED === 0) wanted.push(at - head - 8);
      const { from, to } = this.nameAt(at);
      if (to === from || to > tokens.start || this.steps++ > MOST_STEPS) return false;
      at = to;
    }
    const markers = align8(at);
    return [4, 8].some(
      (width) =>
        markers + width * wanted.length <= tokens.start &&
        wanted.every(
          (offset, index) =>
            view.getUint32(markers + width * index, true) === offset &&
            (width === 4 || view.getUint32(markers + width * index + 4, true) === 0),
        ),
    );
  }

  /** Addresses by index: in front of the names, or (6.4 and later) behind the tokens. */
  private addresses(): (index: number) => bigint {
    const { head, count, tokens } = this;
    const offsets = align8(4 * count);
    const candidates = [
      this.relative(head - 8 - offsets, head - 8),
      this.relative(tokens.end, tokens.end + offsets),
      this.absolute(head - 8 * count),
      this.absolute(tokens.end),
    ];
    const found = candidates.find((candidate) => candidate !== undefined);
    if (!found) throw new KallsymsError("The kernel's symbol names have no addresses in front of them or behind them.");
    return found;
  }

  /** Offsets of 32 bits: negative ones count from a base; others are addresses themselves (of data of each processor), or offsets. */
  private relative(at: number, baseAt: number): ((index: number) => bigint) | undefined {
    const { view, image, count } = this;
    if (at < 0 || baseAt + 8 > image.length) return undefined;
    const base = view.getBigUint64(baseAt, true);
    if (base < KERNEL_HALF) return undefined;
    const negative = (index: number) => {
      const offset = view.getInt32(at + 4 * index, true);
      return offset >= 0 ? BigInt(offset) : base - 1n - BigInt(offset);
    };
    const plain = (index: number) => base + BigInt(view.getUint32(at + 4 * index, true));
    // A kernel with data of each processor at absolute addresses has both kinds; one without has no negative offsets.
    const hasNegative = view.getInt32(at + 4 * (count - 1), true) < 0;
    const address = hasNegative ? negative : plain;
    return this.ascends(address) ? address : undefined;
  }

  private absolute(at: number): ((index: number) => bigint) | undefined {
    const { view, image, count } = this;
    if (at < 0 || at + 8 * count > image.length) return undefined;
    const address = (index: number) => view.getBigUint64(at + 8 * index, true);
    return address(count - 1) >= KERNEL_HALF && this.ascends(address) ? address : undefined;
  }

  private ascends(address: (index: number) => bigint): boolean {
    for (let index = 1, before = address(0); index < this.count; index++) {
      const now = address(index);
      if (now < before) return false;
      before = now;
    }
    return true;
  }
}

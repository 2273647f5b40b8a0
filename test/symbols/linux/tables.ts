/** Tables as Linux's build makes them, small enough for a test. */

export interface TestSymbol {
  readonly name: string;
  readonly type: string;
  readonly address: bigint;
}

/** What differs between the versions of the tables. */
export interface KallsymsLayout {
  /** How addresses are written: whole, or as offsets from a base with data of each processor apart from it or not. */
  readonly addresses: 'absolute' | 'per-cpu' | 'relative';
  readonly markers: 4 | 8;
  /** `kallsyms_seqs_of_names`, since 6.2. */
  readonly sequences: boolean;
  /** Addresses stand behind the tokens, since 6.4. */
  readonly addressesLast: boolean;
}

export const LAYOUTS = {
  '4.6': { addresses: 'absolute', markers: 8, sequences: false, addressesLast: false },
  '4.19': { addresses: 'per-cpu', markers: 8, sequences: false, addressesLast: false },
  '6.1': { addresses: 'per-cpu', markers: 4, sequences: false, addressesLast: false },
  '6.2': { addresses: 'per-cpu', markers: 4, sequences: true, addressesLast: false },
  '6.4': { addresses: 'per-cpu', markers: 4, sequences: true, addressesLast: true },
  '6.4 without a base': { addresses: 'absolute', markers: 4, sequences: true, addressesLast: true },
  '6.15': { addresses: 'relative', markers: 4, sequences: true, addressesLast: true },
} as const satisfies Readonly<Record<string, KallsymsLayout>>;

/** The pieces of a binary, one after the other. */
class Writer {
  readonly parts: number[] = [];
  align(): void {
    while (this.parts.length % 8 !== 0) this.parts.push(0);
  }
  bytes(...values: readonly number[]): void {
    this.parts.push(...values);
  }
  integer(value: bigint, size: number): void {
    for (let index = 0; index < size; index++) this.parts.push(Number((value >> BigInt(8 * index)) & 0xffn));
  }
}

/** Tokens: the characters that names have stand for themselves, and codes that none has for pairs. */
function makeTokens(symbols: readonly TestSymbol[]): string[] {
  const used = new Set(symbols.flatMap(({ name, type }) => [...`${type}${name}`]));
  for (const digit of '0123456789') used.add(digit);
  const pairs = ['vi', 'rt', 'probe', '_'];
  return Array.from({ length: 256 }, (_, code) => {
    const character = String.fromCharCode(code);
    return used.has(character) ? character : (pairs.pop() ?? 'xy');
  });
}

function compressed(text: string, tokens: readonly string[]): number[] {
  const codes: number[] = [];
  for (let at = 0; at < text.length; ) {
    let best = text.charCodeAt(at);
    for (const [code, token] of tokens.entries())
      if (token.length > (tokens[best]?.length ?? 0) && text.startsWith(token, at)) best = code;
    codes.push(best);
    at += tokens[best]?.length ?? 1;
  }
  return codes;
}

/** `symbols` ascend. `at` bytes of something else stand in front; returns the tables and where their parts begin. */
export function kallsyms(
  symbols: readonly TestSymbol[],
  layout: KallsymsLayout,
): {
  readonly bytes: Uint8Array;
  readonly places: Readonly<Record<'count' | 'names' | 'markers' | 'tokens' | 'addresses', number>>;
} {
  const out = new Writer();
  const places = { count: 0, names: 0, markers: 0, tokens: 0, addresses: 0 };
  const tokens = makeTokens(symbols);
  const base = symbols.find(({ address }) => address > 1n << 63n)?.address ?? 0n;
  const addresses = () => {
    out.align();
    places.addresses = out.parts.length;
    for (const { address } of symbols) {
      if (layout.addresses === 'absolute') out.integer(address, 8);
      else if (layout.addresses === 'relative') out.integer(address - base, 4);
      else out.integer(BigInt.asUintN(32, address < base ? address : base - 1n - address), 4);
    }
    out.align();
    if (layout.addresses !== 'absolute') out.integer(base, 8);
  };
  out.bytes(...Array.from({ length: 48 }, (_, index) => 200 + index));
  if (!layout.addressesLast) addresses();
  places.count = out.parts.length;
  out.integer(BigInt(symbols.length), 4);
  out.align();
  places.names = out.parts.length;
  const markers: number[] = [];
  for (const [index, { name, type }] of symbols.entries()) {
    if (index % 256 === 0) markers.push(out.parts.length - places.names);
    const codes = compressed(`${type}${name}`, tokens);
    if (codes.length < 0x80) out.bytes(codes.length);
    else out.bytes((codes.length & 0x7f) | 0x80, codes.length >> 7);
    out.bytes(...codes);
  }
  out.align();
  places.markers = out.parts.length;
  for (const marker of markers) out.integer(BigInt(marker), layout.markers);
  if (layout.sequences) {
    out.align();
    for (const index of symbols.keys()) out.bytes(index >> 16, (index >> 8) & 255, index & 255);
  }
  out.align();
  places.tokens = out.parts.length;
  const offsets: number[] = [];
  for (const token of tokens) {
    offsets.push(out.parts.length - places.tokens);
    out.bytes(...[...token].map((character) => character.charCodeAt(0)), 0);
  }
  out.align();
  for (const offset of offsets) out.integer(BigInt(offset), 2);
  if (layout.addressesLast) addresses();
  out.align();
  out.integer(0n, 64);
  return { bytes: Uint8Array.from(out.parts), places };
}

/** A member of a structure: its name, its offset in bytes, and what it is; a nested structure, or a plain integer where left out. */
export interface TestMember {
  readonly name: string;
  readonly offset: number;
  readonly struct?: readonly TestMember[];
  /** The nested structure stands in an array. */
  readonly isArray?: boolean;
}

/** BTF (Documentation/bpf/btf.rst) of some structures. */
export function btf(structs: Readonly<Record<string, readonly TestMember[]>>): Uint8Array {
  const strings = new Writer();
  strings.bytes(0);
  const text = (value: string) => {
    if (value === '') return 0;
    const at = strings.parts.length;
    strings.bytes(...[...value].map((character) => character.charCodeAt(0)), 0);
    return at;
  };
  const types = new Writer();
  let count = 0;
  const words = (...values: readonly number[]) => {
    for (const value of values) types.integer(BigInt(value), 4);
  };
  const head = (name: string, kind: number, parts: number, size: number) => {
    words(text(name), ((kind << 24) | parts) >>> 0, size);
    return ++count;
  };
  const integer = head('int', 1, 0, 4);
  words(32);
  const add = (name: string, members: readonly TestMember[]): number => {
    const inner = members.map(({ struct, isArray }) => {
      if (!struct) return integer;
      // A name of the type stands between, as the kernel's sources have them.
      const alias = head('alias_t', 8, 0, add('', struct));
      if (!isArray) return alias;
      const array = head('', 3, 0, 0);
      words(alias, integer, 4);
      return array;
    });
    const made = head(name, 4, members.length, 4096);
    for (const [index, member] of members.entries()) words(text(member.name), inner[index] ?? 0, member.offset * 8);
    return made;
  };
  for (const [name, members] of Object.entries(structs)) add(name, members);
  const out = new Writer();
  out.integer(0xeb9fn, 2);
  out.bytes(1, 0);
  for (const value of [24, 0, types.parts.length, types.parts.length, strings.parts.length]) out.integer(BigInt(value), 4);
  return Uint8Array.from([...out.parts, ...types.parts, ...strings.parts]);
}

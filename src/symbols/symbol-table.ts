/** A symbol of an ELF file, or a label of an assembled program. */
export interface TableSymbol {
  readonly name: string;
  readonly address: bigint;
  /** Bytes; 0 where nobody said. */
  readonly size: number;
  readonly kind: 'function' | 'object' | 'label';
  readonly global: boolean;
}

/** A symbol further away than this says nothing of an address. */
const MAX_DISTANCE = 0x1_0000n;
const MAX_LABEL = 0x1000n;

/** Index of the last entry that starts at or before an address, -1 for none. `entries` ascend. */
export function lastAtOrBefore<T>(entries: readonly T[], address: bigint, start: (entry: T) => bigint): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = entries[middle];
    if (entry !== undefined && start(entry) <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export function compareAddresses(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const addressOf = ({ address }: TableSymbol) => address;

/** A regular expression between slashes, or an exact name. Undefined for a regular expression that is none. */
export function nameMatcher(name: string): ((candidate: string) => boolean) | undefined {
  const pattern = /^\/(.*)\/$/.exec(name)?.[1];
  if (pattern === undefined) return (candidate) => candidate === name;
  try {
    const expression = new RegExp(pattern);
    return (candidate) => expression.test(candidate);
  } catch {
    return undefined;
  }
}

/** Symbols of a program that lies `bias` from where it was linked to. */
export function movedSymbols({
  symbols,
  bias = 0n,
}: {
  readonly symbols: readonly TableSymbol[];
  readonly bias?: bigint;
}): readonly TableSymbol[] {
  return bias === 0n ? symbols : symbols.map((one) => ({ ...one, address: BigInt.asUintN(64, one.address + bias) }));
}

/** Names for addresses, and addresses for names. */
export class SymbolTable {
  /** Functions and labels, ascending. */
  readonly code: readonly TableSymbol[];
  private readonly objects: readonly TableSymbol[];
  /** Code symbols that functions begin with: local labels (`loop.inner`, `.L3`) lie inside of one. */
  private readonly outer: readonly TableSymbol[];
  private readonly byName = new Map<string, TableSymbol[]>();

  constructor(symbols: readonly TableSymbol[]) {
    const sorted = [...symbols].sort((a, b) => compareAddresses(a.address, b.address) || rank(a) - rank(b));
    this.code = sorted.filter(({ kind }) => kind !== 'object');
    this.objects = sorted.filter(({ kind, size }) => kind === 'object' && size > 0);
    this.outer = this.code.filter(({ name, kind }) => kind === 'function' || !name.includes('.'));
    for (const symbol of sorted) {
      const known = this.byName.get(symbol.name);
      if (known) known.push(symbol);
      else this.byName.set(symbol.name, [symbol]);
    }
  }

  /** All symbols of a name, the global ones first. */
  named(name: string): readonly TableSymbol[] {
    const found = this.byName.get(name) ?? [];
    return found.length > 1 ? [...found].sort((a, b) => Number(b.global) - Number(a.global)) : found;
  }

  /** At most so many names that begin with a text. */
  namesWith(prefix: string, most: number): readonly string[] {
    const names: string[] = [];
    for (const name of this.byName.keys()) {
      if (names.length >= most) break;
      if (name.startsWith(prefix)) names.push(name);
    }
    return names;
  }

  /** The function or label around an address: it ends at its size or at the next one. */
  around(address: bigint): { readonly symbol: TableSymbol; readonly high: bigint } | undefined {
    const index = lastAtOrBefore(this.outer, address, addressOf);
    const symbol = this.outer[index];
    if (!symbol) return undefined;
    const next = this.outer[index + 1]?.address;
    const high = symbol.size > 0 ? symbol.address + BigInt(symbol.size) : (next ?? symbol.address + MAX_LABEL);
    return address < high ? { symbol, high } : undefined;
  }

  /** `main+0x12`: the nearest function or label, else the object that the address lies in. */
  describe(address: bigint): string | undefined {
    const object = this.objectAround(address);
    const label = this.code[lastAtOrBefore(this.code, address, addressOf)];
    const found = object ?? (label && address - label.address <= MAX_DISTANCE ? label : undefined);
    if (!found) return undefined;
    const distance = address - found.address;
    return distance === 0n ? found.name : `${found.name}+0x${distance.toString(16)}`;
  }

  /** As pointers are shown: `table+16`, where the address surely lies in a function or an object. */
  nameOfPointer(address: bigint): string | undefined {
    const object = this.objectAround(address);
    const label = this.code[lastAtOrBefore(this.code, address, addressOf)];
    const isInside = label && address - label.address < BigInt(Math.max(label.size, 1));
    const found = object ?? (isInside ? label : undefined);
    if (!found) return undefined;
    return address === found.address ? found.name : `${found.name}+${address - found.address}`;
  }

  private objectAround(address: bigint): TableSymbol | undefined {
    const object = this.objects[lastAtOrBefore(this.objects, address, addressOf)];
    return object && address < object.address + BigInt(object.size) ? object : undefined;
  }
}

/** Of symbols at one address the last one names it: functions before labels, global ones before local ones. */
function rank({ kind, global, size }: TableSymbol): number {
  return (kind === 'function' ? 4 : 0) + (global ? 2 : 0) + (size > 0 ? 1 : 0);
}

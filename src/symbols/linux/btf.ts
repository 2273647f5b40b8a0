/** BTF that contradicts itself. One sentence. */
export class BtfError extends Error {}

/** A member of a structure: its offset in bytes, and the number of its type. */
interface Member {
  readonly offset: number;
  readonly type: number;
}

export interface BtfStruct {
  /** Bytes. */
  readonly size: number;
  readonly members: ReadonlyMap<string, Member>;
}

const MAGIC = 0xeb9f;
const Kind = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;
/** What is only a name or a qualifier of another type. */
const ALIASES: ReadonlySet<number> = new Set([Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG]);
const LAST_KIND = 19;
const HEADER = 24;
const TYPE = 12;
/** Anonymous members and aliases lie no deeper. */
const DEEPEST = 16;

/** Bytes that follow a type's head, each and for each of its parts (Documentation/bpf/btf.rst of Linux). */
const MORE: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  [Kind.INT]: [4, 0],
  [Kind.ARRAY]: [12, 0],
  [Kind.STRUCT]: [0, 12],
  [Kind.UNION]: [0, 12],
  [Kind.ENUM]: [0, 8],
  [Kind.FUNC_PROTO]: [0, 8],
  [Kind.VAR]: [4, 0],
  [Kind.DATASEC]: [0, 12],
  [Kind.DECL_TAG]: [4, 0],
  [Kind.ENUM64]: [0, 12],
};

/**
 * The BPF type format: structures of a kernel with their members, as the kernel carries them (`.BTF`). The bytes come from a guest and
 * are checked; a structure is looked at when it is asked for. The constructor throws BtfError.
 */
export class Btf {
  private readonly view: DataView;
  private readonly strings: Uint8Array;
  /** Where each type's head is, by its number; number 0 is `void`. */
  private readonly heads: Uint32Array;
  private readonly structs = new Map<string, BtfStruct | undefined>();

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { view } = this;
    if (bytes.length < HEADER || view.getUint16(0, true) !== MAGIC) throw new BtfError('The type information has no BTF header.');
    const head = view.getUint32(4, true);
    const typesAt = head + view.getUint32(8, true);
    const typesEnd = typesAt + view.getUint32(12, true);
    const stringsAt = head + view.getUint32(16, true);
    const stringsEnd = stringsAt + view.getUint32(20, true);
    if (head < HEADER || typesEnd > bytes.length || stringsEnd > bytes.length)
      throw new BtfError('A section of the type information (BTF) reaches beyond its end.');
    this.strings = bytes.subarray(stringsAt, stringsEnd);
    const heads: number[] = [0];
    for (let at = typesAt; at < typesEnd; ) {
      heads.push(at);
      at += at + TYPE > typesEnd ? TYPE : this.lengthAt(at);
      if (at > typesEnd) throw new BtfError(`Type ${heads.length - 1} of the type information (BTF) reaches beyond its end.`);
    }
    this.heads = Uint32Array.from(heads);
  }

  private lengthAt(at: number): number {
    const info = this.view.getUint32(at + 4, true);
    const kind = (info >>> 24) & 31;
    if (kind === 0 || kind > LAST_KIND) throw new BtfError(`The type information (BTF) has a type of the unknown kind ${kind}.`);
    const [fixed, each] = MORE[kind] ?? [0, 0];
    return TYPE + fixed + each * (info & 0xffff);
  }

  private text(offset: number): string {
    const end = this.strings.indexOf(0, offset);
    return end < 0 ? '' : String.fromCharCode(...this.strings.subarray(offset, end));
  }

  /** A structure by its name; undefined where there is none. */
  struct(name: string): BtfStruct | undefined {
    if (!this.structs.has(name)) this.structs.set(name, this.findStruct(name));
    return this.structs.get(name);
  }

  private findStruct(name: string): BtfStruct | undefined {
    const { view, heads } = this;
    for (let type = 1; type < heads.length; type++) {
      const at = heads[type] ?? 0;
      if (((view.getUint32(at + 4, true) >>> 24) & 31) !== Kind.STRUCT) continue;
      if (this.isText(view.getUint32(at, true), name)) return this.structOf(type);
    }
    return undefined;
  }

  private isText(offset: number, name: string): boolean {
    for (let index = 0; index < name.length; index++) if (this.strings[offset + index] !== name.charCodeAt(index)) return false;
    return this.strings[offset + name.length] === 0;
  }

  private structOf(type: number): BtfStruct | undefined {
    const at = this.resolved(type);
    if (at === undefined) return undefined;
    const members = new Map<string, Member>();
    this.addMembers(at, 0, members, 0);
    return { size: this.view.getUint32(at + 8, true), members };
  }

  /** Members with those of anonymous structures and unions among them. */
  private addMembers(at: number, base: number, into: Map<string, Member>, depth: number): void {
    const { view } = this;
    const info = view.getUint32(at + 4, true);
    const kind = (info >>> 24) & 31;
    if ((kind !== Kind.STRUCT && kind !== Kind.UNION) || depth > DEEPEST) return;
    const hasBitfields = info >>> 31 === 1;
    for (let index = 0; index < (info & 0xffff); index++) {
      const member = at + TYPE + 12 * index;
      const type = view.getUint32(member + 4, true);
      const raw = view.getUint32(member + 8, true);
      const offset = base + ((hasBitfields ? raw & 0xff_ffff : raw) >>> 3);
      const name = this.text(view.getUint32(member, true));
      const inner = name === '' ? this.resolved(type) : undefined;
      if (inner !== undefined) this.addMembers(inner, offset, into, depth + 1);
      else if (name !== '') into.set(name, { offset, type });
    }
  }

  /** Where the head of a type is, behind its names, qualifiers and, of an array, its elements. */
  private resolved(type: number): number | undefined {
    const { view, heads } = this;
    for (let depth = 0; depth < DEEPEST; depth++) {
      const at = heads[type];
      if (at === undefined || at === 0) return undefined;
      const kind = (view.getUint32(at + 4, true) >>> 24) & 31;
      if (ALIASES.has(kind)) type = view.getUint32(at + 8, true);
      else if (kind === Kind.ARRAY) type = view.getUint32(at + TYPE, true);
      else return at;
    }
    return undefined;
  }

  /**
   * Offset in bytes of a member of a structure, through structures within (`core_layout.base`; of an array its first element);
   * undefined where there is none.
   */
  offsetOf(struct: string, path: string): number | undefined {
    let current = this.struct(struct);
    let offset = 0;
    for (const name of path.split('.')) {
      const member = current?.members.get(name);
      if (!member) return undefined;
      offset += member.offset;
      current = this.structOf(member.type);
    }
    return offset;
  }

  /** The offset of the first path that there is: members have been renamed over the kernel's versions. */
  firstOffsetOf(struct: string, ...paths: readonly string[]): number | undefined {
    return paths.map((path) => this.offsetOf(struct, path)).find((offset) => offset !== undefined);
  }
}

/** The offsets, when each of them is known. */
export function complete<Name extends string>(
  offsets: Readonly<Record<Name, number | undefined>>,
): Readonly<Record<Name, number>> | undefined {
  return isComplete(offsets) ? offsets : undefined;
}

function isComplete<Name extends string>(
  offsets: Readonly<Record<Name, number | undefined>>,
): offsets is Readonly<Record<Name, number>> {
  return Object.values(offsets).every((offset) => offset !== undefined);
}

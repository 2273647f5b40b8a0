/** Layouts of what a guest and the hypervisor hand each other: fields by name, each at its natural place. */

export interface Field {
  readonly name: string;
  /** Bytes from the start. */
  readonly offset: number;
  /** Bytes: 1, 2, 4 or 8 of a number; other sizes are blocks. */
  readonly size: number;
}

export interface Layout {
  /** Bytes, with what is reserved. */
  readonly size: number;
  readonly fields: readonly Field[];
  readonly byName: ReadonlyMap<string, Field>;
}

/**
 * Reads `partition:8 property:4 :4 value:8`: fields in their order with their sizes in bytes, those without a name reserved. They follow
 * each other without gaps.
 */
export function layoutOf(text: string): Layout {
  const fields: Field[] = [];
  let size = 0;
  for (const word of text.split(' ')) {
    if (word === '') continue;
    const [name = '', bytes] = word.split(':');
    const length = Number.parseInt(bytes ?? '', 10);
    if (!(length > 0)) throw new Error(`${word} in a layout has no size.`);
    if (name !== '') fields.push({ name, offset: size, size: length });
    size += length;
  }
  return { size, fields, byName: new Map(fields.map((field) => [field.name, field])) };
}

/** The value of a field: 0 for a block, and where the bytes end before it. */
export function fieldValue(view: DataView, { offset, size }: Field): bigint {
  if (offset + size > view.byteLength) return 0n;
  switch (size) {
    case 1:
      return BigInt(view.getUint8(offset));
    case 2:
      return BigInt(view.getUint16(offset, true));
    case 4:
      return BigInt(view.getUint32(offset, true));
    case 8:
      return view.getBigUint64(offset, true);
    default:
      return 0n;
  }
}

/** Writes a field of 1, 2, 4 or 8 bytes, cut to its size. */
export function setField(view: DataView, { offset, size }: Field, value: bigint): void {
  const bits = BigInt.asUintN(64, value);
  for (let at = 0; at < size && at < 8; at++) view.setUint8(offset + at, Number((bits >> BigInt(at * 8)) & 0xffn));
}

import type { StageValue } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { GUID_SIZE, guidBytes, guidText } from '../abi/guid.ts';
import {
  HEADER_SIZE,
  LONGEST_MESSAGE,
  type MessageField,
  type MessageRow,
  messageRow,
  VMBUS_MESSAGES,
  type VmbusTypeName,
} from '../abi/vmbus.ts';

type FieldValue = number | bigint | string | Uint8Array;

/** A message of the VMBus's control path, decoded by the table of abi/vmbus.ts. */
export class VmbusMessage {
  private readonly view: DataView;

  constructor(
    readonly row: MessageRow,
    readonly bytes: Uint8Array,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get type(): number {
    return this.row.type;
  }
  get name(): VmbusTypeName {
    return this.row.name;
  }

  private field(name: string): MessageField {
    const field = this.row.fields.find((one) => one.name === name);
    if (field === undefined) throw new Error(`The message ${this.row.name} has no field ${name}.`);
    return field;
  }

  /** A field of up to 4 bytes. */
  number(name: string): number {
    const { at, size } = this.field(name);
    switch (size) {
      case 1:
        return this.view.getUint8(at);
      case 2:
        return this.view.getUint16(at, true);
      default:
        return this.view.getUint32(at, true);
    }
  }
  /** A field of 8 bytes. */
  long(name: string): bigint {
    return this.view.getBigUint64(this.field(name).at, true);
  }
  guid(name: string): string {
    const { at } = this.field(name);
    return guidText(this.bytes.subarray(at, at + GUID_SIZE));
  }
  /** What follows the fixed fields. */
  rest(name: string): Uint8Array {
    return this.bytes.subarray(this.field(name).at);
  }

  /** Its fields for who looks at it. */
  shown(): Readonly<Record<string, StageValue>> {
    const values: Record<string, StageValue> = {};
    for (const field of this.row.fields) values[field.name] = this.show(field);
    return values;
  }

  private show({ name, size, isHex }: MessageField): StageValue {
    if (size === 'guid') return this.guid(name);
    if (size === 'rest') return `${this.rest(name).length} bytes`;
    if (size === 8) return this.long(name);
    const value = this.number(name);
    return isHex ? BigInt(value) : value;
  }

  /** `OPEN_CHANNEL channel 3, open_id 1 …` */
  describe(): string {
    const fields = Object.entries(this.shown()).map(
      ([name, value]) => `${name} ${typeof value === 'bigint' ? hex(value) : String(value)}`,
    );
    return fields.length === 0 ? this.row.name : `${this.row.name} ${fields.join(', ')}`;
  }
}

/** Decodes a message. A string says why it is none, as a part of a sentence. */
export function decodeMessage(bytes: Uint8Array): VmbusMessage | string {
  if (bytes.length < HEADER_SIZE) return `a message of ${bytes.length} bytes has no header`;
  const type = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  const row = messageRow(type);
  if (row === undefined) return `there is no message of type ${hex(type)}`;
  if (bytes.length < row.size) return `${row.name} has ${bytes.length} bytes, but needs ${row.size}`;
  return new VmbusMessage(row, bytes);
}

const BY_NAME = new Map(VMBUS_MESSAGES.map((row) => [row.name, row]));

/** The bytes of a message; fields that are not given are zero. What is too long for a message is cut. */
export function encodeMessage(name: VmbusTypeName, values: Readonly<Record<string, FieldValue>> = {}): Uint8Array {
  const row = BY_NAME.get(name);
  if (row === undefined) throw new Error(`There is no message ${name}.`);
  const rest = Object.values(values).find((value) => value instanceof Uint8Array);
  const bytes = new Uint8Array(Math.min(row.size + (rest?.length ?? 0), LONGEST_MESSAGE));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, row.type, true);
  for (const [key, value] of Object.entries(values)) {
    const field = row.fields.find((one) => one.name === key);
    if (field === undefined) throw new Error(`The message ${name} has no field ${key}.`);
    put(view, field, value);
  }
  return bytes;
}

function put(view: DataView, { at, size, name }: MessageField, value: FieldValue): void {
  const target = new Uint8Array(view.buffer);
  if (value instanceof Uint8Array) target.set(value.subarray(0, Math.max(0, target.length - at)), at);
  else if (typeof value === 'string') {
    const bytes = guidBytes(value);
    if (bytes === undefined) throw new Error(`${value} is no GUID for ${name}.`);
    target.set(bytes, at);
  } else if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
  else if (typeof value === 'number' && size === 1) view.setUint8(at, value);
  else if (typeof value === 'number' && size === 2) view.setUint16(at, value, true);
  else if (typeof value === 'number') view.setUint32(at, value, true);
}

/** ACPI Machine Language (ACPI 6.5, chapter 20), as much of it as says where devices are. */

const Opcode = {
  ZERO: 0x00,
  NAME: 0x08,
  BYTE: 0x0a,
  DWORD: 0x0c,
  STRING: 0x0d,
  SCOPE: 0x10,
  BUFFER: 0x11,
  PACKAGE: 0x12,
} as const;
const DEVICE = [0x5b, 0x82] as const;
const ROOT = 0x5c;

/** A piece of AML. */
export type Aml = readonly number[];

const ascii = (text: string): number[] => [...new TextEncoder().encode(text)];

/** An integer below 256. */
export const byte = (value: number): Aml => [Opcode.BYTE, value];
export const dword = (value: number): Aml => [Opcode.DWORD, ...little32(value)];
export const zero: Aml = [Opcode.ZERO];
/** An id of Plug and Play, as ACPI compresses it (19.6.36): three letters of five bits, and four digits. */
export function eisaId(id: string): Aml {
  const [first = 0, second = 0, third = 0] = [...id].map((letter) => letter.charCodeAt(0) - 0x40);
  const letters = (first << 10) | (second << 5) | third;
  const digits = Number.parseInt(id.slice(3), 16);
  return [Opcode.DWORD, letters >> 8, letters & 0xff, digits >> 8, digits & 0xff];
}
export const string = (text: string): Aml => [Opcode.STRING, ...ascii(text), 0];

/** Names are of four characters. */
export const name = (of: string, value: Aml): Aml => [Opcode.NAME, ...ascii(of), ...value];
export const device = (of: string, ...content: readonly Aml[]): Aml => [...DEVICE, ...sized([...ascii(of), ...content.flat()])];
/** A scope below the root. */
export const scope = (of: string, ...content: readonly Aml[]): Aml => [
  Opcode.SCOPE,
  ...sized([ROOT, ...ascii(of), ...content.flat()]),
];
export const packageOf = (...elements: readonly Aml[]): Aml => [Opcode.PACKAGE, ...sized([elements.length, ...elements.flat()])];

/** Resources of a device (6.4): a range of memory, an interrupt. */
export function resources(...descriptors: readonly Aml[]): Aml {
  const bytes = [...descriptors.flat(), ...END_TAG];
  return [Opcode.BUFFER, ...sized([...byte(bytes.length), ...bytes])];
}

const END_TAG = [0x79, 0];
const little16 = (value: number): Aml => [value & 0xff, (value >>> 8) & 0xff];
const little32 = (value: number): Aml => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
const little64 = (value: bigint): Aml => [...new Uint8Array(BigUint64Array.of(value).buffer)];

/** A 32-bit memory range that is read and written (6.4.3.4). */
export const memory32 = (base: number, length: number): Aml => [0x86, 9, 0, 1, ...little32(base), ...little32(length)];
/** A level-triggered, active high interrupt that no other device has (6.4.3.6). */
export const levelInterrupt = (gsi: number): Aml => [0x89, 6, 0, 1, 1, ...little32(gsi)];

/** I/O ports at a fixed place, with 16 bits decoded (6.4.2.5). */
export const ports = (base: number, count: number): Aml => [0x47, 1, ...little16(base), ...little16(base), 1, count];
/** An edge-triggered, active high interrupt of the PICs (6.4.2.1). */
export const isaInterrupt = (irq: number): Aml => [0x22, ...little16(1 << irq)];

const Space = { MEMORY: 0, IO: 1, BUSES: 2 } as const;
/** Both ends are fixed. */
const FIXED = 0x0c;

/** What a bridge passes on (6.4.3.5): numbers of buses, I/O ports, memory below 4 GiB; from the first to the last. */
export const busRange = (first: number, last: number): Aml => [0x88, ...range16(Space.BUSES, 0, first, last)];
export const portRange = (first: number, last: number): Aml => [0x88, ...range16(Space.IO, 3, first, last)];
export const memoryRange = (first: number, last: number): Aml => {
  const fields = [0, first, last, 0, last - first + 1].flatMap(little32);
  return [0x87, ...little16(3 + fields.length), Space.MEMORY, FIXED, 1, ...fields];
};
/** The same above 4 GiB (6.4.3.5.1). */
export const highMemoryRange = (first: bigint, last: bigint): Aml => {
  const fields = [0n, first, last, 0n, last - first + 1n].flatMap(little64);
  return [0x8a, ...little16(3 + fields.length), Space.MEMORY, FIXED, 1, ...fields];
};
function range16(space: number, flags: number, first: number, last: number): Aml {
  const fields = [0, first, last, 0, last - first + 1].flatMap(little16);
  return [...little16(3 + fields.length), space, FIXED, flags, ...fields];
}

/** Puts the length of a package before it (20.2.4): the length counts itself. */
function sized(content: Aml): Aml {
  const length = content.length;
  if (length + 1 < 0x40) return [length + 1, ...content];
  return [0x40 | ((length + 2) & 0xf), (length + 2) >> 4, ...content];
}

/** ACPI Machine Language (ACPI 6.5, chapter 20), as much of it as says where devices are. */

const Opcode = { ZERO: 0x00, NAME: 0x08, BYTE: 0x0a, STRING: 0x0d, SCOPE: 0x10, BUFFER: 0x11, PACKAGE: 0x12 } as const;
const DEVICE = [0x5b, 0x82] as const;
const ROOT = 0x5c;

/** A piece of AML. */
export type Aml = readonly number[];

const ascii = (text: string): number[] => [...new TextEncoder().encode(text)];

/** An integer below 256. */
export const byte = (value: number): Aml => [Opcode.BYTE, value];
export const zero: Aml = [Opcode.ZERO];
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
const little32 = (value: number): Aml => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);

/** A 32-bit memory range that is read and written (6.4.3.4). */
export const memory32 = (base: number, length: number): Aml => [0x86, 9, 0, 1, ...little32(base), ...little32(length)];
/** A level-triggered, active high interrupt that no other device has (6.4.3.6). */
export const levelInterrupt = (gsi: number): Aml => [0x89, 6, 0, 1, 1, ...little32(gsi)];

/** Puts the length of a package before it (20.2.4): the length counts itself. */
function sized(content: Aml): Aml {
  const length = content.length;
  if (length + 1 < 0x40) return [length + 1, ...content];
  return [0x40 | ((length + 2) & 0xf), (length + 2) >> 4, ...content];
}

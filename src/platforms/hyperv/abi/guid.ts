/** GUIDs as Microsoft's structures have them: the first three fields little-endian, the rest as bytes. */

const TEXT = /^([\da-f]{8})-([\da-f]{4})-([\da-f]{4})-([\da-f]{4})-([\da-f]{12})$/i;
/** Place of each byte of a structure in the digits of the text. */
const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

export const GUID_SIZE = 16;

/** `f8615163-df3e-46c5-913f-f2d2f965ed0e`, of 16 bytes; missing ones are zero. */
export function guidText(bytes: Uint8Array): string {
  const digits: string[] = Array.from({ length: GUID_SIZE }, () => '00');
  ORDER.forEach((place, index) => {
    digits[place] = (bytes[index] ?? 0).toString(16).padStart(2, '0');
  });
  const part = (from: number, to: number) => digits.slice(from, to).join('');
  return [part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 16)].join('-');
}

/** The 16 bytes of a GUID's text; undefined for text that is none. */
export function guidBytes(text: string): Uint8Array | undefined {
  const match = TEXT.exec(text);
  if (match === null) return undefined;
  const digits = match.slice(1).join('');
  return Uint8Array.from(ORDER, (place) => Number.parseInt(digits.slice(place * 2, place * 2 + 2), 16));
}

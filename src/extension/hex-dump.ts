const ROW = 16;

/** Bytes as lines of address, hexadecimal and text, 16 bytes a line. */
export function hexDump(address: bigint, bytes: Uint8Array): string {
  const width = Math.max(8, (address + BigInt(Math.max(0, bytes.length - 1))).toString(16).length);
  let text = '';
  for (let start = 0; start < bytes.length; start += ROW) {
    const row = [...bytes.subarray(start, start + ROW)];
    const hex = Array.from({ length: ROW }, (_, index) => row[index]?.toString(16).padStart(2, '0') ?? '  ');
    const characters = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    const at = BigInt.asUintN(64, address + BigInt(start))
      .toString(16)
      .padStart(width, '0');
    text += `${at}  ${hex.slice(0, 8).join(' ')}  ${hex.slice(8).join(' ')}  ${characters}\n`;
  }
  return text;
}

/** The sum of 16-bit big-endian words that the Internet checksum is made of (RFC 1071), not folded; `sum`: of what comes before. */
export function wordSum(bytes: Uint8Array, sum = 0): number {
  let total = sum;
  const even = bytes.length & ~1;
  for (let at = 0; at < even; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return even === bytes.length ? total : total + ((bytes[even] ?? 0) << 8);
}

/** The Internet checksum of a sum of words: its ones' complement in 16 bits. 0 for bytes that contain their right checksum. */
export function foldChecksum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x1_0000);
  return ~folded & 0xffff;
}

/** The sum over the pseudo header of TCP and UDP (RFC 9293, 3.1): addresses, protocol, and length of what it stands before. */
export function pseudoHeaderSum(source: number, destination: number, protocol: number, length: number): number {
  const words = (address: number) => (address >>> 16) + (address & 0xffff);
  return words(source) + words(destination) + protocol + length;
}

/** Names of bits whose change is worth a word. */
const CR0_BITS = { 0: 'PE', 1: 'MP', 2: 'EM', 3: 'TS', 16: 'WP', 29: 'NW', 30: 'CD', 31: 'PG' };
const CR4_BITS = {
  4: 'PSE',
  5: 'PAE',
  7: 'PGE',
  9: 'OSFXSR',
  11: 'UMIP',
  16: 'FSGSBASE',
  17: 'PCIDE',
  18: 'OSXSAVE',
  20: 'SMEP',
  21: 'SMAP',
};

/** Which bits of a control register a write changes: `+PG -TS`, or `nothing`. */
export function changedBits(register: 0 | 2 | 3 | 4 | 8, old: bigint, value: bigint): string {
  const names: Readonly<Record<number, string>> = register === 4 ? CR4_BITS : register === 0 ? CR0_BITS : {};
  const changed = old ^ value;
  const parts: string[] = [];
  for (let bit = 0; bit < 32; bit++)
    if ((changed >> BigInt(bit)) & 1n) parts.push(`${(value >> BigInt(bit)) & 1n ? '+' : '-'}${names[bit] ?? `bit ${bit}`}`);
  return parts.join(' ') || 'nothing';
}

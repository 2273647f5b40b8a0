import type { InspectNode } from '../../devices/inspect.ts';
import { hex } from '../../x86/address.ts';

/** A field of a control structure: its name, its encoding or offset, its value. */
export function field(name: string, at: number, value: bigint | number, detail?: string): InspectNode {
  const where = hex(at, 4);
  return { name, value: hex(value), detail: detail === undefined ? where : `${where}, ${detail}` };
}

/** Names of the bits that are set. */
export function bitNames(value: number, names: Readonly<Record<number, string>>): string {
  const set = Object.entries(names)
    .filter(([bit]) => (value >>> Number(bit)) & 1)
    .map(([, name]) => name);
  return set.length > 0 ? set.join(', ') : 'none';
}

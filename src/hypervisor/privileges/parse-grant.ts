import { hex } from '../../x86/address.ts';
import { nearestName } from '../../x86/nearest-name.ts';
import { type PortRange, PRIVILEGES, type PrivilegeName, problemOfGrant, USUAL_PRIVILEGES } from './privileges.ts';

/**
 * A list of privileges or ports that can't be read. The message is a sentence without its subject, which is what the list is called where
 * it stands: `has "fly", which is no privilege; …`.
 */
export class GrantError extends Error {}

/** A word of a list of privileges, and what it does. */
export interface PrivilegeWord {
  readonly word: string;
  readonly meaning: string;
}

/** Every word that {@link parsePrivileges} takes. */
export const PRIVILEGE_WORDS: readonly PrivilegeWord[] = [
  { word: 'usual', meaning: 'All but `create-partitions` and `debugging`: what a partition has unless it is said otherwise.' },
  { word: 'none', meaning: 'Nothing; the same as an empty list.' },
  ...PRIVILEGES.map(({ name, grants }) => ({ word: name, meaning: `It may ${grants}.` })),
  ...PRIVILEGES.map(({ name, grants }) => ({ word: `-${name}`, meaning: `It may not ${grants}.` })),
];

/**
 * Reads what a partition may do: names of privileges, `usual` for the usual ones, and `-name` for one that is taken away. Where nothing
 * but those is said, they are taken from the usual ones. In the order of the table; throws GrantError.
 */
export function parsePrivileges(words: readonly string[]): readonly PrivilegeName[] {
  const given = new Set<PrivilegeName>();
  const taken = new Set<PrivilegeName>();
  const isUsual = words.includes('usual') || (words.length > 0 && words.every((word) => word.startsWith('-')));
  for (const word of words) {
    if (word === 'usual' || word === 'none') continue;
    if (word.startsWith('-')) taken.add(privilege(word.slice(1)));
    else given.add(privilege(word));
  }
  const both = [...taken].find((name) => given.has(name));
  if (both !== undefined) throw new GrantError(`has both "${both}" and "-${both}"; leave one of them out`);
  return PRIVILEGES.map(({ name }) => name).filter(
    (name) => !taken.has(name) && (given.has(name) || (isUsual && USUAL_PRIVILEGES.has(name))),
  );
}

function privilege(word: string): PrivilegeName {
  const found = PRIVILEGES.find(({ name }) => name === word);
  if (found) return found.name;
  const names = PRIVILEGES.map(({ name }) => name);
  const near = nearestName(word, [...names, 'usual', 'none']);
  const hint = near === undefined ? `there are ${names.join(', ')}` : `did you mean "${near}"?`;
  throw new GrantError(`has "${word}", which is no privilege; ${hint}`);
}

/** Reads I/O ports, each as `0x3f8` or as a range, `0x3f8..0x3ff`; decimal, too. Throws GrantError. */
export function parsePorts(words: readonly string[]): readonly PortRange[] {
  return words.map((word) => {
    const [, first, last = first] = /^(0x[0-9a-f]+|\d+)(?:\.\.(0x[0-9a-f]+|\d+))?$/i.exec(word.trim()) ?? [];
    const range = { first: Number(first), last: Number(last) };
    if (problemOfGrant({ privileges: USUAL_PRIVILEGES, limits: { ports: [range] } }) !== undefined)
      throw new GrantError(`has "${word}", which is neither a port from 0 to 0xffff nor a range of them such as 0x3f8..0x3ff`);
    return range;
  });
}

/** A range of ports as {@link parsePorts} reads it. */
export function portsText({ first, last }: PortRange): string {
  return first === last ? hex(first) : `${hex(first)}..${hex(last)}`;
}

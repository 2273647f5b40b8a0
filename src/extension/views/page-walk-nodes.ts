import type { PageWalkBody, SecondLevelBody, TableEntryBody } from '../../adapter/requests/paging.ts';

/** A row of the Page Tables view. */
export interface PageWalkNode {
  /** The same for the same row at the next stop. */
  readonly id: string;
  readonly label: string;
  readonly description?: string;
  /** Lines of the hover, in Markdown. */
  readonly hover?: readonly string[];
  /** A product icon. */
  readonly icon?: string;
  readonly memoryReference?: string;
  /** What Copy Value copies. */
  readonly value?: string;
  readonly children?: readonly PageWalkNode[];
}

const ALLOWED = 'pass';
const REFUSED = 'error';

/** The row of an address that is looked up, with what its translation has below it. */
export function pageWalkNode(expression: string, walk: PageWalkBody): PageWalkNode {
  const { address, gpa, rights, pageSize, problem, space } = walk;
  const isMapped = gpa !== undefined;
  const prefix = space === 'gpa' ? 'gpa ' : '';
  const description =
    space === 'gpa'
      ? secondLevelResult(walk.secondLevel)
      : isMapped
        ? [`→ gpa ${gpa}`, rights, pageSize === undefined ? 'paging is off' : sizeText(pageSize)]
            .filter((part) => part)
            .join('  ')
        : problem;
  const shown = isSame(expression, address) ? '' : `${prefix}${address} `;
  return {
    id: expression,
    label: expression,
    description: `${shown}${description ?? ''}`.trim(),
    icon: isMapped ? 'symbol-reference' : 'circle-slash',
    memoryReference: walk.memoryReference,
    value: address,
    children: children(expression, walk),
  };
}

/** The row of an address that can't be looked up now. */
export function failedNode(expression: string, message: string): PageWalkNode {
  return { id: expression, label: expression, description: message, icon: 'circle-slash', hover: [message] };
}

function isSame(expression: string, address: string): boolean {
  return expression.replace(/^gpa:/i, '').toLowerCase() === address;
}

function children(id: string, walk: PageWalkBody): PageWalkNode[] {
  const { root, entries, gpa, pageSize, physicalReference, secondLevel, space } = walk;
  const rows: PageWalkNode[] = [];
  if (root)
    rows.push({
      id: `${id}/CR3`,
      label: 'CR3',
      description: `${root.cr3}  ${walk.mode} paging`,
      icon: 'symbol-constant',
      memoryReference: root.memoryReference,
      value: root.cr3,
    });
  rows.push(...entries.map((entry) => entryNode(`${id}/${entry.name}`, entry)));
  if (gpa !== undefined && space === 'gva' && pageSize !== undefined)
    rows.push({
      id: `${id}/page`,
      label: 'Page',
      description: `gpa ${gpa}  ${sizeText(pageSize)}`,
      icon: 'file-binary',
      memoryReference: physicalReference,
      value: gpa,
    });
  if (walk.accesses.length > 0 && entries.length > 0 && gpa !== undefined)
    rows.push(accessesNode(`${id}/accesses`, walk.accesses));
  if (secondLevel) rows.push(secondLevelNode(`${id}/second`, secondLevel));
  return rows;
}

function entryNode(
  id: string,
  { name, index, gpa, value, fields, next, secondLevel, memoryReference }: TableEntryBody,
): PageWalkNode {
  const set = fields.filter((field) => field.value !== '0x0' && field.name !== 'reserved').map((field) => field.name);
  const isPresent = fields[0]?.value === '0x1';
  const outcome = next ? `→ ${next.what} ${next.gpa}` : isPresent ? 'reserved bits set' : 'not present';
  return {
    id,
    label: `${name} ${index}`,
    description: `${value}  ${set.join(' ')}  ${outcome}`.replace(/ {3,}/, '  '),
    hover: [
      `**${name} ${index}** at gpa \`${gpa}\`: \`${value}\``,
      '',
      '| | | | |',
      '|---|---|---|---|',
      ...fields.map((field) => `| ${field.name} | ${field.bits} | \`${field.value}\` | ${field.meaning} |`),
    ],
    icon: next ? 'symbol-array' : 'circle-slash',
    memoryReference,
    value,
    children: [
      ...fields.map((field) => ({
        id: `${id}/${field.name}`,
        label: field.name,
        description: `${field.value.slice(2)}  ${field.meaning}`,
        hover: [`${field.name}, ${field.bits}: ${field.meaning}`],
        icon: fieldIcon(field),
        value: field.value,
      })),
      ...(next
        ? [
            {
              id: `${id}/next`,
              label: next.what.replace(/^./, (first) => first.toUpperCase()),
              description: `gpa ${next.gpa}`,
              icon: 'arrow-right',
              memoryReference: next.memoryReference,
              value: next.gpa,
            },
          ]
        : []),
      ...(secondLevel ? [secondLevelNode(`${id}/second`, secondLevel)] : []),
    ],
  };
}

/** Set and clear bits are told apart without a reading. */
function fieldIcon({ name, bits, value }: TableEntryBody['fields'][number]): string {
  if (name === 'reserved') return REFUSED;
  if (bits.startsWith('bits')) return 'symbol-numeric';
  return value === '0x0' ? 'circle-outline' : 'circle-filled';
}

function accessesNode(id: string, accesses: PageWalkBody['accesses']): PageWalkNode {
  const allowed = (user: boolean) => {
    const kinds = accesses.filter((access) => access.user === user && access.fault === undefined).map(({ kind }) => kind);
    return kinds.length === 0 ? 'nothing' : kinds.length === 3 ? 'everything' : kinds.join(', ');
  };
  return {
    id,
    label: 'Accesses',
    description: `supervisor: ${allowed(false)}; user: ${allowed(true)}`,
    icon: 'shield',
    children: accesses.map(({ user, kind, fault, cause }) => ({
      id: `${id}/${user ? 'user' : 'supervisor'} ${kind}`,
      label: `${user ? 'User' : 'Supervisor'} ${kind}`,
      description: fault === undefined ? 'allowed' : `${fault}  ${cause ?? ''}`.trimEnd(),
      hover: cause === undefined ? undefined : [cause],
      icon: fault === undefined ? ALLOWED : REFUSED,
    })),
  };
}

function secondLevelResult(walk: SecondLevelBody | undefined): string | undefined {
  if (!walk) return 'is physical already';
  return walk.spa === undefined ? walk.problem : `→ spa ${walk.spa}`;
}

function secondLevelNode(id: string, walk: SecondLevelBody): PageWalkNode {
  return {
    id,
    label: walk.format,
    description: secondLevelResult(walk),
    icon: walk.spa === undefined ? 'circle-slash' : 'layers',
    value: walk.spa,
    children: [
      {
        id: `${id}/root`,
        label: walk.format === 'EPT' ? 'EPTP' : 'nCR3',
        description: walk.root,
        icon: 'symbol-constant',
        value: walk.root,
      },
      ...walk.entries.map(({ name, spa, value, bits, next }) => ({
        id: `${id}/${name}`,
        label: name,
        description: `${value}  ${bits.join(' ')}${next === undefined ? '' : `  → spa ${next}`}`,
        hover: [`**${name}** at spa \`${spa}\`: \`${value}\``, '', bits.length > 0 ? bits.join(', ') : 'no bits are set'],
        icon: next === undefined ? 'circle-slash' : 'symbol-array',
        value,
        children: bits.map((bit) => ({
          id: `${id}/${name}/${bit}`,
          label: bit,
          description: SECOND_LEVEL_BITS[bit],
          icon: 'circle-filled',
        })),
      })),
    ],
  };
}

/** What the bits and fields of second-level entries mean where they are set (Intel SDM vol. 3, 29.3.2; AMD APM vol. 2, 5.3 and 15.25). */
const SECOND_LEVEL_BITS: Readonly<Record<string, string>> = {
  R: 'reads allowed',
  W: 'writes allowed',
  X: 'execution allowed',
  UC: 'memory type uncacheable',
  WC: 'memory type write-combining',
  WT: 'memory type write-through',
  WP: 'memory type write-protected',
  WB: 'memory type write-back',
  IPAT: "the guest's PAT is ignored",
  PS: 'a large page',
  A: 'accessed',
  D: 'written to',
  P: 'present',
  RW: 'writes allowed',
  US: 'user accesses allowed: all of the guest are',
  PWT: 'part of the memory type',
  PCD: 'part of the memory type',
  PAT: 'part of the memory type',
  NX: 'no execution',
};

function sizeText(bytes: number): string {
  const [size, unit] = bytes >= 2 ** 30 ? [2 ** 30, 'GiB'] : bytes >= 2 ** 20 ? [2 ** 20, 'MiB'] : [1024, 'KiB'];
  return `${bytes / Number(size)} ${unit}`;
}

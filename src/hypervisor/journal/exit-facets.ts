import { msrReference } from '../../processor/models/msr-table.ts';
import { hex } from '../../x86/address.ts';
import type { ExitRecord } from './exit-journal.ts';

/**
 * What exits are counted and filtered by. A facet's value comes from the record alone, so that a journal in memory and one from a
 * file answer alike; undefined where an exit has none.
 */
export interface Facet {
  readonly name: FacetName;
  /** One line for lists. */
  readonly description: string;
  readonly of: (record: ExitRecord) => string | undefined;
}

export const FACET_NAMES = [
  'reason',
  'port',
  'msr',
  'gpa',
  'hypercall',
  'leaf',
  'rip',
  'handler',
  'to',
  'partition',
  'vcpu',
] as const;
export type FacetName = (typeof FACET_NAMES)[number];

/** The part of a request behind one of some words (exits/describe.ts), up to the next comma or space. */
function argument(record: ExitRecord, words: RegExp): string | undefined {
  const found = words.exec(record.request ?? '');
  return found?.[1];
}

const msrNames = new Map(msrReference().map(({ index, name }) => [index, name]));

function msrOf(record: ExitRecord): string | undefined {
  if (record.reason !== 'msr-read' && record.reason !== 'msr-write') return undefined;
  const index = argument(record, /^(?:rd|wr)msr (0x[0-9a-f]+)/);
  if (index === undefined) return undefined;
  const name = msrNames.get(Number(index));
  return name === undefined ? index : `${index} ${name}`;
}

/** The page of guest physical memory, or the register of the local APIC. */
function pageOf(record: ExitRecord): string | undefined {
  if (record.reason === 'apic') {
    const register = argument(record, /^apic (?:read|write) (0x[0-9a-f]+)/);
    return register === undefined ? undefined : `APIC ${register}`;
  }
  if (record.reason !== 'mmio' && record.reason !== 'second-level-violation') return undefined;
  const address = argument(record, /^(?:fetch|read|write|execute) (0x[0-9a-f]+)/);
  return address === undefined ? undefined : hex(BigInt(address) & ~0xfffn);
}

/** Bits 31:16 of the qualification, as of EXITINFO1, are the port (Intel SDM vol. 3, table 28-5; AMD APM vol. 2, 15.10.2). */
function portOf({ reason, qualification }: ExitRecord): string | undefined {
  return reason === 'io' ? hex((BigInt(qualification) >> 16n) & 0xffffn) : undefined;
}

/** All facets, in the order in which an overview has them. */
export const FACETS: readonly Facet[] = [
  { name: 'reason', description: 'why the guest was left', of: ({ reason }) => reason },
  { name: 'port', description: 'I/O port', of: portOf },
  { name: 'msr', description: 'model-specific register', of: msrOf },
  { name: 'gpa', description: 'guest physical page, or register of the local APIC', of: pageOf },
  {
    name: 'hypercall',
    description: 'number of the hypercall',
    of: (record) => (record.reason === 'hypercall' ? argument(record, /^vmm?call (0x[0-9a-f]+)/) : undefined),
  },
  {
    name: 'leaf',
    description: 'CPUID leaf',
    of: (record) => (record.reason === 'cpuid' ? argument(record, /^cpuid (0x[0-9a-f]+)/) : undefined),
  },
  { name: 'rip', description: 'instruction that left', of: ({ rip }) => rip },
  { name: 'handler', description: 'who took it', of: ({ handler }) => handler },
  { name: 'to', description: 'who served it', of: ({ to }) => to },
  { name: 'partition', description: 'partition', of: ({ partition }) => String(partition) },
  { name: 'vcpu', description: 'vCPU of its partition', of: ({ partition, vcpu }) => `${partition}.${vcpu}` },
];

/** The facet of a name; undefined for another word. */
export function facetByName(name: string): Facet | undefined {
  return FACETS.find((facet) => facet.name === name);
}

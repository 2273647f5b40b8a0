import type { ExitRecord } from './exit-journal.ts';
import { controlRegisterOf, hypercallOf, leafOf, msrOf, pageOf, portOf, subjectOf, vectorOf } from './exit-subject.ts';

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
  'subject',
  'port',
  'msr',
  'gpa',
  'hypercall',
  'leaf',
  'cr',
  'vector',
  'rip',
  'handler',
  'to',
  'partition',
  'vcpu',
] as const;
export type FacetName = (typeof FACET_NAMES)[number];

/** All facets, in the order in which an overview has them. */
export const FACETS: readonly Facet[] = [
  { name: 'reason', description: 'why the guest was left', of: ({ reason }) => reason },
  { name: 'subject', description: 'what the guest did, without values', of: subjectOf },
  { name: 'port', description: 'I/O port', of: portOf },
  { name: 'msr', description: 'model-specific register', of: msrOf },
  { name: 'gpa', description: 'guest physical page, or register of the local APIC', of: pageOf },
  { name: 'hypercall', description: 'hypercall: its name where the platform has one, otherwise its number', of: hypercallOf },
  { name: 'leaf', description: 'CPUID leaf', of: leafOf },
  { name: 'cr', description: 'control register', of: controlRegisterOf },
  { name: 'vector', description: 'exception, or vector of an interrupt', of: vectorOf },
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

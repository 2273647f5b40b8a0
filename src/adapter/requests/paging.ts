import type { Guest } from '../../debugger/launch-guest.ts';
import { addressMap } from '../../debugger/paging/address-map.ts';
import { mapLines, rightsColumn } from '../../debugger/paging/map-text.ts';
import { type TranslationEntry, type TranslationView, translationView } from '../../debugger/paging/translation.ts';
import type { TableWalk } from '../../hypervisor/second-level/table-walk.ts';
import { hex, type MemoryPlace } from '../../x86/address.ts';
import type { AdapterSession } from '../adapter-session.ts';
import { errors } from '../errors.ts';
import { frameOf } from '../frames.ts';
import { parseReference, writeReference } from '../references.ts';
import { still, type Thread, threadOf } from '../threads.ts';
import { evaluated } from './evaluation.ts';
import { guestOf, optionalNumber, optionalText, type Parameters, type RequestHandler, textOf } from './handler.ts';

/** Ranges of one answer. */
const MOST_RANGES = 10_000;
const NUMBER = /^(?:0x[0-9a-f]+|\d+)$/i;
const PHYSICAL = /^gpa:(?!\s*\[)(.*)$/is;

/** What a request is about: a vCPU that stands still, and an address in its partition. */
interface Asked extends Thread {
  readonly place: MemoryPlace;
}

/** The place that is given: a reference, or an expression that leads to memory. Throws RequestError, ExpressionError. */
function asked(adapter: AdapterSession, parameters: Parameters, text: string): Asked {
  const thread = parameters.threadId === undefined ? frameOf(adapter, parameters) : still(threadOf(adapter, parameters));
  const physical = PHYSICAL.exec(text)?.[1];
  if (!NUMBER.test(text) && physical !== undefined)
    return { ...thread, place: { space: 'gpa', address: thread.guest.session.evaluate(physical, thread.vcpu) } };
  const memoryReference = NUMBER.test(text) ? text : evaluated(adapter, parameters, text, 'watch').memoryReference;
  if (memoryReference === undefined) throw errors.noAddress(text);
  const place = parseReference(memoryReference);
  const guest = guestOf(adapter, place);
  const isOther = guest !== thread.guest && (place.guest ?? 0) > 0;
  return isOther ? { ...still({ guest, vcpu: guest.session.current }), place } : { ...thread, place };
}

/** Writes references to physical memory of a guest. */
const physicalOf = (guest: Guest) => (address: bigint) => writeReference({ guest: guest.index, space: 'gpa', address });
type PhysicalReference = ReturnType<typeof physicalOf>;

/** Bodies of answers: addresses and values as `0x…`, and a memory reference for each place in memory. */
export interface SecondLevelBody {
  readonly format: 'EPT' | 'NPT';
  readonly root: string;
  readonly entries: readonly {
    readonly name: string;
    readonly spa: string;
    readonly value: string;
    readonly bits: readonly string[];
    readonly next?: string;
  }[];
  readonly spa?: string;
  readonly problem?: string;
}

export interface TableEntryBody {
  readonly name: string;
  readonly index: number;
  readonly gpa: string;
  readonly memoryReference: string;
  readonly value: string;
  readonly fields: readonly { readonly name: string; readonly bits: string; readonly value: string; readonly meaning: string }[];
  readonly next?: { readonly what: string; readonly gpa: string; readonly memoryReference: string };
  readonly secondLevel?: SecondLevelBody;
}

export interface PageWalkBody {
  readonly space: MemoryPlace['space'];
  readonly address: string;
  readonly memoryReference: string;
  readonly mode: TranslationView['mode'];
  readonly root?: { readonly cr3: string; readonly gpa: string; readonly memoryReference: string };
  readonly entries: readonly TableEntryBody[];
  readonly gpa?: string;
  readonly physicalReference?: string;
  /** In bytes. */
  readonly pageSize?: number;
  /** `rwx s`. */
  readonly rights?: string;
  readonly accesses: TranslationView['accesses'];
  readonly problem?: string;
  readonly secondLevel?: SecondLevelBody;
}

function secondLevelBody(walk: TableWalk | undefined): SecondLevelBody | undefined {
  if (!walk) return undefined;
  const { format, root, entries, spa, problem } = walk;
  return {
    format,
    root: hex(root),
    entries: entries.map(({ level, address, value, bits, next }) => ({
      name: level,
      spa: hex(address),
      value: hex(value, 16),
      bits,
      next: next === undefined ? undefined : hex(next),
    })),
    spa: spa === undefined ? undefined : hex(spa),
    problem,
  };
}

function entryBody(
  { name, index, gpa, value, fields, next, secondLevel }: TranslationEntry,
  physicalReference: PhysicalReference,
): TableEntryBody {
  return {
    name,
    index,
    gpa: hex(gpa),
    memoryReference: physicalReference(gpa),
    value: hex(value),
    fields: fields.map((field) => ({ ...field, value: hex(field.value) })),
    next: next && { what: next.what, gpa: hex(next.gpa), memoryReference: physicalReference(next.gpa) },
    secondLevel: secondLevelBody(secondLevel),
  };
}

/**
 * `hyperscope/pageWalk` (an addition to the protocol): how an address is translated, each entry decoded, and what each kind of access
 * would come to. `address` is a memory reference or an expression.
 */
const pageWalk: RequestHandler = (adapter, parameters) => {
  const text = textOf(parameters, 'address', 'hyperscope/pageWalk').trim();
  const { guest, vcpu, place } = asked(adapter, parameters, text);
  const physicalReference = physicalOf(guest);
  const { processor } = guest.session.vcpu(vcpu);
  const { root, entries, gpa, pageSize, rights, secondLevel, ...view } = translationView(guest.partition, processor, place);
  const body: PageWalkBody = {
    space: place.space,
    address: hex(place.address),
    memoryReference: writeReference({ ...place, guest: guest.index }),
    mode: view.mode,
    root: root && { cr3: hex(root.cr3), gpa: hex(root.gpa), memoryReference: physicalReference(root.gpa) },
    entries: entries.map((entry) => entryBody(entry, physicalReference)),
    gpa: gpa === undefined ? undefined : hex(gpa),
    physicalReference: gpa === undefined ? undefined : physicalReference(gpa),
    pageSize: pageSize === undefined ? undefined : Number(pageSize),
    rights: rights && rightsColumn(rights),
    accesses: view.accesses,
    problem: view.problem,
    secondLevel: secondLevelBody(secondLevel),
  };
  return { body };
};

/**
 * `hyperscope/addressMap` (an addition to the protocol): what is mapped from an address on, as ranges with the same rights, and the same
 * as lines of text.
 */
const map: RequestHandler = (adapter, parameters) => {
  const count = optionalNumber(parameters, 'count') ?? MOST_RANGES;
  const { guest, vcpu, place } = asked(adapter, parameters, optionalText(parameters, 'address') ?? '0x0');
  if (place.space !== 'gva') throw errors.badArguments('hyperscope/addressMap', 'a linear address');
  const limits = { ranges: Math.max(1, Math.min(MOST_RANGES, Math.trunc(count))) };
  const found = addressMap(guest.session.vcpu(vcpu).processor, place.address, limits);
  return {
    body: {
      mode: found.mode,
      ranges: found.ranges.map((range) => ({
        start: hex(range.start),
        last: hex(range.last),
        rights: rightsColumn(range),
        gpa: range.gpa === undefined ? undefined : hex(range.gpa),
        pageSizes: range.pageSizes.map(Number),
      })),
      lines: mapLines(found),
      unfinishedAt: found.unfinishedAt === undefined ? undefined : hex(found.unfinishedAt),
    },
  };
};

export const pagingRequests: Readonly<Record<string, RequestHandler>> = {
  'hyperscope/pageWalk': pageWalk,
  'hyperscope/addressMap': map,
};

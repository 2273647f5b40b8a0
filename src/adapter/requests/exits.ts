import { breakpointLike } from '../../debugger/breakpoints/exit-breakpoints.ts';
import type { Guest } from '../../debugger/launch-guest.ts';
import { stagePosition } from '../../hypervisor/exits/stage-position.ts';
import { FACET_NAMES, type Facet, facetByName } from '../../hypervisor/journal/exit-facets.ts';
import { ExitFilterError, parseExitFilter } from '../../hypervisor/journal/exit-filter.ts';
import { type ExitRecord, plainRecord } from '../../hypervisor/journal/exit-journal.ts';
import { type ExitGroup, type ExitStatistics, mergeGroups } from '../../hypervisor/journal/exit-statistics.ts';
import { type ExitGroupData, exitGroupData } from '../../hypervisor/journal/exit-tables.ts';
import type { AdapterSession } from '../adapter-session.ts';
import { errors } from '../errors.ts';
import { gvaReference } from '../references.ts';
import { describeSource, type ShownSource } from '../sources.ts';
import { guestOfPartition, optionalNumber, optionalText, type Parameters, type RequestHandler } from './handler.ts';

/** A line of a source; the line as the client counts. */
export interface SourcePlace {
  readonly source: ShownSource;
  readonly line: number;
}

/** A record of the journal as `hyperscope/exits` has it. */
export interface ShownExit extends ExitRecord {
  readonly partitionName: string;
  /** For `disassemble` and instruction breakpoints. */
  readonly instructionReference: string;
  /** The function and the distance from its start: `_start+0x12`. */
  readonly symbol?: string;
  /** The instruction that left; CS is taken to begin at 0. */
  readonly guestPlace?: SourcePlace;
  /** Where its handler begins. */
  readonly handlerPlace?: SourcePlace;
  /** A function breakpoint on exits like this one. */
  readonly breakpoint: { readonly name: string; readonly condition?: string };
}

/** The exits with one value of a facet. */
export interface ShownGroup extends ExitGroupData {
  /** The value as people read it, where it says little itself: a symbol, the name of a partition. */
  readonly label?: string;
}

export interface ExitGroupsAnswer {
  /** Exits so far. */
  readonly total: number;
  /** How many of them were counted: those that pass the filter. */
  readonly counted: number;
  /** Groups that there are; the answer may have fewer. */
  readonly groupCount: number;
  readonly groups: readonly ShownGroup[];
}

export interface ExitRecordsAnswer {
  readonly total: number;
  readonly records: readonly ShownExit[];
}

const COMMAND = 'hyperscope/exits';
/** Records or groups of an answer, where the client says nothing else, and at most. */
const COUNT = 100;
const MOST = 1000;
/** Records that are looked at for an answer: some milliseconds' work, however many are kept. */
const MOST_EXAMINED = 5000;

/** Throws RequestError with the filter's own sentence. */
function filterOf(parameters: Parameters): ReturnType<typeof parseExitFilter> | undefined {
  const text = optionalText(parameters, 'filter');
  try {
    return text === undefined ? undefined : parseExitFilter(text);
  } catch (error) {
    throw error instanceof ExitFilterError ? errors.badFilter(error.message) : error;
  }
}

/** Throws RequestError for a word that is no facet. */
function facetOf(parameters: Parameters): Facet | undefined {
  const name = optionalText(parameters, 'by');
  if (name === undefined) return undefined;
  const facet = facetByName(name);
  if (!facet) throw errors.badArguments(COMMAND, `a "by" that exits have: ${FACET_NAMES.join(', ')}`);
  return facet;
}

/** A line of a source that the client can open. */
function sourcePlace(adapter: AdapterSession, path: string, line: number, shipped = false): SourcePlace {
  return { source: describeSource(adapter, path, shipped), line: adapter.dialect.writeLine(line) };
}

function describeRecord(adapter: AdapterSession, guest: Guest, record: ExitRecord): ShownExit {
  const { symbols } = guest.session;
  const address = BigInt(record.rip);
  const position = symbols.lineAt(address)?.position;
  const stage = record.stage === undefined ? undefined : stagePosition(record.stage);
  const { name, condition } = breakpointLike(record);
  const owner = adapter.launched.guests.length > 1 ? `${guest.configuration.name}!` : '';
  return {
    ...plainRecord(record),
    partitionName: guest.configuration.name,
    instructionReference: gvaReference(guest.index, address),
    symbol: symbols.describe(address),
    guestPlace: position && sourcePlace(adapter, position.path, position.line),
    handlerPlace: stage && sourcePlace(adapter, stage.path, stage.line, true),
    breakpoint: { name: `${owner}${name}`, condition },
  };
}

/** A value as people read it, where it says little itself. */
function labelOf(guests: readonly Guest[], { name }: Facet, { value }: ExitGroup): string | undefined {
  if (name === 'rip')
    return guests.map(({ session }) => session.symbols.describe(BigInt(value))).find((text) => text !== undefined);
  if (name === 'partition') return guests.find(({ partition }) => String(partition.id) === value)?.configuration.name;
  return undefined;
}

function describeGroups(
  guests: readonly Guest[],
  facet: Facet,
  count: number,
  statisticsOf: (guest: Guest) => ExitStatistics,
): Omit<ExitGroupsAnswer, 'total'> {
  const statistics = guests.map(statisticsOf);
  const counted = statistics.reduce((sum, { total }) => sum + total, 0);
  const groups = mergeGroups(statistics.flatMap((one) => one.by(facet.name)));
  return {
    counted,
    groupCount: groups.length,
    groups: groups.slice(0, count).map((group) => ({ ...exitGroupData(group, counted), label: labelOf(guests, facet, group) })),
  };
}

/**
 * `hyperscope/exits` (an addition to the protocol): with a facet "by" alone, how often each of its values was; otherwise the newest
 * "count" records of each partition, oldest first, those with "value" of the facet where both are given. "filter" chooses among the
 * exits, "partition" is the number of one. It works also while the guests run.
 */
const exits: RequestHandler = (adapter, parameters) => {
  const one = guestOfPartition(adapter, parameters, COMMAND);
  const guests = one ? [one] : adapter.launched.guests;
  const count = Math.max(0, Math.min(optionalNumber(parameters, 'count') ?? COUNT, MOST));
  const filter = filterOf(parameters);
  const facet = facetOf(parameters);
  const value = optionalText(parameters, 'value');
  const total = guests.reduce((sum, { partition }) => sum + partition.journal.total, 0);
  if (facet && value === undefined) {
    const statisticsOf = ({ partition: { journal } }: Guest) => {
      if (!filter) return journal.statistics;
      return journal.statistics.part(filter) ?? journal.statisticsOf(filter, { facets: [facet], newest: MOST_EXAMINED });
    };
    const body: ExitGroupsAnswer = { total, ...describeGroups(guests, facet, count, statisticsOf) };
    return { body };
  }
  const chosen = (record: ExitRecord) => (filter?.(record) ?? true) && (!facet || facet.of(record) === value);
  const records = guests.flatMap((guest) => {
    let examined = 0;
    const { journal } = guest.partition;
    const latest = journal.latest(count, (record) => examined++ < MOST_EXAMINED && chosen(record));
    return latest.map((record) => describeRecord(adapter, guest, record));
  });
  const body: ExitRecordsAnswer = { total, records };
  return { body };
};

export const exitRequests: Readonly<Record<string, RequestHandler>> = { [COMMAND]: exits };

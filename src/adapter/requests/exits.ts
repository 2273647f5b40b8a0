import { breakpointLike } from '../../debugger/breakpoints/exit-breakpoints.ts';
import type { Guest } from '../../debugger/launch-guest.ts';
import { stagePosition } from '../../hypervisor/exits/stage-position.ts';
import { FACET_NAMES, type Facet, facetByName } from '../../hypervisor/journal/exit-facets.ts';
import { type ExitFilter, ExitFilterError, parseExitFilter } from '../../hypervisor/journal/exit-filter.ts';
import { type ExitRecord, plainRecord } from '../../hypervisor/journal/exit-journal.ts';
import { type ExitGroup, type ExitStatistics, mergeGroups, OTHERS } from '../../hypervisor/journal/exit-statistics.ts';
import { subjectOf } from '../../hypervisor/journal/exit-subject.ts';
import { type ExitGroupData, exitGroupData } from '../../hypervisor/journal/exit-tables.ts';
import { type NewestExit, newestExits, type WantedExits } from '../../hypervisor/journal/newest-exits.ts';
import type { AdapterSession } from '../adapter-session.ts';
import { errors } from '../errors.ts';
import { gvaReference } from '../references.ts';
import { describeSource, type ShownSource } from '../sources.ts';
import { meaningOf } from './exit-meaning.ts';
import { guestOfPartition, optionalNumber, optionalText, type Parameters, type RequestHandler, textsOf } from './handler.ts';

/** A line of a source; the line as the client counts. */
export interface SourcePlace {
  readonly source: ShownSource;
  readonly line: number;
}

/** A record of the journal as `hyperscope/exits` has it. */
export interface ShownExit extends ExitRecord {
  /** Its place among the exits of all partitions of the session, from 1, in the order in which their handlers finished. */
  readonly order: number;
  readonly partitionName: string;
  /** What the guest did, without values: a filter's `subject`. */
  readonly subject: string;
  /** What the port, MSR, register or hypercall is, in words. */
  readonly meaning?: string;
  /** Guest instructions of its vCPU since the exit before; missing where that one isn't kept any more. */
  readonly instructions?: number;
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
  /** Its newest records, oldest first, where they were asked for. */
  readonly records?: readonly ShownExit[];
}

interface ExitsAnswer {
  /** Exits so far. */
  readonly total: number;
  /** Which launch of the session it is about, from 1: a restart begins anew. */
  readonly run: number;
  /** Partitions of the session. */
  readonly partitions: number;
}

export interface ExitGroupsAnswer extends ExitsAnswer {
  /** How many of them were counted: those that pass the filter. */
  readonly counted: number;
  /** Groups that there are; the answer may have fewer. */
  readonly groupCount: number;
  readonly groups: readonly ShownGroup[];
}

export interface ExitRecordsAnswer extends ExitsAnswer {
  /** Oldest first. */
  readonly records: readonly ShownExit[];
  /** There were more, older than these and behind "after". */
  readonly hasMore: boolean;
}

const COMMAND = 'hyperscope/exits';
/** Records or groups of an answer, where the client says nothing else. */
const COUNT = 100;
/** Records that are looked at for an answer, and the most that it has: some milliseconds' work, however many are kept. */
const MOST_EXAMINED = 5000;
/** Newest records of a group whose records are asked for with the groups. */
const COUNT_OF_GROUP = 50;

/** Throws RequestError with the filter's own sentence. */
function filterOf(parameters: Parameters): ExitFilter | undefined {
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

/** What is known of an instruction that left. */
type Instruction = Pick<ShownExit, 'partitionName' | 'instructionReference' | 'symbol' | 'guestPlace'>;

/** Describes exits of one answer: many have left from the same few instructions, which are looked up once. */
class ExitDescriber {
  private readonly instructions = new Map<string, Instruction>();

  constructor(private readonly adapter: AdapterSession) {}

  private instructionOf(guest: Guest, rip: string): Instruction {
    const key = `${guest.index} ${rip}`;
    const known = this.instructions.get(key);
    if (known) return known;
    const { symbols } = guest.session;
    const address = BigInt(rip);
    const position = symbols.lineAt(address)?.position;
    const instruction = {
      partitionName: guest.configuration.name,
      instructionReference: gvaReference(guest.index, address),
      symbol: symbols.describe(address),
      guestPlace: position && sourcePlace(this.adapter, position.path, position.line),
    };
    this.instructions.set(key, instruction);
    return instruction;
  }

  describe({ record, order, instructions }: NewestExit): ShownExit {
    const { adapter } = this;
    const { guests, first } = adapter.launched;
    const guest = guests.find(({ partition }) => partition.id === record.partition) ?? first;
    const stage = record.stage === undefined ? undefined : stagePosition(record.stage);
    const { name, condition } = breakpointLike(record);
    const owner = guests.length > 1 ? `${guest.configuration.name}!` : '';
    return {
      ...plainRecord(record),
      ...this.instructionOf(guest, record.rip),
      order,
      subject: subjectOf(record),
      meaning: meaningOf(record),
      instructions,
      handlerPlace: stage && sourcePlace(adapter, stage.path, stage.line, true),
      breakpoint: { name: `${owner}${name}`, condition },
    };
  }
}

/** A value as people read it, where it says little itself. */
function labelOf(guests: readonly Guest[], { name }: Facet, { value }: ExitGroup): string | undefined {
  if (value === OTHERS) return undefined;
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
): Omit<ExitGroupsAnswer, keyof ExitsAnswer> {
  const statistics = guests.map(statisticsOf);
  const counted = statistics.reduce((sum, { total }) => sum + total, 0);
  const groups = mergeGroups(statistics.flatMap((one) => one.by(facet.name)));
  return {
    counted,
    groupCount: groups.length,
    groups: groups.slice(0, count).map((group) => ({ ...exitGroupData(group, counted), label: labelOf(guests, facet, group) })),
  };
}

/** The newest records of some groups, found in one pass whatever their number. */
function recordsOfGroups(
  adapter: AdapterSession,
  guests: readonly Guest[],
  facet: Facet,
  values: readonly string[],
  filter: ExitFilter | undefined,
): ReadonlyMap<string, readonly ShownExit[]> {
  const found = new Map(values.map((value) => [value, 0]));
  const chosen = (record: ExitRecord) => {
    if (filter?.(record) === false) return false;
    const value = facet.of(record);
    const before = value === undefined ? undefined : found.get(value);
    if (value === undefined || before === undefined || before >= COUNT_OF_GROUP) return false;
    found.set(value, before + 1);
    return true;
  };
  const { exits } = newestOf(guests, { count: values.length * COUNT_OF_GROUP, chosen });
  const describer = new ExitDescriber(adapter);
  const records = new Map<string, ShownExit[]>(values.map((value) => [value, []]));
  for (const exit of exits) records.get(facet.of(exit.record) ?? '')?.push(describer.describe(exit));
  return records;
}

const newestOf = (guests: readonly Guest[], wanted: Omit<WantedExits, 'examined'>) =>
  newestExits(
    guests.map(({ partition }) => partition.journal),
    { ...wanted, examined: MOST_EXAMINED },
  );

/**
 * `hyperscope/exits` (an addition to the protocol): with a facet "by" alone, how often each of its values was, and the newest records of
 * those in "unfold"; otherwise the newest "count" records of all partitions, oldest first, those behind "after" in their order, and those
 * with "value" of the facet where both are given. "filter" chooses among the exits, "partition" is the number of one. It works also while
 * the guests run.
 */
const exits: RequestHandler = (adapter, parameters) => {
  const one = guestOfPartition(adapter, parameters, COMMAND);
  const guests = one ? [one] : adapter.launched.guests;
  const count = Math.max(0, Math.min(optionalNumber(parameters, 'count') ?? COUNT, MOST_EXAMINED));
  const filter = filterOf(parameters);
  const facet = facetOf(parameters);
  const value = optionalText(parameters, 'value');
  const total = guests.reduce((sum, { partition }) => sum + partition.journal.total, 0);
  const common = { total, run: adapter.run, partitions: adapter.launched.guests.length };
  if (facet && value === undefined) {
    const statisticsOf = ({ partition: { journal } }: Guest) => {
      if (!filter) return journal.statistics;
      return journal.statistics.part(filter) ?? journal.statisticsOf(filter, { facets: [facet], newest: MOST_EXAMINED });
    };
    const { groups, ...counts } = describeGroups(guests, facet, count, statisticsOf);
    const wanted = textsOf(parameters, 'unfold');
    const unfolded = groups.map((group) => group.value).filter((text) => wanted.includes(text));
    const records = unfolded.length === 0 ? undefined : recordsOfGroups(adapter, guests, facet, unfolded, filter);
    const body: ExitGroupsAnswer = {
      ...common,
      ...counts,
      groups: groups.map((group) => ({ ...group, records: records?.get(group.value) })),
    };
    return { body };
  }
  const chosen = (record: ExitRecord) => (filter?.(record) ?? true) && (!facet || facet.of(record) === value);
  const { exits, hasMore } = newestOf(guests, { count, chosen, after: optionalNumber(parameters, 'after') });
  const describer = new ExitDescriber(adapter);
  const body: ExitRecordsAnswer = { ...common, records: exits.map((exit) => describer.describe(exit)), hasMore };
  return { body };
};

export const exitRequests: Readonly<Record<string, RequestHandler>> = { [COMMAND]: exits };

import { encodePageOut, PAGE_OUT } from '../../hypervisor/partition/page-out.ts';
import type { TableWalk } from '../../hypervisor/second-level/table-walk.ts';
import { hex } from '../../x86/address.ts';
import { sizeInBytes } from '../configuration/launch-configuration.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import { walkLines } from '../inspection/exception-details.ts';
import { ALL_ACCESSES, checkAccess } from '../paging/access-check.ts';
import { addressMap } from '../paging/address-map.ts';
import { pagingControl } from '../paging/control.ts';
import { mapLines, rightsText } from '../paging/map-text.ts';
import { sizeText } from '../paging/translation.ts';
import { addressOf, type ConsoleCommand, type ConsoleSession } from './command.ts';

const WALK = 'walk ADDRESS';
const MAP = 'map [ADDRESS]';
const PAGE_OUT_USAGE = 'pageout ADDRESS [SIZE]';
const PAGE = 4096n;
/** Ranges that are shown at once. */
const MOST_RANGES = 64;

function walk(session: ConsoleSession, rest: string): string {
  const { space, address } = addressOf(session, rest, WALK);
  const { partition } = session;
  const { processor } = session.vcpu();
  if (space === 'gpa') {
    const found = partition.walkSecondLevel(address);
    if (found) return secondLevelLines(address, found).join('\n');
    throw new ExpressionError('A physical address is not looked up in page tables; give walk a virtual one, without gpa:.');
  }
  const result = processor.walk(address);
  const { gpa } = result;
  if (gpa === undefined)
    return [...walkLines(result), `${hex(address)} is not mapped. ${result.problem ?? ''}`.trimEnd()].join('\n');
  const page =
    result.steps.length === 0 ? 'paging is off' : `page of ${sizeText(result.pageSize ?? PAGE)}, ${rightsText(result)}`;
  const refused = ALL_ACCESSES.map((access) => checkAccess(result, access, pagingControl(processor))).flatMap((outcome) =>
    outcome.fault === undefined ? [] : [`${outcome.user ? 'user' : 'supervisor'} ${outcome.kind} ${outcome.fault}`],
  );
  const secondLevel = partition.walkSecondLevel(gpa);
  return [
    ...walkLines(result),
    `${hex(address)} → gpa ${hex(gpa)}, ${page}`,
    ...(refused.length > 0 ? [`Refused: ${refused.join(', ')}`] : []),
    ...(secondLevel ? secondLevelLines(gpa, secondLevel) : []),
  ].join('\n');
}

function secondLevelLines(gpa: bigint, { format, entries, spa, problem }: TableWalk): string[] {
  return [
    ...entries.map(({ level, address, value, bits }) =>
      `${format} ${level.padEnd(5)} entry at spa ${hex(address, 8)}: ${hex(value, 16)}  ${bits.join(' ')}`.trimEnd(),
    ),
    spa === undefined ? (problem ?? `gpa ${hex(gpa)} has no memory.`) : `gpa ${hex(gpa)} → spa ${hex(spa)}`,
  ];
}

function map(session: ConsoleSession, rest: string): string {
  const { space, address } = rest === '' ? { space: 'gva', address: 0n } : addressOf(session, rest, MAP);
  if (space === 'gpa') throw new ExpressionError('The map is one of linear addresses; give it one without gpa:.');
  const found = addressMap(session.vcpu().processor, address, { ranges: MOST_RANGES });
  const lines = mapLines(found);
  if (found.unfinishedAt !== undefined) lines.push(`To go on: map ${hex(found.unfinishedAt)}`);
  return lines.length > 0 ? lines.join('\n') : `Nothing is mapped from ${hex(address)} on.`;
}

/** Through the input door, so that a repeated run gets it at the same instruction. */
function putOnDisk(session: ConsoleSession, rest: string): string {
  const [, expression = '', text] = /^(.*?)(?:\s+(\d{1,9}[KMG]))?$/is.exec(rest) ?? [];
  const { space, address } = addressOf(session, expression, PAGE_OUT_USAGE);
  const gpa = space === 'gpa' ? address : session.vcpu().processor.translate(address);
  if (gpa === undefined)
    throw new ExpressionError(`${hex(address)} is not mapped; give pageout a mapped address, or a physical one with gpa:.`);
  const size = BigInt((text === undefined ? undefined : sizeInBytes(text)) ?? PAGE);
  const { secondLevel } = session.partition;
  const start = gpa & -PAGE;
  if (secondLevel.spaOf(start) === undefined)
    throw new ExpressionError(`gpa ${hex(start)} has no memory that could be on a disk.`);
  if (!session.inputTo(PAGE_OUT, encodePageOut({ gpa: start, size })))
    throw new ExpressionError('A bare machine has no host that could want its memory; choose another platform.');
  return `${sizeText(size)} from gpa ${hex(start)} on: ${secondLevel.stateAt(start)}`;
}

export const pagingCommands: readonly ConsoleCommand[] = [
  {
    name: 'walk',
    usage: WALK,
    summary: 'the page walk of a virtual address',
    details: [
      'Shows each entry with where it lies and its bits, then the physical address, the rights and the accesses that would fault.',
      'For example: walk rip, walk [rsp]',
    ],
    run: walk,
  },
  {
    name: 'map',
    usage: MAP,
    summary: 'what is mapped: ranges of virtual addresses with the same rights',
    details: [
      `Shows ${MOST_RANGES} ranges, from ADDRESS on, with their rights (r, w, x; u for the user, s for the supervisor alone), the sizes`,
      'of their pages, and the physical address where a range has one behind the other.',
      'For example: map, map 0xffff800000000000',
    ],
    run: map,
  },
  {
    name: 'pageout',
    usage: PAGE_OUT_USAGE,
    summary: 'has the host put memory of the guest on its disk',
    details: [
      'The next access leaves the guest, and waits 0.1 ms of guest time for the page. A guest of KVM that can do something else meanwhile gets an',
      'asynchronous page fault. What is in the memory stays.',
      'For example: pageout rsi, pageout gpa:0x400000 2M',
    ],
    run: putOnDisk,
  },
];

import type { FacetName } from './exit-facets.ts';
import { DISTANCE_CLASSES, type ExitGroup, type ExitStatistics, OTHERS } from './exit-statistics.ts';

/** Heights of a histogram's columns, from nothing to all. */
const BLOCKS = ' ▁▂▃▄▅▆▇█';

/** Exits by a facet as a table for people: how often, how much of all, after how many instructions on average, and how these are spread. */
export function exitTable(
  statistics: ExitStatistics,
  name: FacetName,
  top: number,
  nameOf: (value: string) => string = (v) => v,
): string {
  const groups = statistics.by(name);
  const shown = groups.slice(0, top).map((group) => [group.value === OTHERS ? OTHERS : nameOf(group.value), group] as const);
  const width = Math.max(name.length, 'all'.length, ...shown.map(([value]) => value.length));
  const spread = spreadClasses(groups);
  const title = `${name.padEnd(width)}  ${'exits'.padStart(9)}  ${'share'.padStart(6)}  ${'instructions'.padStart(12)}  ${'spread'.padEnd(spread)}  for example`;
  const lines = [title];
  for (const [value, group] of shown) {
    const share = `${((group.count / statistics.total) * 100).toFixed(1)}%`;
    const mean = group.measured === 0 ? '' : Math.floor(group.instructions / group.measured);
    lines.push(
      `${value.padEnd(width)}  ${String(group.count).padStart(9)}  ${share.padStart(6)}  ${String(mean).padStart(12)}  ${histogram(group, spread)}  ${group.example}`,
    );
  }
  if (groups.length > top) lines.push(`… ${groups.length - top} more`);
  const counted = groups.reduce((sum, { count }) => sum + count, 0);
  lines.push(`${'all'.padEnd(width)}  ${String(counted).padStart(9)}`);
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

/** Classes up to the last one that any group has. */
function spreadClasses(groups: readonly ExitGroup[]): number {
  let last = 5;
  for (const { distances } of groups)
    for (let index = last + 1; index < DISTANCE_CLASSES; index++) if ((distances[index] ?? 0) > 0) last = index;
  return last + 1;
}

/** How many exits came after 0, 1, 2–3, 4–7 … instructions, as columns of their share in those that are known. */
function histogram({ distances, measured }: ExitGroup, classes: number): string {
  return [...distances.subarray(0, classes)]
    .map((number) => BLOCKS[number === 0 ? 0 : Math.max(1, Math.round((number / measured) * (BLOCKS.length - 1)))] ?? ' ')
    .join('');
}

/** The same for programs. */
export function exitTableData(statistics: ExitStatistics, name: FacetName): readonly ExitGroupData[] {
  return statistics.by(name).map((group) => exitGroupData(group, statistics.total));
}

/** A group as JSON has it; `total` is how many exits were counted. */
export function exitGroupData(
  { value, count, example, first, last, measured, instructions, distances }: ExitGroup,
  total: number,
) {
  return {
    value,
    count,
    share: count / total,
    first: first.toString(),
    last: last.toString(),
    meanInstructions: measured === 0 ? null : instructions / measured,
    distances: [...distances],
    example,
  };
}
export type ExitGroupData = ReturnType<typeof exitGroupData>;

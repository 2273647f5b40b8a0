import type { PartitionProfile } from '../../adapter/requests/exit-profile.ts';
import type { ProfiledReason } from '../../hypervisor/journal/exit-profile.ts';

/** One run of guests whose exits are shown, of this session, of one that has ended, or of a journal file. */
export interface ProfiledRun {
  readonly id: number;
  /** `smp.asm`, `journal.jsonl`. */
  readonly title: string;
  /** `running`, `ended`, `journal file`. */
  readonly state: string;
  readonly partitions: readonly PartitionProfile[];
}

/** The editor's own colours for charts; what comes after them is counted together. */
const COLORS = ['blue', 'green', 'purple', 'yellow', 'red', 'orange'].map((name) => `var(--vscode-charts-${name})`);
const OTHER_COLOR = 'var(--vscode-charts-lines)';
const OTHERS = 'others';

const WIDTH = 480;
const HEIGHT = 120;
/** Bars of a chart: fewer than spans where a run has many. */
const BARS = 64;

/** Text for HTML. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** `1,234`, `12.3 k`, `4.56 M`. */
export function shortNumber(value: number): string {
  if (value < 10_000) return Math.round(value).toLocaleString('en-US');
  for (const [unit, size] of [
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const)
    if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`;
  return String(value);
}

/** The exits of partitions by reason. */
function totalsOf(partitions: readonly PartitionProfile[]): ReadonlyMap<string, number> {
  const totals = new Map<string, number>();
  for (const { reasons } of partitions)
    for (const { reason, total } of reasons) totals.set(reason, (totals.get(reason) ?? 0) + total);
  return totals;
}

/** The reasons of all runs, the most frequent first. */
function reasonsOf(runs: readonly ProfiledRun[]): readonly string[] {
  const totals = totalsOf(runs.flatMap(({ partitions }) => partitions));
  return [...totals].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([reason]) => reason);
}

/** The reasons that have colours of their own, the same in all charts: the most frequent of all runs. */
export function coloredReasons(runs: readonly ProfiledRun[]): readonly string[] {
  return reasonsOf(runs).slice(0, COLORS.length);
}

const colorOf = (colored: readonly string[], reason: string) => COLORS[colored.indexOf(reason)] ?? OTHER_COLOR;

/** All runs: what they have in common as one table, and each one's charts. */
export function profilePage(runs: readonly ProfiledRun[]): string {
  if (runs.length === 0)
    return '<p class="empty">No run yet. Start a guest with F5, or add a journal that <code>run --exits FILE</code> has written.</p>';
  const colored = coloredReasons(runs);
  const comparison = runs.length > 1 ? comparisonTable(runs, colored) : '';
  return `${comparison}<div class="runs">${runs.map((run) => runSection(run, colored)).join('')}</div>`;
}

function runSection({ id, title, state, partitions }: ProfiledRun, colored: readonly string[]): string {
  const name = escapeHtml(title);
  const remove = state === 'running' ? '' : ` <button data-remove="${id}" aria-label="Remove ${name}">Remove</button>`;
  const sections = partitions.map((partition) => partitionSection(partition, partitions.length > 1, colored));
  return `<section class="run" aria-label="${name}"><h2>${name} <span class="state">${state}</span>${remove}</h2>${sections.join('')}</section>`;
}

function partitionSection(profile: PartitionProfile, named: boolean, colored: readonly string[]): string {
  const { id, name, platform, total, instructions, reasons } = profile;
  const head = named ? `<h3>Partition ${id}: ${escapeHtml(name)}, ${escapeHtml(platform)}</h3>` : '';
  if (total === 0) return `${head}<p class="empty">No VM exit yet.</p>`;
  const rate = instructions > 0 ? `, ${shortNumber((total * 1e6) / instructions)} in a million instructions` : '';
  return `${head}<p>${shortNumber(total)} exits${rate}</p>${chart(profile, colored)}${reasonTable(reasons, total, colored)}`;
}

/** The exits of each part of the run, as bars of the colours of their reasons. */
export function chart({ reasons, width, instructions, name }: PartitionProfile, colored: readonly string[]): string {
  const spans = Math.max(1, ...reasons.map(({ counts }) => counts.length));
  const group = Math.ceil(spans / BARS);
  const bars = Math.ceil(spans / group);
  const shown = [...colored, OTHERS].map((reason) => {
    const own = reasons.filter((one) => (reason === OTHERS ? !colored.includes(one.reason) : one.reason === reason));
    const heights = Array.from({ length: bars }, (_, bar) => sumOf(own, bar * group, group));
    return { reason, heights };
  });
  const tops = Array.from({ length: bars }, (_, bar) => shown.reduce((sum, { heights }) => sum + (heights[bar] ?? 0), 0));
  const highest = Math.max(1, ...tops);
  const step = WIDTH / bars;
  const rectangles: string[] = [];
  const filled = tops.map(() => 0);
  for (const { reason, heights } of shown)
    heights.forEach((count, bar) => {
      if (count === 0) return;
      const height = (count / highest) * HEIGHT;
      filled[bar] = (filled[bar] ?? 0) + height;
      const place = `x="${(bar * step).toFixed(2)}" y="${(HEIGHT - (filled[bar] ?? 0)).toFixed(2)}"`;
      const size = `width="${Math.max(1, step - 1).toFixed(2)}" height="${height.toFixed(2)}"`;
      const from = shortNumber(bar * group * width);
      const title = `<title>${escapeHtml(reason)}: ${shortNumber(count)} exits from instruction ${from} on</title>`;
      rectangles.push(`<rect ${place} ${size} fill="${colorOf(colored, reason)}">${title}</rect>`);
    });
  const label = `Exits of ${escapeHtml(name)} over ${shortNumber(instructions)} instructions, at most ${shortNumber(highest)} in one bar`;
  return (
    `<figure><svg role="img" aria-label="${label}" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none">${rectangles.join('')}</svg>` +
    `<figcaption><span>0</span><span>highest bar: ${shortNumber(highest)} exits in ${shortNumber(width * group)} instructions</span><span>${shortNumber(bars * group * width)}</span></figcaption></figure>`
  );
}

function sumOf(reasons: readonly ProfiledReason[], from: number, count: number): number {
  let sum = 0;
  for (const { counts } of reasons) for (let span = from; span < from + count; span++) sum += counts[span] ?? 0;
  return sum;
}

const swatch = (color: string) => `<span class="swatch" style="background:${color}"></span>`;

function reasonTable(reasons: readonly ProfiledReason[], total: number, colored: readonly string[]): string {
  const rows = reasons.map(({ reason, total: count }) => {
    const share = (100 * count) / total;
    const color = colorOf(colored, reason);
    const bar = `<span class="bar" style="width:${share.toFixed(1)}%;background:${color}"></span>`;
    return `<tr><th scope="row">${swatch(color)}${escapeHtml(reason)}</th><td>${shortNumber(count)}</td><td>${share.toFixed(1)} %</td><td class="bars">${bar}</td></tr>`;
  });
  return `<table><thead><tr><th scope="col">Reason</th><th scope="col">Exits</th><th scope="col">Share</th><td></td></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

/** How a count stands to that of the first run: `×1.5`, `new`, `gone`. */
export function ratio(count: number, first: number): string {
  if (count === first) return '=';
  if (first === 0) return 'new';
  if (count === 0) return 'gone';
  const times = count / first;
  return `×${times >= 100 ? Math.round(times) : times.toPrecision(3)}`;
}

/** Runs side by side: one row for each reason, the others beside the first. */
export function comparisonTable(runs: readonly ProfiledRun[], colored: readonly string[]): string {
  const totals = runs.map(({ partitions }) => totalsOf(partitions));
  const row = (name: string, counts: readonly number[], lead: string) => {
    const [first = 0] = counts;
    const cells = counts.map((count, index) => {
      const beside = index === 0 ? '' : ` <span class="ratio">${ratio(count, first)}</span>`;
      return `<td>${shortNumber(count)}${beside}</td>`;
    });
    return `<tr><th scope="row">${lead}${escapeHtml(name)}</th>${cells.join('')}</tr>`;
  };
  const head = runs.map(({ title, state }) => `<th scope="col">${escapeHtml(title)} <span class="state">${state}</span></th>`);
  const sums = totals.map((one) => [...one.values()].reduce((sum, count) => sum + count, 0));
  const body = reasonsOf(runs).map((reason) =>
    row(
      reason,
      totals.map((one) => one.get(reason) ?? 0),
      swatch(colorOf(colored, reason)),
    ),
  );
  return (
    `<section class="comparison"><h2>Runs side by side</h2><table><thead><tr><th scope="col">Reason</th>${head.join('')}</tr></thead>` +
    `<tbody>${body.join('')}</tbody><tfoot>${row('all exits', sums, '')}</tfoot></table></section>`
  );
}

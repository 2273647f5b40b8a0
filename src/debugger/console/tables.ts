import { describeFault } from '../../hypervisor/exits/describe.ts';
import { parseDescriptor } from '../../processor/segmentation/descriptor.ts';
import * as L from '../../processor/state/layout.ts';
import { hex } from '../../x86/address.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import { type InterruptEntry, interruptEntries, isRealMode } from '../inspection/interrupt-table.ts';
import { type ConsoleCommand, type ConsoleSession, columns, expectNothing } from './command.ts';

const IDT = 'idt [VECTOR]';
const MOST_ROWS = 256;
/** Vectors with names of their own. */
const EXCEPTIONS = 32;
/** Bytes from one stub to the next. */
const LONGEST_STUB = 64n;
const LMA = 1n << 10n;

/** System descriptors by type (Intel SDM vol. 3, table 3-2). */
const SYSTEM_TYPES: Readonly<Record<number, string>> = {
  1: '16-bit TSS',
  2: 'LDT',
  3: '16-bit TSS, busy',
  4: '16-bit call gate',
  5: 'task gate',
  6: '16-bit interrupt gate',
  7: '16-bit trap gate',
  9: 'TSS',
  11: 'TSS, busy',
  12: 'call gate',
  14: 'interrupt gate',
  15: 'trap gate',
};

function idt(session: ConsoleSession, rest: string): string {
  const { processor } = session.vcpu();
  const { state } = processor;
  const vector = rest === '' ? undefined : Number(session.evaluate(rest));
  if (vector !== undefined && vector > 255)
    throw new ExpressionError(`There is no vector ${hex(vector)}; they go from 0 to 0xff.`);
  const kind = isRealMode(processor) ? 'Interrupt vectors' : 'IDT';
  const head = `${kind} at ${hex(state.get64(L.IDTR_BASE))}, limit ${hex(state.get32(L.IDTR_LIMIT))}`;
  const entries = interruptEntries(processor, vector === undefined ? undefined : [vector]);
  if (entries.length === 0)
    return `${head}\n${vector === undefined ? 'No gate is present.' : `Vector ${hex(vector, 2)} has no gate.`}`;
  return [head, ...columns(grouped(entries).map((group) => entryRow(session, group)))].join('\n');
}

/** Neighbours in a table whose handlers lie at even distances: 0 for the same one. */
interface Group {
  readonly first: InterruptEntry;
  last: number;
  stride: bigint;
}

/**
 * A table full of the same handler, or of stubs one behind the other, would hide what is special in it: such neighbours are one
 * row. Exceptions have names and share one only where they share their handler.
 */
function grouped(entries: readonly InterruptEntry[]): Group[] {
  const groups: Group[] = [];
  for (const entry of entries) {
    const group = groups.at(-1);
    const stride = group && strideTo(group, entry);
    if (group && stride !== undefined) {
      group.last = entry.vector;
      group.stride = stride;
    } else groups.push({ first: entry, last: entry.vector, stride: 0n });
  }
  return groups;
}

/** The distance of a group's handlers if an entry is its next one. */
function strideTo({ first, last, stride }: Group, entry: InterruptEntry): bigint | undefined {
  const isAlike =
    last === entry.vector - 1 &&
    first.selector === entry.selector &&
    first.gate?.kind === entry.gate?.kind &&
    first.gate?.dpl === entry.gate?.dpl &&
    first.gate?.ist === entry.gate?.ist;
  if (!isAlike) return undefined;
  const count = BigInt(entry.vector - first.vector);
  const next = last === first.vector ? entry.offset - first.offset : stride;
  if (entry.offset !== first.offset + next * count) return undefined;
  return next === 0n || (first.vector >= EXCEPTIONS && next > 0n && next <= LONGEST_STUB) ? next : undefined;
}

function entryRow(session: ConsoleSession, { first, last, stride }: Group): string[] {
  const { vector, gate, selector, offset, target } = first;
  const place = gate ? `${hex(selector, 4)}:${hex(offset)}` : `${hex(selector, 4)}:${hex(offset, 4)}`;
  const name = last === vector && vector < EXCEPTIONS && gate ? describeFault(vector) : '';
  return [
    last === vector ? hex(vector, 2) : `${hex(vector, 2)}-${hex(last, 2)}`,
    name.startsWith('vector') ? '' : name,
    ...(gate ? [`${gate.wide ? '' : '16-bit '}${gate.kind}`] : []),
    stride === 0n ? place : `${place} + ${hex(stride)} each`,
    ...(gate ? [`DPL ${gate.dpl}`, gate.ist > 0 ? `IST ${gate.ist}` : ''] : []),
    target === undefined ? '' : (session.symbols.describe(target) ?? ''),
  ];
}

function gdt(session: ConsoleSession, rest: string): string {
  expectNothing('gdt', rest);
  const { processor } = session.vcpu();
  const { state } = processor;
  const base = state.get64(L.GDTR_BASE);
  const limit = state.get32(L.GDTR_LIMIT);
  const head = `GDT at ${hex(base)}, limit ${hex(limit)}`;
  if (isRealMode(processor) && base === 0n) return `${head}: the guest has loaded none yet.`;
  const bytes = processor.readMemory('gva', base, Math.min(limit + 1, 0x1_0000));
  if (bytes.length === 0) return `${head}\nIts memory can't be read. ${processor.walk(base).problem ?? 'No RAM is there.'}`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const long = (state.efer & LMA) !== 0n;
  const rows: string[][] = [];
  for (let at = 0; at + 8 <= view.byteLength && rows.length < MOST_ROWS; at += 8) {
    const [first, second] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    if (first === 0 && second === 0) continue;
    const { base: low, limit: end, isSystem, isCode, dpl, present, rights, type } = parseDescriptor(first, second, at, base);
    // In long mode system descriptors have 16 bytes.
    const isWide = isSystem && long && at + 16 <= view.byteLength;
    const start = isWide ? low | (BigInt(view.getUint32(at + 8, true)) << 32n) : low;
    const width = rights & (1 << 13) && isCode ? '64-bit' : rights & (1 << 14) ? '32-bit' : '16-bit';
    const kind = isSystem ? (SYSTEM_TYPES[type] ?? `system type ${type}`) : `${isCode ? 'code' : 'data'} ${width}`;
    const access = isSystem ? '' : isCode ? (type & 2 ? 'read' : 'execute only') : type & 2 ? 'write' : 'read only';
    rows.push([
      hex(at, 4),
      `base ${hex(start, 8)}`,
      `limit ${hex(end, 8)}`,
      kind,
      access,
      `DPL ${dpl}`,
      present ? '' : 'not present',
    ]);
    if (isWide) at += 8;
  }
  return [head, ...(rows.length > 0 ? columns(rows) : ['It has no descriptor but null ones.'])].join('\n');
}

export const tableCommands: readonly ConsoleCommand[] = [
  {
    name: 'idt',
    usage: IDT,
    summary: 'the gates of the interrupt descriptor table, in real mode the vectors',
    details: ['Neighbours with the same handler, or with stubs one behind the other, share a row.', 'For example: idt 14'],
    run: idt,
  },
  {
    name: 'gdt',
    usage: 'gdt',
    summary: 'the descriptors of the global descriptor table, by selector',
    details: ['What a segment register holds now is in the Segments scope: a descriptor counts when it is loaded.'],
    run: gdt,
  },
];

import { describeFault } from '../../hypervisor/exits/describe.ts';
import { parseGate } from '../../processor/events/gate.ts';
import { pushesErrorCode, Vector } from '../../processor/faults/guest-fault.ts';
import type { Processor } from '../../processor/processor.ts';
import { type Descriptor, parseDescriptor } from '../../processor/segmentation/descriptor.ts';
import * as L from '../../processor/state/layout.ts';
import { hex, isCanonical } from '../../x86/address.ts';
import { walkLines } from '../inspection/exception-details.ts';

/** Why an event could not be delivered. */
export interface DeliveryFailure {
  /** One sentence. */
  readonly reason: string;
  /** The walk of the address concerned, where there is one. */
  readonly walk: readonly string[];
}

interface Undelivered {
  readonly vector: number;
  /** As in an exit's chain; an exception when left out. */
  readonly kind?: string;
  /** The fault that its delivery raised. */
  readonly raised?: { readonly vector: number; readonly errorCode?: number };
}

const TSS_SEGMENTS = [
  ['CS', 0x4c],
  ['SS', 0x50],
  ['DS', 0x54],
  ['LDT', 0x60],
] as const;
const LMA = 1n << 10n;
const VIRTUAL_8086 = 1 << 17;
const MASK_32 = 0xffff_ffffn;

/**
 * Makes the checks of event delivery (Intel SDM vol. 3, 7.12 and 7.14) again, without side effects, on the state before the
 * event; gives the first one that fails. Undefined where none does: what stands in memory has changed since, or the failure
 * lies in a task that was switched to.
 */
export function deliveryFailure(processor: Processor, event: Undelivered): DeliveryFailure | undefined {
  const { state } = processor;
  if ((state.cr0 & 1n) === 0n) return realModeFailure(processor, event.vector);
  const long = (state.efer & LMA) !== 0n;
  const name = describeFault(event.vector);
  const size = long ? 16 : 8;
  const limit = state.get32(L.IDTR_LIMIT) >>> 0;
  const at = state.get64(L.IDTR_BASE) + BigInt(event.vector * size);
  if (event.vector * size + size - 1 > limit)
    return plain(
      `The IDT is too small: its limit is ${hex(limit)}, the gate of ${name} would be its bytes ${hex(event.vector * size)} to ${hex(event.vector * size + size - 1)}.`,
    );
  const words = read(processor, at, size);
  if (!words) return unreadable(processor, `The gate of ${name}`, at);
  const gate = parseGate(words.getUint32(0, true), words.getUint32(4, true), long ? words.getUint32(8, true) : 0, long);
  const type = (words.getUint32(4, true) >>> 8) & 0x1f;
  if (!gate)
    return plain(
      `The gate of ${name} at ${hex(at)} has type ${hex(type)}, which is no gate ${long ? 'in long mode' : ''}.`.replace(
        ' .',
        '.',
      ),
    );
  const software = event.kind === 'software' || event.kind === 'int3';
  if (software && gate.dpl < processor.cpl)
    return plain(`The gate of ${name} has DPL ${gate.dpl}, and the interrupt was made at CPL ${processor.cpl}.`);
  if (!gate.present) return plain(`The gate of ${name} at ${hex(at)} is not present.`);
  if (gate.kind === 'task') return taskFailure(processor, gate.selector, name, event.raised);
  const whose = `the code selector of the gate of ${name}`;
  const code = descriptorFailure(processor, gate.selector, whose);
  if ('reason' in code) return code;
  if (code.isSystem || (code.type & 8) === 0) return plain(`Selector ${hex(gate.selector, 4)}, ${whose}, is no code segment.`);
  if (!code.present) return plain(`Selector ${hex(gate.selector, 4)}, ${whose}, is a segment that is not present.`);
  if (code.dpl > processor.cpl)
    return plain(`Selector ${hex(gate.selector, 4)}, ${whose}, has DPL ${code.dpl}, above CPL ${processor.cpl}.`);
  const is64 = (code.rights & 0x2000) !== 0;
  if (long && (!is64 || (code.rights & 0x4000) !== 0))
    return plain(`Selector ${hex(gate.selector, 4)}, ${whose}, is no 64-bit code segment.`);
  const cpl = code.type & 4 ? processor.cpl : code.dpl;
  const hasError = event.kind === undefined && pushesErrorCode(event.vector);
  if (long) return longStackFailure(processor, { ist: gate.ist, cpl, offset: gate.offset, hasError, name });
  return legacyStackFailure(processor, { cpl, offset: gate.offset, limit: code.limit, size: gate.wide ? 4 : 2, hasError, name });
}

function plain(reason: string): DeliveryFailure {
  return { reason, walk: [] };
}

function read(processor: Processor, address: bigint, length: number): DataView | undefined {
  const bytes = processor.readMemory('gva', BigInt.asUintN(64, address), length);
  return bytes.length === length ? new DataView(bytes.buffer, bytes.byteOffset, length) : undefined;
}

function unreadable(processor: Processor, what: string, address: bigint): DeliveryFailure {
  const walk = processor.walk(address);
  const why = walk.problem ?? 'No memory is there.';
  return { reason: `${what}, at ${hex(address)}, can't be read. ${why}`, walk: walkLines(walk) };
}

function realModeFailure(processor: Processor, vector: number): DeliveryFailure | undefined {
  const { state } = processor;
  const limit = state.get32(L.IDTR_LIMIT) >>> 0;
  const base = state.get64(L.IDTR_BASE);
  const name = describeFault(vector);
  if (vector * 4 + 3 > limit)
    return plain(
      `The interrupt vector table is too small: its limit is ${hex(limit)}, the vector of ${name} would be its bytes ${hex(vector * 4)} to ${hex(vector * 4 + 3)}.`,
    );
  if (!read(processor, base + BigInt(vector * 4), 4))
    return unreadable(processor, `The vector of ${name}`, base + BigInt(vector * 4));
  return segmentStackFailure(processor, 6, 2);
}

function descriptorFailure(processor: Processor, selector: number, whose: string): Descriptor | DeliveryFailure {
  const { state } = processor;
  if ((selector & 0xfffc) === 0) return plain(`Selector ${hex(selector, 4)}, ${whose}, is null.`);
  const ldt = state.segment(L.Segment.LDTR);
  const [table, base, limit] =
    selector & 4 ? ['LDT', ldt.base, ldt.limit] : ['GDT', state.get64(L.GDTR_BASE), state.get32(L.GDTR_LIMIT) >>> 0];
  if ((selector & 0xfff8) + 7 > limit)
    return plain(`Selector ${hex(selector, 4)}, ${whose}, lies beyond the ${table}, whose limit is ${hex(limit)}.`);
  const at = base + BigInt(selector & 0xfff8);
  const words = read(processor, at, 8);
  if (!words) return unreadable(processor, `The descriptor of selector ${hex(selector, 4)}, ${whose}`, at);
  return parseDescriptor(words.getUint32(0, true), words.getUint32(4, true), selector, at);
}

/**
 * A task gate. A fault that doesn't name the TSS came when the switch was committed, from the state of the new task: the TSS is
 * busy since.
 */
function taskFailure(
  processor: Processor,
  selector: number,
  name: string,
  raised: Undelivered['raised'],
): DeliveryFailure | undefined {
  const whose = `the TSS of the task gate of ${name}`;
  const tss = descriptorFailure(processor, selector & ~4, whose);
  if ('reason' in tss) return tss;
  const namesTss = raised?.errorCode !== undefined && (raised.errorCode & 0xfffc) === (selector & 0xfffc);
  if (raised && raised.vector !== Vector.PF && !namesTss && tss.type & 8)
    return newTaskFailure(processor, tss.base, selector, name);
  if (selector & 4) return plain(`Selector ${hex(selector, 4)}, ${whose}, is in the LDT; a TSS is in the GDT.`);
  if (!tss.isSystem || (tss.type & ~8) !== 1)
    return plain(`Selector ${hex(selector, 4)}, ${whose}, ${tss.isSystem && (tss.type & ~8) === 3 ? 'is busy' : 'is no TSS'}.`);
  if (!tss.present) return plain(`Selector ${hex(selector, 4)}, ${whose}, is not present.`);
  const smallest = tss.type & 8 ? 0x67 : 0x2b;
  if (tss.limit < smallest)
    return plain(`Selector ${hex(selector, 4)}, ${whose}, has limit ${hex(tss.limit)}, less than ${hex(smallest)}.`);
  if (!read(processor, tss.base, smallest + 1)) return unreadable(processor, `The TSS of ${name}`, tss.base);
  return undefined;
}

/** What a 32-bit TSS has in it that could not be loaded (Intel SDM vol. 3, figure 8-2). */
function newTaskFailure(processor: Processor, tss: bigint, selector: number, name: string): DeliveryFailure | undefined {
  const words = read(processor, tss, 0x68);
  if (!words) return unreadable(processor, `The TSS of ${name}`, tss);
  const segments = TSS_SEGMENTS.map(([register, at]) => `${register} ${hex(words.getUint16(at, true), 4)}`).join(', ');
  return plain(
    `The task of selector ${hex(selector, 4)}, which handles ${name}, was switched to, but the state in its TSS at ${hex(tss)} can't be loaded: EIP ${hex(words.getUint32(0x20, true))}, ${segments}.`,
  );
}

interface LongFrame {
  readonly ist: number;
  readonly cpl: number;
  readonly offset: bigint;
  readonly hasError: boolean;
  readonly name: string;
}

function longStackFailure(processor: Processor, frame: LongFrame): DeliveryFailure | undefined {
  const { state, cpl } = processor;
  let pointer = state.gpr(4);
  let source = 'RSP';
  if (frame.ist > 0 || frame.cpl < cpl) {
    const tss = state.segment(L.Segment.TR);
    const at = frame.ist > 0 ? 0x24 + (frame.ist - 1) * 8 : 4 + frame.cpl * 8;
    source = frame.ist > 0 ? `IST${frame.ist} of the TSS` : `RSP${frame.cpl} of the TSS`;
    if (at + 7 > tss.limit)
      return plain(
        `The TSS is too small: its limit is ${hex(tss.limit)}, ${source} would be its bytes ${hex(at)} to ${hex(at + 7)}.`,
      );
    const word = read(processor, tss.base + BigInt(at), 8);
    if (!word) return unreadable(processor, source, tss.base + BigInt(at));
    pointer = word.getBigUint64(0, true);
    if (!isCanonical(pointer)) return plain(`${source} is ${hex(pointer)}, which is not canonical.`);
  }
  if (!isCanonical(frame.offset))
    return plain(`The gate of ${frame.name} leads to ${hex(frame.offset)}, which is not canonical.`);
  const length = frame.hasError ? 48n : 40n;
  const low = BigInt.asUintN(64, (pointer & ~15n) - length);
  if (!isCanonical(low))
    return plain(
      `The frame of ${frame.name} can't be pushed: ${source} is ${hex(pointer)}, and no canonical address lies below it.`,
    );
  return stackPageFailure(processor, low, length, source, frame.cpl === 3);
}

interface LegacyFrame {
  readonly cpl: number;
  readonly offset: bigint;
  readonly limit: number;
  readonly size: number;
  readonly hasError: boolean;
  readonly name: string;
}

function legacyStackFailure(processor: Processor, frame: LegacyFrame): DeliveryFailure | undefined {
  const { state, cpl } = processor;
  const virtual = (state.get32(L.EFLAGS) & VIRTUAL_8086) !== 0;
  const words = 3 + (frame.hasError ? 1 : 0);
  const past = frame.offset > BigInt(frame.limit >>> 0);
  const beyond = plain(
    `The gate of ${frame.name} leads to ${hex(frame.offset)}, beyond the limit ${hex(frame.limit >>> 0)} of its code segment.`,
  );
  if (frame.cpl >= cpl && !virtual) return past ? beyond : segmentStackFailure(processor, words * frame.size, frame.size);
  const tss = state.segment(L.Segment.TR);
  const wide = (tss.rights & 8) !== 0;
  const at = wide ? 4 + frame.cpl * 8 : 2 + frame.cpl * 4;
  const length = wide ? 6 : 4;
  const name = `SS${frame.cpl}:${wide ? 'E' : ''}SP${frame.cpl}`;
  if (at + length - 1 > tss.limit)
    return plain(
      `The TSS is too small: its limit is ${hex(tss.limit)}, ${name} would be its bytes ${hex(at)} to ${hex(at + length - 1)}.`,
    );
  const words16 = read(processor, tss.base + BigInt(at), length);
  if (!words16) return unreadable(processor, `${name} of the TSS`, tss.base + BigInt(at));
  const selector = words16.getUint16(wide ? 4 : 2, true);
  const pointer = BigInt(wide ? words16.getUint32(0, true) : words16.getUint16(0, true));
  const whose = `the stack of ring ${frame.cpl} in the TSS`;
  const stack = descriptorFailure(processor, selector, whose);
  if ('reason' in stack) return stack;
  if (stack.isSystem || (stack.type & 0xa) !== 2)
    return plain(`Selector ${hex(selector, 4)}, ${whose}, is no writable data segment.`);
  if (stack.dpl !== frame.cpl || (selector & 3) !== frame.cpl)
    return plain(`Selector ${hex(selector, 4)}, ${whose}, is not for ring ${frame.cpl}.`);
  if (!stack.present) return plain(`Selector ${hex(selector, 4)}, ${whose}, is a segment that is not present.`);
  if (past) return beyond;
  const bytes = BigInt((words + 2 + (virtual ? 4 : 0)) * frame.size);
  return stackPageFailure(processor, (stack.base + pointer - bytes) & MASK_32, bytes, name, frame.cpl === 3);
}

/** The current stack outside of 64-bit code: its limit, and the pages behind it. */
function segmentStackFailure(processor: Processor, length: number, word: number): DeliveryFailure | undefined {
  const { state } = processor;
  const ss = state.segment(L.Segment.SS);
  const width = ss.rights & 0x4000 ? 32 : 16;
  const pointer = BigInt.asUintN(width, state.gpr(4));
  const expandsDown = (ss.rights & 0xc) === 4;
  for (let pushed = word; pushed <= length; pushed += word) {
    const offset = BigInt.asUintN(width, pointer - BigInt(pushed));
    const last = offset + BigInt(word - 1);
    const top = ss.rights & 0x4000 ? MASK_32 : 0xffffn;
    const outside = expandsDown ? offset <= BigInt(ss.limit >>> 0) || last > top : last > BigInt(ss.limit >>> 0);
    if (outside)
      return plain(
        `A push at SS:${hex(offset)} lies outside of the stack segment, whose limit is ${hex(ss.limit >>> 0)} (SP is ${hex(pointer)}).`,
      );
  }
  const low = (ss.base + BigInt.asUintN(width, pointer - BigInt(length))) & MASK_32;
  return stackPageFailure(processor, low, BigInt(length), width === 32 ? 'ESP' : 'SP', processor.cpl === 3);
}

function stackPageFailure(
  processor: Processor,
  low: bigint,
  length: bigint,
  source: string,
  user: boolean,
): DeliveryFailure | undefined {
  for (const address of [low + length - 1n, low]) {
    const walk = processor.walk(address);
    const where = `The frame would be pushed at ${hex(low)} (${source} points there)`;
    if (walk.gpa === undefined)
      return { reason: `${where}, which is not mapped. ${walk.problem ?? ''}`.trim(), walk: walkLines(walk) };
    if (!walk.writable && (user || (processor.state.cr0 & 0x1_0000n) !== 0n))
      return { reason: `${where}, which is read-only.`, walk: walkLines(walk) };
    if (user && !walk.user) return { reason: `${where}, which is the supervisor's alone.`, walk: walkLines(walk) };
  }
  return undefined;
}

import type { Processor } from '../../../processor/processor.ts';
import { hex } from '../../../x86/address.ts';
import { type HypercallRow, hypercallName, hypercallRow } from '../abi/hypercalls.ts';
import { grantOf, privilegeName } from '../abi/privileges.ts';
import { HvStatus } from '../abi/status.ts';
import { hypervisorLeaf } from '../cpuid.ts';
import { type Hyperv, hasPrivilege } from '../hyperv.ts';
import { HypercallCall } from './call.ts';
import { type ControlWord, problemOfControlWord } from './control-word.ts';
import { pageAccess, readPage, writePage } from './guest-access.ts';
import { type CallRegisters, FAST_BYTES, FAST_XMM_BYTES, fastParameters, giveFastOutput } from './registers.ts';

/** Guest time after which a hypercall lets others run, in ticks (TLFS, "Hypercall continuation": 50 µs). */
export const ROUND_TICKS = 50_000n;
/** Elements of a list that are done in that time. */
export const REPS_PER_ROUND = 64;

const PAGE = 4096;
const NOTHING = new Uint8Array();
const FEATURES = 0x4000_0003;
const XMM_INPUT = 4;
const XMM_OUTPUT = 15;

/** What the calling convention makes of a call: one to perform, or why there is none. */
export type Prepared =
  | { readonly kind: 'call'; readonly call: HypercallCall }
  | { readonly kind: 'refused'; readonly status: number; readonly why: string }
  /** #UD. */
  | { readonly kind: 'undefined'; readonly why: string }
  /** Memory of the caller that it can't have: an intercept for its parent. */
  | { readonly kind: 'unreachable'; readonly gpa: bigint; readonly access: 'read' | 'write' };

function refused(status: number, why: string): Prepared {
  return { kind: 'refused', status, why };
}

/** Checks a call and reads its input, all of it once. What a caller may not do is refused before anything else is said of it. */
export function prepareCall(hyperv: Hyperv, processor: Processor, registers: CallRegisters, word: ControlWord): Prepared {
  const row = hypercallRow(word.code);
  if (row === undefined) return refused(HvStatus.INVALID_HYPERCALL_CODE, 'there is no call of this code');
  const { privilege } = row;
  if (privilege !== undefined && !hasPrivilege(hyperv, privilege)) {
    const grant = grantOf(privilege);
    if (grant !== undefined) hyperv.machine.door.ask(grant, () => `to make ${row.name}`);
    return refused(HvStatus.ACCESS_DENIED, `it takes the privilege ${privilegeName(privilege)}`);
  }
  if (!hyperv.machine.door.ask('hypercalls', () => `to make ${hypercallName(word.code)}`))
    return refused(HvStatus.ACCESS_DENIED, "the partition's grant has no hypercalls");
  if (row.isUnserved) return refused(HvStatus.INVALID_HYPERCALL_CODE, 'nobody serves it here');
  const problem = problemOfControlWord(word, row);
  if (problem !== undefined) return refused(HvStatus.INVALID_HYPERCALL_INPUT, problem);
  return word.isFast ? fastCall(hyperv, processor, registers, word, row) : callInMemory(hyperv, processor, registers, word, row);
}

function inputSize(row: HypercallRow, { variableSize, repCount }: ControlWord): number {
  return row.input.size + variableSize + row.element.size * repCount;
}

function outputSize(row: HypercallRow, { repCount }: ControlWord): number {
  return row.output.size + row.outputElement.size * repCount;
}

/** A call whose parameters are in registers. What it gives comes behind its input, at the next multiple of 16 bytes. */
function fastCall(
  hyperv: Hyperv,
  processor: Processor,
  registers: CallRegisters,
  word: ControlWord,
  row: HypercallRow,
): Prepared {
  const input = inputSize(row, word);
  const output = outputSize(row, word);
  if (fastOutputOffset(input) + output > FAST_XMM_BYTES || input > FAST_XMM_BYTES)
    return refused(HvStatus.INVALID_HYPERCALL_INPUT, 'its parameters are too many for registers');
  const features = hypervisorLeaf(hyperv, FEATURES)?.edx ?? 0;
  if (input > FAST_BYTES && !((features >> XMM_INPUT) & 1)) return { kind: 'undefined', why: 'input in XMM registers' };
  if (output > 0 && !((features >> XMM_OUTPUT) & 1)) return { kind: 'undefined', why: 'output in registers' };
  return { kind: 'call', call: new HypercallCall(processor, row, word, fastParameters(processor, registers), REPS_PER_ROUND) };
}

function fastOutputOffset(inputBytes: number): number {
  return (inputBytes + 15) & ~15;
}

/** A call whose parameters are in memory, each block within one page. */
function callInMemory(
  hyperv: Hyperv,
  processor: Processor,
  registers: CallRegisters,
  word: ControlWord,
  row: HypercallRow,
): Prepared {
  const input = inputSize(row, word);
  const output = outputSize(row, word);
  const problem =
    problemOfPlace(processor, 'input', registers.input, input) ?? problemOfPlace(processor, 'output', registers.output, output);
  if (problem !== undefined) return refused(HvStatus.INVALID_ALIGNMENT, problem);
  const found = input > 0 ? readPage(hyperv, registers.input, input) : NOTHING;
  if (found === undefined) return { kind: 'unreachable', gpa: registers.input, access: 'read' };
  if (output > 0 && pageAccess(hyperv, registers.output, 'write') !== 'ok')
    return { kind: 'unreachable', gpa: registers.output, access: 'write' };
  const bytes = found.slice();
  return { kind: 'call', call: new HypercallCall(processor, row, word, new DataView(bytes.buffer), REPS_PER_ROUND) };
}

function problemOfPlace({ model }: Processor, what: string, gpa: bigint, size: number): string | undefined {
  if (size === 0) return undefined;
  if (gpa & 7n) return `the ${what} at ${hex(gpa)} is not aligned to 8 bytes`;
  if (gpa >> BigInt(model.physicalAddressBits)) return `the ${what} at ${hex(gpa)} is beyond the guest physical address space`;
  if (Number(gpa & 0xfffn) + size > PAGE) return `the ${what}, ${size} bytes at ${hex(gpa)}, crosses the end of a page`;
  return undefined;
}

/** Writes what a call gives: the output of a simple one, the elements that this round has done of a list. */
export function giveOutput(hyperv: Hyperv, call: HypercallCall, registers: CallRegisters): void {
  const { row, processor, isFast } = call;
  // Registers are written whole. A list in them is so short that it is done in one round.
  const from = isFast ? 0 : call.repStart;
  const bytes = row.isRep ? call.outputList(from, call.repsCompleted) : call.output;
  if (bytes.byteLength === 0) return;
  if (isFast) {
    giveFastOutput(processor, registers, fastOutputOffset(call.inputSize), bytes);
  } else {
    const gpa = registers.output + BigInt(from * row.outputElement.size);
    writePage(hyperv, gpa, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }
}

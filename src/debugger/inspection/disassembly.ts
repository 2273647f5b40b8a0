import { Formatter, FormatterSyntax, Instruction, OpKind } from 'iced-x86';
import type { Processor } from '../../processor/processor.ts';
import type { SymbolSource } from '../../symbols/symbol-source.ts';
import { hex, type MemoryPlace } from '../../x86/address.ts';
import { CodeBytes } from './code-bytes.ts';
import { LONGEST_INSTRUCTION } from './instruction-flow.ts';

/** One line of a disassembly. */
export interface DisassembledInstruction {
  /** In the space that was asked for. */
  readonly address: bigint;
  /** Empty where nothing can be read. */
  readonly bytes: Uint8Array;
  /** The instruction as nasm writes it; `db 0x…` for a byte that is none, `??` for one that can't be read. */
  readonly text: string;
  /** A symbol that begins here. */
  readonly symbol?: string;
  /** False where nothing can be read. */
  readonly valid: boolean;
}

type Symbols = Pick<SymbolSource, 'describe' | 'functionAt' | 'lineAt'>;

/** A line or a function that begins further back is no help: what lies between may be data. */
const FURTHEST_BOUNDARY = 4096n;
/** Bytes that are searched at once for a start from which instructions meet an address. */
const SEARCHED = 256;
const FAR = BigInt(LONGEST_INSTRUCTION);
let formatter: Formatter | undefined;

function nasm(): Formatter {
  if (!formatter) {
    formatter = new Formatter(FormatterSyntax.Nasm);
    formatter.hexPrefix = '0x';
    formatter.hexSuffix = '';
    formatter.smallHexNumbersInDecimal = false;
    formatter.uppercaseHex = false;
    formatter.spaceAfterOperandSeparator = true;
  }
  return formatter;
}

/**
 * Exactly `count` lines around an address: from `offset` lines before it (negative) or after it on. The address begins a
 * line, and each line ends where the next begins. Going back takes a guess, since instructions differ in length: lines and
 * functions that are known to begin somewhere are trusted, else the start is taken that lies furthest back and still leads
 * to the address. A byte that leads nowhere is a line of its own. Symbols have linear addresses: give none for physical ones.
 */
export function disassembleAround(
  processor: Processor,
  symbols: Symbols,
  address: bigint,
  offset: number,
  count: number,
  space: MemoryPlace['space'] = 'gva',
): DisassembledInstruction[] {
  const code = new CodeBytes(processor, space);
  const instruction = new Instruction();
  try {
    const start = code.wrap(address);
    const before = offset < 0 ? startsBefore(code, symbols, start, -offset).slice(0, count) : [];
    const after: bigint[] = [];
    for (let at = start, index = 0; index < offset + count; index++) {
      if (index >= offset) after.push(at);
      at = code.wrap(at + BigInt(code.lengthAt(at)));
    }
    const starts = [...before, ...after];
    return starts.map((at, index) => line(code, instruction, symbols, at, starts[index + 1] ?? code.wrap(at + FAR)));
  } finally {
    instruction.free();
    code.free();
  }
}

/** An instruction as nasm writes it. */
export function instructionText(instruction: Instruction): string {
  return nasm().format(instruction);
}

/** A line that ends at `next` at the latest. */
function line(
  code: CodeBytes,
  instruction: Instruction,
  symbols: Symbols,
  address: bigint,
  next: bigint,
): DisassembledInstruction {
  const name = symbols.describe(address);
  const symbol = name === undefined || isInside(name) ? undefined : name;
  if (code.decode(address, instruction) && code.wrap(next - address) >= instruction.length) {
    const text = instructionText(instruction);
    const target = targetOf(code, instruction);
    const targetName = target === undefined ? undefined : symbols.describe(target);
    return {
      address,
      bytes: code.bytes(address, instruction.length),
      text: targetName === undefined ? text : `${text} ; ${targetName}`,
      symbol,
      valid: true,
    };
  }
  const bytes = code.bytes(address, 1);
  const [byte] = bytes;
  return { address, bytes, text: byte === undefined ? '??' : `db ${hex(byte, 2)}`, symbol, valid: byte !== undefined };
}

/** `main+0x12`: a place behind a symbol. */
function isInside(name: string): boolean {
  return /\+(0x)?[0-9a-f]+$/.test(name);
}

/** Linear address that a branch goes to or a RIP-relative operand has. */
function targetOf(code: CodeBytes, instruction: Instruction): bigint | undefined {
  const kind = instruction.opCount > 0 ? instruction.opKind(0) : undefined;
  if (kind === OpKind.NearBranch16 || kind === OpKind.NearBranch32 || kind === OpKind.NearBranch64)
    return code.toLinear(instruction.nearBranchTarget);
  return instruction.isIpRelMemoryOperand ? instruction.ipRelMemoryAddress : undefined;
}

/** Where the `wanted` lines before an address begin, ascending. */
function startsBefore(code: CodeBytes, symbols: Symbols, address: bigint, wanted: number): bigint[] {
  const found: bigint[] = [];
  for (let end = address; found.length < wanted; ) {
    const run = runTo(code, symbols, end);
    for (let index = run.length - 1; index >= 0; index--) found.push(run[index] ?? end);
    end = run[0] ?? code.wrap(end - 1n);
  }
  return found.slice(0, wanted).reverse();
}

/** Lines that lead to an address, ascending: at least one. */
function runTo(code: CodeBytes, symbols: Symbols, end: bigint): readonly bigint[] {
  const last = code.wrap(end - 1n);
  for (const boundary of [symbols.lineAt(last)?.low, symbols.functionAt(last)?.low]) {
    if (boundary === undefined || boundary >= end || end - boundary > FURTHEST_BOUNDARY) continue;
    const run = follow(code, boundary, end);
    if (run.length > 0) return run;
  }
  return searchTo(code, end);
}

/** Starts of the instructions from one address to another; empty when they don't meet it. */
function follow(code: CodeBytes, start: bigint, end: bigint): bigint[] {
  const run: bigint[] = [];
  for (let at = start; at < end; at += BigInt(code.lengthAt(at))) {
    run.push(at);
    if (!code.isInstruction(at)) return [];
    if (at + BigInt(code.lengthAt(at)) > end) return [];
  }
  return run;
}

/**
 * The start furthest back, within reach, whose instructions lead to `end`. The first quarter of such a run may be out of
 * step with the real code, which streams of x86 instructions mend soon, so it is left to the next search. A byte that no
 * instruction ends with is a line of its own.
 */
function searchTo(code: CodeBytes, end: bigint): readonly bigint[] {
  /** By distance to the end: whether instructions from there meet it. */
  const meets: boolean[] = [true];
  let furthest = 0;
  for (let distance = 1; distance <= SEARCHED; distance++) {
    const at = code.wrap(end - BigInt(distance));
    const length = code.isInstruction(at) ? code.lengthAt(at) : 0;
    meets[distance] = length > 0 && length <= distance && meets[distance - length] === true;
    if (meets[distance]) furthest = distance;
    // No instruction reaches over so many bytes.
    else if (distance - furthest > LONGEST_INSTRUCTION) break;
  }
  if (furthest === 0) return [code.wrap(end - 1n)];
  const run: bigint[] = [];
  for (let distance = furthest; distance > 0; ) {
    const at = code.wrap(end - BigInt(distance));
    run.push(at);
    distance -= code.lengthAt(at);
  }
  return furthest < SEARCHED / 2 ? run : run.slice(Math.floor(run.length / 4));
}

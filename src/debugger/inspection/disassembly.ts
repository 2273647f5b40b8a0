import { Decoder, DecoderOptions, FlowControl, Formatter, FormatterSyntax, Instruction, Mnemonic, OpKind } from 'iced-x86';
import type { Processor } from '../../processor/processor.ts';
import { hex, MASK_64 } from '../../x86/address.ts';

/** One line of a disassembly. */
export interface DisassembledInstruction {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
  readonly symbol?: string;
  /** False for padding where nothing can be read or decoded. */
  readonly valid: boolean;
}

const LONGEST = 15;
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

/** Length and kind of the instruction at RIP, for stepping: `call`, `ret`, `int`, `rep` … */
export function instructionAt(processor: Processor): { readonly length: number; readonly flow: string } | undefined {
  const address = processor.linearRip;
  const bytes = processor.readMemory('gva', address, LONGEST);
  if (bytes.length === 0) return undefined;
  const decoder = new Decoder(processor.mode, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    decoder.ip = address;
    decoder.decodeOut(instruction);
    if (instruction.isInvalid) return undefined;
    return { length: instruction.length, flow: flowOf(instruction) };
  } finally {
    instruction.free();
    decoder.free();
  }
}

const RETURN_NAMES: Readonly<Record<number, string>> = {
  [Mnemonic.Ret]: 'ret',
  [Mnemonic.Retf]: 'retf',
  [Mnemonic.Iret]: 'iret',
  [Mnemonic.Iretd]: 'iretd',
  [Mnemonic.Iretq]: 'iretq',
  [Mnemonic.Sysret]: 'sysret',
  [Mnemonic.Sysexit]: 'sysexit',
};

function flowOf(instruction: Instruction): string {
  if (instruction.hasRepPrefix || instruction.hasRepnePrefix) return instruction.isStringInstruction ? 'rep' : '';
  const flow = instruction.flowControl;
  // VMCALL and SYSCALL count as calls for iced; a hypercall is one instruction for the guest.
  if (flow === FlowControl.Call || flow === FlowControl.IndirectCall)
    return instruction.mnemonic === Mnemonic.Call ? 'call' : instruction.mnemonic === Mnemonic.Syscall ? 'syscall' : '';
  if (flow === FlowControl.Interrupt) return 'int';
  return RETURN_NAMES[instruction.mnemonic] ?? '';
}

/** Disassembles up to `count` instructions from an address on. Unreadable or undecodable bytes are single `db` lines. */
export function disassemble(
  processor: Processor,
  address: bigint,
  count: number,
  describe: (address: bigint) => string | undefined,
): DisassembledInstruction[] {
  const result: DisassembledInstruction[] = [];
  const bytes = processor.readMemory('gva', address, count * LONGEST);
  const decoder = new Decoder(processor.mode, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    decoder.ip = address;
    while (result.length < count) {
      const offset = decoder.position;
      const at = BigInt.asUintN(64, address + BigInt(offset));
      if (offset >= bytes.length) {
        const missing = BigInt.asUintN(64, address + BigInt(bytes.length) + BigInt(result.length - countValid(result)));
        result.push({ address: missing, bytes: new Uint8Array(), text: '??', valid: false });
        continue;
      }
      decoder.decodeOut(instruction);
      if (instruction.isInvalid) {
        const byte = bytes[offset] ?? 0;
        result.push({
          address: at,
          bytes: bytes.subarray(offset, offset + 1),
          text: `db ${hex(byte, 2)}`,
          symbol: exact(describe, at),
          valid: true,
        });
        decoder.position = offset + 1;
        decoder.ip = BigInt.asUintN(64, at + 1n);
        continue;
      }
      result.push({
        address: at,
        bytes: bytes.subarray(offset, offset + instruction.length),
        text: withSymbols(instruction, nasm().format(instruction), describe),
        symbol: exact(describe, at),
        valid: true,
      });
    }
  } finally {
    instruction.free();
    decoder.free();
  }
  return result;
}

function countValid(lines: readonly DisassembledInstruction[]): number {
  return lines.filter(({ valid }) => valid).length;
}

function exact(describe: (address: bigint) => string | undefined, address: bigint): string | undefined {
  const name = describe(address);
  return name?.includes('+') ? undefined : name;
}

function withSymbols(instruction: Instruction, text: string, describe: (address: bigint) => string | undefined): string {
  const kind = instruction.opCount > 0 ? instruction.opKind(0) : undefined;
  const isBranch = kind === OpKind.NearBranch16 || kind === OpKind.NearBranch32 || kind === OpKind.NearBranch64;
  const target = isBranch
    ? instruction.nearBranchTarget
    : instruction.isIpRelMemoryOperand
      ? instruction.ipRelMemoryAddress
      : undefined;
  const name = target === undefined ? undefined : describe(target);
  return name === undefined ? text : `${text} ; ${name}`;
}

/**
 * The instructions around an address: `offset` of them before (negative) or after it. Going back on x86 means trying
 * starts until one run of instructions meets the address; `known` gives a boundary before it (a function's start).
 */
export function disassembleAround(
  processor: Processor,
  address: bigint,
  offset: number,
  count: number,
  describe: (address: bigint) => string | undefined,
  known: (before: bigint) => bigint | undefined,
): DisassembledInstruction[] {
  const forward = Math.max(0, offset + count);
  const after = forward > 0 ? disassemble(processor, address, forward, describe) : [];
  if (offset >= 0) return after.slice(offset);
  const before = backwards(processor, address, -offset, describe, known);
  return [...before, ...after].slice(0, count);
}

function backwards(
  processor: Processor,
  address: bigint,
  wanted: number,
  describe: (address: bigint) => string | undefined,
  known: (before: bigint) => bigint | undefined,
): DisassembledInstruction[] {
  const lines: DisassembledInstruction[] = [];
  let end = address;
  const boundary = known(address);
  if (boundary !== undefined && boundary < address && address - boundary < 0x2000n) {
    const run = alignedRun(processor, boundary, address, describe);
    if (run) {
      lines.unshift(...run);
      end = boundary;
    }
  }
  // Where no boundary is known, the longest start within reach that meets the address.
  for (let distance = 64n; lines.length < wanted && distance > 0n && end >= distance; distance -= 1n) {
    const run = alignedRun(processor, end - distance, end, describe);
    if (!run) continue;
    lines.unshift(...run);
    end -= distance;
    distance = 65n;
    if (lines.length > wanted * 2) break;
  }
  const found = lines.slice(-wanted);
  const first = found[0]?.address ?? address;
  const padding = Array.from({ length: wanted - found.length }, (_, index): DisassembledInstruction => {
    const at = first - BigInt(wanted - found.length - index);
    return { address: at < 0n ? at & MASK_64 : at, bytes: new Uint8Array(), text: '??', valid: false };
  });
  return [...padding, ...found];
}

/** The instructions from `start` up to exactly `end`; undefined when they don't meet it or can't be read. */
function alignedRun(
  processor: Processor,
  start: bigint,
  end: bigint,
  describe: (address: bigint) => string | undefined,
): DisassembledInstruction[] | undefined {
  const bytes = processor.readMemory('gva', start, Number(end - start));
  if (bytes.length < Number(end - start)) return undefined;
  const decoder = new Decoder(processor.mode, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  const lines: DisassembledInstruction[] = [];
  try {
    decoder.ip = start;
    while (decoder.canDecode) {
      const offset = decoder.position;
      decoder.decodeOut(instruction);
      if (instruction.isInvalid) return undefined;
      const at = start + BigInt(offset);
      lines.push({
        address: at,
        bytes: bytes.subarray(offset, offset + instruction.length),
        text: withSymbols(instruction, nasm().format(instruction), describe),
        symbol: exact(describe, at),
        valid: true,
      });
    }
    return lines;
  } finally {
    instruction.free();
    decoder.free();
  }
}

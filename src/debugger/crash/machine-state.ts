import { Decoder, DecoderOptions, Instruction, OpKind, Register } from 'iced-x86';
import type { Processor } from '../../processor/processor.ts';
import { Segment } from '../../processor/state/layout.ts';
import type { SymbolSource } from '../../symbols/symbol-source.ts';
import { hex } from '../../x86/address.ts';
import { disassembleAround, instructionText } from '../inspection/disassembly.ts';
import { LONGEST_INSTRUCTION } from '../inspection/instruction-flow.ts';
import {
  describeControl,
  describeSegment,
  findRegister,
  flagSummary,
  formatRegister,
  generalRegisters,
  SEGMENT_NAMES,
  segmentIndex,
} from '../inspection/registers.ts';

/** An operand in memory: its linear address and the bytes there, where they can be read. */
export interface CrashOperand {
  readonly address: string;
  readonly size: number;
  readonly value?: string;
}

export interface CrashInstruction {
  readonly bytes: string;
  /** `(unreadable)` or `(invalid)` where there is none. */
  readonly text: string;
  readonly operands: readonly CrashOperand[];
}

export interface RegisterLine {
  readonly name: string;
  readonly value: string;
  readonly meaning?: string;
}

export interface CodeLine {
  readonly address: string;
  readonly bytes: string;
  readonly text: string;
  readonly symbol?: string;
  /** The instruction that the report is about. */
  readonly current: boolean;
}

export interface StackWord {
  readonly address: string;
  readonly value: string;
  readonly symbol?: string;
}

const LINES_BEFORE = 5;
const LINES = 11;
const STACK_WORDS = 16;
const CONTROL = ['cr0', 'cr2', 'cr3', 'cr4', 'efer'] as const;
const TABLES = ['gdtr', 'idtr'] as const;

const digits = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** The instruction at a linear address, with the addresses of its operands as the registers are now. */
export function currentInstruction(processor: Processor, address: bigint): CrashInstruction {
  const bytes = processor.readMemory('gva', address, LONGEST_INSTRUCTION);
  if (bytes.length === 0) return { bytes: '', text: '(unreadable)', operands: [] };
  const decoder = new Decoder(processor.mode, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    const base = processor.mode === 64 ? 0n : processor.state.segment(Segment.CS).base;
    decoder.ip = BigInt.asUintN(processor.mode, address - base);
    decoder.decodeOut(instruction);
    if (instruction.isInvalid) return { bytes: digits(bytes.subarray(0, 1)), text: '(invalid)', operands: [] };
    return {
      bytes: digits(bytes.subarray(0, instruction.length)),
      text: instructionText(instruction),
      operands: operandsOf(processor, instruction),
    };
  } finally {
    instruction.free();
    decoder.free();
  }
}

function operandsOf(processor: Processor, instruction: Instruction): CrashOperand[] {
  const operands: CrashOperand[] = [];
  for (let index = 0; index < instruction.opCount; index++) {
    const address = operandAddress(processor, instruction, instruction.opKind(index));
    if (address === undefined) continue;
    const size = memorySize(instruction);
    const bytes = processor.readMemory('gva', address, size);
    operands.push({ address: hex(address), size, value: size > 0 && bytes.length === size ? digits(bytes) : undefined });
  }
  return operands;
}

/** Bytes of the operand in memory; 0 where the instruction gives no size. */
function memorySize(instruction: Instruction): number {
  const name = /^(byte|word|dword|qword|oword|yword|tword)\b|\b(byte|word|dword|qword|oword|yword|tword) /.exec(
    instructionText(instruction),
  );
  const sizes: Readonly<Record<string, number>> = { byte: 1, word: 2, dword: 4, tword: 10, qword: 8, oword: 16, yword: 32 };
  const named = sizes[name?.[1] ?? name?.[2] ?? ''];
  if (named !== undefined) return named;
  // The size is that of the register beside it.
  for (let index = 0; index < instruction.opCount; index++) {
    if (instruction.opKind(index) !== OpKind.Register) continue;
    const text = registerName(instruction.opRegister(index));
    if (/^xmm/.test(text)) return 16;
    if (/^ymm/.test(text)) return 32;
    if (/^r(\w\w|\d+)$/.test(text)) return 8;
    if (/^e\w\w$|^r\d+d$/.test(text)) return 4;
    if (/^[abcd][lh]$|^r\d+l$|^[sb]pl$|^[sd]il$/.test(text)) return 1;
    if (/^\w\w$|^r\d+w$/.test(text)) return 2;
  }
  return 0;
}

function registerName(register: Register): string {
  return (Register[register] ?? '').toLowerCase();
}

const IMPLICIT: ReadonlyMap<OpKind, readonly [register: string, isDestination: boolean]> = new Map([
  [OpKind.MemorySegSI, ['si', false]],
  [OpKind.MemorySegESI, ['esi', false]],
  [OpKind.MemorySegRSI, ['rsi', false]],
  [OpKind.MemoryESDI, ['di', true]],
  [OpKind.MemoryESEDI, ['edi', true]],
  [OpKind.MemoryESRDI, ['rdi', true]],
] as const);

/** Linear address of an operand in memory; undefined for any other operand. */
function operandAddress(processor: Processor, instruction: Instruction, kind: OpKind): bigint | undefined {
  const implicit = IMPLICIT.get(kind);
  if (kind !== OpKind.Memory && !implicit) return undefined;
  const value = (register: Register) => findRegister(processor, registerName(register))?.get() ?? 0n;
  let offset: bigint;
  if (implicit) offset = findRegister(processor, implicit[0])?.get() ?? 0n;
  else if (instruction.isIpRelMemoryOperand) offset = instruction.ipRelMemoryAddress;
  else {
    const base = instruction.memoryBase === Register.None ? 0n : value(instruction.memoryBase);
    const index = instruction.memoryIndex === Register.None ? 0n : value(instruction.memoryIndex);
    offset = base + index * BigInt(instruction.memoryIndexScale) + instruction.memoryDisplacement;
    const first = registerName(instruction.memoryBase === Register.None ? instruction.memoryIndex : instruction.memoryBase);
    const width = first === '' ? processor.mode : /^e|d$/.test(first) ? 32 : /^r/.test(first) ? 64 : 16;
    offset = BigInt.asUintN(width, offset);
  }
  const segment = implicit?.[1] ? 'es' : registerName(instruction.memorySegment);
  const isFlat = processor.mode === 64 && segment !== 'fs' && segment !== 'gs';
  const segmentBase = isFlat ? 0n : processor.state.segment(Math.max(0, segmentIndex(segment))).base;
  return BigInt.asUintN(processor.mode === 64 ? 64 : 32, segmentBase + offset);
}

/** General, segment and control registers. `cr2` is what CR2 held before a fault that has written it since. */
export function registerLines(processor: Processor, cr2?: bigint): RegisterLine[] {
  const { state } = processor;
  const named = (name: string): string => {
    const register = findRegister(processor, name);
    return register ? formatRegister(register) : '';
  };
  return [
    ...generalRegisters(processor).map((register) => ({
      name: register.name,
      value: formatRegister(register),
      meaning: /flags$/.test(register.name) ? flagSummary(state.rflags) || 'none' : undefined,
    })),
    ...SEGMENT_NAMES.map((name) => ({ name, value: named(name), meaning: describeSegment(processor, segmentIndex(name)) })),
    ...TABLES.map((name) => ({ name, value: named(`${name}.base`), meaning: `limit ${named(`${name}.limit`)}` })),
    ...CONTROL.map((name) => {
      const value = name === 'cr2' && cr2 !== undefined ? cr2 : (findRegister(processor, name)?.get() ?? 0n);
      return { name, value: hex(value, 16), meaning: describeControl(name, value) || undefined };
    }),
    { name: 'cpl', value: String(processor.cpl), meaning: `${processor.mode}-bit code` },
  ];
}

export function codeAround(
  processor: Processor,
  symbols: Pick<SymbolSource, 'describe' | 'functionAt' | 'lineAt'>,
  address: bigint,
): CodeLine[] {
  return disassembleAround(processor, symbols, address, -LINES_BEFORE, LINES).map((line) => ({
    address: hex(line.address),
    bytes: digits(line.bytes),
    text: line.text,
    symbol: line.symbol,
    current: line.address === address,
  }));
}

/** The words at the top of the stack, as wide as the code's mode; fewer where they can't be read. */
export function stackTop(processor: Processor, symbols: Pick<SymbolSource, 'describe'>): StackWord[] {
  const { mode, state } = processor;
  const ss = state.segment(Segment.SS);
  const width = mode === 64 ? 64 : ss.rights & 0x4000 ? 32 : 16;
  const size = mode / 8;
  const base = (mode === 64 ? 0n : ss.base) + BigInt.asUintN(width, state.gpr(4));
  const bytes = processor.readMemory('gva', BigInt.asUintN(mode === 64 ? 64 : 32, base), STACK_WORDS * size);
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, index) => {
    let value = 0n;
    for (let byte = size - 1; byte >= 0; byte--) value = (value << 8n) | BigInt(bytes[index * size + byte] ?? 0);
    const symbol = value === 0n ? undefined : symbols.describe(value);
    return { address: hex(base + BigInt(index * size)), value: hex(value, size * 2), symbol };
  });
}

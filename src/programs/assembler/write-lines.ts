import type { SourceLine, SourceLines } from '../program.ts';
import { ByteWriter } from './byte-writer.ts';

/** DWARF 4 constants (7.5, 7.21). */
const DW = {
  TAG_COMPILE_UNIT: 0x11,
  AT_STMT_LIST: 0x10,
  AT_LOW_PC: 0x11,
  AT_HIGH_PC: 0x12,
  AT_NAME: 0x03,
  AT_LANGUAGE: 0x13,
  AT_PRODUCER: 0x25,
  FORM_ADDR: 1,
  FORM_STRING: 8,
  FORM_DATA2: 5,
  FORM_SEC_OFFSET: 0x17,
  LANG_MIPS_ASSEMBLER: 0x8001,
} as const;
const LNS_COPY = 1;
const LNS_ADVANCE_PC = 2;
const LNS_ADVANCE_LINE = 3;
const LNS_SET_FILE = 4;
const LNE_END_SEQUENCE = 1;
const LNE_SET_ADDRESS = 2;

/** The DWARF sections that a debugger needs to find lines: version 4, one unit. */
export interface DebugSections {
  readonly line: Uint8Array;
  readonly info: Uint8Array;
  readonly abbrev: Uint8Array;
}

export function debugSections(lines: SourceLines, is64: boolean): DebugSections {
  const address = is64 ? 8 : 4;
  const low = lines.lines[0]?.address ?? 0n;
  let high = low;
  for (const line of lines.lines) if (endOf(line) > high) high = endOf(line);
  const abbrev = new ByteWriter().unsigned(1).unsigned(DW.TAG_COMPILE_UNIT).number(0, 1);
  for (const [attribute, form] of [
    [DW.AT_PRODUCER, DW.FORM_STRING],
    [DW.AT_NAME, DW.FORM_STRING],
    [DW.AT_LANGUAGE, DW.FORM_DATA2],
    [DW.AT_STMT_LIST, DW.FORM_SEC_OFFSET],
    [DW.AT_LOW_PC, DW.FORM_ADDR],
    [DW.AT_HIGH_PC, DW.FORM_ADDR],
  ] as const)
    abbrev.unsigned(attribute).unsigned(form);
  abbrev.number(0, 3);
  const info = new ByteWriter()
    .number(4, 2)
    .number(0, 4)
    .number(address, 1)
    .unsigned(1)
    .text('Hyperscope')
    .text(lines.files[0] ?? '')
    .number(DW.LANG_MIPS_ASSEMBLER, 2)
    .number(0, 4)
    .number(low, address)
    .number(high, address);
  return { line: lineProgram(lines, address), info: info.withLength(), abbrev: abbrev.bytes };
}

const endOf = ({ address, length }: SourceLine): bigint => address + BigInt(length);

/** One sequence for each stretch of code without a gap (DWARF 4, 6.2). */
function lineProgram(lines: SourceLines, address: number): Uint8Array {
  const header = new ByteWriter();
  // Minimum instruction length, operations, default is_stmt, line base, line range, opcode base with operand counts.
  header.number(1, 1).number(1, 1).number(1, 1).number(0xfb, 1).number(14, 1).number(13, 1);
  for (const count of [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]) header.number(count, 1);
  header.number(0, 1);
  for (const file of lines.files) header.text(file).unsigned(0).unsigned(0).unsigned(0);
  header.number(0, 1);

  const program = new ByteWriter();
  let at: bigint | undefined;
  let end = 0n;
  let line = 1;
  let file = 1;
  const endSequence = () => {
    program
      .number(LNS_ADVANCE_PC, 1)
      .unsigned(Number(end - (at ?? end)))
      .number(0, 1)
      .unsigned(1)
      .number(LNE_END_SEQUENCE, 1);
    line = 1;
    file = 1;
  };
  for (const entry of lines.lines) {
    if (at !== undefined && entry.address !== end) {
      endSequence();
      at = undefined;
    }
    if (at === undefined)
      program
        .number(0, 1)
        .unsigned(1 + address)
        .number(LNE_SET_ADDRESS, 1)
        .number(entry.address, address);
    else program.number(LNS_ADVANCE_PC, 1).unsigned(Number(entry.address - at));
    at = entry.address;
    end = endOf(entry);
    if (entry.file + 1 !== file) {
      file = entry.file + 1;
      program.number(LNS_SET_FILE, 1).unsigned(file);
    }
    program
      .number(LNS_ADVANCE_LINE, 1)
      .signed(entry.line - line)
      .number(LNS_COPY, 1);
    line = entry.line;
  }
  if (at !== undefined) endSequence();
  return new ByteWriter().number(4, 2).number(header.length, 4).raw(header.bytes).raw(program.bytes).withLength();
}

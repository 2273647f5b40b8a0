import type { SourceLines } from '../program.ts';

/** DWARF 4 constants (7.5, 7.21). */
const DW = {
  TAG_COMPILE_UNIT: 0x11,
  AT_STMT_LIST: 0x10,
  AT_LOW_PC: 0x11,
  AT_HIGH_PC: 0x12,
  AT_NAME: 0x03,
  AT_LANGUAGE: 0x13,
  FORM_ADDR: 1,
  FORM_STRING: 8,
  FORM_DATA2: 5,
  FORM_SEC_OFFSET: 0x17,
  LANG_MIPS_ASSEMBLER: 0x8001,
} as const;

class Bytes {
  readonly bytes: number[] = [];
  fixed(value: bigint | number, size: number): this {
    let rest = BigInt(value);
    for (let index = 0; index < size; index++) {
      this.bytes.push(Number(rest & 0xffn));
      rest >>= 8n;
    }
    return this;
  }
  unsigned(value: bigint | number): this {
    let rest = BigInt(value);
    do {
      const byte = Number(rest & 0x7fn);
      rest >>= 7n;
      this.bytes.push(rest === 0n ? byte : byte | 0x80);
    } while (rest !== 0n);
    return this;
  }
  signed(value: number): this {
    let rest = value;
    for (;;) {
      const byte = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && !(byte & 0x40)) || (rest === -1 && byte & 0x40)) {
        this.bytes.push(byte);
        return this;
      }
      this.bytes.push(byte | 0x80);
    }
  }
  text(value: string): this {
    this.bytes.push(...new TextEncoder().encode(value), 0);
    return this;
  }
  /** With its length in front, as DWARF's units have it. */
  withLength(): Uint8Array {
    return Uint8Array.from([...new Bytes().fixed(this.bytes.length, 4).bytes, ...this.bytes]);
  }
}

/** The three DWARF sections that a debugger needs to find lines: version 4, one unit. */
export function lineProgram(
  lines: SourceLines,
  low: bigint,
  high: bigint,
  is64: boolean,
): { line: Uint8Array; info: Uint8Array; abbrev: Uint8Array } {
  const address = is64 ? 8 : 4;
  const header = new Bytes();
  // Minimum instruction length, operations, default is_stmt, line base, line range, opcode base with operand counts.
  header.fixed(1, 1).fixed(1, 1).fixed(1, 1).fixed(0xfb, 1).fixed(14, 1).fixed(13, 1);
  for (const count of [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]) header.fixed(count, 1);
  header.fixed(0, 1);
  for (const file of lines.files) header.text(file).unsigned(0).unsigned(0).unsigned(0);
  header.fixed(0, 1);

  const program = new Bytes();
  const setAddress = (value: bigint) =>
    program
      .fixed(0, 1)
      .unsigned(1 + address)
      .fixed(2, 1)
      .fixed(value, address);
  let line = 1;
  let file = 1;
  for (const entry of lines.lines) {
    setAddress(entry.address);
    if (entry.file + 1 !== file) {
      file = entry.file + 1;
      program.fixed(4, 1).unsigned(file);
    }
    program
      .fixed(3, 1)
      .signed(entry.line - line)
      .fixed(1, 1);
    line = entry.line;
  }
  setAddress(high).fixed(0, 1).unsigned(1).fixed(1, 1);

  const unit = new Bytes().fixed(4, 2).fixed(header.bytes.length, 4);
  unit.bytes.push(...header.bytes, ...program.bytes);
  const abbrev = new Bytes().unsigned(1).unsigned(DW.TAG_COMPILE_UNIT).fixed(0, 1);
  for (const [attribute, form] of [
    [DW.AT_NAME, DW.FORM_STRING],
    [DW.AT_LANGUAGE, DW.FORM_DATA2],
    [DW.AT_STMT_LIST, DW.FORM_SEC_OFFSET],
    [DW.AT_LOW_PC, DW.FORM_ADDR],
    [DW.AT_HIGH_PC, DW.FORM_ADDR],
  ] as const)
    abbrev.unsigned(attribute).unsigned(form);
  abbrev.fixed(0, 3);
  const info = new Bytes().fixed(4, 2).fixed(0, 4).fixed(address, 1).unsigned(1);
  info
    .text(lines.files[0] ?? '')
    .fixed(DW.LANG_MIPS_ASSEMBLER, 2)
    .fixed(0, 4)
    .fixed(low, address)
    .fixed(high, address);
  return { line: unit.withLength(), info: info.withLength(), abbrev: Uint8Array.from(abbrev.bytes) };
}

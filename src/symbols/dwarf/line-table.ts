import { type FormContext, readForm, stringAt } from './attribute-value.ts';
import { ByteReader, DwarfError } from './byte-reader.ts';
import type { DebugInfo } from './debug-info.ts';
import { joinPath } from './paths.ts';

/** One row of the line table (DWARF5 6.2.2). */
export interface LineRow {
  readonly address: bigint;
  /** Index into `files`. */
  readonly file: number;
  readonly line: number;
  readonly column: number;
  readonly isStatement: boolean;
  readonly prologueEnd: boolean;
}

/** Rows of consecutive machine code, ascending; it ends before `high`. */
export interface LineSequence {
  readonly low: bigint;
  readonly high: bigint;
  readonly rows: readonly LineRow[];
}

interface LineHeader {
  readonly version: number;
  readonly minimumLength: number;
  readonly defaultIsStatement: boolean;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeBase: number;
  readonly operandCounts: readonly number[];
  readonly files: string[];
  /** File number of the first entry of `files`. */
  readonly firstFile: number;
  readonly program: number;
  readonly end: number;
  readonly addressSize: number;
  readonly is64: boolean;
}

/** DW_LNCT_* (DWARF5 7.22). */
const CONTENT_PATH = 1;
const CONTENT_DIRECTORY = 2;

const Lns = {
  COPY: 1,
  ADVANCE_PC: 2,
  ADVANCE_LINE: 3,
  SET_FILE: 4,
  SET_COLUMN: 5,
  NEGATE_STMT: 6,
  SET_BASIC_BLOCK: 7,
  CONST_ADD_PC: 8,
  FIXED_ADVANCE_PC: 9,
  SET_PROLOGUE_END: 10,
  SET_EPILOGUE_BEGIN: 11,
  SET_ISA: 12,
} as const;
const Lne = { END_SEQUENCE: 1, SET_ADDRESS: 2, DEFINE_FILE: 3 } as const;

/** The line number program of a unit. The header is read at once, the rows when asked for. */
export class LineTable {
  private readonly header: LineHeader;
  private found: readonly LineSequence[] | undefined;

  /** Throws DwarfError when the header is damaged. */
  constructor(
    private readonly info: DebugInfo,
    private readonly offset: number,
    directory: string,
    unitName: string,
    addressSize: number,
  ) {
    this.header = readHeader(info, offset, directory, unitName, addressSize);
  }

  get files(): readonly string[] {
    return this.header.files;
  }

  /** The path of a file number as DW_AT_decl_file has it. */
  file(number: number): string | undefined {
    return this.header.files[number - this.header.firstFile];
  }

  get sequences(): readonly LineSequence[] {
    if (!this.found) {
      const found: LineSequence[] = [];
      this.info.guard(`The line table at offset ${this.offset} of .debug_line`, undefined, () => this.run(found));
      this.found = found;
    }
    return this.found;
  }

  private run(sequences: LineSequence[]): void {
    const { header } = this;
    const reader = new ByteReader(this.info.section('.debug_line'), header.program, header.end);
    const mask = (1n << BigInt(8 * header.addressSize)) - 1n;
    let rows: LineRow[] = [];
    let address = 0n;
    let file = 1;
    let line = 1;
    let column = 0;
    let isStatement = header.defaultIsStatement;
    let prologueEnd = false;
    const reset = () => {
      address = 0n;
      file = 1;
      line = 1;
      column = 0;
      isStatement = header.defaultIsStatement;
      prologueEnd = false;
    };
    const advance = (operations: bigint) => {
      address = (address + operations * BigInt(header.minimumLength)) & mask;
    };
    const emit = () => {
      rows.push({ address, file: file - header.firstFile, line, column, isStatement, prologueEnd });
      prologueEnd = false;
    };
    const finish = () => {
      const first = rows[0];
      if (first) {
        if (rows.some((row, index) => row.address < (rows[index - 1]?.address ?? 0n)))
          rows.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
        const low = rows[0]?.address ?? 0n;
        if (address > low) sequences.push({ low, high: address, rows });
      }
      rows = [];
      reset();
    };
    while (!reader.atEnd) {
      const opcode = reader.u8();
      if (opcode >= header.opcodeBase) {
        const adjusted = opcode - header.opcodeBase;
        advance(BigInt(Math.floor(adjusted / header.lineRange)));
        line += header.lineBase + (adjusted % header.lineRange);
        emit();
        continue;
      }
      switch (opcode) {
        case 0: {
          const length = reader.uleb();
          const next = reader.offset + length;
          const extended = length > 0 ? reader.u8() : 0;
          if (extended === Lne.END_SEQUENCE) finish();
          else if (extended === Lne.SET_ADDRESS && length - 1 <= 8)
            address = this.info.moved(reader.unsigned(length - 1), header.addressSize) & mask;
          else if (extended === Lne.DEFINE_FILE) header.files.push(reader.string());
          reader.seek(next);
          break;
        }
        case Lns.COPY:
          emit();
          break;
        case Lns.ADVANCE_PC:
          advance(reader.ulebBig());
          break;
        case Lns.ADVANCE_LINE:
          line += reader.sleb();
          break;
        case Lns.SET_FILE:
          file = reader.uleb();
          break;
        case Lns.SET_COLUMN:
          column = reader.uleb();
          break;
        case Lns.NEGATE_STMT:
          isStatement = !isStatement;
          break;
        case Lns.SET_BASIC_BLOCK:
        case Lns.SET_EPILOGUE_BEGIN:
          break;
        case Lns.CONST_ADD_PC:
          advance(BigInt(Math.floor((255 - header.opcodeBase) / header.lineRange)));
          break;
        case Lns.FIXED_ADVANCE_PC:
          address = (address + BigInt(reader.u16())) & mask;
          break;
        case Lns.SET_PROLOGUE_END:
          prologueEnd = true;
          break;
        case Lns.SET_ISA:
          reader.skipLeb();
          break;
        default:
          for (let count = header.operandCounts[opcode - 1] ?? 0; count > 0; count--) reader.skipLeb();
      }
    }
    // A program that ends without end_sequence still tells where its rows are.
    finish();
  }
}

function readHeader(info: DebugInfo, offset: number, directory: string, unitName: string, unitAddressSize: number): LineHeader {
  const section = info.section('.debug_line');
  const reader = new ByteReader(section, offset);
  const { length, is64 } = reader.initialLength();
  const end = reader.offset + length;
  if (end > section.length) throw new DwarfError(`the line table at offset ${offset} reaches beyond its section`);
  const version = reader.u16();
  if (version < 2 || version > 5) throw new DwarfError(`line table version ${version} is unknown`);
  let addressSize = unitAddressSize;
  if (version >= 5) {
    addressSize = reader.u8();
    if (addressSize !== 2 && addressSize !== 4 && addressSize !== 8)
      throw new DwarfError(`addresses of ${addressSize} bytes are unknown`);
    reader.skip(1);
  }
  const headerLength = reader.sectionOffset(is64);
  const program = reader.offset + headerLength;
  if (program > end) throw new DwarfError(`the header of the line table at offset ${offset} is longer than the table`);
  const minimumLength = reader.u8();
  if (version >= 4) reader.skip(1);
  const defaultIsStatement = reader.u8() !== 0;
  const lineBase = reader.i8();
  const lineRange = reader.u8();
  const opcodeBase = reader.u8();
  if (lineRange === 0) throw new DwarfError(`the line table at offset ${offset} has a line range of 0`);
  const operandCounts = [...reader.slice(Math.max(0, opcodeBase - 1))];
  const context: FormContext = { version, addressSize, is64, offset: 0 };
  const files = version >= 5 ? readFiles5(info, reader, context, directory) : readFiles2(reader, directory, unitName);
  return {
    version,
    minimumLength,
    defaultIsStatement,
    lineBase,
    lineRange,
    opcodeBase,
    operandCounts,
    files,
    firstFile: version >= 5 ? 0 : 1,
    program,
    end,
    addressSize,
    is64,
  };
}

/** Directory and file names of versions 2 to 4. Directory 0 is that of the compilation. */
function readFiles2(reader: ByteReader, directory: string, unitName: string): string[] {
  const directories = [directory];
  for (let name = reader.string(); name !== ''; name = reader.string()) directories.push(joinPath(directory, name));
  const files: string[] = [];
  for (let name = reader.string(); name !== ''; name = reader.string()) {
    const index = reader.uleb();
    reader.skipLeb();
    reader.skipLeb();
    files.push(joinPath(directories[index] ?? directory, name));
  }
  // Some assemblers name no file: then all lines are of the unit's own.
  if (files.length === 0) files.push(joinPath(directory, unitName));
  return files;
}

/** The self-describing tables of version 5. */
function readFiles5(info: DebugInfo, reader: ByteReader, context: FormContext, directory: string): string[] {
  const entries = (): { path: string; directory: number }[] => {
    const formats: { content: number; form: number }[] = [];
    for (let count = reader.u8(); count > 0; count--) formats.push({ content: reader.uleb(), form: reader.uleb() });
    const total = reader.uleb();
    if (total > reader.end - reader.offset || (total > 0 && formats.length === 0))
      throw new DwarfError(`a line table has ${total} file names`);
    const found: { path: string; directory: number }[] = [];
    for (let index = 0; index < total; index++) {
      let path = '';
      let within = 0;
      for (const { content, form } of formats) {
        const raw = readForm(reader, form, context);
        if (content === CONTENT_PATH) {
          if (raw.kind === 'string') path = raw.value;
          else if (raw.kind === 'string-offset') path = stringAt(info.section(raw.section), raw.value);
        } else if (content === CONTENT_DIRECTORY && raw.kind === 'constant') within = Number(raw.value);
      }
      found.push({ path, directory: within });
    }
    return found;
  };
  const directories = entries().map(({ path }) => joinPath(directory, path));
  return entries().map((file) => joinPath(directories[file.directory] ?? directory, file.path));
}

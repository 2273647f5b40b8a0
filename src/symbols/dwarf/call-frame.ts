import { ByteReader, DwarfError, littleEndian } from './byte-reader.ts';
import type { DebugInfo } from './debug-info.ts';
import { type ExpressionContext, evaluateValue } from './expression.ts';

/** How a register of the caller is found (DWARF5 6.4.1). */
type Rule =
  | { readonly kind: 'undefined' }
  | { readonly kind: 'same' }
  | { readonly kind: 'offset'; readonly offset: bigint }
  | { readonly kind: 'value-offset'; readonly offset: bigint }
  | { readonly kind: 'register'; readonly register: number }
  | { readonly kind: 'expression'; readonly bytes: Uint8Array }
  | { readonly kind: 'value-expression'; readonly bytes: Uint8Array };

type CfaRule =
  | { readonly kind: 'register'; readonly register: number; readonly offset: bigint }
  | { readonly kind: 'expression'; readonly bytes: Uint8Array };

interface Cie {
  readonly codeAlignment: number;
  readonly dataAlignment: bigint;
  readonly returnRegister: number;
  readonly addressSize: number;
  readonly fdeEncoding: number;
  readonly hasAugmentationData: boolean;
  readonly isSignalFrame: boolean;
  readonly instructions: Uint8Array;
}

interface Fde {
  readonly cie: Cie;
  readonly low: bigint;
  readonly high: bigint;
  readonly instructions: Uint8Array;
}

interface Row {
  cfa: CfaRule | undefined;
  rules: Map<number, Rule>;
}

/** A row of the table of a function's frame: where the caller's registers are, seen from one address. */
export interface FrameRow {
  readonly cfa: CfaRule;
  readonly rules: ReadonlyMap<number, Rule>;
  readonly returnRegister: number;
  /** The frame was entered by a signal or an exception: its caller's pc is an instruction, not a return address. */
  readonly isSignalFrame: boolean;
}

/** Number of an address register that no machine of ours has: bounds the rows. */
const MAX_REGISTER = 1_024;
const MAX_STATES = 1_000;

const Cfa = {
  ADVANCE_LOC: 0x40,
  OFFSET: 0x80,
  RESTORE: 0xc0,
  NOP: 0x00,
  SET_LOC: 0x01,
  ADVANCE_LOC1: 0x02,
  ADVANCE_LOC2: 0x03,
  ADVANCE_LOC4: 0x04,
  OFFSET_EXTENDED: 0x05,
  RESTORE_EXTENDED: 0x06,
  UNDEFINED: 0x07,
  SAME_VALUE: 0x08,
  REGISTER: 0x09,
  REMEMBER_STATE: 0x0a,
  RESTORE_STATE: 0x0b,
  DEF_CFA: 0x0c,
  DEF_CFA_REGISTER: 0x0d,
  DEF_CFA_OFFSET: 0x0e,
  DEF_CFA_EXPRESSION: 0x0f,
  EXPRESSION: 0x10,
  OFFSET_EXTENDED_SF: 0x11,
  DEF_CFA_SF: 0x12,
  DEF_CFA_OFFSET_SF: 0x13,
  VAL_OFFSET: 0x14,
  VAL_OFFSET_SF: 0x15,
  VAL_EXPRESSION: 0x16,
  GNU_WINDOW_SAVE: 0x2d,
  GNU_ARGS_SIZE: 0x2e,
  GNU_NEGATIVE_OFFSET_EXTENDED: 0x2f,
} as const;

/** DW_EH_PE_* (LSB Core, 10.5.1). */
const Pe = { OMIT: 0xff, PCREL: 0x10, FUNCREL: 0x40, ALIGNED: 0x50, INDIRECT: 0x80 } as const;

/** `.debug_frame` and `.eh_frame` of a program, read when first asked. */
export class CallFrameInfo {
  private table: readonly Fde[] | undefined;

  constructor(
    private readonly info: DebugInfo,
    private readonly addressSize: number,
  ) {}

  private get entries(): readonly Fde[] {
    if (!this.table) {
      const found: Fde[] = [];
      for (const name of ['.debug_frame', '.eh_frame'])
        this.info.guard(name, undefined, () => this.readSection(name, name === '.eh_frame', found));
      this.table = found.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
    }
    return this.table;
  }

  private find(pc: bigint): Fde | undefined {
    const { entries } = this;
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((entries[middle]?.low ?? 0n) <= pc) low = middle + 1;
      else high = middle;
    }
    const entry = entries[low - 1];
    return entry && pc < entry.high ? entry : undefined;
  }

  /** Whether an address is in a function whose frame is described, and which. */
  rangeAt(pc: bigint): { readonly low: bigint; readonly high: bigint } | undefined {
    return this.find(pc);
  }

  rowAt(pc: bigint): FrameRow | undefined {
    const fde = this.find(pc);
    if (!fde) return undefined;
    return this.info.guard(`The frame table of 0x${fde.low.toString(16)}`, undefined, () => {
      const row = execute(fde, pc);
      if (!row.cfa) throw new DwarfError('it says nothing of the frame address');
      return {
        cfa: row.cfa,
        rules: row.rules,
        returnRegister: fde.cie.returnRegister,
        isSignalFrame: fde.cie.isSignalFrame,
      };
    });
  }

  private readSection(name: string, isEh: boolean, found: Fde[]): void {
    const section = this.info.sections.get(name);
    if (!section) return;
    const { bytes, address } = section;
    const cies = new Map<number, Cie | undefined>();
    const reader = new ByteReader(bytes);
    while (!reader.atEnd) {
      const start = reader.offset;
      const { length, is64 } = reader.initialLength();
      if (length === 0) {
        // Ends the part that one object file contributed.
        if (isEh) continue;
        break;
      }
      const end = reader.offset + length;
      if (end > bytes.length) throw new DwarfError(`the entry at offset ${start} reaches beyond the section`);
      const idOffset = reader.offset;
      const id = isEh ? reader.u32() : reader.sectionOffset(false) + (is64 ? reader.u32() * 2 ** 32 : 0);
      const isCie = isEh ? id === 0 : id === (is64 ? 2 ** 64 - 1 : 0xffff_ffff) || id >= 2 ** 63;
      if (!isCie)
        this.info.guard(`The frame entry at offset ${start} of ${name}`, undefined, () => {
          const cieOffset = isEh ? idOffset - id : id;
          if (!cies.has(cieOffset)) cies.set(cieOffset, this.readCie(bytes, cieOffset, isEh));
          const cie = cies.get(cieOffset);
          if (cie) this.readFde(new ByteReader(bytes, reader.offset, end), cie, isEh, address, found);
        });
      reader.seek(end);
    }
  }

  private readCie(bytes: Uint8Array, offset: number, isEh: boolean): Cie {
    const outer = new ByteReader(bytes, offset);
    const { length, is64 } = outer.initialLength();
    const end = outer.offset + length;
    if (end > bytes.length) throw new DwarfError('a common entry reaches beyond its section');
    const reader = new ByteReader(bytes, outer.offset, end);
    reader.skip(is64 && !isEh ? 8 : 4);
    const version = reader.u8();
    const augmentation = reader.string();
    let addressSize = this.addressSize;
    if (version >= 4) {
      addressSize = reader.u8();
      if (addressSize !== 4 && addressSize !== 8 && addressSize !== 2)
        throw new DwarfError(`an address has ${addressSize} bytes`);
      reader.skip(1);
    }
    if (augmentation.startsWith('eh')) reader.skip(addressSize);
    const codeAlignment = reader.uleb();
    const dataAlignment = reader.slebBig();
    const returnRegister = version === 1 ? reader.u8() : reader.uleb();
    let fdeEncoding = 0;
    let isSignalFrame = false;
    const hasAugmentationData = augmentation.startsWith('z');
    if (hasAugmentationData) {
      const dataEnd = reader.uleb() + reader.offset;
      for (const letter of augmentation.slice(1)) {
        if (letter === 'R') fdeEncoding = reader.u8();
        else if (letter === 'L') reader.skip(1);
        else if (letter === 'P') readPointer(reader, reader.u8(), addressSize, 0n);
        else if (letter === 'S') isSignalFrame = true;
        else if (letter !== 'B') break;
      }
      reader.seek(dataEnd);
    } else if (augmentation !== '' && augmentation !== 'eh') throw new DwarfError(`augmentation "${augmentation}" is unknown`);
    const instructions = reader.slice(end - reader.offset);
    return {
      codeAlignment,
      dataAlignment,
      returnRegister,
      addressSize,
      fdeEncoding,
      hasAugmentationData,
      isSignalFrame,
      instructions,
    };
  }

  private readFde(reader: ByteReader, cie: Cie, isEh: boolean, sectionAddress: bigint, found: Fde[]): void {
    const encoding = isEh ? cie.fdeEncoding : 0;
    const mask = (1n << BigInt(8 * cie.addressSize)) - 1n;
    const linked = readPointer(reader, encoding, cie.addressSize, sectionAddress) & mask;
    const length = readPointer(reader, encoding & 0x0f, cie.addressSize, 0n) & mask;
    if (cie.hasAugmentationData) reader.skip(reader.uleb());
    // What the linker dropped has address 0 or no length.
    if (length === 0n || linked === 0n) return;
    const low = this.info.moved(linked, cie.addressSize);
    found.push({ cie, low, high: low + length, instructions: reader.slice(reader.end - reader.offset) });
  }
}

function readPointer(reader: ByteReader, encoding: number, addressSize: number, sectionAddress: bigint): bigint {
  if (encoding === Pe.OMIT) return 0n;
  if ((encoding & 0x70) === Pe.ALIGNED) reader.seek(Math.ceil(reader.offset / addressSize) * addressSize);
  const here = sectionAddress + BigInt(reader.offset);
  let value: bigint;
  switch (encoding & 0x0f) {
    case 0x01:
      value = reader.ulebBig();
      break;
    case 0x02:
      value = reader.unsigned(2);
      break;
    case 0x03:
      value = reader.unsigned(4);
      break;
    case 0x04:
      value = reader.unsigned(8);
      break;
    case 0x09:
      value = reader.slebBig();
      break;
    case 0x0a:
      value = reader.signed(2);
      break;
    case 0x0b:
      value = reader.signed(4);
      break;
    case 0x0c:
      value = reader.signed(8);
      break;
    case 0x00:
    case 0x08:
      value = reader.unsigned(addressSize);
      break;
    default:
      throw new DwarfError(`pointer encoding 0x${encoding.toString(16)} is unknown`);
  }
  return (encoding & 0x70) === Pe.PCREL ? value + here : value;
}

/** Runs the instructions of a function's entry up to the row that holds at `pc`. */
function execute(fde: Fde, pc: bigint): Row {
  const row: Row = { cfa: undefined, rules: new Map() };
  run(fde.cie, fde.cie.instructions, row, undefined, fde.low, pc);
  const initial = new Map(row.rules);
  run(fde.cie, fde.instructions, row, initial, fde.low, pc);
  return row;
}

function run(
  cie: Cie,
  instructions: Uint8Array,
  row: Row,
  initial: ReadonlyMap<number, Rule> | undefined,
  start: bigint,
  pc: bigint,
): void {
  const reader = new ByteReader(instructions);
  const saved: Row[] = [];
  let location = start;
  /** Moves to a later row; true when that lies beyond the pc. */
  const advance = (units: number): boolean => {
    location += BigInt(units * cie.codeAlignment);
    return location > pc;
  };
  const set = (register: number, rule: Rule) => {
    if (register > MAX_REGISTER) throw new DwarfError(`register ${register} is unknown`);
    row.rules.set(register, rule);
  };
  const restore = (register: number) => {
    const rule = initial?.get(register);
    if (rule) row.rules.set(register, rule);
    else row.rules.delete(register);
  };
  const factored = (offset: bigint) => offset * cie.dataAlignment;
  const cfaOffset = (offset: bigint) => {
    if (row.cfa?.kind !== 'register') throw new DwarfError('a frame offset has no register');
    row.cfa = { ...row.cfa, offset };
  };
  while (!reader.atEnd) {
    const opcode = reader.u8();
    const low = opcode & 0x3f;
    switch (opcode & 0xc0) {
      case Cfa.ADVANCE_LOC:
        if (advance(low)) return;
        continue;
      case Cfa.OFFSET:
        set(low, { kind: 'offset', offset: factored(reader.ulebBig()) });
        continue;
      case Cfa.RESTORE:
        restore(low);
        continue;
    }
    switch (opcode) {
      case Cfa.NOP:
      case Cfa.GNU_WINDOW_SAVE:
        break;
      case Cfa.SET_LOC:
        location = readPointer(reader, cie.fdeEncoding & 0x0f, cie.addressSize, 0n);
        if (location > pc) return;
        break;
      case Cfa.ADVANCE_LOC1:
        if (advance(reader.u8())) return;
        break;
      case Cfa.ADVANCE_LOC2:
        if (advance(reader.u16())) return;
        break;
      case Cfa.ADVANCE_LOC4:
        if (advance(reader.u32())) return;
        break;
      case Cfa.OFFSET_EXTENDED:
        set(reader.uleb(), { kind: 'offset', offset: factored(reader.ulebBig()) });
        break;
      case Cfa.OFFSET_EXTENDED_SF:
        set(reader.uleb(), { kind: 'offset', offset: factored(reader.slebBig()) });
        break;
      case Cfa.GNU_NEGATIVE_OFFSET_EXTENDED:
        set(reader.uleb(), { kind: 'offset', offset: -factored(reader.ulebBig()) });
        break;
      case Cfa.VAL_OFFSET:
        set(reader.uleb(), { kind: 'value-offset', offset: factored(reader.ulebBig()) });
        break;
      case Cfa.VAL_OFFSET_SF:
        set(reader.uleb(), { kind: 'value-offset', offset: factored(reader.slebBig()) });
        break;
      case Cfa.RESTORE_EXTENDED:
        restore(reader.uleb());
        break;
      case Cfa.UNDEFINED:
        set(reader.uleb(), { kind: 'undefined' });
        break;
      case Cfa.SAME_VALUE:
        set(reader.uleb(), { kind: 'same' });
        break;
      case Cfa.REGISTER:
        set(reader.uleb(), { kind: 'register', register: reader.uleb() });
        break;
      case Cfa.REMEMBER_STATE:
        if (saved.length >= MAX_STATES) throw new DwarfError('too many states are remembered');
        saved.push({ cfa: row.cfa, rules: new Map(row.rules) });
        break;
      case Cfa.RESTORE_STATE: {
        const state = saved.pop();
        if (!state) throw new DwarfError('a state is restored that was not remembered');
        row.cfa = state.cfa;
        row.rules = state.rules;
        break;
      }
      case Cfa.DEF_CFA:
        row.cfa = { kind: 'register', register: reader.uleb(), offset: reader.ulebBig() };
        break;
      case Cfa.DEF_CFA_SF:
        row.cfa = { kind: 'register', register: reader.uleb(), offset: factored(reader.slebBig()) };
        break;
      case Cfa.DEF_CFA_REGISTER: {
        const register = reader.uleb();
        row.cfa = { kind: 'register', register, offset: row.cfa?.kind === 'register' ? row.cfa.offset : 0n };
        break;
      }
      case Cfa.DEF_CFA_OFFSET:
        cfaOffset(reader.ulebBig());
        break;
      case Cfa.DEF_CFA_OFFSET_SF:
        cfaOffset(factored(reader.slebBig()));
        break;
      case Cfa.DEF_CFA_EXPRESSION:
        row.cfa = { kind: 'expression', bytes: reader.slice(reader.uleb()) };
        break;
      case Cfa.EXPRESSION:
        set(reader.uleb(), { kind: 'expression', bytes: reader.slice(reader.uleb()) });
        break;
      case Cfa.VAL_EXPRESSION:
        set(reader.uleb(), { kind: 'value-expression', bytes: reader.slice(reader.uleb()) });
        break;
      case Cfa.GNU_ARGS_SIZE:
        reader.skipLeb();
        break;
      default:
        throw new DwarfError(`frame instruction 0x${opcode.toString(16)} is unknown`);
    }
  }
}

/** The canonical frame address: the stack pointer of the caller before the call. */
export function frameAddress(row: FrameRow, context: ExpressionContext): bigint | undefined {
  const mask = (1n << BigInt(8 * context.addressSize)) - 1n;
  if (row.cfa.kind === 'expression') return evaluateValue(row.cfa.bytes, context) & mask;
  const base = context.register(row.cfa.register);
  return base === undefined ? undefined : (base + row.cfa.offset) & mask;
}

/** A register as it was in the caller; undefined where it was not kept. */
export function callerRegister(row: FrameRow, register: number, cfa: bigint, context: ExpressionContext): bigint | undefined {
  const rule = row.rules.get(register);
  const size = context.addressSize;
  const mask = (1n << BigInt(8 * size)) - 1n;
  const load = (address: bigint): bigint | undefined => {
    const bytes = context.memory(address & mask, size);
    return bytes && bytes.length >= size ? littleEndian(bytes) : undefined;
  };
  switch (rule?.kind) {
    case undefined:
    case 'same':
      return context.register(register);
    case 'undefined':
      return undefined;
    case 'offset':
      return load(cfa + rule.offset);
    case 'value-offset':
      return (cfa + rule.offset) & mask;
    case 'register':
      return context.register(rule.register);
    case 'expression':
      return load(evaluateValue(rule.bytes, { ...context, initial: [cfa] }));
    case 'value-expression':
      return evaluateValue(rule.bytes, { ...context, initial: [cfa] }) & mask;
  }
}

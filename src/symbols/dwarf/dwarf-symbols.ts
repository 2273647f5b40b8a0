import { integerType, pointerTo } from '../expressions/builtin-types.ts';
import { evaluateExpression, integerValue, type Scope } from '../expressions/evaluator.ts';
import type { SymbolInput } from '../open-symbols.ts';
import { RBP, RETURN_ADDRESS, RSP, registerByName } from '../registers.ts';
import type {
  FrameContext,
  FrameRegisters,
  FunctionInfo,
  InlineFrame,
  LineRange,
  SourcePosition,
  SymbolSource,
  TypedValue,
  Variable,
} from '../symbol-source.ts';
import { compareAddresses, movedSymbols, nameMatcher, SymbolTable } from '../symbol-table.ts';
import { findPrologue, unwindWithoutInformation } from '../unwind/without-information.ts';
import type { ShowFormat } from '../values/format.ts';
import { type Type, VOID } from '../values/type.ts';
import { present } from '../values/typed-value.ts';
import type { Value } from '../values/value.ts';
import { CallFrameInfo } from './call-frame.ts';
import { CodeIndex, type CodeUnit, type FunctionCode } from './code-index.ts';
import { At, Tag } from './constants.ts';
import { DebugInfo } from './debug-info.ts';
import type { Die } from './die.ts';
import { staticAddress } from './expression.ts';
import { FrameReader, placeOf } from './frame-reader.ts';
import { NameIndex } from './name-index.ts';
import { matchingPaths } from './paths.ts';
import { contains, rangesOf } from './ranges.ts';
import { TypeReader } from './type-reader.ts';

/** Names of all functions are gathered from programs with less debug information than this; else from the symbol table. */
const MAX_NAMED_INFO = 32 * 1024 * 1024;
const MAX_SCOPES = 64;
const PROLOGUE_BYTES = 32;

/** Symbols of a program with DWARF. */
export class DwarfSymbols implements SymbolSource {
  readonly producer: string;
  private readonly info: DebugInfo;
  private readonly table: SymbolTable;
  private readonly code: CodeIndex;
  private readonly names: NameIndex;
  private readonly types: TypeReader;
  private readonly frames: FrameReader;
  private readonly callFrames: CallFrameInfo;
  private readonly addressSize: number;
  private readonly described = new Map<number, Map<bigint, FunctionInfo>>();
  private foundFiles: readonly string[] | undefined;
  private foundPaths: ReadonlyMap<string, readonly CodeUnit[]> | undefined;

  constructor(private readonly input: SymbolInput & { readonly sections: NonNullable<SymbolInput['sections']> }) {
    this.info = new DebugInfo(input.sections, input.bias);
    this.table = new SymbolTable(movedSymbols(input));
    this.addressSize = this.info.units[0]?.addressSize ?? (input.mode === 64 ? 8 : 4);
    this.code = new CodeIndex(this.info, (address) => this.isLive(address));
    this.names = new NameIndex(this.info);
    this.types = new TypeReader(this.info, (name, tag) => this.names.everywhere(name, 'type').find((die) => die.tag === tag));
    this.callFrames = new CallFrameInfo(this.info, this.addressSize);
    this.frames = new FrameReader(
      this.info,
      this.code,
      this.callFrames,
      this.types,
      (frame) => this.unwindPlain(frame),
      this.addressSize,
    );
    this.producer = this.info.guard('The first unit', '', () => this.info.units[0]?.producer ?? '') || 'DWARF';
  }

  /** What was found to be wrong in the debug information so far, a sentence each. */
  get warnings(): readonly string[] {
    return this.info.warnings;
  }

  /** Linkers give dropped code the address 0 or one of the highest; a program may also really begin at 0. */
  private isLive(moved: bigint): boolean {
    const address = BigInt.asUintN(8 * this.addressSize, moved - this.info.bias);
    if (address >= (1n << BigInt(8 * this.addressSize)) - 16n) return false;
    if (address !== 0n) return true;
    for (const [name, section] of this.input.sections)
      if (section.address === 0n && section.bytes.length > 0 && /^\.(text|init|boot)/.test(name)) return true;
    return false;
  }

  // Lines

  get files(): readonly string[] {
    this.foundFiles ??= [...new Set(this.code.units.flatMap(({ lines }) => [...(lines?.starts.keys() ?? [])]))];
    return this.foundFiles;
  }

  private get paths(): ReadonlyMap<string, readonly CodeUnit[]> {
    if (!this.foundPaths) {
      const found = new Map<string, CodeUnit[]>();
      for (const unit of this.code.units)
        for (const path of new Set(unit.files)) {
          const list = found.get(path);
          if (list) list.push(unit);
          else found.set(path, [unit]);
        }
      this.foundPaths = found;
    }
    return this.foundPaths;
  }

  lineAt(address: bigint): LineRange | undefined {
    return this.code.unitAt(address)?.lines?.at(address);
  }

  /** Where lines of a file begin, in all units. */
  private startsIn(path: string) {
    const { paths } = this;
    return matchingPaths(paths.keys(), path).flatMap((candidate) =>
      (paths.get(candidate) ?? []).flatMap((unit) =>
        (unit.lines?.starts.get(candidate) ?? []).map((start) => ({ ...start, unit })),
      ),
    );
  }

  linesOf(path: string): readonly number[] {
    return [...new Set(this.startsIn(path).map(({ line }) => line))].sort((a, b) => a - b);
  }

  addressesOf(path: string, line: number): { readonly line: number; readonly addresses: readonly bigint[] } {
    const starts = this.startsIn(path);
    let actual = Number.POSITIVE_INFINITY;
    for (const start of starts) if (start.line >= line && start.line < actual) actual = start.line;
    if (!Number.isFinite(actual)) return { line, addresses: [] };
    const places = starts.filter((start) => start.line === actual).sort((a, b) => compareAddresses(a.address, b.address));
    // One place a block: the test of a loop and its start are one line to the user.
    const blocks = new Set<string>();
    const addresses = new Set<bigint>();
    for (const { address, unit } of places) {
      const block = this.info.guard('A scope', '', () => this.blockAt(unit, address));
      if (blocks.has(block)) continue;
      if (block !== '') blocks.add(block);
      const owner = unit.functionAt(address);
      addresses.add(owner && owner.ranges[0]?.low === address ? this.describeFunction(owner).bodyStart : address);
    }
    return { line: actual, addresses: [...addresses].sort(compareAddresses) };
  }

  private blockAt(unit: CodeUnit, address: bigint): string {
    const scopes = this.scopesAt(unit, address);
    return scopes.length > 0 ? `${unit.unit.offset}:${scopes[0]?.offset}` : '';
  }

  // Functions

  /** The entries around an address, innermost first, ending with the function. */
  private scopesAt(unit: CodeUnit, address: bigint): Die[] {
    const owner = unit.functionAt(address);
    const found: Die[] = [];
    for (let at: Die | undefined = owner?.die; at && found.length < MAX_SCOPES; ) {
      found.unshift(at);
      const inner: Die[] = at.childrenWith(Tag.LEXICAL_BLOCK, Tag.INLINED_SUBROUTINE);
      at = inner.find((child) => contains(rangesOf(child), address));
    }
    return found;
  }

  private describeFunction(found: FunctionCode): FunctionInfo {
    const key = found.die.offset;
    let known = this.described.get(key);
    if (!known) {
      known = new Map();
      this.described.set(key, known);
    }
    let info = known.get(found.low);
    if (!info) {
      info = this.info.guard<FunctionInfo>(
        `The function at 0x${found.low.toString(16)}`,
        { name: `0x${found.low.toString(16)}`, low: found.low, high: found.high, bodyStart: found.low },
        () => this.makeFunction(found),
      );
      known.set(found.low, info);
    }
    return info;
  }

  private makeFunction({ unit, die, low, high, ranges }: FunctionCode): FunctionInfo {
    const isEntry = ranges[0]?.low === low;
    const declared = die.owner(At.DECL_LINE);
    const line = declared?.number(At.DECL_LINE);
    const path = declared && this.code.codeUnit(declared.unit)?.file(declared.number(At.DECL_FILE) ?? 0);
    return {
      name: this.types.qualifiedName(die) ?? die.linkageName ?? `0x${low.toString(16)}`,
      low,
      high,
      declaration: path !== undefined && line !== undefined ? { path, line } : undefined,
      bodyStart: isEntry ? this.bodyStart(unit, low, high) : low,
    };
  }

  /**
   * Behind the prologue: where the producer says so; else, for a function that sets up a frame pointer, at its second row.
   * Functions without one have no prologue to speak of.
   */
  private bodyStart(unit: CodeUnit, low: bigint, high: bigint): bigint {
    const { lines } = unit;
    if (!lines) return low;
    const marked = lines.prologueEndIn(low, high);
    if (marked !== undefined) return marked;
    const code = this.codeAt(low, PROLOGUE_BYTES);
    const prologue = code && findPrologue(code);
    if (code && !prologue) return low;
    const second = lines.rowAfter(prologue ? low + BigInt(prologue.end) - 1n : low);
    return second !== undefined && second < high ? second : low;
  }

  /** Bytes of the program as its file has them. */
  private codeAt(address: bigint, length: number): Uint8Array | undefined {
    for (const [name, { address: linked, bytes }] of this.input.sections) {
      const start = this.info.moved(linked, this.addressSize);
      if (linked === 0n && !name.startsWith('.text')) continue;
      if (address >= start && address < start + BigInt(bytes.length)) {
        const offset = Number(address - start);
        return bytes.subarray(offset, offset + length);
      }
    }
    return undefined;
  }

  functionAt(address: bigint): FunctionInfo | undefined {
    const found = this.code.unitAt(address)?.functionAt(address);
    if (found) return this.describeFunction(found);
    // Assembly among C, or a unit without functions: what the symbol table knows.
    const label = this.table.around(address);
    if (!label) return undefined;
    return this.labelFunction(label.symbol.name, label.symbol.address, label.high);
  }

  private labelFunction(name: string, low: bigint, high: bigint): FunctionInfo {
    return { name, low, high, bodyStart: low, declaration: this.lineAt(low)?.position };
  }

  functionsNamed(name: string): readonly FunctionInfo[] {
    const matches = nameMatcher(name);
    if (!matches) return [];
    const found = new Map<bigint, FunctionInfo>();
    const add = (info: FunctionInfo) => {
      if (!found.has(info.low)) found.set(info.low, info);
    };
    const isExact = !name.startsWith('/');
    const symbols = isExact ? this.table.named(name) : this.table.code.filter((symbol) => matches(symbol.name));
    for (const symbol of symbols) {
      if (symbol.kind === 'object') continue;
      const known = this.code.unitAt(symbol.address)?.functionAt(symbol.address);
      if (known && known.low === symbol.address) add(this.describeFunction(known));
      else add(this.labelFunction(symbol.name, symbol.address, symbol.address + BigInt(Math.max(symbol.size, 1))));
    }
    if (isExact) {
      if (found.size === 0) for (const info of this.functionsByDebugName(name)) add(info);
    } else if (this.info.section('.debug_info').length < MAX_NAMED_INFO)
      for (const candidate of this.names.functionNames())
        if (matches(candidate)) for (const info of this.functionsByDebugName(candidate)) add(info);
    return [...found.values()];
  }

  private functionsByDebugName(name: string): FunctionInfo[] {
    const found: FunctionInfo[] = [];
    const plain = name.split('::').at(-1) ?? name;
    for (const die of this.names.everywhere(plain, 'function'))
      this.info.guard(`The function "${name}"`, undefined, () => {
        const unit = this.code.codeUnit(die.unit);
        if (!unit) return;
        if (plain !== name && this.types.qualifiedName(die) !== name) return;
        const low = rangesOf(die)[0]?.low;
        const own = low === undefined ? undefined : unit.functionAt(low);
        if (own) found.push(this.describeFunction(own));
        else if (die.has(At.INLINE)) found.push(...this.inlinedCopies(die, name));
      });
    return found;
  }

  /** Where an inlined function was placed. */
  private inlinedCopies(origin: Die, name: string): FunctionInfo[] {
    const { unit } = origin;
    const found: FunctionInfo[] = [];
    for (let index = 0; index < unit.entryCount; index++) {
      if (unit.tagAtIndex(index) !== Tag.INLINED_SUBROUTINE) continue;
      const die = unit.dieAtIndex(index);
      if (!die || die.reference(At.ABSTRACT_ORIGIN)?.key !== origin.key) continue;
      const ranges = rangesOf(die);
      const range = ranges[0];
      const entry = die.address(At.ENTRY_PC);
      // gcc may give an entry that is none of the call's own code: there the frame isn't entered yet.
      const low = entry !== undefined && contains(ranges, entry) ? entry : range?.low;
      if (range && low !== undefined && this.isLive(low)) found.push({ name, low, high: range.high, bodyStart: low });
    }
    return found;
  }

  inlineFramesAt(address: bigint): readonly InlineFrame[] {
    return this.info.guard<InlineFrame[]>('An inlined call', [], () => {
      const unit = this.code.unitAt(address);
      if (!unit) return [];
      const frames: InlineFrame[] = [];
      for (const die of this.scopesAt(unit, address)) {
        if (die.tag !== Tag.INLINED_SUBROUTINE) continue;
        const callSite: SourcePosition = {
          path: unit.file(die.number(At.CALL_FILE) ?? 1) ?? '',
          line: die.number(At.CALL_LINE) ?? 0,
          column: die.number(At.CALL_COLUMN) || undefined,
        };
        const low = die.address(At.ENTRY_PC) ?? rangesOf(die)[0]?.low ?? address;
        frames.push({ name: this.types.qualifiedName(die) ?? '', callSite, low });
      }
      return frames;
    });
  }

  describe(address: bigint): string | undefined {
    const label = this.table.describe(address);
    if (label !== undefined) return label;
    const found = this.code.unitAt(address)?.functionAt(address);
    if (!found) return undefined;
    const { name, low } = this.describeFunction(found);
    return address === low ? name : `${name}+0x${(address - low).toString(16)}`;
  }

  symbol(name: string): { readonly address: bigint; readonly size: number } | undefined {
    return this.table.named(name)[0];
  }

  // Frames

  unwind(frame: FrameContext): FrameRegisters | undefined {
    return this.frames.unwind(frame);
  }

  private unwindPlain(frame: FrameContext): FrameRegisters | undefined {
    return unwindWithoutInformation(frame, {
      functionStart: (address) =>
        this.code.unitAt(address)?.functionAt(address)?.low ?? this.table.around(address)?.symbol.address,
      isCode: (address) => this.code.unitAt(address) !== undefined || this.table.around(address) !== undefined,
      isOutermost: (address) => this.table.around(address)?.symbol.name === '_start',
    });
  }

  variables(frame: FrameContext): readonly Variable[] {
    return this.info.guard<Variable[]>('The variables of a frame', [], () => {
      const place = placeOf(frame);
      const unit = this.code.unitAt(place);
      if (!unit) return [];
      const found: Variable[] = [];
      const seen = new Set<string>();
      for (const scope of this.scopesAt(unit, place))
        for (const die of variablesOf(scope)) {
          const name = die.name;
          // An inner variable hides an outer one of the same name.
          if (name === undefined || seen.has(name) || die.flag(At.DECLARATION)) continue;
          seen.add(name);
          found.push({
            name,
            kind: this.kindOf(die, frame),
            read: () => this.show(this.frames.variable(die, frame), name, frame),
          });
        }
      return [...found.filter(({ kind }) => kind === 'argument'), ...found.filter(({ kind }) => kind !== 'argument')];
    });
  }

  private kindOf(die: Die, frame: FrameContext): Variable['kind'] {
    if (die.tag === Tag.FORMAL_PARAMETER) return 'argument';
    const location = die.owner(At.LOCATION)?.raw(At.LOCATION);
    if (location?.kind !== 'block') return 'local';
    return staticAddress(location.bytes, this.frames.context(frame, die.unit)) === undefined ? 'local' : 'static';
  }

  private show(value: Value, expression: string, frame: FrameContext, format?: ShowFormat): TypedValue {
    return present(value, expression, {
      frame,
      format,
      nameOf: (address) => this.nameOf(address),
      evaluate: (text) => evaluateExpression(text, this.scope(frame)),
    });
  }

  private nameOf(address: bigint): string | undefined {
    const name = this.table.nameOfPointer(address);
    if (name !== undefined) return name;
    const found = this.code.unitAt(address)?.functionAt(address);
    if (!found) return undefined;
    const info = this.describeFunction(found);
    return address === info.low ? info.name : `${info.name}+${address - info.low}`;
  }

  evaluate(expression: string, frame: FrameContext): TypedValue {
    const suffix = /^(.*),\s*([xduotcs])\s*$/s.exec(expression);
    const text = suffix?.[1] ?? expression;
    const format = suffix?.[2];
    const value = evaluateExpression(text, this.scope(frame));
    return this.show(value, text.trim(), frame, isFormat(format) ? format : undefined);
  }

  private scope(frame: FrameContext): Scope {
    const place = placeOf(frame);
    const unit = this.code.unitAt(place);
    const pointerSize = this.addressSize;
    return {
      frame,
      pointerSize,
      variable: (name) => this.info.guard(`"${name}"`, undefined, () => this.lookUp(name, frame, unit, place)),
      type: (name, keyword) => this.info.guard(`The type "${name}"`, undefined, () => this.typeNamed(name, keyword, unit)),
      register: (name) => this.register(name, frame, pointerSize),
    };
  }

  private lookUp(name: string, frame: FrameContext, unit: CodeUnit | undefined, place: bigint): Value | undefined {
    if (unit)
      for (const scope of this.scopesAt(unit, place))
        for (const die of variablesOf(scope))
          if (die.name === name && !die.flag(At.DECLARATION)) return this.frames.variable(die, frame);
    for (const kind of ['variable', 'function', 'enumerator'] as const) {
      const own = unit ? this.names.inUnit(unit.unit, name, kind) : [];
      const value =
        this.firstValue(own, kind, name, frame) ?? this.firstValue(this.names.everywhere(name, kind), kind, name, frame);
      if (value) return value;
    }
    const symbol = this.table.named(name)[0];
    if (!symbol) return undefined;
    const type: Type = { kind: 'function', result: VOID, parameters: [], isVariadic: false, isPrototyped: false };
    return { type, storage: { kind: 'memory', address: symbol.address } };
  }

  private firstValue(
    dies: readonly Die[],
    kind: 'variable' | 'function' | 'enumerator',
    name: string,
    frame: FrameContext,
  ): Value | undefined {
    for (const die of dies) {
      if (kind === 'enumerator') {
        const raw = die.raw(At.CONST_VALUE);
        if (raw?.kind === 'constant' && die.parent) return integerValue(raw.value, this.types.read(die.parent));
        continue;
      }
      if (kind === 'variable' && (die.owner(At.LOCATION) || die.owner(At.CONST_VALUE))) return this.frames.variable(die, frame);
      const address =
        (kind === 'function' ? rangesOf(die).find(({ low }) => this.isLive(low))?.low : undefined) ??
        this.table.named(die.linkageName ?? name)[0]?.address;
      if (address === undefined) continue;
      const type = kind === 'function' ? this.types.read(die) : this.types.typeOf(die);
      return { type, storage: { kind: 'memory', address } };
    }
    return undefined;
  }

  private typeNamed(
    name: string,
    keyword: 'struct' | 'union' | 'enum' | 'class' | undefined,
    unit: CodeUnit | undefined,
  ): Type | undefined {
    const tags: Readonly<Record<string, number>> = {
      struct: Tag.STRUCTURE_TYPE,
      class: Tag.CLASS_TYPE,
      union: Tag.UNION_TYPE,
      enum: Tag.ENUMERATION_TYPE,
    };
    const isTagged = (die: Die) => Object.values(tags).includes(die.tag);
    const fits = (die: Die) => (keyword ? die.tag === tags[keyword] : die.unit.language !== 'c' || !isTagged(die));
    const own = unit ? this.names.inUnit(unit.unit, name, 'type').find(fits) : undefined;
    const die = own && !own.flag(At.DECLARATION) ? own : (this.names.everywhere(name, 'type').find(fits) ?? own);
    return die && this.types.read(die);
  }

  private register(name: string, frame: FrameContext, pointerSize: number): Value | undefined {
    const known = registerByName(name);
    if (known) {
      const value = known.register === RETURN_ADDRESS ? frame.pc : frame.registers.get(known.register);
      const size = Math.min(known.size, pointerSize);
      const isAddress = known.size >= pointerSize && [RSP, RBP, RETURN_ADDRESS].includes(known.register);
      const type = isAddress ? pointerTo(VOID, pointerSize) : registerType(size);
      if (value === undefined) return { type, storage: { kind: 'unavailable', reason: '<not saved>' } };
      if (known.register === RETURN_ADDRESS) return integerValue(value, type);
      return { type, storage: { kind: 'register', register: known.register, offset: 0 } };
    }
    const value = frame.namedRegister?.(name.toLowerCase());
    return value === undefined ? undefined : integerValue(value, integerType(8, false, 8));
  }
}

/** Variables of a scope; with those of the abstract function that this copy of it has nothing of. */
function variablesOf(scope: Die): Die[] {
  const own = scope.childrenWith(Tag.FORMAL_PARAMETER, Tag.VARIABLE);
  const origin = scope.reference(At.ABSTRACT_ORIGIN);
  if (!origin) return own;
  const used = new Set(own.map((die) => die.reference(At.ABSTRACT_ORIGIN)?.key));
  return [...own, ...origin.childrenWith(Tag.FORMAL_PARAMETER, Tag.VARIABLE).filter(({ key }) => !used.has(key))];
}

function registerType(size: number): Type {
  const names: Readonly<Record<number, string>> = { 1: 'int8_t', 2: 'int16_t', 4: 'int', 8: 'long' };
  return { kind: 'base', name: names[size] ?? 'long', size, encoding: 'signed', language: size === 1 ? 'rust' : 'c' };
}

function isFormat(text: string | undefined): text is ShowFormat {
  return text !== undefined && 'xduotc'.includes(text);
}

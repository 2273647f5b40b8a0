import type { Assembly } from './assembly.ts';
import { emitData, splitAtCommas } from './data.ts';
import { AssemblyError } from './diagnostic.ts';
import { fill } from './fill.ts';
import type { Token } from './lexer.ts';
import { MAX_SIZE, type SectionAttributes } from './section.ts';
import type { Statement } from './statement.ts';

type Directive = (assembly: Assembly, statement: Statement) => void;

const NOP = 0x90;
const MAX_ALIGNMENT = 0x1_0000;

const nameOf = (token: Token | undefined): string | undefined => (token?.kind === 'name' ? token.text : undefined);
const isOperator = (token: Token | undefined, text: string): boolean => token?.kind === 'operator' && token.text === text;

function setBits(assembly: Assembly, bits: number, column?: number): void {
  if (bits !== 16 && bits !== 32 && bits !== 64)
    throw new AssemblyError(`There is no ${bits}-bit code.`, 'Use bits 16, bits 32 or bits 64.', column);
  assembly.bits = bits;
  assembly.firstBits ??= bits;
}

/** `align=16 nobits vstart=0x1000` behind a section's name. */
function sectionAttributes(assembly: Assembly, tokens: readonly Token[]): SectionAttributes {
  const attributes: { -readonly [Key in keyof SectionAttributes]: SectionAttributes[Key] } = {};
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    const word = nameOf(token)?.toLowerCase();
    if (word === undefined) continue;
    if (!isOperator(tokens[at + 1], '=')) {
      if (word === 'nobits' || word === 'progbits') attributes.noBits = word === 'nobits';
      else if (word === 'exec' || word === 'code') attributes.code = true;
      else if (word === 'noexec' || word === 'data') attributes.code = false;
      continue;
    }
    // The value reaches to the next word that has a value or is a flag.
    let end = at + 2;
    while (
      end < tokens.length &&
      !(
        tokens[end]?.kind === 'name' &&
        (end === tokens.length - 1 || tokens[end + 1]?.kind !== 'operator' || isOperator(tokens[end + 1], '='))
      )
    )
      end++;
    const value = tokens.slice(at + 2, Math.max(end, at + 3));
    if (word === 'align') attributes.align = alignmentOf(assembly, value);
    else if (word === 'start') attributes.start = BigInt.asUintN(64, assembly.expression(value).number);
    else if (word === 'vstart') attributes.virtualStart = BigInt.asUintN(64, assembly.expression(value).number);
    else if (word === 'follows' || word === 'vfollows' || word === 'valign')
      throw new AssemblyError(
        `${word}= isn't supported.`,
        'Place the section with start= or vstart=.',
        token?.column,
        word.length,
      );
    at = Math.max(end, at + 3) - 1;
  }
  return attributes;
}

function alignmentOf(assembly: Assembly, tokens: readonly Token[]): number {
  const alignment = assembly.constant(tokens, 'The alignment');
  if (alignment === 0 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) !== 0)
    throw new AssemblyError(`${alignment} is no alignment.`, `Use a power of two up to ${MAX_ALIGNMENT}.`, tokens[0]?.column);
  return alignment;
}

const section: Directive = (assembly, { operands }) => {
  const [first, ...rest] = operands;
  const name = first?.kind === 'name' || first?.kind === 'string' ? first.text.replace(/^(['"`])(.*)\1$/, '$2') : undefined;
  if (name === undefined) throw new AssemblyError('A section needs a name.', 'For example: section .data', first?.column);
  const attributes = sectionAttributes(assembly, rest);
  assembly.absolute = undefined;
  assembly.section = assembly.openSection(name, attributes);
};

function align(assembly: Assembly, operands: readonly Token[], reserve: boolean): void {
  const [size = [], filler] = splitAtCommas(operands);
  const alignment = alignmentOf(assembly, size);
  // The section itself must start at least as well aligned.
  if (!assembly.absolute) assembly.section.align = Math.max(assembly.section.align, alignment);
  const at = assembly.absolute ? Number(assembly.absolute.base.number & 0xffffn) + assembly.offset : assembly.offset;
  const gap = (alignment - (at % alignment)) % alignment;
  const isReserve = /^res[bwdqto]$/i.test(nameOf(filler?.[0]) ?? '');
  if (assembly.absolute || assembly.section.noBits || (reserve && !filler) || isReserve) assembly.reserve(gap);
  else if (!filler) assembly.emit(new Uint8Array(gap).fill(NOP));
  else assembly.emit(fill(filler, gap, assembly.bits, (tokens) => assembly.expression(tokens)));
}

/** `global name:function`. */
const global: Directive = (assembly, { operands }) => {
  for (const part of splitAtCommas(operands)) {
    const name = nameOf(part[0]);
    if (name === undefined) throw new AssemblyError('A name is missing here.', 'For example: global _start', part[0]?.column);
    assembly.globals.set(name, isOperator(part[1], ':') ? (nameOf(part[2]) ?? '') : '');
  }
};

const external: Directive = (assembly, { operands }) => {
  for (const part of splitAtCommas(operands)) {
    const name = nameOf(part[0]);
    if (name === undefined) throw new AssemblyError('A name is missing here.', 'For example: extern function', part[0]?.column);
    assembly.externals.add(name);
  }
};

/** `common name size:alignment`: room in .bss. */
const common: Directive = (assembly, statement) => {
  const [first, ...rest] = statement.operands;
  const name = nameOf(first);
  if (name === undefined || rest.length === 0)
    throw new AssemblyError('COMMON needs a name and a size.', 'For example: common buffer 4096', first?.column);
  const colon = rest.findIndex((token) => isOperator(token, ':'));
  const size = assembly.constant(colon < 0 ? rest : rest.slice(0, colon), 'The size');
  const alignment = colon < 0 ? 1 : alignmentOf(assembly, rest.slice(colon + 1));
  const room = assembly.openSection('.bss', {});
  room.align = Math.max(room.align, alignment);
  room.reserve((alignment - (room.size % alignment)) % alignment);
  const { parent } = assembly;
  assembly.define(statement, name, { number: room.start + BigInt(room.size), section: room.name }, 'label');
  assembly.parent = parent;
  room.reserve(size);
  assembly.globals.set(name, 'data');
};

const incbin: Directive = (assembly, statement) => {
  const [name = [], skip, limit] = splitAtCommas(statement.operands);
  const [token] = name;
  if (token?.kind !== 'string') throw new AssemblyError('INCBIN needs a file name in quotes.', undefined, token?.column);
  const bytes = assembly.binary(statement, new TextDecoder().decode(token.bytes));
  const start = skip ? assembly.constant(skip, 'The offset') : 0;
  const length = limit ? assembly.constant(limit, 'The length') : bytes.length;
  assembly.emit(bytes.subarray(start, start + length));
};

const struc: Directive = (assembly, statement) => {
  const [first] = statement.operands;
  const name = nameOf(first);
  if (name === undefined) throw new AssemblyError('STRUC needs a name.', undefined, first?.column);
  if (assembly.structure) throw new AssemblyError('STRUC stands inside of another STRUC.', 'Close that one with ENDSTRUC first.');
  const tokens = splitAtCommas(statement.operands)[1];
  const base = tokens ? assembly.constant(tokens, 'The offset') : 0;
  assembly.structure = { name, base, outer: assembly.absolute };
  assembly.absolute = { base: { number: BigInt(base) }, offset: 0 };
  assembly.define(statement, name, { number: BigInt(base) }, 'struc');
};

const endstruc: Directive = (assembly, statement) => {
  const { structure, absolute } = assembly;
  if (!structure || !absolute) throw new AssemblyError('ENDSTRUC stands without its STRUC.');
  const { parent } = assembly;
  assembly.define(statement, `${structure.name}_size`, { number: BigInt(absolute.offset) }, 'struc');
  assembly.parent = parent;
  assembly.absolute = structure.outer;
  assembly.structure = undefined;
};

const istruc: Directive = (assembly, { operands: [first] }) => {
  const name = nameOf(first);
  if (name === undefined) throw new AssemblyError('ISTRUC needs the name of a structure.', undefined, first?.column);
  assembly.instance = { start: assembly.offset, name };
};

/** Fills up to a member or to the structure's end. */
function fillTo(assembly: Assembly, target: bigint, column: number): void {
  const { instance } = assembly;
  if (!instance) return;
  const gap = Number(BigInt.asIntN(32, target)) - (assembly.offset - instance.start);
  if (gap < 0)
    throw new AssemblyError(
      'This member lies before what is written already.',
      'Members come in the order of the structure, and none may be longer than it is there.',
      column,
    );
  if (gap > MAX_SIZE) throw new AssemblyError('This member lies too far away.', undefined, column);
  assembly.reserve(gap);
}

const at: Directive = (assembly, statement) => {
  const { instance } = assembly;
  if (!instance) throw new AssemblyError('AT stands without its ISTRUC.');
  const [target = [], ...rest] = splitAtCommas(statement.operands);
  const member = nameOf(target[0]);
  const isLocal = target.length === 1 && member !== undefined && /^\.[^.]/.test(member);
  const value = isLocal ? assembly.lookUp(instance.name + member, target[0]?.column) : assembly.expression(target);
  const base = assembly.lookUp(instance.name);
  if (value.unknown || base.unknown) return;
  fillTo(assembly, value.number - base.number, statement.column);
  const [first, ...more] = rest;
  if (!first) return;
  const [directive, ...values] = first;
  // The commas of the data belong to it again.
  const comma = (part: readonly Token[]): Token => ({ kind: 'operator', text: ',', column: part[0]?.column ?? statement.column });
  const tokens = [...values, ...more.flatMap((part) => [comma(part), ...part])];
  if (!emitData(assembly, tokens, nameOf(directive)?.toLowerCase() ?? ''))
    throw new AssemblyError('AT takes a data directive after its comma.', 'For example: at .x, dd 1', directive?.column);
};

const iend: Directive = (assembly, statement) => {
  const { instance } = assembly;
  if (!instance) throw new AssemblyError('IEND stands without its ISTRUC.');
  const size = assembly.lookUp(`${instance.name}_size`);
  if (!size.unknown) fillTo(assembly, size.number, statement.column);
  assembly.instance = undefined;
};

/** For other assemblers, listings and linkers: taken and ignored. */
const ignored: Directive = () => undefined;

export const directives: ReadonlyMap<string, Directive> = new Map<string, Directive>([
  ['bits', (assembly, { operands }) => setBits(assembly, assembly.constant(operands, 'The code size'), operands[0]?.column)],
  ['use16', (assembly) => setBits(assembly, 16)],
  ['use32', (assembly) => setBits(assembly, 32)],
  ['use64', (assembly) => setBits(assembly, 64)],
  [
    'default',
    (assembly, { operands }) => {
      for (const token of operands) {
        const word = nameOf(token)?.toLowerCase();
        if (word === 'rel' || word === 'abs') assembly.defaultRelative = word === 'rel';
      }
    },
  ],
  [
    'org',
    (assembly, { operands }) => {
      if (assembly.origin !== undefined) throw new AssemblyError('The origin is set already.', 'A source has one `org`.');
      assembly.origin = BigInt.asUintN(64, assembly.expression(operands).number);
    },
  ],
  ['section', section],
  ['segment', section],
  [
    'absolute',
    (assembly, { operands }) => {
      assembly.absolute = { base: assembly.expression(operands), offset: 0 };
    },
  ],
  ['align', (assembly, { operands }) => align(assembly, operands, false)],
  ['alignb', (assembly, { operands }) => align(assembly, operands, true)],
  ['global', global],
  ['static', ignored],
  ['required', external],
  ['extern', external],
  ['common', common],
  ['incbin', incbin],
  ['struc', struc],
  ['endstruc', endstruc],
  ['istruc', istruc],
  ['at', at],
  ['iend', iend],
  ...['cpu', 'warning', 'list', 'map', 'sectalign', 'float', 'debug', 'pragma', 'uppercase', 'osabi'].map(
    (name) => [name, ignored] as const,
  ),
]);

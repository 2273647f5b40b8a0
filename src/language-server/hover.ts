import type { Hover, Position } from 'vscode-languageserver';
import { parseNumber } from '../programs/assembler/lexer.ts';
import { type InstructionDefinition, type OperandForm, parseForm } from '../x86/notation.ts';
import { findDefinition } from './navigation.ts';
import {
  describeRegister,
  exitNote,
  findDirective,
  type HypervCall,
  hypercalls,
  hypervCalls,
  instructionsNamed,
  msrs,
  ports,
} from './reference-tables.ts';
import { commentOf, type DefinitionKind, type Occurrence } from './source-index.ts';
import type { Sources } from './sources.ts';

const WORD = /%?[A-Za-z_?.@$0-9][\w$#@~.?]*/g;
/** Lines below a constant in which a hypercall instruction makes it a hypercall's number. */
const HYPERCALL_DISTANCE = 12;
/** The instruction, or a call of the page that has it. */
const HYPERCALL = /^[^;]*\b(?:vmm?call\b|call\s[^;]*hypercall)/i;
/** Bits of a control word of Hyper-V's that say which call it is. */
const CALL_CODE = 0xffffn;
const MAX_FORMS = 12;

/** What there is to say about the word under the cursor. */
export function hover(sources: Sources, path: string, position: Position): Hover | undefined {
  const index = sources.index(path);
  const line = index?.lines[position.line];
  if (!index || line === undefined) return undefined;
  const match = [...line.matchAll(WORD)].find(
    ({ 0: word, index: start }) => start <= position.character && position.character <= start + word.length,
  );
  if (!match) return undefined;
  const [word] = match;
  const found = describeNumber(word, index.lines, position.line) ?? describeSymbol(sources, path, position) ?? describeWord(word);
  const call = hypervCalls.find(({ name }) => name === word);
  const value = [found, call && describeHypervCall(call)].filter((part) => part !== undefined).join('\n\n');
  if (value === '') return undefined;
  const start = { line: position.line, character: match.index };
  return {
    contents: { kind: 'markdown', value },
    range: { start, end: { line: position.line, character: match.index + word.length } },
  };
}

/** An instruction, a register or a directive. */
export function describeWord(word: string): string | undefined {
  const lower = word.toLowerCase();
  const definitions = instructionsNamed(lower);
  if (definitions.length > 0) return describeInstruction(lower, definitions);
  const register = describeRegister(lower);
  if (register !== undefined) return `**${lower}** — ${register}`;
  const directive = findDirective(lower);
  return directive && `\`${directive.usage}\`\n\n${directive.description}`;
}

// --- instructions --------------------------------------------------------------------------------------------------------

const FLAG_NAMES: Readonly<Record<string, string>> = { O: 'OF', S: 'SF', Z: 'ZF', A: 'AF', P: 'PF', C: 'CF' };
const WIDTHS: Readonly<Record<OperandForm['width'], string>> = {
  b: '8',
  w: '16',
  d: '32',
  q: '64',
  v: '16/32/64',
  z: '16/32',
  y: '32/64',
  s: '8',
  x: '128/256',
  h: '64/128',
  t: '32/64',
  e: '16/32',
  o: '128',
  f: '80',
};

function describeOperand({ place, width }: OperandForm): string | undefined {
  const bits = WIDTHS[width];
  switch (place) {
    case 'E':
      return `r/m${bits}`;
    case 'M':
      return width === 'b' && bits === '8' ? 'm8' : `m${bits}`;
    case 'R':
    case 'B':
    case 'G':
    case 'Z':
      return `r${bits}`;
    case 'I':
      return `imm${bits}`;
    case 'J':
      return `rel${bits}`;
    case 'O':
      return `moffs${bits}`;
    case 'A':
      return width === 'b' ? 'AL' : 'rAX';
    case 'C':
      return 'CL';
    case 'D':
      return 'DX';
    case '1':
      return '1';
    case 'S':
      return 'Sreg';
    case 'V':
    case 'U':
    case 'H':
    case 'L':
      return width === 'x' ? 'xmm/ymm' : 'xmm';
    case 'W':
      return `${width === 'x' ? 'xmm/ymm' : 'xmm'}/m${bits}`;
    case 'K':
    case 'N':
      return 'mm';
    case 'Q':
      return `mm/m${bits}`;
    case 'F':
      return 'st(i)';
    default:
      return undefined;
  }
}

function describeForms(mnemonic: string, definitions: readonly InstructionDefinition[]): string[] {
  const forms = definitions.flatMap((definition) =>
    definition.forms.map((text) => {
      const form = parseForm(definition, text);
      // A lone accumulator is how a form says that it has no operands.
      const lone = form.operands.length === 1 && form.operands[0]?.place === 'A';
      const operands = lone ? [] : form.operands.map(describeOperand).filter((operand) => operand !== undefined);
      const opcode = text.split(' ').filter((part) => /^(VEX|[=0-9A-F]{2,3}(\/\d|\+)?)$/.test(part));
      const mode = form.only64 ? '  ; 64-bit code only' : form.not64 ? '  ; not in 64-bit code' : '';
      return { syntax: `${mnemonic} ${operands.join(', ')}`.trim(), opcode: opcode.join(' ').replace('=', ''), mode };
    }),
  );
  const width = Math.max(...forms.map(({ syntax }) => syntax.length));
  const lines = forms.map(({ syntax, opcode, mode }) => `${syntax.padEnd(width)}  ; ${opcode}${mode}`);
  return lines.length > MAX_FORMS ? [...lines.slice(0, MAX_FORMS), `; and ${lines.length - MAX_FORMS} more`] : lines;
}

function describeFlags(flags: string): string {
  const names = (letters: string) => [...letters].map((letter) => FLAG_NAMES[letter] ?? letter).join(' ');
  const verbs: Readonly<Record<string, string>> = { w: 'writes', r: 'reads', u: 'leaves undefined' };
  return flags
    .split(' ')
    .map((part) => `${verbs[part[0] ?? ''] ?? ''} ${names(part.slice(2))}`)
    .join(', ');
}

function describeInstruction(mnemonic: string, definitions: readonly InstructionDefinition[]): string {
  const summaries = [...new Set(definitions.map(({ summary }) => summary))];
  const flags = [...new Set(definitions.map((definition) => definition.flags).filter((text) => text !== undefined))];
  const notes = [
    flags.length > 0 ? `Flags: ${flags.map(describeFlags).join('; ')}.` : undefined,
    definitions.some(({ privileged }) => privileged) ? 'Privileged: #GP outside ring 0.' : undefined,
    definitions.some(({ lock }) => lock) ? 'Can be locked.' : undefined,
    definitions[0]?.feature === undefined ? undefined : `Needs the CPUID feature ${definitions[0].feature}.`,
    exitNote(mnemonic),
  ].filter((note) => note !== undefined);
  const forms = describeForms(mnemonic, definitions).join('\n');
  return `**${mnemonic}** — ${summaries.join('; ')}\n\n\`\`\`hyperscope-asm\n${forms}\n\`\`\`\n\n${notes.join('  \n')}`;
}

// --- numbers ---------------------------------------------------------------------------------------------------------------

/** The value in the other bases, and what it names: an MSR, a port, a hypercall. */
function describeNumber(word: string, lines: readonly string[], line: number): string | undefined {
  if (!/^[$0-9]/.test(word)) return undefined;
  const value = parseNumber(word);
  if (value === undefined) return undefined;
  const text = lines[line] ?? '';
  const meanings: string[] = [];
  const msr = msrs.find(({ index }) => BigInt(index) === value);
  if (msr && (value > 0xffffn || /\becx\b|msr/i.test(text))) meanings.push(`MSR **${msr.name}** — ${msr.description}`);
  const port = ports.find(({ first, last }) => BigInt(first) <= value && value <= BigInt(last));
  if (port && /\b(in|out|dx|equ|%define|insb?|outsb?)\b/i.test(text))
    meanings.push(`I/O port of \`${port.device}\`: ${port.description}`);
  const called = lines.slice(line, line + HYPERCALL_DISTANCE).some((below) => HYPERCALL.test(below));
  const call = hypercalls.find(({ number }) => BigInt(number) === value);
  if (call && ((called && /\b[re]?ax\b/i.test(text)) || /hc_|hypercall/i.test(text))) meanings.push(describeHypercall(call));
  if ((called && /\b[re]?cx\b/i.test(text)) || /hvcall/i.test(text)) {
    const hyperv = hypervCalls.find(({ code }) => BigInt(code) === (value & CALL_CODE));
    if (hyperv) meanings.push(describeHypervCall(hyperv));
  }
  const forms = [`0x${value.toString(16)}`, value.toString(), ...(value < 0x1_0000n ? [`0b${value.toString(2)}`] : [])];
  return [forms.map((form) => `\`${form}\``).join(' · '), ...meanings].join('\n\n');
}

export function describeHypercall(call: (typeof hypercalls)[number]): string {
  const registers = ['rbx', 'rcx', 'rdx', 'rsi'];
  const takes = call.arguments.map((name, index) => `\`${registers[index]}\` ${name}`).join(', ');
  return `KVM hypercall ${call.number} **${call.name}** — ${call.description}${takes === '' ? '' : `. Takes ${takes}`}`;
}

/** A call of Hyper-V's with what it takes and gives, in order. */
export function describeHypervCall({
  code,
  name,
  description,
  input,
  element,
  output,
  outputElement,
  isRep,
}: HypervCall): string {
  const fields = (layout: HypervCall['input']) => layout.fields.map((field) => `\`${field.name}\` (${field.size})`).join(', ');
  const part = (verb: string, layout: HypervCall['input']) => (layout.size === 0 ? [] : [`${verb} ${fields(layout)}`]);
  const parts = [
    ...part('Takes', input),
    ...part('For each element of its list', element),
    ...part('Gives', output),
    ...part('Gives for each element', outputElement),
  ];
  const kind = isRep ? ', a rep call' : '';
  return [`Hyper-V hypercall 0x${code.toString(16)} **${name}**${kind} — ${description}`, ...parts].join('. ');
}

// --- symbols ---------------------------------------------------------------------------------------------------------------

const KINDS: Readonly<Record<DefinitionKind, string>> = {
  label: 'label',
  local: 'local label',
  constant: 'constant',
  structure: 'structure',
  member: 'member',
  macro: 'macro',
  define: 'definition',
  external: 'external symbol',
};

function describeSymbol(sources: Sources, path: string, position: Position): string | undefined {
  const found = findDefinition(sources, path, position);
  if (!found) return undefined;
  const index = sources.index(found.path);
  if (!index) return undefined;
  const { line } = found.occurrence.range.start;
  const source = (index.lines[line] ?? '').trim();
  const value = sources.symbolValue(path, found.occurrence.key);
  const parts = [
    `**${found.occurrence.key}** — ${KINDS[kindOf(found.occurrence)]}${value === undefined ? '' : `, ${value}`}`,
    `\`\`\`hyperscope-asm\n${source}\n\`\`\``,
    commentOf(index, line),
    describeConstant(source),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function kindOf(occurrence: Occurrence): DefinitionKind {
  return occurrence.definition ?? 'label';
}

/** What the number of `NAME equ NUMBER` names. */
function describeConstant(source: string): string {
  const number = /(?:\bequ|%define\s+\S+|%assign\s+\S+)\s+([$\w]+)/i.exec(source)?.[1];
  if (number === undefined) return '';
  return describeNumber(number, [source], 0)?.split('\n\n').slice(1).join('\n\n') ?? '';
}

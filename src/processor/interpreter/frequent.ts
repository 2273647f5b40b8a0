import type { HandlerShape } from './builder.ts';

/** Mnemonics, operand kinds and sizes of instructions that programs are mostly made of. */
interface Rule {
  readonly mnemonics: readonly string[];
  /** `r` register in ModRM.rm or the opcode, `g` register in ModRM.reg, `m` memory, `p` memory by base + displacement, `i` immediate. */
  readonly kinds: readonly string[];
  readonly sizes: readonly number[];
}

const words = (text: string): string[] => text.split(' ');
const conditions = words('O NO B AE E NE BE A S NS P NP L GE LE G');

const RULES: readonly Rule[] = [
  { mnemonics: words('ADD OR AND SUB XOR CMP'), kinds: words('r,g g,r g,m g,p r,i'), sizes: [32, 64] },
  { mnemonics: words('ADD SUB CMP'), kinds: words('m,g p,g'), sizes: [32, 64] },
  { mnemonics: ['CMP'], kinds: words('m,i p,i'), sizes: [8, 32, 64] },
  { mnemonics: ['CMP'], kinds: words('r,i g,m r,g'), sizes: [8] },
  { mnemonics: words('ADD OR AND SUB XOR'), kinds: words('r,g r,i'), sizes: [8] },
  { mnemonics: ['ADD'], kinds: ['p,i'], sizes: [32, 64] },
  { mnemonics: ['TEST'], kinds: words('r,g r,i'), sizes: [8, 32, 64] },
  { mnemonics: ['MOV'], kinds: words('r,g m,g p,g g,m g,p r,i p,i m,i'), sizes: [8, 32, 64] },
  { mnemonics: ['MOVZX'], kinds: words('g,r g,m g,p'), sizes: [32] },
  { mnemonics: ['MOVSX'], kinds: words('g,m'), sizes: [32, 64] },
  { mnemonics: ['MOVSXD'], kinds: words('g,r g,m'), sizes: [64] },
  { mnemonics: ['LEA'], kinds: ['g,m'], sizes: [32, 64] },
  { mnemonics: words('INC DEC NEG NOT'), kinds: ['r'], sizes: [32, 64] },
  { mnemonics: words('SHL SHR SAR ROL ROR'), kinds: ['r,i'], sizes: [32, 64] },
  { mnemonics: words('SHL SHR SAR'), kinds: ['r,C'], sizes: [32, 64] },
  { mnemonics: ['IMUL'], kinds: words('g,r g,m g,r,i'), sizes: [32, 64] },
  { mnemonics: words('PUSH POP CALL JMP'), kinds: ['r'], sizes: [32, 64] },
  { mnemonics: words('PUSH JMP CALL'), kinds: ['i', 'm', 'J'], sizes: [32, 64] },
  { mnemonics: words('RET LEAVE'), kinds: ['r'], sizes: [32, 64] },
  { mnemonics: conditions.map((name) => `J${name}`), kinds: ['J'], sizes: [32, 64] },
  { mnemonics: words('CMOVE CMOVNE CMOVB CMOVAE CMOVL CMOVGE CMOVA CMOVG'), kinds: ['g,r'], sizes: [64] },
  { mnemonics: words('SETE SETNE'), kinds: ['r'], sizes: [8] },
  { mnemonics: ['MUL', 'DIV'], kinds: ['r'], sizes: [64] },
  { mnemonics: words('CWD CBW'), kinds: ['r'], sizes: [32, 64] },
  { mnemonics: ['NOP'], kinds: words('r m p'), sizes: [32, 64] },
];

const byMnemonic = new Map<string, Rule[]>();
for (const rule of RULES)
  for (const mnemonic of rule.mnemonics) byMnemonic.set(mnemonic, [...(byMnemonic.get(mnemonic) ?? []), rule]);

const LETTERS: Readonly<Record<string, string>> = { E: 'r', R: 'r', Z: 'r', G: 'g', I: 'i', M: 'm', O: 'm' };

/**
 * Whether an instruction deserves a place in the interpreter's main function. Engines compile that function well, and soon, only
 * while it is small.
 */
export function isFrequent(mnemonic: string, shape: HandlerShape): boolean {
  const rules = byMnemonic.get(mnemonic);
  if (!rules || shape.rep !== 'none') return false;
  const kinds = shape.operands
    .map(({ place }) => (shape.memory && 'EMO'.includes(place) ? (shape.plain ? 'p' : 'm') : (LETTERS[place] ?? place)))
    .join();
  return rules.some((rule) => rule.kinds.includes(kinds) && rule.sizes.includes(shape.size));
}

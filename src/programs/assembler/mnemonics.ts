import { findRegister, type RegisterOperand } from './operands.ts';

/** Other names of instructions. */
export const aliases: ReadonlyMap<string, string> = new Map(
  Object.entries({
    sal: 'shl',
    retn: 'ret',
    loopz: 'loope',
    loopnz: 'loopne',
    xlat: 'xlatb',
    icebp: 'int1',
    int01: 'int1',
    int03: 'int3',
    ud2a: 'ud2',
    fwait: 'wait',
    pushfw: 'pushf',
    popfw: 'popf',
    pushaw: 'pusha',
    popaw: 'popa',
    ...conditional('j'),
    ...conditional('set'),
    ...conditional('cmov'),
  }),
);

function conditional(prefix: string): Record<string, string> {
  const same: Readonly<Record<string, string>> = {
    z: 'e',
    nz: 'ne',
    c: 'b',
    nae: 'b',
    nc: 'ae',
    nb: 'ae',
    na: 'be',
    nbe: 'a',
    pe: 'p',
    po: 'np',
    nge: 'l',
    nl: 'ge',
    ng: 'le',
    nle: 'g',
  };
  return Object.fromEntries(Object.entries(same).map(([name, other]) => [prefix + name, prefix + other]));
}

/** Names whose width is that of the mode. */
export const modeAliases: ReadonlyMap<string, Readonly<Record<16 | 32 | 64, string>>> = new Map([
  ['iret', { 16: 'iret', 32: 'iretd', 64: 'iretd' }],
  ['iretw', { 16: 'iret', 32: 'iret', 64: 'iret' }],
  ['pushf', { 16: 'pushf', 32: 'pushfd', 64: 'pushfq' }],
  ['popf', { 16: 'popf', 32: 'popfd', 64: 'popfq' }],
  ['pusha', { 16: 'pusha', 32: 'pushad', 64: 'pushad' }],
  ['popa', { 16: 'popa', 32: 'popad', 64: 'popad' }],
]);

/** System instructions whose 16-bit register operand needs no prefix. */
export const noOperandPrefix: ReadonlySet<string> = new Set(['lldt', 'ltr', 'lmsw', 'verr', 'verw']);

/** The same register in the width of the mode. */
export function wideSelector(register: RegisterOperand, mode: number): RegisterOperand {
  const plain = register.name.replace(/^r(?=[a-d]x|[sb]p|[sd]i)/, '').replace(/[wd]$/, '');
  const isNumbered = /^r\d+/.test(plain);
  const name = mode === 16 ? (isNumbered ? `${plain}w` : plain) : isNumbered ? `${plain}d` : `e${plain}`;
  return findRegister(name) ?? register;
}

const REX_W = 0x48;
type ByMode = (mode: 16 | 32 | 64) => readonly number[];

function element(opcode: number, size: 8 | 16 | 32 | 64): ByMode {
  return (mode) => {
    if (size === 64) return [REX_W, opcode + 1];
    if (size === 8) return [opcode];
    const needsPrefix = (size === 16) !== (mode === 16);
    return needsPrefix ? [0x66, opcode + 1] : [opcode + 1];
  };
}

/** String instructions, whose operands are implied. */
export const stringInstructions: Map<string, (mode: 16 | 32 | 64) => Uint8Array> = new Map(
  (
    [
      ['movs', 0xa4, true],
      ['cmps', 0xa6, true],
      ['stos', 0xaa, true],
      ['lods', 0xac, true],
      ['scas', 0xae, true],
      ['ins', 0x6c, false],
      ['outs', 0x6e, false],
    ] as const
  ).flatMap(([name, opcode, hasQword]) =>
    (
      [
        ['b', 8],
        ['w', 16],
        ['d', 32],
        ['q', 64],
      ] as const
    )
      .filter(([, size]) => size !== 64 || hasQword)
      .map(([suffix, size]): [string, (mode: 16 | 32 | 64) => Uint8Array] => {
        const bytes = element(opcode, size);
        return [name + suffix, (mode) => Uint8Array.from(bytes(mode))];
      }),
  ),
).set('xlatb', () => Uint8Array.of(0xd7));

import type { InstructionDefinition } from '../notation.ts';
import type { Semantics } from '../semantics.ts';

const RCX = 1;

export const CONDITIONS = ['O', 'NO', 'B', 'AE', 'E', 'NE', 'BE', 'A', 'S', 'NS', 'P', 'NP', 'L', 'GE', 'LE', 'G'] as const;
const READ_BY = ['O', 'O', 'C', 'C', 'Z', 'Z', 'ZC', 'ZC', 'S', 'S', 'P', 'P', 'SO', 'SO', 'SZO', 'SZO'] as const;

const digit = (code: number): string => code.toString(16).toUpperCase();
const target = (s: Semantics) => s.add(s.nextRip(), s.read(0));

/** LOOP family: counts in the address-size register. */
function loop(s: Semantics, condition?: 'equal' | 'unequal'): void {
  const count = s.keep(s.zeroExtend(s.sub(s.register(RCX, s.addressSize), s.constant(1)), s.addressSize));
  const left = s.isZero(s.isZero(count));
  const zero = condition ? s.flags.zero() : undefined;
  const taken = s.keep(zero ? s.and(left, condition === 'equal' ? zero : s.isZero(zero)) : left);
  s.when(taken, () => s.checkJump(target(s)));
  s.setRegister(RCX, s.addressSize, count);
  s.when(taken, () => s.jump(target(s), true));
}

const conditional: InstructionDefinition[] = CONDITIONS.flatMap((name, code): InstructionDefinition[] => [
  {
    mnemonic: `J${name}`,
    summary: 'Jump if the condition holds',
    forms: [`7${digit(code)} Js d64`, `0F 8${digit(code)} Jz d64`],
    flags: `r:${READ_BY[code]}`,
    semantics: (s) => s.when(s.condition(code), () => s.jumpRelative()),
  },
  {
    mnemonic: `SET${name}`,
    summary: 'Set a byte to 1 if the condition holds, else to 0',
    forms: [`0F 9${digit(code)} Eb`],
    flags: `r:${READ_BY[code]}`,
    semantics: (s) => s.write(0, s.condition(code)),
  },
  {
    mnemonic: `CMOV${name}`,
    summary: 'Move if the condition holds',
    forms: [`0F 4${digit(code)} Gv,Ev`],
    feature: 'cmov',
    flags: `r:${READ_BY[code]}`,
    // The source is read, and a 32-bit destination cleared above, whether or not the condition holds.
    semantics: (s) => {
      const source = s.read(1);
      s.write(0, s.select(s.condition(code), source, s.read(0)));
    },
  },
]);

export const controlFlow: readonly InstructionDefinition[] = [
  ...conditional,
  { mnemonic: 'JMP', summary: 'Jump', forms: ['EB Js d64', 'E9 Jz d64'], endsBlock: true, semantics: (s) => s.jumpRelative() },
  { mnemonic: 'JMP', summary: 'Jump', forms: ['FF/4 Ev d64'], endsBlock: true, semantics: (s) => s.jump(s.read(0)) },
  {
    mnemonic: 'CALL',
    summary: 'Call a procedure',
    forms: ['E8 Jz d64'],
    varies: ['stack'],
    endsBlock: true,
    semantics: (s) => {
      s.checkJump(target(s));
      s.push(s.nextRip(), s.size);
      s.jump(target(s), true);
    },
  },
  {
    mnemonic: 'CALL',
    summary: 'Call a procedure',
    forms: ['FF/2 Ev d64'],
    varies: ['stack'],
    endsBlock: true,
    semantics: (s) => {
      const destination = s.read(0);
      s.checkJump(destination);
      s.push(s.nextRip(), s.size);
      s.jump(destination, true);
    },
  },
  {
    mnemonic: 'RET',
    summary: 'Return from a procedure',
    forms: ['C3 Av d64'],
    varies: ['stack'],
    endsBlock: true,
    semantics: (s) => {
      const destination = s.pop(s.size);
      s.checkJump(destination);
      s.commitPop(s.size);
      s.jump(destination, true);
    },
  },
  {
    mnemonic: 'RET',
    summary: 'Return from a procedure, releasing its arguments',
    forms: ['C2 Iw d64'],
    varies: ['stack'],
    endsBlock: true,
    semantics: (s) => {
      const destination = s.pop(s.size);
      s.checkJump(destination);
      s.commitPop(s.size, s.zeroExtend(s.read(0), 16));
      s.jump(destination, true);
    },
  },
  {
    mnemonic: 'LOOPNE',
    summary: 'Loop while the count is not 0 and ZF is clear',
    forms: ['E0 Js d64'],
    flags: 'r:Z',
    varies: ['address'],
    semantics: (s) => loop(s, 'unequal'),
  },
  {
    mnemonic: 'LOOPE',
    summary: 'Loop while the count is not 0 and ZF is set',
    forms: ['E1 Js d64'],
    flags: 'r:Z',
    varies: ['address'],
    semantics: (s) => loop(s, 'equal'),
  },
  {
    mnemonic: 'LOOP',
    summary: 'Loop while the count is not 0',
    forms: ['E2 Js d64'],
    varies: ['address'],
    semantics: (s) => loop(s),
  },
  {
    mnemonic: 'JCXZ',
    summary: 'Jump if the count register is 0 (JCXZ, JECXZ, JRCXZ)',
    forms: ['E3 Js d64'],
    varies: ['address'],
    semantics: (s) => s.when(s.isZero(s.register(RCX, s.addressSize)), () => s.jump(target(s))),
  },
];

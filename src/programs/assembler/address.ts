import { AssemblyError } from './diagnostic.ts';
import type { RegisterTerm, Value } from './expression.ts';
import type { RegisterInfo } from './registers.ts';

/** Base, index and scale as the instruction will have them. */
export interface AddressRegisters {
  readonly base: RegisterInfo | undefined;
  readonly index: RegisterInfo | undefined;
  readonly scale: number;
}

const isStackPointer = (register: RegisterInfo | undefined): boolean => /^[er]?sp$/.test(register?.name ?? '');
const isVector = ({ class: kind }: RegisterInfo): boolean => kind === 'xmm' || kind === 'ymm' || kind === 'zmm';

/** Which of an address's registers is base and which index, as NASM chooses. `nosplit` keeps reg*2 from becoming reg+reg. */
export function splitAddress(value: Value, nosplit: boolean, column: number | undefined): AddressRegisters {
  const terms = value.registers ?? [];
  for (const { register } of terms)
    if (!['r16', 'r32', 'r64'].includes(register.class) && !isVector(register))
      throw new AssemblyError(`${register.name} can't be part of an address.`, 'Use a general register.', column);
  if (terms.length > 2) throw new AssemblyError('An address has at most two registers.', undefined, column);
  let { base, index, scale } = assign(terms, column);
  if (base && index && base.size === 16 && /^[sd]i$/.test(base.name) && /^b[xp]$/.test(index.name)) [base, index] = [index, base];
  if (index && scale === 1 && isStackPointer(index)) [base, index] = [index, base];
  // reg*2 is shorter as reg+reg; reg*3, *5 and *9 need the register as its own base.
  if (index && !base && !isVector(index) && ((scale === 2 && !nosplit) || scale === 3 || scale === 5 || scale === 9)) {
    base = index;
    scale -= 1;
  }
  if (![1, 2, 4, 8].includes(scale) || (index && isStackPointer(index)))
    throw new AssemblyError(
      isStackPointer(index) ? 'The stack pointer has no factor in an address.' : `An address has no factor of ${scale}.`,
      'The factors are 1, 2, 4 and 8.',
      column,
    );
  if (base && index && !isVector(index) && base.size !== index.size)
    throw new AssemblyError('The registers of an address must have the same size.', undefined, column);
  if ((base ?? index)?.size === 16 && !isReal(base, index, scale))
    throw new AssemblyError(
      'This is no 16-bit address.',
      'It has BX or BP as base and SI or DI as index; use 32-bit registers for others.',
      column,
    );
  return { base, index, scale };
}

function assign(terms: readonly RegisterTerm[], column: number | undefined): AddressRegisters {
  const [first, second] = terms;
  if (!first) return { base: undefined, index: undefined, scale: 1 };
  if (!second) {
    const single = first.factor === 1 && !isVector(first.register);
    return single
      ? { base: first.register, index: undefined, scale: 1 }
      : { base: undefined, index: first.register, scale: first.factor };
  }
  const canBeBase = (term: RegisterTerm) => term.factor === 1 && !isVector(term.register);
  const prefersSecond = !canBeBase(first) || (first.scaled && canBeBase(second));
  const [base, index] = prefersSecond ? [second, first] : [first, second];
  if (!canBeBase(base)) throw new AssemblyError('Only one register of an address can have a factor.', undefined, column);
  return { base: base.register, index: index.register, scale: index.factor };
}

function isReal(base: RegisterInfo | undefined, index: RegisterInfo | undefined, scale: number): boolean {
  const names = [base?.name, index?.name].filter((name) => name !== undefined);
  return scale === 1 && /^(bx|bp|si|di|bx,[sd]i|bp,[sd]i)$/.test(names.join());
}

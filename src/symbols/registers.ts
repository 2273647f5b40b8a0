/** Register numbers of debug information: FrameRegisters has those of x86-64 (System V ABI for AMD64, figure 3.36). */

export const RBX = 3;
export const RBP = 6;
export const RSP = 7;
export const RETURN_ADDRESS = 16;

/** The general registers by their number in encodings: AX CX DX BX SP BP SI DI, R8–R15. */
export const GENERAL_REGISTERS = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15] as const;

/** i386 numbers (System V ABI for i386, figure 2.14) as x86-64 numbers: eax ecx edx ebx esp ebp esi edi eip. */
const FROM_I386: readonly number[] = [...GENERAL_REGISTERS.slice(0, 8), RETURN_ADDRESS];
const XMM0_I386 = 21;
const XMM0 = 17;

/** The FrameRegisters number of a register that a program's debug information names; undefined where there is none. */
export function frameRegister(number: number, addressSize: number): number | undefined {
  if (addressSize === 8) return number;
  if (number >= XMM0_I386 && number < XMM0_I386 + 8) return number - XMM0_I386 + XMM0;
  return FROM_I386[number];
}

/** The number in a program's debug information of a FrameRegisters register. */
export function programRegister(number: number, addressSize: number): number {
  return addressSize === 8 ? number : FROM_I386.indexOf(number);
}

const NAMES = ['ax', 'dx', 'cx', 'bx', 'si', 'di', 'bp', 'sp'];

/** A general register by name: its number and its bytes. */
export function registerByName(name: string): { readonly register: number; readonly size: number } | undefined {
  const plain = name.toLowerCase();
  if (plain === 'pc' || plain === 'rip') return { register: RETURN_ADDRESS, size: 8 };
  if (plain === 'eip') return { register: RETURN_ADDRESS, size: 4 };
  if (plain === 'sp' || plain === 'fp') return { register: plain === 'sp' ? RSP : RBP, size: 8 };
  const numbered = /^r(8|9|1[0-5])([dwb]?)$/.exec(plain);
  if (numbered) return { register: Number(numbered[1]), size: { d: 4, w: 2, b: 1 }[numbered[2] ?? ''] ?? 8 };
  const index = NAMES.indexOf(plain.slice(-2));
  if (index < 0 || plain.length > 3) return undefined;
  if (plain.length === 2) return { register: index, size: 2 };
  return plain[0] === 'r' ? { register: index, size: 8 } : plain[0] === 'e' ? { register: index, size: 4 } : undefined;
}

import { Register } from 'iced-x86';

export type RegisterClass =
  | 'r8'
  | 'r16'
  | 'r32'
  | 'r64'
  | 'seg'
  | 'cr'
  | 'dr'
  | 'tr'
  | 'st'
  | 'mm'
  | 'xmm'
  | 'ymm'
  | 'zmm'
  | 'k'
  | 'bnd';

export interface RegisterInfo {
  /** iced's number. */
  readonly register: number;
  /** NASM's name, lower case. */
  readonly name: string;
  readonly class: RegisterClass;
  /** Bits; 0 for control, debug and mask registers. */
  readonly size: number;
  /** Only reachable with EVEX: vector registers from 16 on. */
  readonly extended: boolean;
}

const registers = new Map<string, RegisterInfo>();
const numbers: ReadonlyMap<string, number> = new Map(
  Object.entries(Register).flatMap(([name, value]) => (typeof value === 'number' ? [[name, value] as const] : [])),
);

function add(names: readonly string[], kind: RegisterClass, size: number, icedNames: readonly string[] = names): void {
  names.forEach((name, index) => {
    const register = numbers.get((icedNames[index] ?? name).toUpperCase());
    if (register !== undefined)
      registers.set(name, { register, name, class: kind, size, extended: /^[xyz]mm/.test(name) && index >= 16 });
  });
}

const numbered = (prefix: string, count: number, suffix = '', from = 0) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index + from}${suffix}`);

add(['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh', 'spl', 'bpl', 'sil', 'dil'], 'r8', 8);
add(numbered('r', 8, 'b', 8), 'r8', 8, numbered('r', 8, 'l', 8));
add(['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di', ...numbered('r', 8, 'w', 8)], 'r16', 16);
add(['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', ...numbered('r', 8, 'd', 8)], 'r32', 32);
add(['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', ...numbered('r', 8, '', 8)], 'r64', 64);
add(['es', 'cs', 'ss', 'ds', 'fs', 'gs'], 'seg', 16);
add(numbered('cr', 16), 'cr', 0);
add(numbered('dr', 16), 'dr', 0);
add(numbered('tr', 8), 'tr', 0);
add(numbered('st', 8), 'st', 80);
add(numbered('mm', 8), 'mm', 64);
add(numbered('xmm', 32), 'xmm', 128);
add(numbered('ymm', 32), 'ymm', 256);
add(numbered('zmm', 32), 'zmm', 512);
add(numbered('k', 8), 'k', 0);
add(numbered('bnd', 4), 'bnd', 128);

/** A register by its name in any case. */
export function findRegister(name: string): RegisterInfo | undefined {
  return registers.get(name.toLowerCase());
}

export const registerNames: readonly string[] = [...registers.keys()];

const GENERAL = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];

/** The same general register in another width: 16, 32 or 64 bits. */
export function inWidth(register: RegisterInfo, bits: 16 | 32 | 64): RegisterInfo {
  const numberedName = /^r(\d+)/.exec(register.name)?.[1];
  const plain = GENERAL.find((name) => register.name.endsWith(name));
  const name =
    numberedName !== undefined
      ? `r${numberedName}${bits === 64 ? '' : bits === 32 ? 'd' : 'w'}`
      : `${bits === 64 ? 'r' : bits === 32 ? 'e' : ''}${plain ?? ''}`;
  return registers.get(name) ?? register;
}

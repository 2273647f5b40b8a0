/** Registers of a case by their names in lower case, rip and rflags among them, as hexadecimal numbers. */
export type Registers = Readonly<Record<string, string>>;

/** One case, as README.md describes it. */
export interface PublishedCase {
  /** The instruction's bytes. */
  readonly code: string;
  readonly initial: { readonly registers: Registers; readonly memory: Readonly<Record<string, string>> };
  /** Registers and memory that changed. */
  readonly final: { readonly registers: Registers; readonly memory: Readonly<Record<string, string>> };
  readonly exception?: { readonly vector: number; readonly error_code?: number; readonly cr2?: string };
}

/** A file of cases: all forms of one mnemonic. */
export interface CaseFile {
  readonly mnemonic: string;
  /** On what the final states were recorded. */
  readonly recorded_on: string;
  /** Bits of RFLAGS that manuals leave undefined after it; the recorded processor's are given. None where it is missing. */
  readonly undefined_flags?: string;
  /** How far results may be from the exact ones, which the manuals leave open. */
  readonly relative_error?: string;
  readonly forms: readonly { readonly form: string; readonly cases: readonly PublishedCase[] }[];
}

/** Names of the registers that a case has, in the order of a request's record. */
export const REGISTER_NAMES = [
  ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
] as const;

import type { LoadSegment } from './program.ts';

/** State of a vCPU at entry, as plain values; what is not named is as after reset or zero. */
export interface EntryState {
  readonly mode: 16 | 32 | 64;
  readonly rip: bigint;
  /** By name: rax rbx … r15, rflags. */
  readonly registers: Readonly<Record<string, bigint>>;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly gdt: { readonly base: bigint; readonly limit: number };
  readonly idt: { readonly base: bigint; readonly limit: number };
  readonly segments: Readonly<
    Record<
      'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'ldtr' | 'tr',
      { readonly selector: number; readonly base: bigint; readonly limit: number; readonly rights: number }
    >
  >;
}

/** Everything that must be in place before the first instruction of a program. */
export interface BootImage {
  readonly segments: readonly LoadSegment[];
  readonly entry: EntryState;
}

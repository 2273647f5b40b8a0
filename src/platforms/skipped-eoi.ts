import type { LocalApic } from '../devices/local-apic/device.ts';

/** A word of 32 bits that a hypervisor and its guest share. */
export interface EoiWord {
  read(): number;
  /** False where there is no memory. */
  write(value: number): boolean;
}

/** Bit 0 of the word: the guest clears it instead of writing to the EOI register. */
const SKIPPABLE = 1;

/** Before an entry: says in the word that the interrupt in service may end without an exit. False where it may not. */
export function offerSkippedEoi(apic: Pick<LocalApic, 'hasSimpleEnd'>, word: EoiWord): boolean {
  return apic.hasSimpleEnd && word.write(word.read() | SKIPPABLE);
}

/**
 * After an offer, and before anything is made of the local APIC's state: an EOI that the guest has skipped is done, an offer that it hasn't
 * taken is withdrawn.
 */
export function takeSkippedEoi(apic: Pick<LocalApic, 'endOfInterrupt'>, word: EoiWord): void {
  const value = word.read();
  if (value & SKIPPABLE) word.write(value & ~SKIPPABLE);
  else apic.endOfInterrupt();
}

import type { LocalApic } from './device.ts';

/** The one of those that are on which does the least important work: whom an interrupt of the lowest priority goes to. */
export function lowestPriority(apics: readonly LocalApic[]): LocalApic | undefined {
  return apics
    .filter(({ softwareEnabled }) => softwareEnabled)
    .reduce<LocalApic | undefined>((best, apic) => (best === undefined || apic.ppr < best.ppr ? apic : best), undefined);
}

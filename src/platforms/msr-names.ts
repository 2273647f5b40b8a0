import { msrName } from '../processor/models/msr-table.ts';
import { MSR_REFERENCE as HYPERV_MSRS } from './hyperv/abi/msrs.ts';
import { MSR_REFERENCE as KVM_MSRS } from './kvm/abi/msrs.ts';

/** Platforms with MSRs of their own, and those. */
export const PLATFORM_MSRS = [
  { platform: 'kvm', title: 'KVM', msrs: KVM_MSRS },
  { platform: 'hyperv', title: 'Hyper-V', msrs: HYPERV_MSRS },
] as const;

const NAMES = new Map<string, ReadonlyMap<number, string>>(
  PLATFORM_MSRS.map(({ platform, msrs }) => [platform, new Map(msrs.map(({ index, name }) => [index, name]))]),
);

/** The name of an MSR for guests of a platform: the platform's or the processor's; undefined for one that has none. */
export function msrNamesOn(platform: string): (msr: number) => string | undefined {
  const own = NAMES.get(platform);
  return (msr) => own?.get(msr) ?? msrName(msr);
}

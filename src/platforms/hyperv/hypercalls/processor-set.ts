import { hex } from '../../../x86/address.ts';
import { HvStatus } from '../abi/status.ts';
import type { Hyperv } from '../hyperv.ts';
import type { HypercallCall } from './call.ts';

/** The vCPUs that a call is for. */
export interface ProcessorSet {
  /** In order, those that the partition has. */
  readonly vps: readonly number[];
  /** The same as text: `0, 2, 3`. */
  readonly text: string;
}

const BITS = 64n;
const Format = { SPARSE: 0n, ALL: 1n } as const;

function setOf(vps: readonly number[]): ProcessorSet {
  return { vps, text: vps.join(', ') || 'none' };
}

export function allProcessors({ machine }: Pick<Hyperv, 'machine'>): ProcessorSet {
  return setOf(machine.processors.map(({ index }) => index));
}

/** The vCPUs of a bank of 64, by their bits. What the partition doesn't have is noted for people and left out. */
function bank(hyperv: Hyperv, call: HypercallCall, number: number, bits: bigint): number[] {
  const first = number * Number(BITS);
  const vps: number[] = [];
  for (let bit = 0n; bit < BITS; bit++) {
    if (!((bits >> bit) & 1n)) continue;
    const vp = first + Number(bit);
    if (hyperv.machine.processors[vp]) vps.push(vp);
    else call.problem = `the partition has no vCPU ${hex(vp)}`;
  }
  return vps;
}

/** A mask of the first 64 vCPUs. */
export function processorsOfMask(hyperv: Hyperv, call: HypercallCall, mask: bigint): ProcessorSet {
  return setOf(bank(hyperv, call, 0, mask));
}

/**
 * A set whose format, mask of banks and banks a call has (TLFS, "Virtual processor sets"); a number is the status that it ends with.
 * `banks`: where the banks are that the mask says are there.
 */
export function processorsOfSet(
  hyperv: Hyperv,
  call: HypercallCall,
  format: bigint,
  validBanks: bigint,
  banks: DataView,
): ProcessorSet | number {
  if (format === Format.ALL) return allProcessors(hyperv);
  if (format !== Format.SPARSE) return call.fail(HvStatus.INVALID_PARAMETER, `${hex(format)} is no format of a set`);
  const vps: number[] = [];
  let at = 0;
  for (let number = 0n; number < BITS; number++) {
    if (!((validBanks >> number) & 1n)) continue;
    if (at + 8 > banks.byteLength)
      return call.fail(HvStatus.INVALID_HYPERCALL_INPUT, 'the variable part has fewer banks than the set says');
    vps.push(...bank(hyperv, call, Number(number), banks.getBigUint64(at, true)));
    at += 8;
  }
  return setOf(vps);
}

import type { VmExit } from '../../processor/exit.ts';
import { isVmExit } from '../../processor/intercepts.ts';
import type { Processor } from '../../processor/processor.ts';
import type { GuestBuses } from '../partition/guest-buses.ts';

/** Makes a port access at the devices themselves: what an I/O instruction does where nobody intercepts it. */
export function accessPort(processor: Processor, buses: GuestBuses, exit: Extract<VmExit, { reason: 'io' }>): void {
  const { port, size, write, value } = exit;
  if (write) buses.writePort(port, size, value);
  processor.completeAccess(write ? 0n : BigInt(buses.readPort(port, size)));
}

/**
 * Serves what left the processor although the hypervisor doesn't intercept it: an access to a port that the guest has for itself,
 * or to an MSR that isn't there. It is no VM exit. False: it is one.
 */
export function passesThrough(processor: Processor, buses: GuestBuses, exit: VmExit): boolean {
  if (isVmExit(processor.intercepts, exit)) return false;
  if (exit.reason === 'io') accessPort(processor, buses, exit);
  else processor.performNatively();
  return true;
}

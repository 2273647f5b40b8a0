import { GuestFault, Vector } from '../faults/guest-fault.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from '../system/context.ts';
import { FpuUnit } from './unit.ts';
import { Status } from './words.ts';

const CR0_MP = 2n;
const CR0_EM = 4n;
const CR0_TS = 8n;
const CR0_NE = 0x20n;

/** #NM as CR0 says it of x87 instructions. */
export function requireAvailable({ state }: SystemContext): void {
  if ((state.cr0 & (CR0_EM | CR0_TS)) !== 0n) throw new GuestFault(Vector.NM);
}

/** #NM as CR0 says it of WAIT. */
export function requireAvailableToWait({ state }: SystemContext): void {
  if ((state.cr0 & (CR0_MP | CR0_TS)) === (CR0_MP | CR0_TS)) throw new GuestFault(Vector.NM);
}

/**
 * The exception that an earlier instruction left. With CR0.NE clear it would go out on a pin to the interrupt controller
 * (FERR#), which nothing is connected to here: the instruction goes on.
 */
export function requireNoException({ state }: SystemContext): void {
  if ((state.get32(L.X87_STATUS) & Status.ES) !== 0 && (state.cr0 & CR0_NE) !== 0n) throw new GuestFault(Vector.MF);
}

/**
 * An instruction that takes pending exceptions first and notes where it was: all but those that control the unit. C1 is cleared before
 * unless `keepsC1`.
 */
export function numeric(body: (unit: FpuUnit) => void, keepsC1 = false): SystemHelper {
  return (context, instruction) => {
    requireAvailable(context);
    requireNoException(context);
    const unit = new FpuUnit(context, instruction);
    if (!keepsC1) unit.status &= ~Status.C1;
    body(unit);
    unit.commit();
    return 'next';
  };
}

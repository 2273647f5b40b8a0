import type { ApicBus } from '../local-apic/apic-bus.ts';
import { destinationOf8Bits } from '../local-apic/registers.ts';

/** A write of 32 bits that is an interrupt: what MSI and MSI-X are set up with. */
export interface MessageSignal {
  readonly address: bigint;
  readonly data: number;
}

/** Where writes of devices reach local APICs (Intel SDM vol. 3, 11.11.1): the destination is bits 19:12. */
const WINDOW = 0xfeen;
const WINDOW_SHIFT = 20n;
const LOGICAL = 4;
/** Data (11.11.2): vector 7:0, delivery mode 10:8, level 14, trigger 15. */
const ASSERTED = 0x4000;
const LEVEL_TRIGGERED = 0x8000;

/** Sends a message to the local APICs. Returns to how many it went: none, where it doesn't name the window of the APICs. */
export function sendMessage(bus: ApicBus, { address, data }: MessageSignal): number {
  if (address >> WINDOW_SHIFT !== WINDOW) return 0;
  const isLevel = (data & LEVEL_TRIGGERED) !== 0;
  if (isLevel && !(data & ASSERTED)) return 0;
  const low = Number(address & 0xf_ffffn);
  return bus.send({
    mode: (data >> 8) & 7,
    vector: data & 0xff,
    level: isLevel,
    destination: destinationOf8Bits((low >> 12) & 0xff),
    logical: (low & LOGICAL) !== 0,
  });
}

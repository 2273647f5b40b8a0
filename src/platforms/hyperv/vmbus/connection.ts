import { VMBUS_SINT, VmbusVersion } from '../abi/vmbus.ts';

/** What guest and host have agreed on: a connection of the VMBus, from INITIATE_CONTACT to UNLOAD. */
export interface VmbusConnection {
  readonly version: number;
  /** Where messages go: a vCPU, and an interrupt source of it. */
  readonly vcpu: number;
  readonly sint: number;
  /** Up to 4.1: a page whose first half has flags of channels for the guest, and its second half flags for the host. */
  readonly interruptPage: bigint | undefined;
  /** The page in which the guest marks channels instead of signalling them; undefined where it gave none. */
  readonly monitorPage: bigint | undefined;
  /** Offers were asked for. */
  hasOffers: boolean;
}

/** What a guest asks for in INITIATE_CONTACT. */
export interface ContactRequest {
  readonly version: number;
  readonly vcpu: number;
  /** The interrupt page's address, or (from 5.0 on) {u8 source, u8 trust level, u16 0, u32 features}. */
  readonly target: bigint;
  /** The monitor page that the guest writes. */
  readonly guestMonitorPage: bigint;
}

/** The connection that a request asks for. */
export function connectionFor({ version, vcpu, target, guestMonitorPage }: ContactRequest): VmbusConnection {
  const hasTarget = version >= VmbusVersion.WIN10_5_0;
  return {
    version,
    vcpu,
    sint: hasTarget ? sintOf(target) : VMBUS_SINT,
    interruptPage: hasTarget || target === 0n ? undefined : target & ~0xfffn,
    monitorPage: guestMonitorPage === 0n ? undefined : guestMonitorPage & ~0xfffn,
    hasOffers: false,
  };
}

/** The interrupt source that a request names; the usual one where it names none that there is. */
export function sintOf(target: bigint): number {
  const sint = Number(target & 0xffn);
  return sint > 0 && sint < 16 ? sint : VMBUS_SINT;
}

/** Whether channels have connections and event flags of their own; before Windows 8, the guest looks for them in the interrupt page. */
export function hasDedicatedInterrupts({ version }: Pick<VmbusConnection, 'version'>): boolean {
  return version >= VmbusVersion.WIN8;
}

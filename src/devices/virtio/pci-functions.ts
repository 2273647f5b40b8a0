import type { DmaMemory } from '../dma.ts';
import type { ApicBus } from '../local-apic/apic-bus.ts';
import { sendMessage } from '../pci/message.ts';
import type { VirtioPart } from './machine-devices.ts';
import { VirtioPci } from './transport/pci.ts';

/** Puts devices behind virtio-pci, as functions for the bus. */
export function makeFunctions(
  parts: readonly VirtioPart[],
  world: { readonly dma: DmaMemory; readonly apics: ApicBus },
): readonly VirtioPci[] {
  const { dma, apics } = world;
  return parts.map(
    ({ model, name, offersPacked }) =>
      new VirtioPci(model, { dma, offersPacked, name, send: (message) => sendMessage(apics, message) }),
  );
}

import type { VirtioModel } from '../../../src/devices/virtio/model.ts';
import type { FakeDma } from './fake-dma.ts';
import { MmioDriver, type VirtioDriver } from './mmio-driver.ts';
import { PciDriver } from './pci-driver.ts';

export type DriverMaker = (model: VirtioModel, dma?: FakeDma) => VirtioDriver;

/** Both transports, for tests that hold for each. */
export const TRANSPORTS: readonly (readonly [string, DriverMaker])[] = [
  ['virtio-mmio', (model, dma) => new MmioDriver(model, dma)],
  ['virtio-pci', (model, dma) => new PciDriver(model, dma)],
];

/** Rows of a table of tests, for each transport: the name has the transport's before it, and the maker of drivers comes behind it. */
export function onEach<const Rest extends readonly unknown[]>(rows: readonly (readonly [string, ...Rest])[]) {
  return TRANSPORTS.flatMap(([transport, make]) =>
    rows.map(([name, ...rest]) => [`${transport}, ${name}`, make, ...rest] as const),
  );
}

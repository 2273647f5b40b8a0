import type { Handler } from '../../stages/stage.ts';
import type { InspectNode } from '../inspect.ts';
import type { ConfigurationSpace } from './configuration-space.ts';

/** A part of a BAR that has a name of its own: registers, a table. Offsets are from its beginning; accesses may go beyond its end. */
export interface BarRegion {
  readonly bar: number;
  readonly offset: number;
  readonly length: number;
  /** Who answers, as errors and frames show it: "virtio-blk-pci notify". */
  readonly name: string;
  read(offset: number, size: 1 | 2 | 4 | 8): bigint;
  write(offset: number, size: 1 | 2 | 4 | 8, value: bigint): void;
  /** The same in stages, where a debugger can step through what the device does. */
  writeInStages?(offset: number, size: 1 | 2 | 4 | 8, value: bigint): Handler;
  /** A write only says that there is work (`MmioDevice.isDoorbell`). */
  readonly isDoorbell?: boolean;
}

/** A function on the bus (PCI Local Bus 3.0): what the bus needs of a device model. */
export interface PciFunction {
  /** `virtio-blk-pci` … */
  readonly name: string;
  readonly configuration: ConfigurationSpace;
  readonly regions: readonly BarRegion[];
  /** What it has of its own on the bus, for the debugger's tree. */
  inspectFunction?(): readonly InspectNode[];
}

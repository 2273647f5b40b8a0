import type { Device } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import { ConfigurationSpace } from './configuration-space.ts';
import type { PciFunction } from './function.ts';

export interface VideoFunctionState {
  readonly version: 1;
  readonly configuration: Uint8Array;
}

/** Bytes of the window of video memory that it asks the guest for. */
const WINDOW = 4 << 20;

/**
 * Hyper-V's display adapter on the PCI bus, by which drivers of a machine without UEFI know that there is a screen (Linux hyperv_fb). There
 * is nothing behind its window: the driver has its image in memory of the guest, and tells the screen by the VMBus where.
 */
export class VideoFunction implements Device<VideoFunctionState>, PciFunction {
  readonly name = 'hyperv-video';
  readonly configuration = new ConfigurationSpace({
    vendor: 0x1414,
    device: 0x5353,
    revision: 0,
    classCode: 0x03_0000,
    bars: [{ index: 0, size: WINDOW, prefetchable: true }],
  });
  readonly regions = [];

  reset(): void {
    this.configuration.reset();
  }
  save(): VideoFunctionState {
    return { version: 1, configuration: this.configuration.save() };
  }
  restore(state: VideoFunctionState): void {
    requireVersion(this.name, state, 1);
    this.configuration.restore(state.configuration);
  }
  inspect(): InspectNode {
    return { name: this.name, detail: 'tells drivers that there is a screen' };
  }
}

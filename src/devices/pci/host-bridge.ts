import type { Device } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import { ConfigurationSpace } from './configuration-space.ts';
import type { PciFunction } from './function.ts';

export interface HostBridgeState {
  readonly version: 1;
  readonly configuration: Uint8Array;
}

/**
 * The bridge between processors and bus 0, at 00:00.0. It has the ids of an Intel 82441FX (i440FX), which systems know and have nothing
 * to mend at, and none of its registers: memory that it would map is there already.
 */
export class HostBridge implements Device<HostBridgeState>, PciFunction {
  readonly name = 'host-bridge';
  readonly configuration = new ConfigurationSpace({ vendor: 0x8086, device: 0x1237, revision: 2, classCode: 0x06_0000 });
  readonly regions = [];

  reset(): void {
    this.configuration.reset();
  }
  save(): HostBridgeState {
    return { version: 1, configuration: this.configuration.save() };
  }
  restore(state: HostBridgeState): void {
    requireVersion(this.name, state, 1);
    this.configuration.restore(state.configuration);
  }
  inspect(): InspectNode {
    return { name: this.name, value: '00:00.0', detail: 'between processors and bus 0' };
  }
}

import type { Device, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import * as R from './registers.ts';

export interface DebugExitState {
  readonly version: 1;
}

export interface DebugExitWorld {
  /** The guest wants to end with this value. */
  readonly exit: (value: number) => void;
}

/** A write of V ends the run with status (V << 1) | 1. Reads give ones. */
export class DebugExit implements Device<DebugExitState>, PortDevice {
  readonly name = 'debug-exit';
  readonly ports = [{ base: R.PORT, count: R.LENGTH }];

  constructor(private readonly world: DebugExitWorld) {}

  reset(): void {}
  readPort(_port: number, size: 1 | 2 | 4): number {
    return 0xffff_ffff >>> (32 - size * 8);
  }
  writePort(_port: number, _size: number, value: number): void {
    this.world.exit(value);
  }
  save(): DebugExitState {
    return { version: 1 };
  }
  restore(state: DebugExitState): void {
    requireVersion(this.name, state, 1);
  }
  inspect(): InspectNode {
    return { name: this.name, value: '0xf4', detail: 'a write of V ends the run with status (V << 1) | 1' };
  }
}

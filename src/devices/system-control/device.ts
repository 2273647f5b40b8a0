import { hex } from '../../x86/address.ts';
import type { Device, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import * as R from './registers.ts';

export interface SystemControlState {
  readonly version: 1;
  readonly postCode: number;
  readonly controlA: number;
}

export interface SystemControlWorld {
  readonly reset: () => void;
}

/** Port 0x80, which kernels write to wait a moment, and port 0x92. The A20 gate is always open on this machine. */
export class SystemControl implements Device<SystemControlState>, PortDevice {
  readonly name = 'system-control';
  readonly byteWide = true;
  readonly ports = [
    { base: R.POST_CODE, count: 1 },
    { base: R.CONTROL_A, count: 1 },
  ];
  private postCode = 0;
  private controlA: number = R.ControlA.A20;

  constructor(private readonly world: SystemControlWorld) {}

  reset(): void {
    this.postCode = 0;
    this.controlA = R.ControlA.A20;
  }
  readPort(port: number): number {
    return port === R.POST_CODE ? this.postCode : this.controlA;
  }
  writePort(port: number, _size: number, value: number): void {
    if (port === R.POST_CODE) {
      this.postCode = value;
      return;
    }
    const resets = (value & ~this.controlA & R.ControlA.RESET) !== 0;
    this.controlA = value & 0xfe;
    if (resets) this.world.reset();
  }
  save(): SystemControlState {
    return { version: 1, postCode: this.postCode, controlA: this.controlA };
  }
  restore(state: SystemControlState): void {
    requireVersion(this.name, state, 1);
    this.postCode = state.postCode;
    this.controlA = state.controlA;
  }
  inspect(): InspectNode {
    return {
      name: this.name,
      children: [
        { name: 'POST code', value: hex(this.postCode, 2) },
        { name: 'control port A', value: hex(this.controlA, 2) },
      ],
    };
  }
}

import type { Device, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import * as R from './registers.ts';

export interface DebugConsoleState {
  readonly version: 1;
  readonly written: number;
}

export interface DebugConsoleWorld {
  readonly transmit: (byte: number) => void;
}

/** The console at port 0xE9. */
export class DebugConsole implements Device<DebugConsoleState>, PortDevice {
  readonly name = 'debug-console';
  readonly byteWide = true;
  readonly ports = [{ base: R.PORT, count: 1 }];
  private written = 0;

  constructor(private readonly world: DebugConsoleWorld) {}

  reset(): void {
    this.written = 0;
  }
  readPort(): number {
    return R.PORT;
  }
  writePort(_port: number, _size: number, value: number): void {
    this.written++;
    this.world.transmit(value & 0xff);
  }
  save(): DebugConsoleState {
    return { version: 1, written: this.written };
  }
  restore(state: DebugConsoleState): void {
    requireVersion(this.name, state, 1);
    this.written = state.written;
  }
  inspect(): InspectNode {
    return { name: this.name, value: '0xe9', detail: `${this.written} bytes written` };
  }
}

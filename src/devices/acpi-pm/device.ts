import { hex } from '../../x86/address.ts';
import type { Clock, Device, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import * as R from './registers.ts';

export interface AcpiPmState {
  readonly version: 1;
  readonly status: number;
  readonly enable: number;
  readonly control: number;
  readonly resetControl: number;
}

export interface AcpiPmWorld {
  readonly clock: Clock;
  readonly powerOff: () => void;
  readonly reset: () => void;
}

/** ACPI power management: power-off through PM1a control, the PM timer, and the reset register at 0xCF9. */
export class AcpiPm implements Device<AcpiPmState>, PortDevice {
  readonly name = 'acpi-pm';
  readonly ports = [
    { base: R.PM_BASE, count: R.PM_LENGTH },
    { base: R.RESET_CONTROL, count: 1 },
  ];

  private status = 0;
  private enable = 0;
  private control: number = R.Pm1Control.SCI_ENABLE;
  private resetControl = 0;

  constructor(private readonly world: AcpiPmWorld) {}

  reset(): void {
    this.status = 0;
    this.enable = 0;
    this.control = R.Pm1Control.SCI_ENABLE;
    this.resetControl = 0;
  }

  /** Counts of the PM timer, 24 bits. */
  get timer(): number {
    return Number(((this.world.clock.now() * R.TIMER_FREQUENCY) / 1_000_000_000n) & R.TIMER_MASK);
  }

  private get block(): Uint8Array {
    const bytes = new Uint8Array(R.PM_LENGTH + 4);
    const view = new DataView(bytes.buffer);
    view.setUint16(R.PM1_STATUS - R.PM_BASE, this.status, true);
    view.setUint16(R.PM1_ENABLE - R.PM_BASE, this.enable, true);
    view.setUint16(R.PM1_CONTROL - R.PM_BASE, this.control, true);
    view.setUint32(R.PM_TIMER - R.PM_BASE, this.timer, true);
    return bytes;
  }

  readPort(port: number, size: 1 | 2 | 4): number {
    if (port === R.RESET_CONTROL) return this.resetControl;
    const view = new DataView(this.block.buffer);
    const offset = port - R.PM_BASE;
    return size === 1 ? view.getUint8(offset) : size === 2 ? view.getUint16(offset, true) : view.getUint32(offset, true);
  }

  writePort(port: number, size: 1 | 2 | 4, value: number): void {
    if (port === R.RESET_CONTROL) {
      const rises = (value & ~this.resetControl & R.ResetControl.RESET) !== 0;
      this.resetControl = value & (R.ResetControl.HARD | R.ResetControl.RESET);
      if (rises) this.world.reset();
      return;
    }
    for (let index = 0; index < size; index++) this.writeByte(port + index, (value >>> (8 * index)) & 0xff);
    const top = port + size - 1;
    // The byte with SLP_EN decides; a 16-bit write has set SLP_TYP first.
    if (port <= R.PM1_CONTROL + 1 && top >= R.PM1_CONTROL + 1) this.sleep();
  }

  private writeByte(port: number, value: number): void {
    switch (port) {
      case R.PM1_STATUS:
        this.status &= ~value;
        break;
      case R.PM1_STATUS + 1:
        this.status &= ~(value << 8);
        break;
      case R.PM1_ENABLE:
        this.enable = (this.enable & 0xff00) | value;
        break;
      case R.PM1_ENABLE + 1:
        this.enable = (this.enable & 0xff) | (value << 8);
        break;
      case R.PM1_CONTROL:
        this.control = (this.control & 0xff00) | value | R.Pm1Control.SCI_ENABLE;
        break;
      case R.PM1_CONTROL + 1:
        this.control = (this.control & 0xff) | (value << 8);
        break;
      default:
        break;
    }
  }

  private sleep(): void {
    if (!(this.control & R.Pm1Control.SLEEP_ENABLE)) return;
    // SLP_EN always reads as zero.
    this.control &= ~R.Pm1Control.SLEEP_ENABLE;
    if (R.S5_TYPES.includes((this.control >> 10) & 7)) this.world.powerOff();
  }

  save(): AcpiPmState {
    const { status, enable, control, resetControl } = this;
    return { version: 1, status, enable, control, resetControl };
  }
  restore(state: AcpiPmState): void {
    requireVersion(this.name, state, 1);
    this.status = state.status;
    this.enable = state.enable;
    this.control = state.control;
    this.resetControl = state.resetControl;
  }
  inspect(): InspectNode {
    return {
      name: this.name,
      children: [
        { name: 'PM1 status', value: hex(this.status, 4) },
        { name: 'PM1 enable', value: hex(this.enable, 4) },
        { name: 'PM1 control', value: hex(this.control, 4) },
        { name: 'PM timer', value: hex(this.timer, 6) },
        { name: 'reset control', value: hex(this.resetControl, 2) },
      ],
    };
  }
}

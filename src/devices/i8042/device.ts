import { hex } from '../../x86/address.ts';
import type { Device, InterruptLine, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import * as R from './registers.ts';

export interface I8042State {
  readonly version: 1;
  readonly config: number;
  readonly outputPort: number;
  readonly output: readonly number[];
  /** Command that waits for its data byte; 0 for none. */
  readonly pending: number;
  /** The last write went to the command port. */
  readonly commandLast: boolean;
}

export interface I8042World {
  readonly line: InterruptLine;
  readonly reset: () => void;
}

/** Keyboard controller with a keyboard that acknowledges everything and has no keys; the old way to reset a PC. */
export class I8042 implements Device<I8042State>, PortDevice {
  readonly name = 'i8042';
  readonly byteWide = true;
  readonly ports = [
    { base: R.DATA, count: 1 },
    { base: R.COMMAND, count: 1 },
  ];

  private config: number = R.Config.SYSTEM | R.Config.TRANSLATE;
  private outputPort: number = R.OutputPort.NO_RESET | R.OutputPort.A20;
  private output: number[] = [];
  private pending = 0;
  private commandLast = false;

  constructor(private readonly world: I8042World) {}

  reset(): void {
    this.config = R.Config.SYSTEM | R.Config.TRANSLATE;
    this.outputPort = R.OutputPort.NO_RESET | R.OutputPort.A20;
    this.output = [];
    this.pending = 0;
    this.commandLast = false;
    this.update();
  }

  readPort(port: number): number {
    if (port === R.COMMAND) {
      const full = this.output.length > 0 ? R.Status.OUTPUT_FULL : 0;
      return R.Status.SYSTEM | R.Status.UNLOCKED | full | (this.commandLast ? R.Status.COMMAND : 0);
    }
    const byte = this.output.shift() ?? 0;
    // Each byte has an edge of its own, at which an edge-triggered pin looks.
    this.world.line.set(false);
    this.update();
    return byte;
  }

  writePort(port: number, _size: number, value: number): void {
    this.commandLast = port === R.COMMAND;
    if (this.commandLast) this.command(value);
    else this.data(value);
    this.update();
  }

  private command(value: number): void {
    this.pending = 0;
    switch (value) {
      case R.Command.READ_CONFIG:
        this.output = [this.config];
        break;
      case R.Command.WRITE_CONFIG:
      case R.Command.WRITE_OUTPUT_PORT:
      case R.Command.WRITE_AUX:
        this.pending = value;
        break;
      case R.Command.SELF_TEST:
        this.output = [R.SELF_TEST_PASSED];
        break;
      case R.Command.KEYBOARD_TEST:
        this.output = [0];
        break;
      case R.Command.AUX_TEST:
        // There is no second port: clock line stuck.
        this.output = [1];
        break;
      case R.Command.KEYBOARD_DISABLE:
        this.config |= R.Config.KEYBOARD_OFF;
        break;
      case R.Command.KEYBOARD_ENABLE:
        this.config &= ~R.Config.KEYBOARD_OFF;
        break;
      case R.Command.AUX_DISABLE:
        this.config |= R.Config.AUX_OFF;
        break;
      case R.Command.AUX_ENABLE:
        this.config &= ~R.Config.AUX_OFF;
        break;
      case R.Command.READ_OUTPUT_PORT:
        this.output = [this.outputPort];
        break;
      default:
        // F0–FF pulse the output lines whose bits are clear; bit 0 is the processor's reset.
        if (value >= R.Command.PULSE && !(value & 1)) this.world.reset();
    }
  }

  private data(value: number): void {
    switch (this.pending) {
      case R.Command.WRITE_CONFIG:
        this.config = value;
        break;
      case R.Command.WRITE_OUTPUT_PORT:
        this.outputPort = value;
        if (!(value & R.OutputPort.NO_RESET)) this.world.reset();
        break;
      case R.Command.WRITE_AUX:
        break;
      default:
        // To the keyboard: reset is answered with a self test, identify with an AT keyboard's id.
        this.output = value === 0xff ? [R.ACK, 0xaa] : value === 0xf2 ? [R.ACK, 0xab, 0x83] : [R.ACK];
    }
    this.pending = 0;
  }

  private update(): void {
    this.world.line.set(this.output.length > 0 && (this.config & R.Config.KEYBOARD_IRQ) !== 0);
  }

  save(): I8042State {
    const { config, outputPort, pending, commandLast } = this;
    return { version: 1, config, outputPort, pending, commandLast, output: [...this.output] };
  }
  restore(state: I8042State): void {
    requireVersion(this.name, state, 1);
    this.config = state.config;
    this.outputPort = state.outputPort;
    this.pending = state.pending;
    this.commandLast = state.commandLast;
    this.output = [...state.output];
    this.update();
  }
  inspect(): InspectNode {
    return {
      name: this.name,
      children: [
        { name: 'configuration', value: hex(this.config, 2) },
        {
          name: 'output port',
          value: hex(this.outputPort, 2),
          detail: this.outputPort & R.OutputPort.A20 ? 'A20 on' : 'A20 off',
        },
        { name: 'output buffer', value: this.output.map((byte) => hex(byte, 2)).join(' ') || 'empty' },
      ],
    };
  }
}

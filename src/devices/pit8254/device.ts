import type { Clock, Device, InterruptLine, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import { DeviceTimer } from '../timer.ts';
import { PitChannel, type PitChannelState } from './channel.ts';
import * as R from './registers.ts';

export interface Pit8254State {
  readonly version: 1;
  readonly channels: readonly PitChannelState[];
  readonly speaker: boolean;
  readonly nextRise: bigint | undefined;
}

export interface Pit8254World {
  readonly clock: Clock;
  /** Output of channel 0: IRQ 0. */
  readonly line: InterruptLine;
}

/** The interval timer of a PC, and system control port B (0x61), which gates its third channel. */
export class Pit8254 implements Device<Pit8254State>, PortDevice {
  readonly name = 'pit8254';
  readonly byteWide = true;
  readonly ports = [
    { base: R.COUNTERS, count: 4 },
    { base: R.SYSTEM_CONTROL_B, count: 1 },
  ];

  private readonly channels: readonly [PitChannel, PitChannel, PitChannel];
  private readonly timer: DeviceTimer;
  private speaker = false;

  constructor(private readonly world: Pit8254World) {
    const now = () => world.clock.now();
    this.channels = [new PitChannel(0, now, true), new PitChannel(1, now, true), new PitChannel(2, now, false)];
    this.timer = new DeviceTimer(world.clock, () => this.tick());
  }

  reset(): void {
    for (const channel of this.channels) channel.reset();
    this.speaker = false;
    this.rearm();
    // The output is high until a count is given: programming a periodic mode makes no edge.
    this.world.line.set(this.channels[0].output);
  }

  /** Channel 0's output rose. In the periodic modes it has fallen shortly before. */
  private tick(): void {
    if (this.channels[0].mode !== 0) this.world.line.set(false);
    this.world.line.set(true);
    this.rearm();
  }
  private rearm(): void {
    this.timer.set(this.channels[0].nextRise());
  }

  readPort(port: number): number {
    if (port === R.SYSTEM_CONTROL_B) {
      const two = this.channels[2];
      // The refresh toggle changes about every 15 µs; old calibration loops watch it.
      const refresh = (this.world.clock.now() / 15_085n) & 1n ? R.PortB.REFRESH : 0;
      return (two.gate ? R.PortB.GATE2 : 0) | (this.speaker ? R.PortB.SPEAKER : 0) | refresh | (two.output ? R.PortB.OUT2 : 0);
    }
    if (port === R.CONTROL) return 0xff;
    return this.channels[port & 3]?.read() ?? 0xff;
  }

  writePort(port: number, _size: number, value: number): void {
    if (port === R.SYSTEM_CONTROL_B) {
      this.channels[2].setGate((value & R.PortB.GATE2) !== 0);
      this.speaker = (value & R.PortB.SPEAKER) !== 0;
      return;
    }
    if (port === R.CONTROL) this.control(value);
    else this.channels[port & 3]?.write(value);
    if (port === R.COUNTERS || (port === R.CONTROL && value >> 6 === 0)) {
      if (port === R.COUNTERS || (value >> 4) & 3) this.world.line.set(this.channels[0].output);
      this.rearm();
    }
  }

  private control(value: number): void {
    const select = value >> 6;
    if (select === R.Control.READ_BACK) {
      for (const channel of this.channels) {
        if (!(value & (2 << channel.index))) continue;
        if (!(value & R.Control.KEEP_COUNT)) channel.latchCount();
        if (!(value & R.Control.KEEP_STATUS)) channel.latchStatus();
      }
      return;
    }
    const channel = this.channels[select];
    if (((value >> 4) & 3) === R.Access.LATCH) channel?.latchCount();
    else channel?.configure(value);
  }

  save(): Pit8254State {
    return {
      version: 1,
      channels: this.channels.map((channel) => channel.save()),
      speaker: this.speaker,
      nextRise: this.timer.when,
    };
  }
  restore(state: Pit8254State): void {
    requireVersion(this.name, state, 1);
    this.channels.forEach((channel, index) => {
      const saved = state.channels[index];
      if (saved) channel.restore(saved);
    });
    this.speaker = state.speaker;
    this.timer.set(state.nextRise);
  }
  inspect(): InspectNode {
    return { name: this.name, children: this.channels.map((channel) => channel.inspect()) };
  }
}

import type { Device, InterruptLine, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import { PicChip, type PicChipState } from './chip.ts';
import * as R from './registers.ts';

export interface Pic8259State {
  readonly version: 1;
  readonly master: PicChipState;
  readonly slave: PicChipState;
}

export interface Pic8259World {
  /** INT pin of the master: to LINT0 of the local APIC, or straight to the processor. */
  readonly output: InterruptLine;
}

/** The pair of 8259A interrupt controllers of a PC, with edge/level control registers. */
export class Pic8259 implements Device<Pic8259State>, PortDevice {
  readonly name = 'pic8259';
  readonly byteWide = true;
  readonly ports = [
    { base: R.MASTER_COMMAND, count: 2 },
    { base: R.SLAVE_COMMAND, count: 2 },
    { base: R.ELCR_MASTER, count: 2 },
  ];

  private readonly master: PicChip;
  private readonly slave: PicChip;

  constructor(private readonly world: Pic8259World) {
    this.master = new PicChip('master', R.ELCR_MASK.master, () => this.world.output.set(this.hasInterrupt()));
    this.slave = new PicChip('slave', R.ELCR_MASK.slave, () => this.master.setLine(R.CASCADE, this.slave.pending >= 0));
  }

  reset(): void {
    this.slave.reset();
    this.master.reset();
  }

  /** IRQ 0–15; 2 is the cascade and can't be driven. */
  setLine(irq: number, level: boolean): void {
    if (irq === R.CASCADE) return;
    if (irq < 8) this.master.setLine(irq, level);
    else this.slave.setLine(irq - 8, level);
  }

  hasInterrupt(): boolean {
    return this.master.pending >= 0;
  }

  /** INTA cycle: the vector. A request that went away meanwhile gives the spurious vector (IRQ 7 or 15). */
  acknowledge(): number {
    const line = this.master.acknowledge();
    if (line !== R.CASCADE) return this.master.vector(line);
    return this.slave.vector(this.slave.acknowledge());
  }

  readPort(port: number): number {
    switch (port) {
      case R.MASTER_COMMAND:
        return this.master.readCommand();
      case R.MASTER_DATA:
        return this.master.readData();
      case R.SLAVE_COMMAND:
        return this.slave.readCommand();
      case R.SLAVE_DATA:
        return this.slave.readData();
      default:
        return port === R.ELCR_MASTER ? this.master.elcr : this.slave.elcr;
    }
  }

  writePort(port: number, _size: number, value: number): void {
    switch (port) {
      case R.MASTER_COMMAND:
        this.master.writeCommand(value);
        break;
      case R.MASTER_DATA:
        this.master.writeData(value);
        break;
      case R.SLAVE_COMMAND:
        this.slave.writeCommand(value);
        break;
      case R.SLAVE_DATA:
        this.slave.writeData(value);
        break;
      case R.ELCR_MASTER:
        this.master.elcr = value;
        break;
      default:
        this.slave.elcr = value;
    }
  }

  save(): Pic8259State {
    return { version: 1, master: this.master.save(), slave: this.slave.save() };
  }
  restore(state: Pic8259State): void {
    requireVersion(this.name, state, 1);
    this.slave.restore(state.slave);
    this.master.restore(state.master);
  }
  inspect(): InspectNode {
    return { name: this.name, children: [this.master.inspect(), this.slave.inspect()] };
  }
}

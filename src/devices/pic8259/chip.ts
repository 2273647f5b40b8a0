import { hex } from '../../x86/address.ts';
import type { InspectNode } from '../inspect.ts';
import * as R from './registers.ts';

export interface PicChipState {
  readonly irr: number;
  readonly isr: number;
  readonly imr: number;
  readonly lines: number;
  readonly elcr: number;
  readonly vectorBase: number;
  readonly lowestPriority: number;
  readonly initStep: number;
  readonly needsIcw4: boolean;
  readonly autoEoi: boolean;
  readonly rotateOnAutoEoi: boolean;
  readonly specialMask: boolean;
  readonly specialFullyNested: boolean;
  readonly readIsr: boolean;
  readonly poll: boolean;
}

const RESET: PicChipState = {
  irr: 0,
  isr: 0,
  imr: 0xff,
  lines: 0,
  elcr: 0,
  vectorBase: 0,
  lowestPriority: 7,
  initStep: 0,
  needsIcw4: false,
  autoEoi: false,
  rotateOnAutoEoi: false,
  specialMask: false,
  specialFullyNested: false,
  readIsr: false,
  poll: false,
};

/** One 8259A. The pair wires two of them. */
export class PicChip {
  private state: { -readonly [Key in keyof PicChipState]: PicChipState[Key] } = { ...RESET };

  constructor(
    private readonly name: string,
    private readonly elcrMask: number,
    /** INT pin of the chip, after each change. */
    private readonly changed: () => void,
  ) {}

  reset(): void {
    this.state = { ...RESET };
    this.changed();
  }
  save(): PicChipState {
    return { ...this.state };
  }
  restore(state: PicChipState): void {
    this.state = { ...state };
    this.changed();
  }

  get isr(): number {
    return this.state.isr;
  }
  get elcr(): number {
    return this.state.elcr;
  }
  set elcr(value: number) {
    this.state.elcr = value & this.elcrMask;
    this.changed();
  }

  setLine(line: number, level: boolean): void {
    const bit = 1 << line;
    const before = this.state.lines;
    this.state.lines = level ? before | bit : before & ~bit;
    if (this.state.elcr & bit) this.state.irr = level ? this.state.irr | bit : this.state.irr & ~bit;
    else if (level && !(before & bit)) this.state.irr |= bit;
    // An edge stays latched when its line falls again, as later chipsets do it (the first 8259A lost it).
    this.changed();
  }

  /** Line that would interrupt now, or -1. Lower distance from the highest priority wins. */
  get pending(): number {
    const { irr, imr, isr, lowestPriority, specialMask, specialFullyNested } = this.state;
    const requests = irr & ~imr;
    if (requests === 0) return -1;
    for (let step = 1; step <= 8; step++) {
      const line = (lowestPriority + step) & 7;
      const bit = 1 << line;
      // With special mask mode, a service in progress blocks only its own line.
      if (isr & bit && !(specialMask && imr & bit)) {
        const cascadeRequest = specialFullyNested && line === R.CASCADE && (requests & bit) !== 0;
        if (cascadeRequest) return line;
        if (!specialMask) return -1;
        continue;
      }
      if (requests & bit) return line;
    }
    return -1;
  }

  /** INTA: returns the line it answers with; 7 when nothing is pending any more (spurious, ISR stays clear). */
  acknowledge(): number {
    const line = this.pending;
    if (line < 0) return 7;
    const bit = 1 << line;
    if (!(this.state.elcr & bit)) this.state.irr &= ~bit;
    if (this.state.autoEoi) {
      if (this.state.rotateOnAutoEoi) this.state.lowestPriority = line;
    } else this.state.isr |= bit;
    this.changed();
    return line;
  }

  vector(line: number): number {
    return this.state.vectorBase | line;
  }

  readCommand(): number {
    if (this.state.poll) return this.readPoll();
    return this.state.readIsr ? this.state.isr : this.state.irr;
  }
  readData(): number {
    if (this.state.poll) return this.readPoll();
    return this.state.imr;
  }
  private readPoll(): number {
    this.state.poll = false;
    return this.pending < 0 ? 0 : 0x80 | this.acknowledge();
  }

  writeCommand(value: number): void {
    if (value & R.Icw1.SELECT) {
      const { elcr, lines } = this.state;
      // ICW1 clears the edge-sense circuit: a line that is high needs a new edge.
      this.state = { ...RESET, imr: 0, elcr, lines, irr: lines & elcr, initStep: 2, needsIcw4: (value & R.Icw1.ICW4) !== 0 };
    } else if (value & R.Ocw3.SELECT) {
      if (value & R.Ocw3.POLL) this.state.poll = true;
      if (value & R.Ocw3.READ) this.state.readIsr = (value & R.Ocw3.READ_ISR) !== 0;
      if (value & R.Ocw3.SPECIAL_MASK_ENABLE) this.state.specialMask = (value & R.Ocw3.SPECIAL_MASK) !== 0;
    } else this.endOfInterrupt(value >> 5, value & 7);
    this.changed();
  }

  private endOfInterrupt(command: number, line: number): void {
    switch (command) {
      case R.Ocw2.EOI:
      case R.Ocw2.ROTATE_EOI: {
        const served = this.highestInService();
        if (served < 0) return;
        this.state.isr &= ~(1 << served);
        if (command === R.Ocw2.ROTATE_EOI) this.state.lowestPriority = served;
        return;
      }
      case R.Ocw2.SPECIFIC_EOI:
      case R.Ocw2.ROTATE_SPECIFIC_EOI:
        this.state.isr &= ~(1 << line);
        if (command === R.Ocw2.ROTATE_SPECIFIC_EOI) this.state.lowestPriority = line;
        return;
      case R.Ocw2.SET_PRIORITY:
        this.state.lowestPriority = line;
        return;
      case R.Ocw2.ROTATE_AUTO_SET:
      case R.Ocw2.ROTATE_AUTO_CLEAR:
        this.state.rotateOnAutoEoi = command === R.Ocw2.ROTATE_AUTO_SET;
        return;
      default:
        return;
    }
  }

  private highestInService(): number {
    const { isr, imr, specialMask, lowestPriority } = this.state;
    for (let step = 1; step <= 8; step++) {
      const line = (lowestPriority + step) & 7;
      if (isr & (1 << line) && !(specialMask && imr & (1 << line))) return line;
    }
    return -1;
  }

  writeData(value: number): void {
    switch (this.state.initStep) {
      case 2:
        this.state.vectorBase = value & 0xf8;
        this.state.initStep = 3;
        break;
      case 3:
        // ICW3 says how the pair is wired; on a PC that is fixed.
        this.state.initStep = this.state.needsIcw4 ? 4 : 0;
        break;
      case 4:
        this.state.autoEoi = (value & R.Icw4.AUTO_EOI) !== 0;
        this.state.specialFullyNested = (value & R.Icw4.SPECIAL_FULLY_NESTED) !== 0;
        this.state.initStep = 0;
        break;
      default:
        this.state.imr = value;
    }
    this.changed();
  }

  inspect(): InspectNode {
    const { irr, isr, imr, elcr, vectorBase, initStep } = this.state;
    return {
      name: this.name,
      value: `vectors ${hex(vectorBase)}`,
      detail: initStep === 0 ? undefined : `waits for ICW${initStep}`,
      children: [
        { name: 'IRR', value: hex(irr, 2) },
        { name: 'ISR', value: hex(isr, 2) },
        { name: 'IMR', value: hex(imr, 2) },
        { name: 'ELCR', value: hex(elcr, 2) },
      ],
    };
  }
}

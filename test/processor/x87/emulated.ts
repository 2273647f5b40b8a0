import * as L from '../../../src/processor/state/layout.ts';
import { fullTags, shortTags } from '../../../src/processor/x87/state-image.ts';
import { withSummary } from '../../../src/processor/x87/words.ts';
import { At, SystemMachine } from '../system/machine.ts';
import { type FpuCase, Image, MEMORY_SIZE, type Outcome } from './image.ts';

const CR0_NE = 0x20n;
const VECTORS: Readonly<Record<string, number>> = { ok: 0, '#UD': 6, '#NM': 7, '#MF': 16 };

/** Runs cases on the emulated processor, in 64-bit user code. */
export class EmulatedFpu {
  private readonly machine: SystemMachine;

  constructor(vendor: 'intel' | 'amd') {
    this.machine = new SystemMachine('long-user', vendor, {}, 'max');
    const { state } = this.machine;
    state.set64(L.CR0, state.cr0 | CR0_NE);
    // As Linux leaves it in 64-bit code.
    state.setSegment(L.Segment.DS, { ...state.segment(L.Segment.DS), selector: 0 });
    this.machine.processor.stateChanged();
  }

  run({ code, image, memory, rflags, rax }: FpuCase): Outcome {
    const { machine } = this;
    const { state } = machine;
    state.rip = BigInt(At.CODE);
    state.rflags = rflags;
    state.setGpr(0, rax);
    state.setGpr(3, BigInt(At.DATA));
    machine.memory.write(BigInt(At.DATA), memory);
    this.load(image);
    const outcome = machine.step(Buffer.from(code).toString('hex'));
    const vector = VECTORS[outcome];
    if (vector === undefined) throw new Error(`The emulated processor ended with ${outcome}.`);
    return {
      rflags: state.rflags,
      rax: state.gpr(0),
      vector,
      image: this.save(),
      memory: machine.memory.read(BigInt(At.DATA), MEMORY_SIZE),
    };
  }

  /** An image as the unit has it once it was loaded: with summary bits and tags that follow from the rest. */
  settled(image: Image): Image {
    this.load(image);
    return this.save();
  }

  private load(image: Image): void {
    const { state } = this.machine;
    const control = (image.control & 0x1f3f) | 0x40;
    const status = withSummary(image.status, control);
    state.set32(L.X87_CONTROL, control);
    state.set32(L.X87_STATUS, status);
    state.set32(L.X87_TAGS, shortTags(image.tags));
    state.set64(L.X87_IP, BigInt(image.ip));
    state.set64(L.X87_DP, BigInt(image.dp));
    state.set32(L.X87_CS, image.cs);
    state.set32(L.X87_DS, image.ds);
    state.set32(L.X87_OPCODE, image.opcode & 0x7ff);
    for (let index = 0; index < 8; index++) {
      const at = L.X87_REGISTERS + (((status >> 11) + index) & 7) * L.X87_REGISTER_SIZE;
      state.set64(at, BigInt.asUintN(64, image.st(index)));
      state.set64(at + 8, image.st(index) >> 64n);
    }
  }

  private save(): Image {
    const { state } = this.machine;
    const image = new Image();
    image.control = state.get32(L.X87_CONTROL);
    image.status = state.get32(L.X87_STATUS);
    image.tags = fullTags(state);
    image.ip = Number(state.get64(L.X87_IP) & 0xffff_ffffn);
    image.dp = Number(state.get64(L.X87_DP) & 0xffff_ffffn);
    image.cs = state.get32(L.X87_CS);
    image.ds = state.get32(L.X87_DS);
    image.opcode = state.get32(L.X87_OPCODE);
    for (let index = 0; index < 8; index++) {
      const at = L.X87_REGISTERS + (((image.status >> 11) + index) & 7) * L.X87_REGISTER_SIZE;
      image.setSt(index, state.get64(at) | (state.get64(at + 8) << 64n));
    }
    return image;
  }
}

import { createProcessor } from '../../src/processor/cpu.ts';
import type { RunResult, VmExit } from '../../src/processor/exit.ts';
import { PartitionMemory } from '../../src/processor/memory/partition-memory.ts';
import type { CpuModel } from '../../src/processor/models/cpu-model.ts';
import type { Processor } from '../../src/processor/processor.ts';
import * as L from '../../src/processor/state/layout.ts';
import { Random } from '../support/random.ts';
import { formCode, plausibleCode } from './stream-code.ts';

/** Modes that a stream runs in. */
export const MODES = [
  'real',
  'virtual-8086',
  'protected-16',
  'protected-32',
  'paged-32',
  'pae',
  'long',
  'long-user',
  'long-compatibility',
  'garbage',
] as const;
export type StreamMode = (typeof MODES)[number];

const RAM_SIZE = 0x2_0000;
const CODE = 0x8000;
const STREAM_LENGTH = 192;
const GDT = 0x1000;
const IDT = 0x1800;
const TSS = 0x1400;
/** Tables lie from here to CODE, four levels of them. */
const TABLES = 0x3000;
/** Pairs of singles, and doubles: 1 and 2, 1.5, π, the smallest normal number, infinities, a signaling NaN. */
const NUMBERS = [
  ...[0x4000_0000_3f80_0000n, 0x3ff8_0000_0000_0000n, 0x4009_21fb_5444_2d18n, 0x0010_0000_0000_0000n],
  ...[0xff80_0000_7f80_0000n, 0x7ff0_0000_0000_0000n, 0x7ff4_0000_0000_0000n, 0x7fa0_0000_0080_0000n],
];
/** Instructions that one stream runs at most. */
const BUDGET = 300;

/** A whole machine whose state and memory a stream starts from. */
export class StreamMachine {
  readonly memory = new PartitionMemory([{ gpa: 0n, length: RAM_SIZE }], 2);
  readonly processor: Processor;
  private readonly ram: Uint8Array;
  /** The state of a second vCPU that does not exist: nothing may write there. */
  private readonly guard: Uint32Array;
  private readonly emptyPage: Uint32Array;

  /** `threshold`: jumps to a place before it is translated; 0 for the interpreter alone. */
  constructor(model: CpuModel, threshold = 0) {
    const translator = { threshold, regionSize: 60, mostDoublings: 0 };
    this.processor = createProcessor({ index: 0, memory: this.memory, model, translator });
    const offset = this.memory.locate(0n)?.offset ?? 0;
    this.ram = this.memory.bytes.subarray(offset, offset + RAM_SIZE);
    this.guard = new Uint32Array(this.memory.wasm.buffer, this.memory.vcpuBase(1), L.VCPU_SIZE / 4);
    this.emptyPage = new Uint32Array(this.memory.wasm.buffer, 0, 0x4000);
  }

  /** What is wrong outside of the partition's RAM, as a sentence. */
  damage(): string | undefined {
    if (this.guard.some((word) => word !== 0)) return 'The block of the second vCPU was written to.';
    if (this.emptyPage.some((word) => word !== 0)) return 'The empty page at the start of the memory was written to.';
    return undefined;
  }

  ramHash(): number {
    let hash = 0x811c_9dc5;
    const words = new Uint32Array(this.ram.buffer, this.ram.byteOffset, RAM_SIZE / 4);
    for (const word of words) hash = Math.imul(hash ^ word, 0x0100_0193);
    return hash >>> 0;
  }

  /** Puts the start state of a stream in place: everything follows from the seed. */
  setUp(seed: number, mode: StreamMode): void {
    const random = new Random(seed);
    const image = new Uint8Array(RAM_SIZE);
    const view = new DataView(image.buffer);
    if (random.chance(0.3)) image.set(random.bytes(0x4000), 0x1_0000);
    const kind = random.below(10);
    const code =
      kind < 2
        ? random.bytes(STREAM_LENGTH)
        : kind < 6
          ? plausibleCode(random, STREAM_LENGTH)
          : formCode(random, STREAM_LENGTH, mode.startsWith('long') && mode !== 'long-compatibility');
    image.set(code, CODE);
    this.writeTables(random, view, mode);
    this.memory.write(0n, image);
    this.processor.reset();
    this.setState(random, mode);
    this.processor.stateChanged();
  }

  private writeTables(random: Random, view: DataView, mode: StreamMode): void {
    // Real mode: vectors lead back into the code.
    for (let vector = 0; vector < 256; vector++) view.setUint32(vector * 4, CODE + random.below(STREAM_LENGTH), true);
    const descriptors = [
      0x00cf_9b00_0000_ffffn,
      0x00af_9b00_0000_ffffn,
      0x00cf_9300_0000_ffffn,
      0x00cf_fb00_0000_ffffn,
      0x00af_fb00_0000_ffffn,
      0x00cf_f300_0000_ffffn,
      0x0000_9b00_0000_ffffn,
    ];
    for (let index = 1; index < 64; index++)
      view.setBigUint64(
        GDT + index * 8,
        descriptors[index - 1] ?? (random.chance(0.5) ? random.u64() : random.pick(descriptors)),
        true,
      );
    view.setBigUint64(GDT + 8 * 8, 0x0000_8900_0000_0067n | (BigInt(TSS) << 16n), true);
    view.setBigUint64(GDT + 9 * 8, 0n, true);
    for (let at = 0; at < 0x68; at += 4) view.setUint32(TSS + at, random.chance(0.7) ? 0x7000 : random.next(), true);
    const long = mode.startsWith('long');
    for (let vector = 0; vector < (long ? 128 : 256); vector++) {
      const at = IDT + vector * (long ? 16 : 8);
      const selector = long ? 0x10 : 0x08;
      const rights = random.chance(0.9) ? random.pick([0x8e, 0x8f, 0xee]) : random.below(256);
      view.setUint32(at, (selector << 16) | (CODE + random.below(STREAM_LENGTH)), true);
      view.setUint32(at + 4, (rights << 8) | (random.chance(0.9) ? 0 : random.below(8)), true);
    }
    // Every table entry points at another table or at RAM, now and then at nothing.
    for (let at = TABLES; at < CODE; at += mode === 'paged-32' ? 4 : 8) {
      const page = random.chance(0.7) ? TABLES + random.below(5) * 0x1000 : random.below(RAM_SIZE / 0x1000 + 2) * 0x1000;
      const flags = random.chance(0.85)
        ? random.pick([0x07, 0x67, 0x63, 0x03]) | (random.chance(0.05) ? 0x80 : 0)
        : random.below(0x1000);
      view.setUint32(at, page | flags, true);
      if (mode !== 'paged-32') view.setUint32(at + 4, random.chance(0.95) ? 0 : random.next(), true);
    }
    if (random.chance(0.7)) this.identityTables(view, mode);
  }

  /** Tables that map the first 2 MiB to themselves, so that the code is really reached. */
  private identityTables(view: DataView, mode: StreamMode): void {
    if (mode === 'paged-32') view.setUint32(TABLES, 0xe7, true);
    else if (mode === 'pae') {
      view.setUint32(TABLES, (TABLES + 0x1000) | 1, true);
      view.setUint32(TABLES + 4, 0, true);
      view.setUint32(TABLES + 0x1000, 0xe7, true);
      view.setUint32(TABLES + 0x1004, 0, true);
    } else {
      view.setBigUint64(TABLES, BigInt((TABLES + 0x1000) | 7), true);
      view.setBigUint64(TABLES + 0x1000, BigInt((TABLES + 0x2000) | 7), true);
      view.setBigUint64(TABLES + 0x2000, 0xe7n, true);
    }
  }

  /** Puts anything into the registers of x87, MMX, SSE and AVX, mostly enabled; gives the bits of CR4 for that. */
  private setVectors(random: Random): bigint {
    const { state } = this.processor;
    state.set64(L.XCR0, random.chance(0.8) ? 7n : 3n);
    state.set32(L.MXCSR, random.pick([0x1f80, 0x1fa0, 0x1fa0, random.below(0x1_0000)]));
    for (let at = 0; at < 16 * L.VECTOR_SIZE; at += 8)
      state.set64(L.VECTORS + at, random.chance(0.5) ? random.value() : random.pick(NUMBERS));
    for (let index = 0; index < 8; index++) {
      state.set64(L.X87_REGISTERS + index * L.X87_REGISTER_SIZE, random.value());
      state.set64(
        L.X87_REGISTERS + index * L.X87_REGISTER_SIZE + 8,
        BigInt(random.pick([0x3fff, 0xffff, 0, random.below(0x1_0000)])),
      );
    }
    state.set32(L.X87_CONTROL, random.pick([0x37f, 0x27f, random.below(0x1000)]) | 0x40);
    state.set32(L.X87_STATUS, random.pick([0, 0, random.below(0x8000) & 0x7f00]));
    state.set32(L.X87_TAGS, random.pick([0, 0xff, random.below(0x100)]));
    return (random.chance(0.9) ? 0x600n : 0n) | (random.chance(0.9) ? 0x4_0000n : 0n);
  }

  private setState(random: Random, mode: StreamMode): void {
    const { state } = this.processor;
    for (let index = 0; index < 16; index++)
      state.setGpr(index, random.chance(0.6) ? BigInt(random.below(RAM_SIZE)) : random.value());
    if (random.chance(0.8)) state.setGpr(4, BigInt(random.between(0x6000, 0x7ff0)));
    if (random.chance(0.8)) state.setGpr(1, BigInt(random.below(64)));
    state.rip = BigInt(CODE + (random.chance(0.2) ? random.below(STREAM_LENGTH) : 0));
    let flags = (random.next() & 0xcd5) | 2;
    if (random.chance(0.5)) flags |= 0x200;
    if (random.chance(0.05)) flags |= 0x100;
    if (random.chance(0.1)) flags |= random.pick([0x1000, 0x2000, 0x3000, 0x4000, 0x4_0000]);
    state.set64(L.GDTR_BASE, BigInt(GDT));
    state.set32(L.GDTR_LIMIT, random.chance(0.9) ? 0x1ff : random.below(0x200));
    state.set64(L.IDTR_BASE, BigInt(mode === 'real' ? 0 : IDT));
    state.set32(L.IDTR_LIMIT, random.chance(0.9) ? 0x7ff : random.below(0x800));
    state.setSegment(L.Segment.LDTR, { selector: 0, base: 0n, limit: 0, rights: 0x1_0000 });
    state.setSegment(L.Segment.TR, { selector: 0x40, base: BigInt(TSS), limit: 0x67, rights: 0x8b });

    const all = (selector: number, rights: number, limit: number): void => {
      for (let index = 0; index < 6; index++) state.setSegment(index, { selector, base: 0n, limit, rights });
    };
    const code = (selector: number, rights: number, limit = 0xffff_ffff): void =>
      state.setSegment(L.Segment.CS, { selector, base: 0n, limit, rights });
    let cr0 = 0x31n;
    let cr4 = 0n;
    let efer = 0n;
    switch (mode) {
      case 'real':
        cr0 = 0x30n;
        all(0, 0x93, 0xffff);
        break;
      case 'virtual-8086':
        all(0, 0xf3, 0xffff);
        flags |= 0x2_0000;
        state.cpl = 3;
        break;
      case 'protected-16':
        all(0x18, 0x93, random.chance(0.5) ? 0xffff : 0xffff_ffff);
        code(0x38, 0x9b, 0xffff);
        break;
      case 'protected-32':
        all(0x18, 0xc093, 0xffff_ffff);
        code(0x08, 0xc09b);
        break;
      case 'paged-32':
      case 'pae':
        all(0x33, 0xc0f3, 0xffff_ffff);
        code(0x23, 0xc0fb);
        cr0 = random.chance(0.5) ? 0x8001_0031n : 0x8000_0031n;
        cr4 = mode === 'pae' ? 0x20n : 0x10n;
        if (random.chance(0.3)) {
          all(0x18, 0xc093, 0xffff_ffff);
          code(0x08, 0xc09b);
          state.cpl = 0;
        } else state.cpl = 3;
        break;
      default: {
        const user = mode === 'long-user';
        all(user ? 0x33 : 0x18, user ? 0xc0f3 : 0xc093, 0xffff_ffff);
        code(user ? 0x2b : 0x10, user ? 0xa0fb : 0xa09b);
        if (mode === 'long-compatibility') code(0x08, random.chance(0.5) ? 0xc09b : 0x809b);
        state.cpl = user ? 3 : 0;
        cr0 = random.chance(0.5) ? 0x8005_0033n : 0x8004_0033n;
        cr4 = random.chance(0.3) ? 0x30_00a0n : 0xa0n;
        efer = random.chance(0.8) ? 0xd01n : 0x500n;
        state.set64(L.MSR_LSTAR, BigInt(CODE + random.below(STREAM_LENGTH)));
        state.set64(L.MSR_STAR, 0x0023_0008_0000_0000n);
      }
    }
    cr4 |= this.setVectors(random);
    state.set64(L.CR0, cr0);
    state.set64(L.CR3, BigInt(TABLES));
    state.set64(L.CR4, cr4);
    state.set64(L.EFER, efer);
    if (mode === 'pae')
      for (let index = 0; index < 4; index++) state.set64(L.PDPTE + index * 8, index === 0 ? BigInt(TABLES + 0x1001) : 0n);
    if (random.chance(0.05)) {
      state.set64(L.DR, BigInt(CODE + random.below(STREAM_LENGTH)));
      state.set64(L.DR + 7 * 8, BigInt(0x400 | 1 | (random.below(16) << 16)));
    }
    state.rflags = flags;
    if (mode === 'garbage') {
      // Nothing fits anything: what only a debugger that writes registers can make.
      for (let at = L.GPR; at < L.ARCHITECTURAL_END; at += 8) {
        // Counters are the harness's own, and the zero register is a constant of the engine that no debugger reaches.
        if ((at >= L.ICOUNT && at < L.SEGMENTS) || at === L.ZERO) continue;
        if (random.chance(0.15)) state.set64(at, random.value());
      }
      state.cpl = random.below(4);
      state.set32(L.ACTIVITY, 0);
    }
  }
}

/** Serves an exit as a machine with simple devices would. False ends the stream. */
function serve(processor: Processor, exit: VmExit, random: Random): boolean {
  switch (exit.reason) {
    case 'io':
    case 'mmio':
      processor.completeAccess(BigInt(random.next() & 0xff));
      return true;
    case 'exception':
    case 'triple-fault':
    case 'shutdown':
      return false;
    case 'msr-read':
    case 'msr-write':
      if (random.chance(0.5)) processor.inject({ vector: 13, type: 'exception', errorCode: 0 });
      else processor.skipInstruction(exit.instructionLength);
      return true;
    default:
      processor.skipInstruction(exit.instructionLength);
      return true;
  }
}

export interface StreamOutcome {
  readonly hash: bigint;
  readonly ram: number;
  readonly icount: bigint;
  readonly end: RunResult['kind'] | 'exits';
}

/** A device that wants an interrupt at instructions of its own choice, as the scheduler would let one: it ends a slice there. */
class StreamTimer {
  private next: bigint;
  private waiting = false;

  constructor(
    private readonly random: Random,
    private readonly processor: Processor,
  ) {
    this.next = processor.icount + BigInt(random.below(60));
    processor.setInterruptSource({
      hasInterrupt: () => this.waiting,
      getTpr: () => 0,
      setTpr: () => {},
      acknowledge: () => {
        this.waiting = false;
        return 32 + random.below(96);
      },
    });
  }

  /** Instructions until the next interrupt, at least 1; one that is due is raised. */
  untilNext(): number {
    if (this.processor.icount >= this.next) {
      this.waiting = true;
      this.next = this.processor.icount + BigInt(1 + this.random.below(60));
    }
    return Number(this.next - this.processor.icount);
  }
}

/**
 * Runs a stream with at most `slice` instructions per call of `run`, and returns the state at its end. Throws a sentence
 * when the processor breaks its own contract. `retries` may serve an exit so that the access is made when the guest goes on.
 */
export function runStream(
  machine: StreamMachine,
  seed: number,
  mode: StreamMode,
  slice: number,
  retries: (exit: VmExit) => boolean = () => false,
): StreamOutcome {
  machine.setUp(seed, mode);
  const { processor } = machine;
  // What devices answer, and when a timer fires, does not depend on the slicing.
  const answers = new Random(seed ^ 0xa5a5_a5a5);
  const timer = new StreamTimer(new Random(seed ^ 0x5a5a_5a5a), processor);
  const start = processor.icount;
  let end: StreamOutcome['end'] = 'exits';
  for (let exits = 0; exits < 200; ) {
    const left = BUDGET - Number(processor.icount - start);
    if (left <= 0) {
      end = 'budget';
      break;
    }
    const before = processor.icount;
    const budget = Math.min(slice, left, timer.untilNext());
    const result = processor.run(budget);
    const retired = Number(processor.icount - before);
    if (retired < 0 || retired > budget) throw new Error(`run(${budget}) retired ${retired} instructions.`);
    if (result.kind === 'budget') {
      if (retired !== budget) throw new Error(`run(${budget}) ended with its budget after ${retired} instructions.`);
      continue;
    }
    if (result.kind === 'exit' && retries(result.exit)) continue;
    end = result.kind;
    if (result.kind !== 'exit') break;
    exits++;
    if (!serve(processor, result.exit, answers)) break;
  }
  return { hash: processor.stateHash(), ram: machine.ramHash(), icount: processor.icount, end };
}

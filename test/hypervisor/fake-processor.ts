import type { ExitDetail, RunResult } from '../../src/processor/exit.ts';
import { noIntercepts } from '../../src/processor/intercepts.ts';
import type { PartitionMemory } from '../../src/processor/memory/partition-memory.ts';
import type { CpuModel } from '../../src/processor/models/cpu-model.ts';
import type { EventInjection, InterruptSource, Processor, WalkResult } from '../../src/processor/processor.ts';
import { CpuState, Flag } from '../../src/processor/state/cpu-state.ts';
import { ACTIVITY, ICOUNT, IDLE_TICKS, MSR_APIC_BASE, RIP } from '../../src/processor/state/layout.ts';

/** What a scripted vCPU does, one after the other. */
export type Step =
  | { readonly do: 'work'; readonly count: number }
  | { readonly do: 'exit'; readonly detail: ExitDetail }
  | { readonly do: 'halt' }
  | { readonly do: 'loop' };

const MODEL: CpuModel = {
  name: 'scripted',
  vendor: 'intel',
  cpuid: () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 }),
  physicalAddressBits: 40,
  has: () => false,
  msrs: [],
  msr: () => undefined,
};

/** A processor that follows a script: RIP is the index of the step, so the partition around it can be tested alone. */
export class FakeProcessor implements Processor {
  readonly model = MODEL;
  readonly state: CpuState;
  readonly intercepts = noIntercepts();
  readonly translations = { made: 0, kept: 0, bytes: 0, longest: 0 };
  readonly mode = 64;
  readonly cpl = 0;
  givesWay = false;
  readonly gaveWay = false;
  holdInterrupts = false;
  readonly injected = undefined;
  preemptionTimer = 0;
  virtualInterrupt = undefined;
  virtualNmi = false;
  virtualTpr = 0;
  readonly preemptionDeadline = undefined;
  injectMonitorTrap(): void {}
  pendingDebug = 0n;
  debugExceptions = 0;
  breakpoints: ReadonlySet<bigint> = new Set();
  readonly log: string[] = [];
  private done = 0;
  private completed: bigint[] = [];
  private source: InterruptSource | undefined;
  private nmiPending = false;

  constructor(
    readonly index: number,
    private readonly memory: PartitionMemory,
    private readonly script: readonly Step[],
  ) {
    this.state = new CpuState(memory.wasm.buffer, memory.vcpuBase(index));
  }

  get icount(): bigint {
    return this.state.get64(ICOUNT);
  }
  get ticks(): bigint {
    return this.icount + this.state.get64(IDLE_TICKS);
  }
  skipTime(ticks: bigint): void {
    this.state.set64(IDLE_TICKS, this.state.get64(IDLE_TICKS) + ticks);
  }
  get linearRip(): bigint {
    return this.state.rip;
  }
  get halted(): boolean {
    return this.state.get32(ACTIVITY) !== 0;
  }
  reset(): void {
    this.state.u64.fill(0n);
    this.state.set64(MSR_APIC_BASE, 0xfee0_0900n);
    this.state.rflags = Flag.IF;
    this.done = 0;
    this.completed = [];
    this.log.length = 0;
  }

  private retire(count: number): void {
    this.state.set64(ICOUNT, this.icount + BigInt(count));
  }
  private nextStep(): void {
    this.state.set64(RIP, this.state.rip + 1n);
    this.done = 0;
  }

  run(budget: number): RunResult {
    let left = budget;
    for (;;) {
      if (this.halted) {
        if (!this.source?.hasInterrupt() && !this.nmiPending) return { kind: 'halted' };
        this.state.set32(ACTIVITY, 0);
      }
      if (this.nmiPending) {
        this.nmiPending = false;
        this.log.push(`nmi at ${this.ticks}`);
      }
      if (this.source?.hasInterrupt() && this.completed.length === 0)
        this.log.push(`interrupt ${this.source.acknowledge()} at ${this.ticks}`);
      if (left === 0) return { kind: 'budget' };
      const step = this.script[Number(this.state.rip)] ?? { do: 'loop' };
      if (step.do === 'work' || step.do === 'loop') {
        const count = step.do === 'loop' ? left : Math.min(left, step.count - this.done);
        this.retire(count);
        this.done += count;
        left -= count;
        if (step.do === 'work' && this.done === step.count) this.nextStep();
      } else if (step.do === 'halt') {
        this.retire(1);
        left--;
        this.nextStep();
        this.state.set32(ACTIVITY, 1);
      } else if (this.completed.length > 0) {
        this.log.push(`completed ${this.completed.join(',')}`);
        this.completed = [];
        this.retire(1);
        left--;
        this.nextStep();
      } else return { kind: 'exit', exit: { ...step.detail, rip: this.state.rip, instructionLength: 1, icount: this.icount } };
    }
  }
  requestStop(): void {}
  completeAccess(value: bigint): void {
    this.completed.push(value);
  }
  skipInstruction(): void {
    this.retire(1);
    this.nextStep();
  }
  performNatively(): void {
    const step = this.script[Number(this.state.rip)];
    if (step?.do === 'exit' && step.detail.reason === 'hlt') this.state.set32(ACTIVITY, 1);
    this.skipInstruction();
  }
  inject(event: EventInjection): void {
    this.log.push(`inject ${event.vector}`);
    this.nextStep();
  }
  setInterruptSource(source: InterruptSource | undefined): void {
    this.source = source;
  }
  raiseNmi(): void {
    this.nmiPending = true;
  }
  raiseSmi(): void {}
  raiseInit(): void {
    this.log.push('init');
  }
  raiseSipi(vector: number): void {
    this.log.push(`sipi ${vector}`);
    this.state.set32(ACTIVITY, 0);
  }
  setBreakpoints(linear: ReadonlySet<bigint>): void {
    this.breakpoints = linear;
  }
  setWatches(): void {}
  resumePast(): void {
    this.log.push('resume past');
  }
  translate(linear: bigint): bigint {
    return linear;
  }
  walk(): WalkResult {
    return { steps: [], writable: true, user: false, executable: true };
  }
  readMemory(_space: 'gva' | 'gpa', address: bigint, length: number): Uint8Array {
    return this.memory.read(address, length);
  }
  writeMemory(_space: 'gva' | 'gpa', address: bigint, bytes: Uint8Array): number {
    return this.memory.write(address, bytes);
  }
  writeRegister(): 'no such register' {
    return 'no such register';
  }
  stateChanged(): void {}
  stateHash(): bigint {
    return this.icount * 0x9e37_79b9n + this.state.rip;
  }
}

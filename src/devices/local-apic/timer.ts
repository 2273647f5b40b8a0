import { hex } from '../../x86/address.ts';
import type { Clock } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { DeviceTimer } from '../timer.ts';
import { TimerMode } from './registers.ts';

export interface ApicTimerState {
  readonly mode: number;
  readonly divide: number;
  readonly initial: number;
  readonly started: bigint;
  /** A one-shot timer has counted to 0; a change of mode doesn't start it again. */
  readonly spent: boolean;
  readonly deadline: bigint;
  readonly when: bigint | undefined;
}

/**
 * A periodic timer fires no faster than this: it bounds what a guest can make the machine do in a stretch of time. (KVM
 * has such a limit too; real hardware hasn't.)
 */
const SHORTEST_PERIOD = 1000n;

/** The timer of a local APIC. Its bus clock is 1 GHz: one count at divisor 1 is one tick. */
export class ApicTimer {
  private mode: number = TimerMode.ONE_SHOT;
  private divide = 0;
  private initial = 0;
  private started = 0n;
  private spent = false;
  private deadline = 0n;
  private readonly timer: DeviceTimer;

  constructor(
    private readonly clock: Clock,
    private readonly tsc: () => bigint,
    private readonly fire: () => void,
  ) {
    this.timer = new DeviceTimer(clock, () => this.expire());
  }

  reset(): void {
    this.mode = TimerMode.ONE_SHOT;
    this.divide = 0;
    this.initial = 0;
    this.started = 0n;
    this.spent = false;
    this.deadline = 0n;
    this.timer.set(undefined);
  }

  private get divisor(): bigint {
    const code = (this.divide & 3) | ((this.divide & 8) >> 1);
    return 1n << BigInt((code + 1) & 7);
  }
  private get period(): bigint {
    return BigInt(this.initial) * this.divisor;
  }

  get divideConfiguration(): number {
    return this.divide;
  }
  set divideConfiguration(value: number) {
    this.divide = value & 0xb;
    this.rearm();
  }

  get initialCount(): number {
    return this.initial;
  }
  /** Writing starts the timer; 0 stops it. Without effect in TSC-deadline mode. */
  set initialCount(value: number) {
    if (this.mode === TimerMode.TSC_DEADLINE) return;
    this.initial = value >>> 0;
    this.started = this.clock.now();
    this.spent = false;
    this.rearm();
  }

  get currentCount(): number {
    if (this.mode === TimerMode.TSC_DEADLINE || this.initial === 0 || this.spent) return 0;
    const passed = (this.clock.now() - this.started) / this.divisor;
    const initial = BigInt(this.initial);
    if (this.mode === TimerMode.PERIODIC) return Number(initial - (passed % initial));
    return passed >= initial ? 0 : Number(initial - passed);
  }

  /** Mode of the LVT entry. A change to or from TSC-deadline disarms; between the others the count goes on. */
  setMode(mode: number): void {
    if (mode === this.mode) return;
    // The period that a periodic timer is in becomes the one shot.
    if (this.mode === TimerMode.PERIODIC && this.initial !== 0) {
      const { period } = this;
      this.started += ((this.clock.now() - this.started) / period) * period;
    }
    if (this.mode === TimerMode.ONE_SHOT && this.currentCount === 0) this.spent = true;
    const disarms = mode === TimerMode.TSC_DEADLINE || this.mode === TimerMode.TSC_DEADLINE;
    this.mode = mode;
    if (disarms) {
      this.initial = 0;
      this.deadline = 0n;
    }
    this.rearm();
  }

  get tscDeadline(): bigint {
    return this.mode === TimerMode.TSC_DEADLINE ? this.deadline : 0n;
  }
  /** IA32_TSC_DEADLINE: without effect in the other modes; 0 disarms; a past value fires at once. */
  set tscDeadline(value: bigint) {
    if (this.mode !== TimerMode.TSC_DEADLINE) return;
    this.deadline = value;
    this.rearm();
  }

  /** Must be called when the TSC jumped (a write to it). */
  rearm(): void {
    const now = this.clock.now();
    if (this.mode === TimerMode.TSC_DEADLINE) {
      const left = BigInt.asIntN(64, this.deadline - this.tsc());
      this.timer.set(this.deadline === 0n ? undefined : now + (left > 0n ? left : 0n));
      return;
    }
    if (this.initial === 0 || this.spent) {
      this.timer.set(undefined);
      return;
    }
    const { period } = this;
    const passed = now - this.started;
    if (this.mode === TimerMode.PERIODIC) {
      const next = this.started + (passed / period + 1n) * period;
      this.timer.set(next - now < SHORTEST_PERIOD && period < SHORTEST_PERIOD ? now + SHORTEST_PERIOD : next);
    } else this.timer.set(passed >= period ? undefined : this.started + period);
  }

  private expire(): void {
    if (this.mode === TimerMode.TSC_DEADLINE) this.deadline = 0n;
    this.fire();
    if (this.mode === TimerMode.PERIODIC) this.rearm();
  }

  save(): ApicTimerState {
    const { mode, divide, initial, started, spent, deadline } = this;
    return { mode, divide, initial, started, spent, deadline, when: this.timer.when };
  }
  restore(state: ApicTimerState): void {
    this.mode = state.mode;
    this.divide = state.divide;
    this.initial = state.initial;
    this.started = state.started;
    this.spent = state.spent;
    this.deadline = state.deadline;
    this.timer.set(state.when);
  }

  inspect(): InspectNode {
    const name = ['one-shot', 'periodic', 'TSC deadline'][this.mode] ?? 'reserved mode';
    const due = this.timer.when;
    return {
      name: 'timer',
      value: this.mode === TimerMode.TSC_DEADLINE ? hex(this.deadline) : hex(this.currentCount),
      detail: `${name}, divided by ${this.divisor}, ${due === undefined ? 'stopped' : `due in ${due - this.clock.now()} ns`}`,
    };
  }
}

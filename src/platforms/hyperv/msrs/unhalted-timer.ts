import type { InspectNode } from '../../../devices/inspect.ts';
import { Delivery } from '../../../devices/local-apic/registers.ts';
import { DeviceTimer } from '../../../devices/timer.ts';
import type { Processor } from '../../../processor/processor.ts';
import { hex } from '../../../x86/address.ts';
import { Msr } from '../abi/msrs.ts';
import { UnhaltedTimerConfig } from '../abi/synthetic-timers.ts';
import { type Hyperv, TICKS_PER_UNIT } from '../hyperv.ts';
import { timerClock } from '../synic/timer-clock.ts';
import type { MsrGroup } from './msr-group.ts';
import type { VpAssistPages } from './vp-assist.ts';

const NMI_VECTOR = 2n;
const FIRST_VECTOR = 16n;
/** It expires no more often, in units of 100 ns: it bounds what a guest can make the machine do in a stretch of time. */
const SHORTEST_PERIOD = 10n;
/** Ticks between times at which an alarm is looked at anyhow: no halted virtual processor has time skip far to the alarm of a timer that stands still. */
const LOOK_INTERVAL = 100_000n;

/** The timer of one virtual processor. */
interface UnhaltedTimer {
  readonly processor: Processor;
  config: bigint;
  count: bigint;
  /** Run time of the virtual processor, in ticks, at which it expires next; undefined while it doesn't run. */
  due: bigint | undefined;
  /** Ends the stretch of guest code in which that is. */
  readonly alarm: DeviceTimer;
}

/**
 * A periodic timer of each virtual processor that counts the time that this has run, what VP_RUNTIME shows: neither the time in which it is
 * halted nor that of others (TLFS, "Synthetic time-unhalted timer"). It expires with an NMI or an interrupt, and marks the VP assist page.
 */
export class UnhaltedTimers implements MsrGroup {
  readonly msrs = [Msr.STIME_UNHALTED_TIMER_CONFIG, Msr.STIME_UNHALTED_TIMER_COUNT];
  private readonly timers: readonly UnhaltedTimer[];

  constructor(
    private readonly hyperv: Pick<Hyperv, 'machine' | 'apic'>,
    private readonly assists: VpAssistPages,
  ) {
    const clock = timerClock(hyperv.machine);
    this.timers = hyperv.machine.processors.map((processor): UnhaltedTimer => {
      const alarm = new DeviceTimer(clock, () => this.look(processor.index));
      return { processor, config: 0n, count: 0n, due: undefined, alarm };
    });
  }

  read({ index }: Processor, msr: number): bigint | undefined {
    const timer = this.timers[index];
    return msr === Msr.STIME_UNHALTED_TIMER_COUNT ? timer?.count : timer?.config;
  }

  write({ index }: Processor, msr: number, value: bigint): boolean {
    const timer = this.timers[index];
    if (!timer) return false;
    if (msr === Msr.STIME_UNHALTED_TIMER_COUNT) {
      timer.count = value;
      this.restart(timer);
      return true;
    }
    if ((value & ~UnhaltedTimerConfig.DEFINED) !== 0n || (isEnabled(value) && !isVector(vectorOf(value)))) return false;
    const wasEnabled = isEnabled(timer.config);
    timer.config = value;
    // Another vector alone leaves the period that has begun as it is.
    if (isEnabled(value) !== wasEnabled) this.restart(timer);
    return true;
  }

  /** A period begins, or none does. */
  private restart(timer: UnhaltedTimer): void {
    const runs = isEnabled(timer.config) && timer.count !== 0n;
    timer.due = runs ? timer.processor.icount + periodOf(timer) : undefined;
  }

  /**
   * A virtual processor is about to run. Instructions take a tick each, so its timer expires no earlier than after as many ticks as there is
   * run time left.
   */
  beforeEntry({ index }: Processor): void {
    const timer = this.timers[index];
    if (timer?.due === undefined) return;
    const now = this.hyperv.machine.now();
    const expires = now + timer.due - timer.processor.icount;
    // Where a run is cut into slices must make no difference to when this is.
    const looks = (now / LOOK_INTERVAL + 1n) * LOOK_INTERVAL;
    const when = expires < looks ? expires : looks;
    if (when !== timer.alarm.when) timer.alarm.set(when);
  }

  /** The alarm of a virtual processor that hasn't run for long enough is set again where it goes on. */
  private look(index: number): void {
    const timer = this.timers[index];
    if (timer?.due === undefined || timer.processor.icount < timer.due) return;
    timer.due += periodOf(timer);
    this.assists.markUnhaltedTimer(index);
    const vector = vectorOf(timer.config);
    const mode = vector === NMI_VECTOR ? Delivery.NMI : Delivery.FIXED;
    this.hyperv.apic(index).accept(mode, Number(vector), false);
  }

  reset(vcpu: number): void {
    const timer = this.timers[vcpu];
    if (!timer) return;
    timer.config = 0n;
    timer.count = 0n;
    timer.due = undefined;
    timer.alarm.set(undefined);
  }

  inspect(): readonly InspectNode[] {
    return this.timers.flatMap(({ processor, config, count, due }): readonly InspectNode[] => {
      if (config === 0n && count === 0n) return [];
      const vector = vectorOf(config);
      const left = due === undefined || due < processor.icount ? 0n : due - processor.icount;
      return [
        {
          name: `unhalted timer of VP ${processor.index}`,
          value: due === undefined ? 'off' : `every ${count} × 100 ns of run time`,
          detail: due === undefined ? undefined : `in ${left} ns, ${vector === NMI_VECTOR ? 'NMI' : `vector ${hex(vector)}`}`,
        },
      ];
    });
  }
}

function isEnabled(config: bigint): boolean {
  return (config & UnhaltedTimerConfig.ENABLED) !== 0n;
}

function vectorOf(config: bigint): bigint {
  return config & UnhaltedTimerConfig.VECTOR;
}

function isVector(vector: bigint): boolean {
  return vector === NMI_VECTOR || vector >= FIRST_VECTOR;
}

/** In ticks of run time. */
function periodOf({ count }: UnhaltedTimer): bigint {
  return (count < SHORTEST_PERIOD ? SHORTEST_PERIOD : count) * TICKS_PER_UNIT;
}

import { hex } from '../../x86/address.ts';
import type { Clock, Device, InterruptLine, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import { DeviceTimer } from '../timer.ts';
import { fromCalendar, toCalendar } from './calendar.ts';
import * as R from './registers.ts';

export interface RtcCmosState {
  readonly version: 1;
  readonly index: number;
  readonly memory: readonly number[];
  /** Seconds since 1970 at guest time 0. */
  readonly epoch: bigint;
  readonly periodic: bigint | undefined;
  readonly second: bigint | undefined;
}

export interface RtcCmosWorld {
  readonly clock: Clock;
  readonly line: InterruptLine;
  /** Seconds since 1970 when the machine is switched on. */
  readonly startSeconds: bigint;
  /** Bytes of RAM below and above 4 GiB. */
  readonly lowMemory: bigint;
  readonly highMemory: bigint;
  readonly processors: number;
}

const SECOND = 1_000_000_000n;
/** The update-in-progress bit is set for this long before each second. */
const UPDATE_TIME = 244_000n;

/** MC146818 clock with CMOS memory. Its time is the configured start plus guest time. */
export class RtcCmos implements Device<RtcCmosState>, PortDevice {
  readonly name = 'rtc-cmos';
  readonly byteWide = true;
  readonly ports = [{ base: R.INDEX, count: 2 }];

  private index = 0;
  private readonly memory = new Uint8Array(R.CMOS_SIZE);
  private epoch: bigint;
  private readonly periodic: DeviceTimer;
  private readonly second: DeviceTimer;

  constructor(private readonly world: RtcCmosWorld) {
    this.epoch = world.startSeconds;
    this.periodic = new DeviceTimer(world.clock, () => this.onPeriodic());
    this.second = new DeviceTimer(world.clock, () => this.onSecond());
    this.reset();
  }

  reset(): void {
    this.index = 0;
    this.epoch = this.world.startSeconds;
    this.memory.fill(0);
    this.memory[R.Reg.A] = 0x26;
    this.memory[R.Reg.B] = R.B.HOURS_24;
    this.fillMemorySizes();
    this.periodic.set(undefined);
    this.second.set(undefined);
    this.world.line.set(false);
  }

  private fillMemorySizes(): void {
    const { lowMemory, highMemory, processors } = this.world;
    const put16 = (at: number, value: bigint) => {
      this.memory[at] = Number(value & 0xffn);
      this.memory[at + 1] = Number((value >> 8n) & 0xffn);
    };
    const smaller = (value: bigint, limit: bigint) => (value < 0n ? 0n : value < limit ? value : limit);
    put16(R.Reg.BASE_MEMORY, 640n);
    const extended = smaller((lowMemory >> 10n) - 1024n, 0xffffn);
    put16(R.Reg.EXTENDED_MEMORY, extended);
    put16(R.Reg.EXTENDED_MEMORY_COPY, extended);
    put16(R.Reg.HIGH_MEMORY, smaller((lowMemory - 0x100_0000n) >> 16n, 0xffffn));
    put16(R.Reg.VERY_HIGH_MEMORY, (highMemory >> 16n) & 0xffffn);
    this.memory[R.Reg.VERY_HIGH_MEMORY + 2] = Number((highMemory >> 32n) & 0xffn);
    this.memory[R.Reg.PROCESSORS] = processors - 1;
  }

  /** Seconds since 1970 as the clock shows them. */
  get seconds(): bigint {
    return this.epoch + this.world.clock.now() / SECOND;
  }

  private at(register: number): number {
    return this.memory[register] ?? 0;
  }
  private get binary(): boolean {
    return (this.at(R.Reg.B) & R.B.BINARY) !== 0;
  }
  private encode(value: number): number {
    return this.binary ? value : ((Math.floor(value / 10) % 10) << 4) | (value % 10);
  }
  private decode(value: number): number {
    return this.binary ? value : (value >> 4) * 10 + (value & 0xf);
  }
  private encodeHour(hour: number): number {
    if (this.at(R.Reg.B) & R.B.HOURS_24) return this.encode(hour);
    return this.encode(hour % 12 === 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
  }
  private decodeHour(value: number): number {
    if (this.at(R.Reg.B) & R.B.HOURS_24) return this.decode(value);
    return (this.decode(value & 0x7f) % 12) + (value & 0x80 ? 12 : 0);
  }

  /** A register of the running clock; undefined for those that are memory. */
  private readTime(register: number): number | undefined {
    const time = toCalendar(this.seconds);
    switch (register) {
      case R.Reg.SECONDS:
        return this.encode(time.second);
      case R.Reg.MINUTES:
        return this.encode(time.minute);
      case R.Reg.HOURS:
        return this.encodeHour(time.hour);
      case R.Reg.WEEKDAY:
        return this.encode(time.weekday + 1);
      case R.Reg.DAY:
        return this.encode(time.day);
      case R.Reg.MONTH:
        return this.encode(time.month);
      case R.Reg.YEAR:
        return this.encode(time.year % 100);
      case R.Reg.CENTURY:
        return this.encode(Math.floor(time.year / 100));
      default:
        return undefined;
    }
  }

  private writeTime(register: number, raw: number): boolean {
    const now = this.seconds;
    const time = toCalendar(now);
    const value = this.decode(raw);
    const changed = (() => {
      switch (register) {
        case R.Reg.SECONDS:
          return { ...time, second: value };
        case R.Reg.MINUTES:
          return { ...time, minute: value };
        case R.Reg.HOURS:
          return { ...time, hour: this.decodeHour(raw) };
        case R.Reg.DAY:
          return { ...time, day: value };
        case R.Reg.MONTH:
          return { ...time, month: value };
        case R.Reg.YEAR:
          return { ...time, year: time.year - (time.year % 100) + value };
        case R.Reg.CENTURY:
          return { ...time, year: (time.year % 100) + value * 100 };
        default:
          return undefined;
      }
    })();
    if (changed) this.epoch += fromCalendar(changed) - now;
    return changed !== undefined || register === R.Reg.WEEKDAY;
  }

  readPort(port: number): number {
    if (port === R.INDEX) return 0xff;
    const { index } = this;
    switch (index) {
      case R.Reg.A: {
        const intoSecond = this.world.clock.now() % SECOND;
        return (this.at(index) & 0x7f) | (intoSecond >= SECOND - UPDATE_TIME ? R.A_UPDATE : 0);
      }
      case R.Reg.C: {
        const value = this.at(index);
        this.memory[index] = 0;
        this.world.line.set(false);
        return value;
      }
      case R.Reg.D:
        return R.D_VALID;
      default:
        return this.readTime(index) ?? this.at(index);
    }
  }

  writePort(port: number, _size: number, value: number): void {
    if (port === R.INDEX) {
      // Bit 7 masks NMI, which no source of this machine raises.
      this.index = value & 0x7f;
      return;
    }
    const { index } = this;
    if (index === R.Reg.C || index === R.Reg.D) return;
    if (this.writeTime(index, value)) return;
    this.memory[index] = value;
    if (index === R.Reg.A || index === R.Reg.B) this.rearm();
  }

  private rearm(): void {
    const control = this.at(R.Reg.B);
    const rate = this.at(R.Reg.A) & 0xf;
    const wantsPeriodic = (control & R.B.PERIODIC_IRQ) !== 0 && rate !== 0;
    if (!wantsPeriodic) this.periodic.set(undefined);
    else if (this.periodic.when === undefined) this.onPeriodic(false);
    const wantsSecond = (control & (R.B.UPDATE_IRQ | R.B.ALARM_IRQ)) !== 0 && !(control & R.B.SET);
    if (!wantsSecond) this.second.set(undefined);
    else if (this.second.when === undefined) this.second.set((this.world.clock.now() / SECOND + 1n) * SECOND);
  }

  private onPeriodic(fire = true): void {
    // Rates 1 and 2 repeat 8 and 9 (256 and 128 Hz).
    const rate = this.at(R.Reg.A) & 0xf;
    const exponent = rate <= 2 ? rate + 6 : rate - 1;
    this.periodic.set(this.world.clock.now() + (SECOND << BigInt(exponent)) / 32_768n);
    if (fire) this.raise(R.C.PERIODIC, R.B.PERIODIC_IRQ);
  }

  private onSecond(): void {
    this.second.set(undefined);
    this.raise(R.C.UPDATE, R.B.UPDATE_IRQ);
    const alarm = [
      [R.Reg.SECONDS_ALARM, R.Reg.SECONDS],
      [R.Reg.MINUTES_ALARM, R.Reg.MINUTES],
      [R.Reg.HOURS_ALARM, R.Reg.HOURS],
    ] as const;
    // An alarm byte with both top bits set matches anything.
    const matches = alarm.every(([set, current]) => (this.at(set) & 0xc0) === 0xc0 || this.at(set) === this.readTime(current));
    if (matches) this.raise(R.C.ALARM, R.B.ALARM_IRQ);
    this.rearm();
  }

  private raise(flag: number, enable: number): void {
    this.memory[R.Reg.C] = this.at(R.Reg.C) | flag;
    if (!(this.at(R.Reg.B) & enable)) return;
    this.memory[R.Reg.C] = this.at(R.Reg.C) | R.C.IRQ;
    this.world.line.set(false);
    this.world.line.set(true);
  }

  save(): RtcCmosState {
    const { index, epoch } = this;
    return { version: 1, index, memory: [...this.memory], epoch, periodic: this.periodic.when, second: this.second.when };
  }
  restore(state: RtcCmosState): void {
    requireVersion(this.name, state, 1);
    this.index = state.index;
    this.memory.set(state.memory.slice(0, R.CMOS_SIZE));
    this.epoch = state.epoch;
    this.periodic.set(state.periodic);
    this.second.set(state.second);
  }

  inspect(): InspectNode {
    const { year, month, day, hour, minute, second } = toCalendar(this.seconds);
    const two = (value: number) => value.toString().padStart(2, '0');
    return {
      name: this.name,
      value: `${year}-${two(month)}-${two(day)} ${two(hour)}:${two(minute)}:${two(second)}`,
      children: [
        { name: 'index', value: hex(this.index, 2) },
        { name: 'A', value: hex(this.at(R.Reg.A), 2) },
        { name: 'B', value: hex(this.at(R.Reg.B), 2), detail: this.binary ? 'binary' : 'BCD' },
        { name: 'C', value: hex(this.at(R.Reg.C), 2) },
      ],
    };
  }
}

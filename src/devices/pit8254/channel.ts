import { hex } from '../../x86/address.ts';
import type { InspectNode } from '../inspect.ts';
import { Access, FREQUENCY } from './registers.ts';

const SECOND = 1_000_000_000n;

/** Whole input clocks in a span of ns. */
export function toClocks(nanoseconds: bigint): bigint {
  return nanoseconds <= 0n ? 0n : (nanoseconds * FREQUENCY) / SECOND;
}
/** First ns at which `clocks` input clocks have passed. */
export function toNanoseconds(clocks: bigint): bigint {
  return (clocks * SECOND + FREQUENCY - 1n) / FREQUENCY;
}

export interface PitChannelState {
  readonly mode: number;
  readonly access: number;
  readonly bcd: boolean;
  /** 1 to 65536 (10000 in BCD). */
  readonly count: number;
  /** The count was written since the mode was. */
  readonly loaded: boolean;
  readonly gate: boolean;
  /** Guest time at which counting (again) began; undefined while it stands still. */
  readonly since: bigint | undefined;
  /** Clocks counted before `since`. */
  readonly counted: bigint;
  readonly writeLow: number | undefined;
  readonly readHighNext: boolean;
  readonly latched: readonly number[];
  readonly latchedStatus: number | undefined;
}

const RESET: PitChannelState = {
  mode: 3,
  access: Access.BOTH,
  bcd: false,
  count: 0x10000,
  loaded: false,
  gate: true,
  since: undefined,
  counted: 0n,
  writeLow: undefined,
  readHighNext: false,
  latched: [],
  latchedStatus: undefined,
};

/** One counter of the 8254, as a function of guest time. */
export class PitChannel {
  private state: { -readonly [Key in keyof PitChannelState]: PitChannelState[Key] };

  constructor(
    readonly index: number,
    private readonly now: () => bigint,
    /** GATE at reset: channel 2's is low on a PC. */
    private readonly resetGate: boolean,
  ) {
    this.state = { ...RESET, gate: resetGate };
  }

  reset(): void {
    this.state = { ...RESET, gate: this.resetGate };
  }
  save(): PitChannelState {
    return { ...this.state, latched: [...this.state.latched] };
  }
  restore(state: PitChannelState): void {
    this.state = { ...state, latched: [...state.latched] };
  }

  get mode(): number {
    return this.state.mode;
  }
  get gate(): boolean {
    return this.state.gate;
  }

  private get elapsed(): bigint {
    const { since, counted } = this.state;
    return since === undefined ? counted : counted + toClocks(this.now() - since);
  }

  get output(): boolean {
    const { mode, loaded, count, gate } = this.state;
    const elapsed = this.elapsed;
    const period = BigInt(count);
    switch (mode) {
      case 0:
        return loaded && elapsed >= period;
      case 1:
        return !this.triggered || elapsed >= period;
      case 2:
        return !loaded || !gate || elapsed % period !== period - 1n;
      case 3:
        return !loaded || !gate || elapsed % period < (period + 1n) / 2n;
      default:
        return !this.triggered || elapsed !== period;
    }
  }

  /** Whether it counts since a count or a trigger was given. */
  private get triggered(): boolean {
    return this.state.since !== undefined || this.state.counted > 0n;
  }

  /** Guest time of the next rising edge of the output at or after now; undefined when none will come by itself. */
  nextRise(): bigint | undefined {
    const { mode, since, counted, count, loaded } = this.state;
    if (since === undefined || !loaded) return undefined;
    const period = BigInt(count);
    const elapsed = this.elapsed;
    let at: bigint;
    if (mode === 2 || mode === 3) at = (elapsed / period + 1n) * period;
    else {
      at = mode >= 4 ? period + 1n : period;
      if (elapsed >= at) return undefined;
    }
    return since + toNanoseconds(at - counted);
  }

  setGate(level: boolean): void {
    const rising = level && !this.state.gate;
    const { mode } = this.state;
    if (level === this.state.gate) return;
    if (mode === 1 || mode === 5) {
      if (rising && this.state.loaded) this.start();
    } else if (mode === 2 || mode === 3) {
      if (rising && this.state.loaded) this.start();
      else this.stop(0n);
    } else if (rising && this.state.loaded) this.state.since = this.now();
    else this.stop(this.elapsed);
    this.state.gate = level;
  }

  private start(): void {
    this.state.since = this.now();
    this.state.counted = 0n;
  }
  private stop(counted: bigint): void {
    this.state.since = undefined;
    this.state.counted = counted;
  }

  /** Control word: bits 5:4 access, 3:1 mode, 0 BCD. */
  configure(control: number): void {
    const mode = (control >> 1) & 7;
    this.state.mode = mode > 5 ? mode - 4 : mode;
    this.state.access = (control >> 4) & 3;
    this.state.bcd = (control & 1) !== 0;
    this.state.loaded = false;
    this.state.writeLow = undefined;
    this.state.readHighNext = false;
    this.state.latched = [];
    this.state.latchedStatus = undefined;
    this.stop(0n);
  }

  write(value: number): void {
    const { access } = this.state;
    if (access === Access.BOTH && this.state.writeLow === undefined) {
      this.state.writeLow = value;
      // In mode 0 the first byte stops the counter until the second has come.
      if (this.state.mode === 0) this.stop(0n);
      return;
    }
    const low = access === Access.BOTH ? (this.state.writeLow ?? 0) : 0;
    this.state.writeLow = undefined;
    this.load(access === Access.LOW ? value : low | (value << 8));
  }

  private load(raw: number): void {
    const { bcd, mode, gate } = this.state;
    const value = bcd ? fromBcd(raw) : raw;
    this.state.count = value === 0 ? (bcd ? 10_000 : 0x10000) : value;
    if ((mode === 2 || mode === 3) && this.state.count === 1) this.state.count = 2;
    this.state.loaded = true;
    if (mode === 1 || mode === 5) return;
    this.start();
    if (!gate) this.stop(0n);
  }

  private get current(): number {
    const { mode, count, bcd } = this.state;
    const elapsed = this.elapsed;
    const modulus = bcd ? 10_000n : 0x10000n;
    const period = BigInt(count);
    let value: bigint;
    if (mode === 2) value = period - (elapsed % period);
    else if (mode === 3) value = period - ((elapsed * 2n) % period);
    else value = (((period - elapsed) % modulus) + modulus) % modulus;
    const number = Number(value % modulus);
    return bcd ? toBcd(number) : number;
  }

  read(): number {
    const { latchedStatus, latched, access } = this.state;
    if (latchedStatus !== undefined) {
      this.state.latchedStatus = undefined;
      return latchedStatus;
    }
    const [first, ...rest] = latched;
    if (first !== undefined) {
      this.state.latched = rest;
      return first;
    }
    const value = this.current;
    if (access === Access.LOW) return value & 0xff;
    if (access === Access.HIGH) return value >> 8;
    this.state.readHighNext = !this.state.readHighNext;
    return this.state.readHighNext ? value & 0xff : value >> 8;
  }

  /** A second latch before the first was read is ignored. */
  latchCount(): void {
    if (this.state.latched.length > 0) return;
    const value = this.current;
    const low = value & 0xff;
    const high = value >> 8;
    this.state.latched = this.state.access === Access.LOW ? [low] : this.state.access === Access.HIGH ? [high] : [low, high];
  }

  latchStatus(): void {
    const { mode, access, bcd, loaded } = this.state;
    this.state.latchedStatus ??= (this.output ? 0x80 : 0) | (loaded ? 0 : 0x40) | (access << 4) | (mode << 1) | (bcd ? 1 : 0);
  }

  inspect(): InspectNode {
    const { mode, count, loaded, gate } = this.state;
    return {
      name: `channel ${this.index}`,
      value: loaded ? hex(this.current, 4) : 'stopped',
      detail: `mode ${mode}, reload ${hex(count)}, gate ${gate ? 'high' : 'low'}, output ${this.output ? 'high' : 'low'}`,
    };
  }
}

function fromBcd(value: number): number {
  return (value & 0xf) + ((value >> 4) & 0xf) * 10 + ((value >> 8) & 0xf) * 100 + ((value >> 12) & 0xf) * 1000;
}
function toBcd(value: number): number {
  return (
    (value % 10) | ((Math.floor(value / 10) % 10) << 4) | ((Math.floor(value / 100) % 10) << 8) | (Math.floor(value / 1000) << 12)
  );
}

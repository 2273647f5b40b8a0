import type { Handler } from '../stages/stage.ts';
import type { InspectNode } from './inspect.ts';

/** Guest time: what a device may know of the clock. 1 tick = 1 ns, derived from retired instructions. */
export interface Clock {
  now(): bigint;
  /** Calls back at or after `when`, at an instruction boundary. Returns a handle for `cancel`. */
  schedule(when: bigint, callback: () => void): number;
  cancel(handle: number): void;
}

/** A wire into an interrupt controller. */
export interface InterruptLine {
  set(level: boolean): void;
}

/** A device that answers on I/O ports. Values are zero-extended; a read that nothing answers gives all ones. */
export interface PortDevice {
  readonly ports: readonly { readonly base: number; readonly count: number }[];
  /** An 8-bit device: the bus splits wider accesses into bytes at consecutive ports, lowest first. */
  readonly byteWide?: boolean;
  readPort(port: number, size: 1 | 2 | 4): number;
  writePort(port: number, size: 1 | 2 | 4, value: number): void;
  /** The same in stages, where a debugger can step through what the device does. */
  writePortInStages?(port: number, size: 1 | 2 | 4, value: number): Handler;
}

/** A device that answers at guest physical addresses. */
export interface MmioDevice {
  readonly mmio: readonly { readonly base: bigint; readonly length: bigint }[];
  readMmio(gpa: bigint, size: 1 | 2 | 4 | 8): bigint;
  writeMmio(gpa: bigint, size: 1 | 2 | 4 | 8, value: bigint): void;
  /** The same in stages, where a debugger can step through what the device does. */
  writeMmioInStages?(gpa: bigint, size: 1 | 2 | 4 | 8, value: bigint): Handler;
  /** A write there only says that there is work: whoever takes it needs nothing of the device. */
  isDoorbell?(gpa: bigint, size: 1 | 2 | 4 | 8): boolean;
}

/**
 * A device model. It is given its world (clock, lines, memory) in its constructor. `State` is its volatile state: plain,
 * named, versioned data (no functions, structured-cloneable) that `save` copies out and `restore` copies in.
 */
export interface Device<State extends { readonly version: number } = { readonly version: number }> {
  readonly name: string;
  reset(): void;
  save(): State;
  /** Throws a plain sentence when `version` is unknown. */
  restore(state: State): void;
  /** What the guest keeps in the device besides its memory, such as a disk, for the state hash; nothing at switch-on. */
  contents?(): Iterable<Uint8Array>;
  inspect(): InspectNode;
}

export function isPortDevice(device: unknown): device is PortDevice {
  return typeof device === 'object' && device !== null && 'ports' in device;
}

export function isMmioDevice(device: unknown): device is MmioDevice {
  return typeof device === 'object' && device !== null && 'mmio' in device;
}

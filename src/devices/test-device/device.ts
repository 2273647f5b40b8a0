import type { Device, InterruptLine, MmioDevice, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import * as R from './registers.ts';

export interface TestDeviceState {
  readonly version: 1;
  readonly ports: readonly number[];
  readonly lines: readonly boolean[];
  readonly memory: Uint8Array;
}

export interface TestDeviceWorld {
  /** The interrupt line of each number below `LINE_COUNT`. */
  readonly line: (number: number) => InterruptLine;
}

/** What guests that test a machine want from it: interrupt lines that they set themselves, and memory behind ports and MMIO. */
export class TestDevice implements Device<TestDeviceState>, PortDevice, MmioDevice {
  readonly name = 'test-device';
  readonly ports = [
    { base: R.PORTS, count: R.PORTS_LENGTH },
    { base: R.FLUSH, count: R.FLUSH_LENGTH },
    { base: R.LINES, count: R.LINE_COUNT },
  ];
  readonly mmio = [{ base: R.MEMORY, length: BigInt(R.MEMORY_LENGTH) }];
  private readonly lines: readonly InterruptLine[];
  private readonly levels: boolean[] = Array.from({ length: R.LINE_COUNT }, () => false);
  private readonly latches = new Uint8Array(R.PORTS_LENGTH);
  private readonly memory = new Uint8Array(R.MEMORY_LENGTH);

  constructor(world: TestDeviceWorld) {
    this.lines = this.levels.map((_, number) => world.line(number));
  }

  reset(): void {
    this.latches.fill(0);
    this.memory.fill(0);
    this.levels.forEach((_, number) => {
      this.setLine(number, false);
    });
  }

  private setLine(number: number, level: boolean): void {
    if (this.levels[number] === level) return;
    this.levels[number] = level;
    this.lines[number]?.set(level);
  }

  readPort(port: number, size: 1 | 2 | 4): number {
    if (port >= R.LINES) return 0xffff_ffff >>> (32 - size * 8);
    let value = 0;
    for (let index = 0; index < size; index++) value |= (this.latches[port - R.PORTS + index] ?? 0xff) << (8 * index);
    return value >>> 0;
  }
  writePort(port: number, size: 1 | 2 | 4, value: number): void {
    if (port >= R.LINES) this.setLine(port - R.LINES, value !== 0);
    else for (let index = 0; index < size; index++) this.latches[port - R.PORTS + index] = value >>> (8 * index);
  }

  readMmio(gpa: bigint, size: 1 | 2 | 4 | 8): bigint {
    const at = Number(gpa - R.MEMORY);
    let value = 0n;
    for (let index = 0; index < size; index++) value |= BigInt(this.memory[at + index] ?? 0xff) << BigInt(8 * index);
    return value;
  }
  writeMmio(gpa: bigint, size: 1 | 2 | 4 | 8, value: bigint): void {
    const at = Number(gpa - R.MEMORY);
    for (let index = 0; index < size; index++) this.memory[at + index] = Number((value >> BigInt(8 * index)) & 0xffn);
  }

  save(): TestDeviceState {
    return { version: 1, ports: [...this.latches], lines: [...this.levels], memory: this.memory.slice() };
  }
  /** Lines are not driven again: what they lead to restores its own state. */
  restore(state: TestDeviceState): void {
    requireVersion(this.name, state, 1);
    this.latches.set(state.ports);
    this.memory.set(state.memory);
    state.lines.forEach((level, number) => {
      this.levels[number] = level;
    });
  }
  inspect(): InspectNode {
    const high = this.levels.flatMap((level, number) => (level ? [number] : []));
    return { name: this.name, value: high.length > 0 ? `lines ${high.join(', ')} high` : 'all lines low' };
  }
}

import { expect } from 'vitest';
import { statusName } from '../../../../src/platforms/hyperv/abi/status.ts';
import { control } from '../hypercalls/caller.ts';
import { ParentCaller } from './parent-caller.ts';

export const MESSAGES = 0x27_0000n;
export const RINGS = 0x27_1000n;
/** Interrupt source of the parent's doorbells, and its vector. */
export const SOURCE = 5;
const VECTOR = 0x50n;
export const AS_INTERCEPT = 1n << 19n;
export const SELF = 0xffff_ffff_ffff_ffffn;
export const ANY_VP = 0xffff_ffff;
/** Page 0x240 of the parent is page 0 of the child, where its code is. */
const CODE = 0x24_0000n;
export const UNMAPPED = 0x30_0000;

export interface Match {
  readonly gpa?: bigint | number;
  readonly value?: bigint | number;
  /** 0 to 4: any, 1, 2, 4, 8 bytes. */
  readonly size?: number;
  readonly any?: boolean;
  readonly flags?: bigint;
}

/** A write of the child: `mov [gpa], value` in 32-bit code. */
export function writing(gpa: number, value: number, size: 1 | 2 | 4): readonly number[] {
  const bytes = (number: number, count: number) => Array.from({ length: count }, (_, at) => (number >>> (8 * at)) & 0xff);
  const opcode = size === 1 ? [0xc6] : size === 2 ? [0x66, 0xc7] : [0xc7];
  return [...opcode, 0x05, ...bytes(gpa, 4), ...bytes(value, size)];
}

/** A parent that hears of doorbells, with one child that its test has write to memory. */
export class DoorbellGuests {
  readonly parent: ParentCaller;
  readonly child: bigint;
  /** Entry of the ring that the parent takes out next. */
  private tail = 0;

  constructor(vendor: 'intel' | 'amd', { sint = VECTOR, rings = RINGS | 1n } = {}) {
    this.parent = new ParentCaller(vendor);
    const { msrs } = this.parent.platform;
    for (const [msr, value] of [
      [0x4000_0083, MESSAGES | 1n],
      [0x4000_0085, rings],
      [0x4000_0090, 0x40n],
      [0x4000_0090 + SOURCE, sint],
      [0x4000_0080, 1n],
    ] as const)
      expect(msrs.write(this.parent.processor, msr, value)).toBe(true);
    this.parent.platform.apic(0).writeMmio(0xfee0_00f0n, 4, 0x1ffn);
    this.child = this.parent.active();
    this.parent.map(this.child, 0, [0x240, 0x241]);
    for (const [register, value, high] of [
      [0x6_0001, 0n, 0xc09b_0008_ffff_ffffn],
      [0x6_0002, 0n, 0xc093_0010_ffff_ffffn],
      [0x6_0003, 0n, 0xc093_0010_ffff_ffffn],
      [0x4_0000, 0x31n, 0n],
    ] as const)
      this.register(register, value, high);
  }

  register(register: number, value: bigint | number, high: bigint = 0n): void {
    const { status } = this.parent.list(
      0x51,
      1,
      ...([
        [this.child, 8],
        [0, 8],
        [register, 4],
        [0, 12],
        [value, 8],
        [high, 8],
      ] as const),
    );
    expect(status).toBe(0);
  }

  /** Makes a simple call; the name of its status. */
  status(code: number, ...fields: readonly (readonly [bigint | number, number])[]): string {
    return statusName(this.parent.simple(code, ...fields)).replace('HV_STATUS_', '');
  }

  /** A doorbell port of the parent; the name of the call's status. */
  createPort(id: number, { owner = SELF, from = this.child, source = SOURCE, vp = ANY_VP } = {}): string {
    return this.status(0x95, [owner, 8], [id, 4], [0, 4], [from, 8], [4, 4], [0, 4], [source, 4], [vp, 4], [0, 8], [0, 8]);
  }

  connect(id: number, port: number, match: Match = {}, from = this.child): string {
    const { gpa = UNMAPPED, value = 0, size = 0, any = false } = match;
    const flags = match.flags ?? BigInt(size) | (any ? 0x8000_0000n : 0n);
    return this.status(
      0x96,
      ...([
        [from, 8],
        [id, 4],
        [0, 4],
        [SELF, 8],
        [port, 4],
        [0, 4],
        [4, 4],
        [0, 4],
        [gpa, 8],
        [value, 8],
        [flags, 8],
        [0, 8],
      ] as const),
    );
  }

  /** Both: the number is the port's and the connection's, as Linux has it. */
  doorbell(id: number, match: Match): void {
    expect([this.createPort(id), this.connect(id, id, match)]).toEqual(['SUCCESS', 'SUCCESS']);
  }

  disconnect(id: number, flags = 1): string {
    return this.status(0x5b, [this.child, 8], [id, 4], [flags, 4]);
  }
  deletePort(id: number): string {
    return this.status(0x58, [SELF, 8], [id, 8]);
  }
  notifyEmpty(source = SOURCE): string {
    const result = this.parent.round(control(0x8b, { fast: true }), BigInt(source));
    return statusName(result.status).replace('HV_STATUS_', '');
  }

  /** The child runs code, behind which it goes round in circles. Gives what came of its exits. */
  runs(...code: readonly number[]): readonly string[] {
    this.parent.write(CODE, Uint8Array.from([...code, 0xeb, 0xfe]));
    this.register(0x2_0010, 0);
    const partition = this.parent.running(this.child);
    const before = partition.journal.latest(1)[0]?.seq ?? 0;
    for (const suspend of [1, 0]) this.register(suspend, 0);
    for (let rounds = 0; rounds < 20; rounds++) partition.run({ instructions: 1000, until: partition.now() + 5000n });
    return partition.journal
      .latest(100)
      .filter(({ seq }) => seq > before)
      .map(({ result }) => result ?? '');
  }

  /** The ports in the parent's ring, taken out as Linux does. */
  drain(): readonly number[] {
    const ring = RINGS + BigInt(SOURCE * 256);
    const ports: number[] = [];
    for (;;) {
      const at = ring + 4n + BigInt(this.tail * 4);
      const port = this.parent.read(at, 4).getUint32(0, true);
      if (port === 0) break;
      ports.push(port);
      this.parent.write(at, new Uint8Array(4));
      this.tail = (this.tail + 1) % 63;
    }
    this.parent.write(ring, Uint8Array.of(0));
    return ports;
  }

  /** Type of the message at source 0, which is taken; 0 for none. */
  takeMessage(): number {
    const type = this.parent.read(MESSAGES, 4).getUint32(0, true);
    this.parent.write(MESSAGES, new Uint8Array(4));
    this.parent.platform.msrs.write(this.parent.processor, 0x4000_0084, 0n);
    return type;
  }

  /** The vector of the parent's doorbells waits for it. */
  get isInterrupted(): boolean {
    return this.parent.platform.apic(0).highestRequest === Number(VECTOR);
  }
}

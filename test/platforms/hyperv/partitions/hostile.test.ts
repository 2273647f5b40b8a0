import { describe, expect, test } from 'vitest';
import { Random } from '../../../support/random.ts';
import { bytesOf, control, INPUT } from '../hypercalls/caller.ts';
import { ParentCaller } from './parent-caller.ts';

const MESSAGES = 0x27_0000n;
const EXPLICIT_SUSPEND = 0;
const INTERCEPT_SUSPEND = 1;
const RIP = 0x2_0010;
const CHILD_PAGES = [0x240, 0x241, 0x242, 0x243];
const SECRET = new Uint8Array(4096).fill(0x5e);

/** A parent that takes messages of its children at source 0. */
function listening(vendor: 'intel' | 'amd'): ParentCaller {
  const parent = new ParentCaller(vendor);
  const { msrs } = parent.platform;
  for (const [msr, value] of [
    [0x4000_0083, MESSAGES | 1n],
    [0x4000_0090, 0x40n],
    [0x4000_0080, 1n],
  ] as const)
    expect(msrs.write(parent.processor, msr, value)).toBe(true);
  return parent;
}

function setRegister(
  parent: ParentCaller,
  child: bigint,
  register: number,
  value: bigint | number,
  high: bigint | number = 0,
): number {
  return parent.list(0x51, 1, [child, 8], [0, 8], [register, 4], [0, 12], [value, 8], [high, 8]).status;
}

/** Takes the message that waits; gives its type and the child's RIP. */
function takeMessage(parent: ParentCaller): { readonly type: number; readonly rip: bigint } | undefined {
  const slot = parent.read(MESSAGES, 256);
  const type = slot.getUint32(0, true);
  if (type === 0) return undefined;
  parent.write(MESSAGES, new Uint8Array(4));
  parent.platform.msrs.write(parent.processor, 0x4000_0084, 0n);
  return { type, rip: slot.getBigUint64(16 + 24, true) };
}

describe.each(['intel', 'amd'] as const)('on %s', (vendor) => {
  test('a child that runs bytes by chance reaches nothing but its own pages, and ends nobody', () => {
    const random = new Random(vendor === 'intel' ? 11 : 12);
    const parent = listening(vendor);
    const child = parent.active(1n << 8n);
    parent.write(0x20_8000n, SECRET);
    const code = new Uint8Array(CHILD_PAGES.length * 4096);
    const types = new Set<number>();
    parent.map(child, 0, CHILD_PAGES);
    for (const port of [0, 0x3f8]) parent.simple(0x4d, [child, 8], [3, 4], [0, 4], [port, 8]);
    for (const vector of [6, 13, 14]) parent.simple(0x4d, [child, 8], [4, 4], [3, 4], [vector, 8]);
    parent.simple(0x4d, [child, 8], [3, 4], [1, 4], [0x1b, 8]);
    // Doorbells in a page that is mapped and in one that isn't, and a page in common.
    for (const [id, gpa] of [
      [1, 0x3000],
      [2, 0x4000],
    ] as const) {
      expect(parent.simple(0x95, [-1, 8], [id, 8], [child, 8], [4, 8], [5, 4], [-1, 4], [0, 16])).toBe(0);
      const flags = 0x8000_0000n;
      expect(parent.simple(0x96, [child, 8], [id, 8], [-1, 8], [id, 8], [4, 8], [gpa, 8], [0, 8], [flags, 8], [0, 8])).toBe(0);
    }
    expect(parent.simple(0x95, [-1, 8], [3, 8], [child, 8], [3, 8], [0x26_0000, 8], [0, 16])).toBe(0);
    expect(parent.simple(0x96, [child, 8], [3, 8], [-1, 8], [3, 8], [3, 8], [0x2000, 8], [0, 24])).toBe(0);
    const partition = parent.running(child);
    for (const [register, value, high] of [
      [0x6_0001, 0n, 0xc09b_0008_ffff_ffffn],
      [0x6_0002, 0n, 0xc093_0010_ffff_ffffn],
      [0x6_0003, 0n, 0xc093_0010_ffff_ffffn],
      [0x4_0000, 0x31n, 0n],
    ] as const)
      expect(setRegister(parent, child, register, value, high)).toBe(0);
    for (let round = 0; round < 15; round++) {
      for (let at = 0; at < code.length; at++) code[at] = random.below(256);
      parent.write(0x24_0000n, code);
      setRegister(parent, child, RIP, random.below(code.length));
      setRegister(parent, child, 0x2_0004, 0x3000);
      setRegister(parent, child, INTERCEPT_SUSPEND, 0);
      setRegister(parent, child, EXPLICIT_SUSPEND, 0);
      for (let messages = 0; messages < 20 && !partition.end; messages++) {
        partition.run({ instructions: 2000, until: partition.now() + 5000n });
        const message = takeMessage(parent);
        if (!message) continue;
        types.add(message.type);
        setRegister(parent, child, RIP, message.rip + 1n);
        setRegister(parent, child, INTERCEPT_SUSPEND, 0);
      }
      if (partition.end) break;
    }
    expect(partition.end?.kind).not.toBe('internal-error');
    expect(parent.partition.end).toBeUndefined();
    expect(types.size).toBeGreaterThan(1);
    expect(new Uint8Array(parent.read(0x20_8000n, 4096).buffer)).toEqual(SECRET);
    expect(indexOf(partition.memory.bytes, SECRET.subarray(0, 64))).toBe(-1);
    expect(parent.simple(0x42, [child, 8])).toBe(0);
  });

  test('a parent that calls by chance gets statuses, and its memory back', () => {
    const random = new Random(vendor === 'intel' ? 21 : 22);
    const parent = listening(vendor);
    const codes = [
      0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0x53, 0x54,
      0x6e, 0x91, 0x92, 0x94, 0x95, 0x96, 0x99,
    ];
    const lists = new Set([0x48, 0x49, 0x4b, 0x4c, 0x50, 0x51, 0x6e]);
    const small = () => random.below(4);
    const page = () => 0x240 + random.below(0x1c0);
    const statuses = new Set<number>();
    for (let call = 0; call < 800; call++) {
      const code = codes[random.below(codes.length)] ?? 0x40;
      const fields = Array.from({ length: 12 }, (_, index): readonly [number, number] => {
        if (index === 0) return [random.below(10) === 0 ? random.below(1 << 30) : 2 + random.below(12), 8];
        return [[small(), page(), 0x2_0000 + random.below(32), random.below(1 << 30)][small()] ?? 0, index % 3 === 0 ? 4 : 8];
      });
      parent.write(INPUT, bytesOf(...fields));
      const reps = lists.has(code) ? 1 + random.below(6) : 0;
      statuses.add(parent.round(control(code, { reps })).status);
      for (const { running } of parent.platform.children.all)
        if (running && random.below(20) === 0)
          running.partition.run({ instructions: 200, until: running.partition.now() + 2000n });
      takeMessage(parent);
    }
    expect(parent.partition.end).toBeUndefined();
    expect(statuses.size).toBeGreaterThan(8);
    for (const { running } of parent.platform.children.all) expect(running?.partition.end?.kind).not.toBe('internal-error');
    // The end of a parent ends its children, and all pages are its own again.
    parent.partition.finish({ kind: 'power-off', status: 0, message: 'over' });
    for (const { running } of parent.platform.children.all) expect(running).toBeUndefined();
    for (let number = 0x240n; number < 0x400n; number++) expect(parent.partition.memory.lentAt(number << 12n)).toBeUndefined();
  });
});

function indexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(wanted);
}

import { expect, test } from 'vitest';
import { PcDevices } from '../../src/devices/pc/pc.ts';
import { PORT_REFERENCE } from '../../src/devices/port-reference.ts';
import { Random } from '../support/random.ts';
import { FakeClock } from './fake-clock.ts';

const SIZES = [1, 2, 4] as const;
const WIDE = [1, 2, 4, 8] as const;
const MSR_BASE = 0x800;

function machine() {
  const clock = new FakeClock();
  const apicBase = [0xfee0_0900n, 0xfee0_0c00n];
  const pc = new PcDevices({
    clock,
    cpus: apicBase.map((base) => ({
      apicBase: () => base,
      tsc: () => clock.now(),
      core: { nmi: () => {}, init: () => {}, startUp: () => {} },
    })),
    startSeconds: 1_767_225_600n,
    lowMemory: 64n << 20n,
    highMemory: 0n,
    serialOut: () => {},
    debugOut: () => {},
    powerOff: () => {},
    reset: () => {},
    debugExit: () => {},
  });
  return { clock, pc };
}

/** One random thing that a guest can do to the devices. */
function step(random: Random, { clock, pc }: ReturnType<typeof machine>): void {
  const { first, last } = random.pick(PORT_REFERENCE);
  const port = random.below(8) === 0 ? random.below(0x1_0000) : first + random.below(last - first + 1);
  const size = random.pick(SIZES);
  const value = random.below(0x1_0000_0000);
  switch (random.below(8)) {
    case 0:
    case 1:
    case 2:
      pc.ports.write(port, size, size === 4 ? value : value & ((1 << (size * 8)) - 1));
      break;
    case 3:
    case 4: {
      const read = pc.ports.read(port, size);
      expect(Number.isInteger(read) && read >= 0 && read <= 0xffff_ffff >>> (32 - size * 8)).toBe(true);
      break;
    }
    case 5: {
      const gpa = random.pick([0xfee0_0000n, 0xfec0_0000n]) + BigInt(random.below(0x1000) & ~(random.below(4) === 0 ? 0 : 15));
      const width = random.pick(WIDE);
      if (random.below(2) === 0) pc.writeMmio(0, gpa, width, BigInt(value));
      else expect(pc.readMmio(0, gpa, width) >> BigInt(width * 8)).toBe(0n);
      break;
    }
    case 6: {
      const apic = pc.localApics[1];
      const msr = MSR_BASE + random.below(0x100);
      if (random.below(2) === 0) apic?.writeMsr(msr, BigInt(value));
      else apic?.readMsr(msr);
      if (random.below(16) === 0 && apic) apic.timer.tscDeadline = clock.now() + BigInt(random.below(10_000));
      break;
    }
    default:
      clock.advance(BigInt(random.below(100_000)));
      for (const apic of pc.localApics)
        if (apic.hasInterrupt()) {
          const vector = apic.acknowledge();
          expect(vector >= 0 && vector <= 255).toBe(true);
        }
      break;
  }
}

test('no sequence of accesses makes a device throw or hang', () => {
  const random = new Random(1);
  const fuzzed = machine();
  for (let index = 0; index < 200_000; index++) step(random, fuzzed);
  expect(fuzzed.pc.inspect().children?.length).toBeGreaterThan(5);
});

test('a restored machine goes on as the saved one', () => {
  const first = machine();
  const random = new Random(2);
  for (let index = 0; index < 5000; index++) step(random, first);
  const snapshot = structuredClone(first.pc.save());
  const second = machine();
  second.clock.advance(first.clock.now());
  second.pc.restore(snapshot);
  expect(second.pc.save()).toEqual(snapshot);
  const left = new Random(3);
  const right = new Random(3);
  for (let index = 0; index < 5000; index++) {
    step(left, first);
    step(right, second);
  }
  expect(second.pc.save()).toEqual(first.pc.save());
});

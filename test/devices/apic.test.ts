import { beforeEach, describe, expect, test } from 'vitest';
import { IoApic } from '../../src/devices/io-apic/device.ts';
import { ApicBus } from '../../src/devices/local-apic/apic-bus.ts';
import { LocalApic } from '../../src/devices/local-apic/device.ts';
import { FakeClock } from './fake-clock.ts';

const BASE = 0xfee0_0000n;
let clock: FakeClock;
let bus: ApicBus;
let ioApic: IoApic;
let apics: LocalApic[];
let events: string[];
let apicBase: bigint[];
let picVector: number | undefined;

const write = (cpu: number, offset: number, value: number) =>
  apics[cpu]?.writeMmio(BASE + BigInt(offset), 4, BigInt(value >>> 0));
const read = (cpu: number, offset: number) => Number(apics[cpu]?.readMmio(BASE + BigInt(offset), 4));
const apic = (cpu: number) => {
  const found = apics[cpu];
  if (!found) throw new Error('no such APIC');
  return found;
};
const redirect = (pin: number, low: number, high = 0) => {
  ioApic.writeMmio(0xfec0_0000n, 4, BigInt(0x11 + pin * 2));
  ioApic.writeMmio(0xfec0_0010n, 4, BigInt(high >>> 0));
  ioApic.writeMmio(0xfec0_0000n, 4, BigInt(0x10 + pin * 2));
  ioApic.writeMmio(0xfec0_0010n, 4, BigInt(low >>> 0));
};

beforeEach(() => {
  clock = new FakeClock();
  bus = new ApicBus();
  events = [];
  picVector = undefined;
  apicBase = [0xfee0_0900n, 0xfee0_0800n, 0xfee0_0800n];
  ioApic = new IoApic({ bus });
  apics = apicBase.map(
    (_, id) =>
      new LocalApic({
        clock,
        id,
        bus,
        apicBase: () => apicBase[id] ?? 0n,
        tsc: () => clock.now() + 500n,
        core: {
          nmi: () => events.push(`nmi ${id}`),
          init: () => events.push(`init ${id}`),
          startUp: (vector) => events.push(`sipi ${id} ${vector}`),
        },
        pic: {
          hasInterrupt: () => picVector !== undefined,
          acknowledge: () => picVector ?? 7,
        },
      }),
  );
  for (let cpu = 0; cpu < 3; cpu++) write(cpu, 0xf0, 0x1ff);
});

describe('the local APIC', () => {
  test('delivers by priority and ends the highest in service', () => {
    apic(0).accept(0, 0x41, false);
    apic(0).accept(0, 0x52, false);
    expect(apic(0).acknowledge()).toBe(0x52);
    expect(apic(0).hasInterrupt()).toBe(false);
    write(0, 0xb0, 0);
    expect(apic(0).acknowledge()).toBe(0x41);
  });

  test('holds back what TPR forbids', () => {
    write(0, 0x80, 0x40);
    apic(0).accept(0, 0x4f, false);
    expect(apic(0).hasInterrupt()).toBe(false);
    apic(0).setTpr(0x3f);
    expect(apic(0).hasInterrupt()).toBe(true);
    expect(read(0, 0xa0)).toBe(0x3f);
  });

  test('passes the PIC on through LINT0 of the boot processor, and directly while disabled', () => {
    picVector = 0x20;
    expect(apic(0).hasInterrupt()).toBe(true);
    expect(apic(1).hasInterrupt()).toBe(false);
    expect(apic(0).acknowledge()).toBe(0x20);
    write(0, 0x350, 0x10700);
    expect(apic(0).hasInterrupt()).toBe(false);
    apicBase[0] = 0xfee0_0100n;
    expect(apic(0).hasInterrupt()).toBe(true);
  });

  test('goes on counting when its timer changes between one shot and periodic', () => {
    const [ONE_SHOT, PERIODIC] = [0x40, 0x2_0040];
    write(0, 0x3e0, 0xb);
    write(0, 0x320, PERIODIC);
    write(0, 0x380, 10_000);
    clock.advance(24_000n);
    write(0, 0x320, ONE_SHOT);
    expect(read(0, 0x390)).toBe(6_000);
    clock.advance(2_000n);
    write(0, 0x320, PERIODIC);
    expect(read(0, 0x390)).toBe(4_000);
    write(0, 0x320, ONE_SHOT);
    clock.advance(20_000n);
    expect(read(0, 0x390)).toBe(0);
    // Spent: only a new initial count starts it.
    write(0, 0x320, PERIODIC);
    expect([read(0, 0x390), read(0, 0x380)]).toEqual([0, 10_000]);
    clock.advance(5_000n);
    expect(read(0, 0x390)).toBe(0);
    write(0, 0x380, 10_000);
    clock.advance(1_000n);
    expect(read(0, 0x390)).toBe(9_000);
  });

  test('has its first id again when it is switched off and on', () => {
    write(1, 0x20, 0x500_0000);
    apic(1).baseChanged(0xfee0_0800n);
    expect(read(1, 0x20)).toBe(0x500_0000);
    apic(1).baseChanged(0xfee0_0000n);
    expect(read(1, 0x20)).toBe(0x100_0000);
  });

  test('fires its timer once, or periodically', () => {
    write(0, 0x3e0, 0b1011);
    write(0, 0x320, 0x30);
    write(0, 0x380, 1000);
    clock.advance(400n);
    expect(read(0, 0x390)).toBe(600);
    clock.advance(600n);
    expect(apic(0).acknowledge()).toBe(0x30);
    write(0, 0xb0, 0);
    expect(read(0, 0x390)).toBe(0);
    write(0, 0x320, 0x2_0030);
    write(0, 0x3e0, 0);
    write(0, 0x380, 1000);
    let fired = 0;
    for (let tick = 0; tick < 10; tick++) {
      clock.advance(1000n);
      if (!apic(0).hasInterrupt()) continue;
      fired++;
      apic(0).acknowledge();
      write(0, 0xb0, 0);
    }
    expect(fired).toBe(5);
  });

  test('fires at a TSC deadline, at once when it has passed', () => {
    write(0, 0x320, 0x4_0031);
    apic(0).timer.tscDeadline = 1500n;
    clock.advance(999n);
    expect(apic(0).hasInterrupt()).toBe(false);
    clock.advance(1n);
    expect(apic(0).acknowledge()).toBe(0x31);
    expect(apic(0).timer.tscDeadline).toBe(0n);
    write(0, 0xb0, 0);
    apic(0).timer.tscDeadline = 3n;
    clock.advance(0n);
    expect(apic(0).hasInterrupt()).toBe(true);
  });

  test('sends IPIs by id, shorthand and logical destination', () => {
    write(0, 0x310, 1 << 24);
    write(0, 0x300, 0x0_0040);
    expect([0, 1, 2].map((cpu) => apic(cpu).hasInterrupt())).toEqual([false, true, false]);
    write(0, 0x300, 0xc_0041);
    expect(apic(2).acknowledge()).toBe(0x41);
    expect(apic(0).hasInterrupt()).toBe(false);
    write(2, 0xd0, 0x0400_0000);
    write(0, 0x310, 0x0400_0000);
    write(0, 0x300, 0x0_0843);
    write(2, 0xb0, 0);
    expect(apic(2).acknowledge()).toBe(0x43);
  });

  test('starts other processors with INIT and SIPI, and sends NMIs', () => {
    write(0, 0x300, 0xc_4500);
    write(0, 0x300, 0xc_4608);
    write(0, 0x300, 0x8_8500);
    write(0, 0x310, 2 << 24);
    write(0, 0x300, 0x0_4400);
    expect(events).toEqual(['init 1', 'init 2', 'sipi 1 8', 'sipi 2 8', 'nmi 2']);
  });

  test('reports illegal vectors and registers in ESR', () => {
    write(0, 0x300, 0x4_0005);
    write(0, 0x280, 0);
    expect(read(0, 0x280)).toBe(0x20);
    read(0, 0x3f0);
    write(0, 0x280, 0);
    expect(read(0, 0x280)).toBe(0x80);
  });

  test('speaks through MSRs in x2APIC mode only', () => {
    expect(apic(1).readMsr(0x802)).toBeUndefined();
    apicBase[1] = 0xfee0_0c00n;
    expect(apic(1).readMsr(0x802)).toBe(1n);
    expect(apic(1).readMsr(0x80d)).toBe(2n);
    expect(apic(1).answersAt(BASE)).toBe(false);
    expect(apic(1).writeMsr(0x83f, 0x77n)).toBe(true);
    expect([0x100n, 0xff00n, 0xff00_0000n].map((value) => apic(1).writeMsr(0x83f, value))).toEqual([false, false, false]);
    expect(apic(1).acknowledge()).toBe(0x77);
    expect(apic(1).writeMsr(0x80b, 1n)).toBe(false);
    expect(apic(1).writeMsr(0x80b, 0n)).toBe(true);
    expect(apic(1).writeMsr(0x830, (2n << 32n) | 0x50n)).toBe(true);
    expect(apic(2).acknowledge()).toBe(0x50);
  });

  test('are all reached by a destination of ones: 32 of them in x2APIC mode', () => {
    const CPUS = [0, 1, 2];
    const reached = () => {
      const vectors = CPUS.map((cpu) => (apic(cpu).hasInterrupt() ? apic(cpu).acknowledge() : 0));
      for (const cpu of CPUS)
        if (cpu === 1) apic(cpu).writeMsr(0x80b, 0n);
        else write(cpu, 0xb0, 0);
      return vectors;
    };
    apicBase[1] = 0xfee0_0c00n;
    apic(1).writeMsr(0x830, (0xffn << 32n) | 0x50n);
    expect(reached()).toEqual([0, 0, 0]);
    for (const logical of [0n, 0x800n]) {
      apic(1).writeMsr(0x830, (0xffff_ffffn << 32n) | logical | 0x51n);
      expect(reached()).toEqual([0x51, 0x51, 0x51]);
    }
    // The 8 bits of xAPIC mode and of redirection entries name everybody too.
    write(0, 0x310, 0xff << 24);
    write(0, 0x300, 0x52);
    expect(reached()).toEqual([0x52, 0x52, 0x52]);
    redirect(4, 0x63, 0xff << 24);
    ioApic.setLine(4, true);
    expect(reached()).toEqual([0x63, 0x63, 0x63]);
  });

  test('masks all entries when software disables it', () => {
    write(0, 0x320, 0x30);
    write(0, 0xf0, 0xff);
    expect(read(0, 0x320)).toBe(0x1_0030);
  });

  test('keeps its state over save and restore', () => {
    apic(0).accept(0, 0x61, true);
    const state = structuredClone(apic(0).save());
    apic(0).reset();
    expect(apic(0).hasInterrupt()).toBe(false);
    apic(0).restore(state);
    expect(apic(0).acknowledge()).toBe(0x61);
  });
});

describe('the I/O APIC', () => {
  test('has 24 masked pins at reset', () => {
    ioApic.writeMmio(0xfec0_0000n, 4, 1n);
    expect(ioApic.readMmio(0xfec0_0010n)).toBe(0x17_0020n);
    ioApic.setLine(4, true);
    expect(apics.some((each) => each.hasInterrupt())).toBe(false);
  });

  test('sends an edge once', () => {
    redirect(4, 0x44, 1 << 24);
    ioApic.setLine(4, true);
    ioApic.setLine(4, true);
    expect(apic(1).acknowledge()).toBe(0x44);
    expect(apic(1).hasInterrupt()).toBe(false);
  });

  test('repeats a level until its line falls, one at a time', () => {
    redirect(5, 0x8045, 0);
    ioApic.setLine(5, true);
    expect(apic(0).acknowledge()).toBe(0x45);
    ioApic.writeMmio(0xfec0_0000n, 4, 0x1an);
    expect(ioApic.readMmio(0xfec0_0010n) & 0x4000n).toBe(0x4000n);
    write(0, 0xb0, 0);
    expect(apic(0).acknowledge()).toBe(0x45);
    ioApic.setLine(5, false);
    write(0, 0xb0, 0);
    expect(apic(0).hasInterrupt()).toBe(false);
  });

  test('chooses the processor of lowest priority', () => {
    for (let cpu = 0; cpu < 3; cpu++) write(cpu, 0xd0, 0x0100_0000 << cpu);
    write(0, 0x80, 0x20);
    redirect(6, 0x0946, 0x0700_0000);
    ioApic.setLine(6, true);
    expect([0, 1, 2].map((cpu) => apic(cpu).hasInterrupt())).toEqual([false, true, false]);
  });
});

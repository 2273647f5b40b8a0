import { describe, expect, test } from 'vitest';
import { MONITOR_DISABLED } from '../../../../src/platforms/hyperv/abi/synic.ts';
import { bytesOf } from '../hypercalls/caller.ts';
import { DoorbellGuests, SELF, writing } from './doorbell-guests.ts';

/** Where the page lies in the parent, and in the child. */
const HERE = 0x26_0000n;
const THERE = 0x1000;
const EVENTS = 0x27_2000n;
const EVENT_SOURCE = 4;
/** Number of the child's connection for events, and the flag of its trigger 33. */
const EVENT = 0x20;
const FLAG = 3;
const TRIGGER = 33;
const LATENCY = 200;
const PORT = 9;

const STATE = 0;
const PENDING = 8 + 8;
const ARMED = 12 + 8;

/** A parent and a child that have a monitor page in common, with one trigger; its group is off. */
class MonitorGuests extends DoorbellGuests {
  constructor(vendor: 'intel' | 'amd' = 'intel') {
    super(vendor);
    const { msrs } = this.parent.platform;
    msrs.write(this.parent.processor, 0x4000_0082, EVENTS | 1n);
    msrs.write(this.parent.processor, 0x4000_0090 + EVENT_SOURCE, 0x60n);
    this.status(0x95, [SELF, 8], [1, 8], [this.child, 8], [2, 8], [EVENT_SOURCE, 4], [0, 4], [0, 2], [8, 6], [0, 8]);
    this.status(0x96, [this.child, 8], [EVENT, 8], [SELF, 8], [1, 8], [2, 8], [0, 32]);
  }

  createMonitor(gpa: bigint | number = HERE, id = PORT, owner = SELF): string {
    return this.status(0x95, [owner, 8], [id, 8], [this.child, 8], [3, 8], [gpa, 8], [0, 8], [0, 8]);
  }
  connectMonitor(gpa: bigint | number = THERE, from = this.child, port = PORT): string {
    return this.status(0x96, [from, 8], [port, 8], [SELF, 8], [port, 8], [3, 8], [gpa, 8], [0, 24]);
  }

  /** Both, and the trigger. The child runs from then on. */
  begin(): this {
    expect([this.createMonitor(), this.connectMonitor()]).toEqual(['SUCCESS', 'SUCCESS']);
    this.parent.write(HERE + 576n + BigInt(TRIGGER * 2), bytesOf([LATENCY, 2]));
    this.parent.write(HERE + 1088n + BigInt(TRIGGER * 8), bytesOf([EVENT, 4], [FLAG, 2]));
    this.runs();
    return this;
  }

  get state(): number {
    return this.word(STATE);
  }
  /** A word of the page, as the parent sees it. */
  word(offset: number): number {
    return this.parent.read(HERE + BigInt(offset), 4).getUint32(0, true);
  }
  /** The event flags that the parent has. */
  get events(): number {
    return this.parent.read(EVENTS + BigInt(EVENT_SOURCE * 256), 4).getUint32(0, true);
  }
  /** Lets the child's time pass. */
  passes(ticks: bigint): void {
    const partition = this.parent.running(this.child);
    const until = partition.now() + ticks;
    for (let rounds = 0; partition.now() < until; rounds++) {
      if (rounds === 100) throw new Error('the child stands still');
      partition.run({ instructions: 100_000, until });
    }
  }
  now(): bigint {
    return this.parent.running(this.child).now();
  }
}

describe.each(['intel', 'amd'] as const)('on %s, a monitor page', (vendor) => {
  test('is one that both partitions have, without an exit', () => {
    const guests = new MonitorGuests(vendor).begin();
    expect(guests.runs(...writing(THERE + 0x900, 0x1234_5678, 4), ...writing(THERE + 0x904, 0x77, 1))).toEqual([]);
    expect([guests.word(0x900), guests.word(0x904)]).toEqual([0x1234_5678, 0x77]);
    guests.parent.write(HERE + 0x910n, bytesOf([0xabcd, 4]));
    // lock bts dword [0x1910], 4; mov eax, [0x1910]; mov [0x1914], eax
    guests.runs(0xf0, 0x0f, 0xba, 0x2d, 0x10, 0x19, 0, 0, 4, 0xa1, 0x10, 0x19, 0, 0, 0xa3, 0x14, 0x19, 0, 0);
    expect([guests.word(0x910), guests.word(0x914)]).toEqual([0xabdd, 0xabdd]);
  });

  test('has a trigger signalled as its event, at least its latency later', () => {
    const guests = new MonitorGuests(vendor).begin();
    expect(guests.state & MONITOR_DISABLED).toBe(0);
    guests.runs(...writing(THERE + STATE, 2, 1), ...writing(THERE + PENDING, 1 << (TRIGGER - 32), 4));
    const period = BigInt(LATENCY * 100);
    guests.passes(10n * period);
    expect([guests.events, guests.word(PENDING), guests.word(ARMED)]).toEqual([1 << FLAG, 0, 0]);
    guests.parent.write(EVENTS + BigInt(EVENT_SOURCE * 256), new Uint8Array(4));
    // From one look to behind the next but one.
    guests.passes(period - (guests.now() % period) + 1n);
    guests.parent.write(HERE + BigInt(PENDING), bytesOf([2, 4]));
    guests.passes(period);
    expect([guests.events, guests.word(PENDING), guests.word(ARMED)]).toEqual([0, 2, 2]);
    guests.passes(period);
    expect(guests.events).toBe(1 << FLAG);
  });
});

describe('a monitor page', () => {
  test('is not looked at in a group that is off, and nothing is lost', () => {
    const guests = new MonitorGuests().begin();
    guests.runs(...writing(THERE + PENDING, 2, 4));
    guests.passes(1_000_000n);
    expect([guests.events, guests.word(PENDING)]).toEqual([0, 2]);
    guests.runs(...writing(THERE + STATE, 2, 1));
    guests.passes(1_000_000n);
    expect(guests.events).toBe(1 << FLAG);
  });

  test('does not signal what the guest has disarmed, until it stays', () => {
    const guests = new MonitorGuests().begin();
    const period = BigInt(LATENCY * 100);
    guests.runs(...writing(THERE + STATE, 2, 1));
    guests.passes(period - (guests.now() % period) + 1n);
    guests.parent.write(HERE + BigInt(PENDING), bytesOf([2, 4]));
    for (let looks = 0; looks < 5; looks++) {
      guests.passes(period);
      expect([guests.word(ARMED), guests.events]).toEqual([2, 0]);
      guests.parent.write(HERE + BigInt(ARMED), bytesOf([0, 4]));
    }
    guests.passes(2n * period);
    expect(guests.events).toBe(1 << FLAG);
  });

  test('wakes a parent that waits, also when the child has stopped for good', () => {
    const guests = new MonitorGuests().begin();
    const { platform } = guests.parent;
    const isAwaited = () => platform.awaitsOthers();
    expect(isAwaited()).toBe(true);
    // cli; hlt
    guests.runs(0xfa, 0xf4);
    expect(isAwaited()).toBe(false);
    guests.parent.write(HERE, bytesOf([2, 1]));
    guests.parent.write(HERE + BigInt(PENDING), bytesOf([2, 4]));
    expect(isAwaited()).toBe(true);
    const child = guests.parent.running(guests.child);
    for (let rounds = 0; rounds < 3; rounds++) child.run({ instructions: 1000, until: child.now() + 1_000_000n });
    expect([guests.events, isAwaited()]).toEqual([1 << FLAG, false]);
  });

  test('discards what can not be signalled', () => {
    const guests = new MonitorGuests().begin();
    guests.parent.write(HERE + 1088n + 32n * 8n, bytesOf([0x99, 4], [0, 4], [EVENT, 4], [99, 4], [PORT, 4], [0, 4]));
    guests.parent.write(HERE + BigInt(PENDING), bytesOf([7, 4]));
    guests.parent.write(HERE, bytesOf([0xf, 1]));
    guests.passes(1_000_000n);
    expect([guests.events, guests.word(PENDING)]).toEqual([0, 0]);
  });

  test('lies over pages of both until it goes: the connection first, then the port', () => {
    const guests = new MonitorGuests();
    guests.parent.write(HERE, bytesOf([0x1111, 4]));
    guests.parent.write(0x24_1000n, bytesOf([0x2222, 4]));
    guests.begin();
    const { platform } = guests.parent;
    expect([guests.state, platform.overlays.at(HERE)?.name]).toEqual([0, `monitor page of port ${PORT}`]);
    expect(guests.disconnect(PORT, 0)).toBe('SUCCESS');
    expect([guests.state, guests.parent.read(0x24_1000n, 4).getUint32(0, true)]).toEqual([MONITOR_DISABLED, 0x2222]);
    expect(guests.runs(...writing(THERE, 0x3333, 4))).toEqual([]);
    expect(guests.parent.read(0x24_1000n, 4).getUint32(0, true)).toBe(0x3333);
    expect(guests.connectMonitor()).toBe('SUCCESS');
    // The parent's own page, which is mapped in the child beneath it.
    guests.parent.write(0x24_1000n, bytesOf([0x4444, 4]));
    expect([guests.word(0), guests.deletePort(PORT)]).toEqual([0, 'SUCCESS']);
    expect([guests.word(0), guests.parent.read(0x24_1000n, 4).getUint32(0, true)]).toEqual([0x1111, 0x4444]);
    expect([guests.createMonitor(), guests.connectMonitor()]).toEqual(['SUCCESS', 'INVALID_CONNECTION_ID']);
    expect([guests.disconnect(PORT, 0), guests.connectMonitor()]).toEqual(['SUCCESS', 'SUCCESS']);
  });

  test('keeps other overlay pages apart that lie over it', () => {
    const guests = new MonitorGuests().begin();
    const { msrs } = guests.parent.platform;
    guests.parent.write(HERE + 0x900n, bytesOf([0x5555, 4]));
    msrs.write(guests.parent.processor, 0x4000_0083, HERE | 1n);
    expect(guests.word(0x900)).toBe(0);
    guests.parent.write(HERE + 0x900n, bytesOf([0x6666, 4]));
    guests.runs(0xa1, 0, 0x19, 0, 0, 0xa3, 0x04, 0x19, 0, 0);
    msrs.write(guests.parent.processor, 0x4000_0083, 0n);
    expect([guests.word(0x900), guests.word(0x904)]).toEqual([0x5555, 0x5555]);
  });

  test('stays with the port when the child ends, and is no way into anything', () => {
    const guests = new MonitorGuests().begin();
    guests.parent.write(HERE, bytesOf([2, 1]));
    guests.parent.write(HERE + BigInt(PENDING), bytesOf([2, 4]));
    expect(guests.parent.simple(0x42, [guests.child, 8])).toBe(0);
    expect([guests.state, guests.word(PENDING)]).toEqual([MONITOR_DISABLED | 2, 2]);
    guests.parent.partition.reset();
    expect([guests.parent.platform.overlays.at(HERE), guests.word(PENDING)]).toEqual([undefined, 0]);
  });

  test('holds neither code nor page tables', () => {
    const guests = new MonitorGuests().begin();
    // jmp 0x1900
    expect(guests.runs(0xe9, 0xfb, 0x18, 0, 0)[0]).toContain("#GP(0): code and page tables can't be in the monitor page");
  });

  test('is refused where it can not be, with the status that the TLFS has for it', () => {
    const guests = new MonitorGuests();
    expect([guests.createMonitor(0x26_0001), guests.createMonitor(1n << 40n), guests.createMonitor(0x7_0000_0000n)]).toEqual([
      ...['INVALID_ALIGNMENT', 'INVALID_PARAMETER', 'SUCCESS'],
    ]);
    expect([guests.deletePort(PORT), guests.createMonitor()]).toEqual(['SUCCESS', 'SUCCESS']);
    expect([
      guests.connectMonitor(THERE + 8),
      guests.connectMonitor(0x5000),
      guests.connectMonitor(1n << 40n),
      guests.connectMonitor(THERE, SELF),
      guests.connectMonitor(),
    ]).toEqual([...['INVALID_ALIGNMENT', 'INVALID_PARAMETER', 'INVALID_PARAMETER', 'ACCESS_DENIED', 'SUCCESS']]);
    // No page of it can be given to the child, or to the hypervisor.
    expect([
      guests.parent.map(guests.child, 2, [Number(HERE >> 12n)]).status,
      guests.parent.deposit(guests.child, Number(HERE >> 12n), 1).status,
    ]).toEqual([5, 5]);
    const more = Array.from({ length: 32 }, (_, index) => guests.createMonitor(HERE, 100 + index));
    expect(more.slice(-2)).toEqual(['SUCCESS', 'NO_RESOURCES']);
  });

  test('is shown with what it did', () => {
    const guests = new MonitorGuests().begin();
    guests.parent.write(HERE, bytesOf([2, 1]));
    guests.parent.write(HERE + BigInt(PENDING), bytesOf([2, 4]));
    guests.passes(1_000_000n);
    const ports = guests.parent.platform.inspect().children?.find(({ name }) => name === 'ports');
    expect(ports?.children?.find(({ value }) => value === 'monitor')?.detail).toBe('monitor page 0x260000, 1 events signalled');
  });
});

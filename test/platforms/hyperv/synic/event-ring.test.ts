import { describe, expect, test } from 'vitest';
import { Msr } from '../../../../src/platforms/hyperv/abi/msrs.ts';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import { ENABLED, RING_ENTRIES, Sint } from '../../../../src/platforms/hyperv/abi/synic.ts';
import { inspectSynic } from '../../../../src/platforms/hyperv/synic/inspect.ts';
import { readSynicMsr, writeSynicMsr } from '../../../../src/platforms/hyperv/synic/synic-msrs.ts';
import { EVENTS, PARTITION, RINGS, synic, VECTOR } from './fake-synic.ts';

/** A SynIC with its ring page, and a guest that reads the ring of source 2 as Linux's root does. */
function ringing(sint2 = VECTOR) {
  const made = synic({ sint2 });
  const { vp, rings } = made;
  vp.sirbp = RINGS | ENABLED;
  const ring = new DataView(rings.bytes.buffer, 2 * 256, 256);
  let tail = 0;
  const entry = () => ring.getUint32(4 + tail * 4, true);
  /** The next port; 0 once there is none, with the signal unmasked. */
  const take = () => {
    if (entry() === 0 && ring.getUint8(1) !== 0) {
      ring.setUint8(1, 0);
      vp.ringEmptied(2);
    }
    if (entry() === 0) {
      ring.setUint8(0, 0);
      return 0;
    }
    ring.setUint8(0, 1);
    const port = entry();
    ring.setUint32(4 + tail * 4, 0, true);
    tail = (tail + 1) % RING_ENTRIES;
    return port;
  };
  const drain = () => {
    const ports: number[] = [];
    for (let port = take(); port !== 0; port = take()) ports.push(port);
    return ports;
  };
  return { ...made, ring, drain };
}

describe('an event ring', () => {
  test('has ports in the order in which they came, and interrupts once until its reader has looked', () => {
    const { vp, ring, interrupts, drain } = ringing();
    expect([vp.tell(2, 7), vp.tell(2, 0x12_3456), vp.tell(2, 7)]).toEqual([0, 0, 0]);
    expect([ring.getUint8(0), ring.getUint8(1), ring.getUint16(2, true), ring.getUint32(4, true)]).toEqual([1, 0, 0, 7]);
    expect(interrupts).toEqual([0x50]);
    expect(drain()).toEqual([7, 0x12_3456, 7]);
    vp.tell(2, 8);
    expect([interrupts.length, drain()]).toEqual([2, [8]]);
  });

  test('that is full says so; what had no room comes when the reader says that it is empty, each port once', () => {
    const { vp, ring, interrupts, drain } = ringing();
    for (let port = 1; port <= RING_ENTRIES; port++) vp.tell(2, port);
    expect(ring.getUint8(1)).toBe(0);
    for (const port of [100, 101, 100]) expect(vp.tell(2, port)).toBe(0);
    expect([ring.getUint8(1), vp.ring(2)?.waits, interrupts.length]).toEqual([1, 2, 1]);
    expect(drain()).toEqual([...Array.from({ length: RING_ENTRIES }, (_, index) => index + 1), 100, 101]);
    expect([ring.getUint8(1), vp.ring(2)?.waits, interrupts.length]).toEqual([0, 0, 1]);
    // All the way round.
    for (let port = 1; port <= 200; port++) {
      vp.tell(2, port);
      expect(drain()).toEqual([port]);
    }
  });

  test('has room again for who comes next, behind who waits', () => {
    const { vp, ring } = ringing();
    for (let port = 1; port <= RING_ENTRIES + 1; port++) vp.tell(2, port);
    ring.setUint32(4, 0, true);
    ring.setUint32(8, 0, true);
    vp.tell(2, 200);
    expect([ring.getUint32(4, true), ring.getUint32(8, true), vp.ring(2)?.waits]).toEqual([RING_ENTRIES + 1, 200, 0]);
  });

  test('tells of no port that was deleted while it waited', () => {
    const { vp, drain } = ringing();
    for (let port = 1; port <= RING_ENTRIES + 2; port++) vp.tell(2, port);
    vp.forgetPort(RING_ENTRIES + 1);
    expect(drain().slice(RING_ENTRIES)).toEqual([RING_ENTRIES + 2]);
  });

  test('begins anew when its page is switched on', () => {
    const { vp, rings } = ringing();
    for (let port = 1; port <= 5; port++) vp.tell(2, port);
    writeSynicMsr(vp, Msr.SIRBP, RINGS);
    expect([rings.gpa, vp.tell(2, 6)]).toEqual([undefined, HvStatus.INVALID_SYNIC_STATE]);
    writeSynicMsr(vp, Msr.SIRBP, RINGS | ENABLED);
    vp.tell(2, 6);
    expect([rings.gpa, readSynicMsr(vp, Msr.SIRBP), vp.ring(2)?.ports]).toEqual([RINGS, RINGS | ENABLED, [6]]);
    vp.reset();
    expect([vp.sirbp, vp.ring(2)?.ports]).toEqual([0n, []]);
  });

  test.each([
    ['the SynIC is off', (vp: ReturnType<typeof synic>['vp']) => writeSynicMsr(vp, Msr.SCONTROL, 0n)],
    ['the source is masked', (vp: ReturnType<typeof synic>['vp']) => vp.setSint(2, VECTOR | Sint.MASKED)],
  ])('takes nothing while %s', (_name, switchOff) => {
    const { vp } = ringing();
    switchOff(vp);
    expect([vp.tell(2, 1), vp.ring(2)?.ports]).toEqual([HvStatus.INVALID_SYNIC_STATE, []]);
  });

  test('is shown with what is in it', () => {
    const { vp } = ringing();
    vp.tell(2, 5);
    vp.tell(2, 6);
    const source = inspectSynic(0, vp, [], 0n).children?.find(({ name }) => name === 'SINT2');
    expect(source?.children?.find(({ name }) => name === 'event ring')).toMatchObject({
      value: 'port 5, 6',
      detail: 'signal masked',
      memory: { space: 'gpa', address: RINGS + 512n },
    });
  });
});

describe('a source whose interrupts are intercepts', () => {
  test('interrupts by a message at source 0, as Linux wants its doorbells', () => {
    const { vp, interrupts, messages } = ringing(VECTOR | Sint.AS_INTERCEPT);
    vp.setSint(0, 0x40n);
    vp.tell(2, 7);
    const slot = new DataView(messages.bytes.buffer, 0, 256);
    expect(interrupts).toEqual([0x40]);
    expect([slot.getUint32(0, true), slot.getUint8(4), slot.getBigUint64(8, true), slot.getUint32(16, true)]).toEqual([
      ...[0x8000_0061, 4, PARTITION, 2],
    ]);
  });

  test('has one message that waits, however often it would interrupt', () => {
    const { vp, messages } = ringing(VECTOR | Sint.AS_INTERCEPT);
    vp.setSint(0, 0x40n);
    vp.siefp = EVENTS | ENABLED;
    for (let flag = 0; flag < 5; flag++) expect(vp.signal(2, flag)).toBe(0);
    expect(vp.queued(0).length).toBe(1);
    messages.bytes.fill(0, 0, 4);
    vp.endOfMessage();
    expect(vp.queued(0).length).toBe(0);
    vp.signal(2, 9);
    expect(vp.queued(0).length).toBe(1);
  });
});

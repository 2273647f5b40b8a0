import { describe, expect, test } from 'vitest';
import { Msr } from '../../../../src/platforms/hyperv/abi/msrs.ts';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import { ENABLED, Sint } from '../../../../src/platforms/hyperv/abi/synic.ts';
import { MessageBuffers } from '../../../../src/platforms/hyperv/synic/message-queue.ts';
import { readSynicMsr, writeSynicMsr } from '../../../../src/platforms/hyperv/synic/synic-msrs.ts';
import { EVENTS, MESSAGES, synic, VECTOR } from './fake-synic.ts';

function message(...payload: number[]) {
  return { type: 1, sender: 0x1234n, payload: Uint8Array.from(payload) };
}

describe('messages', () => {
  test('lie in the slot of their source, with their sender, and interrupt', () => {
    const { vp, slot, interrupts } = synic();
    expect(vp.post(2, message(7, 8, 9), new MessageBuffers(16))).toBe(HvStatus.SUCCESS);
    expect([...slot.subarray(0, 20)]).toEqual([1, 0, 0, 0, 3, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 7, 8, 9, 0]);
    expect(interrupts).toEqual([0x50]);
  });

  test('wait behind a full slot, which says so, until the guest has emptied it and writes to EOM', () => {
    const { vp, slot, interrupts } = synic();
    const buffers = new MessageBuffers(16);
    for (const byte of [1, 2, 3]) vp.post(2, message(byte), buffers);
    expect([slot[5], slot[16], interrupts.length, buffers.free]).toEqual([1, 1, 1, 14]);
    writeSynicMsr(vp, Msr.EOM, 0n);
    expect([slot[16], interrupts.length]).toEqual([1, 1]);
    slot[0] = 0;
    writeSynicMsr(vp, Msr.EOM, 0n);
    expect([slot[5], slot[16], interrupts.length, buffers.free]).toEqual([1, 2, 2, 15]);
    slot[0] = 0;
    writeSynicMsr(vp, Msr.EOM, 0n);
    expect([slot[5], slot[16], interrupts.length, buffers.free]).toEqual([0, 3, 3, 16]);
  });

  test('that wait are looked after when another one comes or an interrupt of the source ends, in their order', () => {
    const { vp, slot } = synic();
    const buffers = new MessageBuffers(16);
    for (const byte of [1, 2]) vp.post(2, message(byte), buffers);
    slot[0] = 0;
    vp.post(2, message(3), buffers);
    expect([slot[5], slot[16]]).toEqual([1, 2]);
    slot[0] = 0;
    vp.endOfInterrupt(0x51);
    expect(slot[0]).toBe(0);
    vp.endOfInterrupt(0x50);
    expect([slot[5], slot[16]]).toEqual([0, 3]);
  });

  test('are refused when the buffers of their sender are all in use, and taken once one is free again', () => {
    const { vp, slot } = synic();
    let freed = 0;
    const buffers = new MessageBuffers(2, () => freed++);
    const statuses = [1, 2, 3, 4].map((byte) => vp.post(2, message(byte), buffers));
    expect(statuses).toEqual([0, 0, 0, HvStatus.INSUFFICIENT_BUFFERS]);
    expect(vp.post(2, message(5), new MessageBuffers(1))).toBe(0);
    slot[0] = 0;
    vp.endOfMessage();
    expect([freed, slot[16]]).toEqual([2, 2]);
    expect(vp.post(2, message(4), buffers)).toBe(0);
  });

  test('of a sender that goes are taken out of the queues, and only those', () => {
    const { vp, slot } = synic();
    const gone = new MessageBuffers(16);
    const stays = new MessageBuffers(16);
    vp.post(2, message(1), gone);
    vp.post(2, message(2), gone);
    vp.post(2, message(3), stays);
    vp.withdraw(gone);
    expect([gone.free, vp.queued(2).length]).toEqual([16, 1]);
    slot[0] = 0;
    vp.endOfMessage();
    expect(slot[16]).toBe(3);
  });

  test.each([
    ['SynIC', { scontrol: 0n }, undefined],
    ['message page', {}, Msr.SIMP],
  ])('are refused while the %s is off', (_name, set, off) => {
    const { vp } = synic(set);
    if (off !== undefined) writeSynicMsr(vp, off, 0n);
    expect(vp.post(2, message(1), new MessageBuffers(16))).toBe(HvStatus.INVALID_SYNIC_STATE);
  });

  test.each([
    ['masked', Sint.MASKED],
    ['polled', Sint.POLLING],
  ])('of a source that is %s come without an interrupt', (_name, bit) => {
    const { vp, slot, interrupts } = synic({ sint2: VECTOR | bit });
    expect(vp.post(2, message(1), new MessageBuffers(16))).toBe(0);
    expect([slot[0], interrupts]).toEqual([1, []]);
  });

  test('that are queued are lost with a reset, and their buffers are free', () => {
    const { vp } = synic();
    const buffers = new MessageBuffers(1);
    vp.post(2, message(1), buffers);
    expect(vp.post(2, message(1), buffers)).toBe(0);
    expect(vp.post(2, message(1), buffers)).toBe(HvStatus.INSUFFICIENT_BUFFERS);
    vp.reset();
    expect([buffers.free, vp.queued(2).length]).toEqual([1, 0]);
  });
});

describe('event flags', () => {
  test('are set bit by bit, and interrupt only when they were clear', () => {
    const { vp, flags, interrupts } = synic();
    expect([vp.signal(2, 0), vp.signal(2, 2047), vp.signal(2, 0)]).toEqual([0, 0, 0]);
    expect([flags[0], flags[255], interrupts]).toEqual([1, 0x80, [0x50, 0x50]]);
    flags[0] = 0;
    vp.signal(2, 0);
    expect(interrupts.length).toBe(3);
  });

  test.each([
    ['the SynIC is off', { scontrol: 0n }, 0],
    ['the source is masked', { sint2: VECTOR | Sint.MASKED }, 0],
    ['the page is off', {}, Msr.SIEFP],
  ])('are refused while %s', (_name, set, off) => {
    const { vp, flags } = synic(set);
    if (off) writeSynicMsr(vp, off, 0n);
    expect([vp.signal(2, 3), flags[0]]).toEqual([HvStatus.INVALID_SYNIC_STATE, 0]);
  });

  test.each([Sint.POLLING, Sint.POLLING | Sint.MASKED])('of a source that is polled are set without an interrupt', (bits) => {
    const { vp, flags, interrupts } = synic({ sint2: VECTOR | bits });
    expect([vp.signal(2, 3), flags[0], interrupts]).toEqual([0, 8, []]);
  });
});

describe('registers', () => {
  test('place and take away the pages; one that no page can be at has none', () => {
    const { vp, messages, events } = synic();
    expect([messages.gpa, events.gpa]).toEqual([MESSAGES, EVENTS]);
    vp.simp = MESSAGES;
    vp.siefp = (1n << 40n) | ENABLED;
    expect([messages.gpa, events.gpa, vp.simp]).toEqual([undefined, undefined, MESSAGES]);
  });

  test('have their values at reset', () => {
    const { vp } = synic();
    vp.reset();
    const all = [Msr.SCONTROL, Msr.SVERSION, Msr.SIEFP, Msr.SIMP, Msr.EOM, Msr.SINT0 + 2];
    expect(all.map((msr) => readSynicMsr(vp, msr))).toEqual([0n, 1n, 0n, 0n, 0n, 0x1_0000n]);
  });

  test('take only vectors that an interrupt can have, unless they mask it, and the version is not theirs to change', () => {
    const { vp } = synic();
    expect(writeSynicMsr(vp, Msr.SINT0, 15n)).toBe(false);
    expect(writeSynicMsr(vp, Msr.SINT0, 16n)).toBe(true);
    expect(writeSynicMsr(vp, Msr.SINT0, 0x1_0000n)).toBe(true);
    expect(writeSynicMsr(vp, Msr.SVERSION, 1n)).toBe(false);
    expect(readSynicMsr(vp, Msr.SINT0 + 16)).toBeUndefined();
  });

  test('say by the vector of an unmasked source which interrupts end by themselves', () => {
    const { vp } = synic({ sint2: VECTOR | Sint.AUTO_EOI });
    expect([vp.endsByItself(0x50), vp.endsByItself(0x51)]).toEqual([true, false]);
    vp.setSint(2, VECTOR | Sint.AUTO_EOI | Sint.MASKED);
    expect(vp.endsByItself(0x50)).toBe(false);
  });
});

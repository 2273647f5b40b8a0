import { describe, expect, test } from 'vitest';
import { DeviceMemory } from '../../../src/hypervisor/second-level/device-memory.ts';
import { ROUTINES, runToEnd } from '../../platforms/run-guest.ts';
import { guest, stopAt, TIERS } from './stop-at.ts';

/** Calls a routine, lets the hypervisor do something (OUT to port 80h), and calls it again. */
const CALLS_TWICE = `bits 64
_start:
    call patched
    call hex
    out 0x80, al
    call patched
    call hex
    jmp off
    align 4096
patched:
    mov eax, 1
    ret
    align 4096
${ROUTINES}`;
const PATCHED = 0x10_1000n;

const PAGE = 0x60_0000n;

describe.each(TIERS)('guest memory as devices reach it, %s', (_name, tier) => {
  const stopped = (source = CALLS_TWICE) => {
    const partition = guest(source, tier);
    stopAt(partition, 'io');
    return { partition, memory: new DeviceMemory(partition.secondLevel) };
  };

  test('is read and written across pages', () => {
    const { partition, memory } = stopped();
    const bytes = Uint8Array.from({ length: 5000 }, (_, index) => index);
    memory.write(PAGE - 2500n, bytes);
    expect(memory.read(PAGE - 2500n, 5000)).toEqual(bytes);
    expect(partition.memory.read(PAGE - 2500n, 5000)).toEqual(bytes);
  });

  test('takes code along that a device writes over', () => {
    const { partition, memory } = stopped();
    memory.write(PATCHED + 1n, Uint8Array.of(7));
    expect(runToEnd(partition).text).toBe('0000000000000001\n0000000000000007\n');
  });

  test.each(['flags', 'write-protection', 'pml'] as const)('tells a dirty log by %s of writes, and not of reads', (method) => {
    const { partition, memory } = stopped();
    partition.dirtyLog.start(method);
    memory.read(PAGE, 0x3000);
    memory.write(PAGE + 0x1ffen, Uint8Array.of(1, 2, 3));
    expect(partition.dirtyLog.collect()).toEqual([PAGE + 0x1000n, PAGE + 0x2000n]);
  });

  test('is written although the second level gives the guest no right to', () => {
    const { partition, memory } = stopped();
    partition.secondLevel.setPermissions(PAGE, 0x1000n, { read: true, write: false, execute: false });
    memory.write(PAGE, Uint8Array.of(5));
    expect([...memory.read(PAGE, 1)]).toEqual([5]);
  });

  test('gives memory to a page that has none without having been ballooned', () => {
    const { partition, memory } = stopped();
    partition.secondLevel.balloon(PAGE, 0x2000n, 'unbacked');
    expect(memory.read(PAGE + 0xfffn, 1)).toEqual(Uint8Array.of(0));
    memory.write(PAGE + 0x1000n, Uint8Array.of(9));
    expect([0n, 0x1000n].map((offset) => partition.secondLevel.stateAt(PAGE + offset))).toEqual(['present', 'present']);
    expect([...memory.read(PAGE + 0x1000n, 1)]).toEqual([9]);
  });

  test('is looked at without giving memory to a page', () => {
    const { partition, memory } = stopped();
    partition.secondLevel.balloon(PAGE, 0x1000n, 'unbacked');
    expect([...memory.forLooking.read(PAGE + 0xffcn, 8)]).toEqual(Array(8).fill(0));
    expect(partition.secondLevel.stateAt(PAGE)).toBe('unbacked');
    expect(() => memory.forLooking.write(PAGE, Uint8Array.of(1))).toThrow('only looked at');
    partition.secondLevel.balloon(PAGE, 0x1000n);
    expect(() => memory.forLooking.read(PAGE, 1)).toThrow('the guest gave that page back');
  });

  test.each([
    ['was ballooned', 'the guest gave that page back'],
    ['became device memory', 'no RAM is there'],
    ['is misconfigured', 'misconfigured'],
  ])('is not reached where a page %s, and nothing of it is written', (what, reason) => {
    const { partition, memory } = stopped();
    const { secondLevel } = partition;
    if (what === 'was ballooned') secondLevel.balloon(PAGE, 0x1000n);
    else if (what === 'became device memory') secondLevel.setMmio(PAGE, 0x1000n);
    else secondLevel.misconfigure(PAGE, 0x1000n);
    expect(() => memory.write(PAGE - 4n, new Uint8Array(8).fill(9))).toThrow(reason);
    expect([...partition.memory.read(PAGE - 4n, 4)]).toEqual([0, 0, 0, 0]);
    expect(() => memory.read(PAGE + 0xfffn, 2)).toThrow('at 0x600fff');
    expect(secondLevel.stateAt(PAGE)).not.toBe('present');
    expect(memory.covers(PAGE, 0x1000)).toBe(true);
  });

  test.each([
    [0xa_0000n, 1],
    [0x9_ffffn, 2],
    [0x400_0000n - 1n, 2],
    [(1n << 52n) - 1n, 2],
    [0xffff_ffff_ffff_ffffn, 2],
  ])('has an end: %o and %i bytes', (gpa, length) => {
    const { memory } = stopped();
    expect(memory.covers(gpa, length)).toBe(false);
    expect(() => memory.read(gpa, length)).toThrow("can't be reached");
    expect(() => memory.write(gpa, new Uint8Array(length))).toThrow('no RAM is there');
  });
});

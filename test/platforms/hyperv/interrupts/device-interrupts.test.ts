import { describe, expect, test } from 'vitest';
import type { LocalApic } from '../../../../src/devices/local-apic/device.ts';
import type { MessageSignal } from '../../../../src/devices/pci/message.ts';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import { HypervPlatform } from '../../../../src/platforms/hyperv/hyperv-platform.ts';
import { DeviceInterrupts } from '../../../../src/platforms/hyperv/interrupts/device-interrupts.ts';
import { bytesOf, Caller, control, INPUT } from '../hypercalls/caller.ts';

const DEVICE = 0x9a01_4e20n;
const OTHER = 0x9a02_4e20n;
const SELF = 0xffff_ffff_ffff_ffffn;
const MULTICAST = 1;
const SET = 2;

/** The hypervisor of three vCPUs whose APICs are on and count what comes; vCPU 0 does more important work than the others. */
function hypervisor() {
  const came: string[] = [];
  const apics = [0x50, 0x20, 0x20].map(
    (ppr, vp) =>
      ({
        ppr,
        softwareEnabled: true,
        accept: (_mode: number, vector: number) => came.push(`${vector} to ${vp}`),
      }) as unknown as LocalApic,
  );
  const interrupts = new DeviceInterrupts(() => apics);
  interrupts.attach(DEVICE, 'vpci');
  interrupts.attach(OTHER, 'vpci-1');
  return { interrupts, came };
}
const to = (vector: number, vps: readonly number[], isMulticast = false) => ({ vector, vps, isMulticast });
const NO_MESSAGE: MessageSignal = { address: 0n, data: 0 };

describe('a message of a device', () => {
  test('makes the interrupt that its entry names, and no other', () => {
    const { interrupts, came } = hypervisor();
    const first = interrupts.map(DEVICE, to(0x31, [0])) ?? NO_MESSAGE;
    const second = interrupts.map(DEVICE, to(0x32, [1])) ?? NO_MESSAGE;
    expect([first, second]).toEqual([
      { address: 0xfee0_0010n, data: 0 },
      { address: 0xfee0_0030n, data: 0 },
    ]);
    interrupts.take(DEVICE, second);
    interrupts.take(DEVICE, first);
    expect(came).toEqual(['50 to 1', '49 to 0']);
  });

  test('goes to the one of several vCPUs that does the least important work, or to all of them', () => {
    const { interrupts, came } = hypervisor();
    interrupts.take(DEVICE, interrupts.map(DEVICE, to(0x31, [0, 2, 1])) ?? NO_MESSAGE);
    expect(came.splice(0)).toEqual(['49 to 2']);
    interrupts.take(DEVICE, interrupts.map(DEVICE, to(0x31, [0, 2], true)) ?? NO_MESSAGE);
    expect(came).toEqual(['49 to 0', '49 to 2']);
  });

  test.each<readonly [what: string, device: bigint, message: (own: MessageSignal) => MessageSignal]>([
    ['as a processor takes them', DEVICE, () => ({ address: 0xfee0_0000n, data: 0x31 })],
    ['with other data', DEVICE, ({ address }) => ({ address, data: 1 })],
    ["of another device's entry", OTHER, (own) => own],
    ['of a device that is nobody’s', 1n, (own) => own],
  ])('%s goes nowhere, and is counted', (_, device, message) => {
    const { interrupts, came } = hypervisor();
    const own = interrupts.map(DEVICE, to(0x31, [0])) ?? NO_MESSAGE;
    interrupts.take(device, message(own));
    expect(came).toEqual([]);
    expect(interrupts.inspect().detail).toMatch(/^1 messages without an entry went nowhere/);
  });

  test('goes nowhere once its entry is gone, whose place is used anew', () => {
    const { interrupts, came } = hypervisor();
    const first = interrupts.map(DEVICE, to(0x31, [0])) ?? NO_MESSAGE;
    expect([interrupts.unmap(OTHER, first), interrupts.unmap(DEVICE, first), interrupts.unmap(DEVICE, first)]).toEqual([
      false,
      true,
      false,
    ]);
    interrupts.take(DEVICE, first);
    expect(came).toEqual([]);
    expect(interrupts.map(OTHER, to(0x33, [1]))).toEqual(first);
    interrupts.detach(OTHER);
    expect([interrupts.has(OTHER), interrupts.map(OTHER, to(0x33, [1])), interrupts.map(DEVICE, to(0x33, [1]))]).toEqual([
      false,
      undefined,
      first,
    ]);
  });

  test('a device has 2048 of them at most', () => {
    const { interrupts } = hypervisor();
    for (let index = 0; index < 2048; index++) expect(interrupts.map(DEVICE, to(0x31, [0]))).toBeDefined();
    expect(interrupts.map(DEVICE, to(0x31, [0]))).toBeUndefined();
    expect(interrupts.map(OTHER, to(0x31, [0]))).toEqual({ address: 0xfee1_0010n, data: 0 });
  });
});

describe('RetargetDeviceInterrupt', () => {
  /** A caller with a device whose interrupt is to go to vCPU 0 with vector 0x31. */
  function device() {
    const caller = new Caller('intel', 64, { vcpus: 2 });
    const { server, devices } = caller.partition;
    if (!(server instanceof HypervPlatform)) throw new Error('no Hyper-V');
    const { deviceInterrupts: interrupts } = server;
    interrupts.attach(DEVICE, 'vpci');
    const message = interrupts.map(DEVICE, to(0x31, [0])) ?? NO_MESSAGE;
    for (const apic of devices.localApics) apic.writeMmio(0xfee0_00f0n, 4, 0x1ffn);
    const waiting = () => {
      interrupts.take(DEVICE, message);
      return devices.localApics.map(({ highestRequest }) => highestRequest);
    };
    const retarget = ({
      id = DEVICE,
      source = 1,
      address = message.address,
      vector = 0x41,
      flags = 0,
      mask = 2n,
      banks = [] as readonly bigint[],
    } = {}) => {
      caller.write(
        INPUT,
        bytesOf(
          [SELF, 8],
          [id, 8],
          [source, 4],
          [0, 4],
          [address, 4],
          [message.data, 4],
          [0, 8],
          [vector, 4],
          [flags, 4],
          [mask, 8],
          ...banks.map((bank) => [bank, 8] as const),
        ),
      );
      return caller.call(control(0x7e, { variable: banks.length }));
    };
    return { retarget, waiting };
  }

  test('by a mask', () => {
    const { retarget, waiting } = device();
    const { status, record } = retarget();
    expect([status, waiting()]).toEqual([HvStatus.SUCCESS, [-1, 0x41]]);
    expect(record.request).toMatch(/^vmcall HvCallRetargetDeviceInterrupt\(partition 0xffffffffffffffff, device 0x9a014e20/);
  });

  test('by a sparse set, whose banks are in the variable part', () => {
    const { retarget, waiting } = device();
    const { status, record } = retarget({ flags: SET, mask: 0n, banks: [1n, 2n] });
    expect(status).toBe(HvStatus.SUCCESS);
    // A mask of banks and a bank.
    expect(record.request).toMatch(/, targetFlags 2, processorMask 0, variable 1 2\)$/);
    expect(waiting()).toEqual([-1, 0x41]);
  });

  test('to all of a set', () => {
    const { retarget, waiting } = device();
    expect(retarget({ flags: SET | MULTICAST, mask: 1n, banks: [0n] }).status).toBe(HvStatus.SUCCESS);
    expect(waiting()).toEqual([0x41, 0x41]);
  });

  test('to one of a mask', () => {
    const { retarget, waiting } = device();
    expect(retarget({ mask: 3n }).status).toBe(HvStatus.SUCCESS);
    expect(waiting()).toEqual([0x41, -1]);
  });

  test.each<readonly [what: string, fields: Parameters<ReturnType<typeof device>['retarget']>[0], status: number, why: RegExp]>([
    ['another device', { id: OTHER }, HvStatus.INVALID_DEVICE_ID, /no device 0x9a024e20/],
    [
      'an entry that the device has not',
      { address: 0xfee0_0030n },
      HvStatus.INVALID_PARAMETER,
      /no interrupt by 0x0 to 0xfee00030/,
    ],
    ['an entry of an I/O APIC', { source: 0 }, HvStatus.INVALID_PARAMETER, /no message/],
    ['a vector of an exception', { vector: 0xf }, HvStatus.INVALID_PARAMETER, /0xf is no vector/],
    ['flags that mean nothing', { flags: 4 }, HvStatus.INVALID_PARAMETER, /flags/],
    ['vCPUs that are not there', { mask: 4n }, HvStatus.INVALID_PARAMETER, /none of the vCPUs/],
    ['no vCPU', { mask: 0n }, HvStatus.INVALID_PARAMETER, /none of the vCPUs/],
    ['a set without banks', { flags: SET, mask: 0n, banks: [] }, HvStatus.INVALID_HYPERCALL_INPUT, /no mask of banks/],
    ['a set with too few banks', { flags: SET, mask: 0n, banks: [1n] }, HvStatus.INVALID_HYPERCALL_INPUT, /fewer banks/],
    ['a set of another format', { flags: SET, mask: 2n, banks: [1n, 1n] }, HvStatus.INVALID_PARAMETER, /no format/],
  ])('%s is refused, and the interrupt goes where it went', (_, fields, status, why) => {
    const { retarget, waiting } = device();
    const result = retarget(fields);
    expect(result.status).toBe(status);
    expect(result.record.result).toMatch(why);
    expect(waiting()).toEqual([0x31, -1]);
  });
});

import { describe, expect, test } from 'vitest';
import { NtStatus } from '../../../../src/platforms/hyperv/abi/nt-status.ts';
import { deviceIdOf, VpciMessage, VpciVersion } from '../../../../src/platforms/hyperv/abi/vpci.ts';
import { Random } from '../../../support/random.ts';
import { guest } from '../../run-guest.ts';
import { bytesOf } from '../hypercalls/caller.ts';
import { guestPacket } from './fake-channel.ts';
import { VpciDriver, WINDOW } from './vpci-driver.ts';

const mistakes = ({ vsp }: VpciDriver) => vsp.inspect().children?.at(-1)?.value;
const ready = (version: number = VpciVersion.V1_4) => {
  const driver = new VpciDriver();
  driver.agree(version);
  driver.powerOn();
  return driver;
};

test('the hypervisor knows a device by bytes of its bus’s GUID, as Linux puts them together', () => {
  expect(deviceIdOf('6b1a7d35-9a01-4e27-b0c6-3f5d12a98e47', 5)).toBe(0x9a01_4e25n);
  expect(new VpciDriver().vsp.deviceId).toBe(0x9a01_4e20n);
});

describe('setting up', () => {
  test.each([
    ['1.1', VpciVersion.V1_1, NtStatus.SUCCESS],
    ['1.4', VpciVersion.V1_4, NtStatus.SUCCESS],
    ['1.5', 0x1_0005, NtStatus.REVISION_MISMATCH],
    ['2.0', 0x2_0000, NtStatus.REVISION_MISMATCH],
  ])('version %s', (_, version, status) => {
    expect(new VpciDriver().agree(version)).toBe(status);
  });

  test('nothing is followed before a version was agreed on', () => {
    const driver = new VpciDriver();
    expect(driver.powerOn()).toBe(NtStatus.INVALID_DEVICE_STATE);
    expect(driver.tell(VpciMessage.QUERY_BUS_RELATIONS)).toEqual([]);
    expect(mistakes(driver)).toBe('2');
  });

  test.each([
    [VpciVersion.V1_2, VpciMessage.BUS_RELATIONS, 28],
    [VpciVersion.V1_3, VpciMessage.BUS_RELATIONS2, 36],
  ])('version %x is told of the function by message %x', (version, type, bytes) => {
    const driver = new VpciDriver();
    driver.agree(version);
    const [relations] = driver.tell(VpciMessage.QUERY_BUS_RELATIONS);
    const words = Array.from({ length: 7 }, (_, index) => relations?.getUint32(4 * index, true));
    expect(relations?.byteLength).toBe(bytes);
    // One function: its ids, revision and class, subsystem, slot, serial number.
    expect(words).toEqual([type, 1, 0x1044_1af4, 0x00ff_0001, 0x1100_1af4, 0, 1]);
  });

  test('the sizes of BARs, and resources in three forms', () => {
    const driver = ready();
    const { view } = driver.ask(VpciMessage.QUERY_RESOURCE_REQUIREMENTS, [0, 4]);
    expect(Array.from({ length: 6 }, (_, index) => view.getUint32(4 + 4 * index, true))).toEqual([
      0, 0xffff_f000, 0, 0, 0xffff_c00c, 0xffff_ffff,
    ]);
    const zeroes = (count: number) => Array.from({ length: count }, () => [0, 4] as const);
    const { RESOURCES_ASSIGNED, RESOURCES_ASSIGNED2, RESOURCES_ASSIGNED3 } = VpciMessage;
    expect([
      driver.ask(RESOURCES_ASSIGNED, ...zeroes(36)).status,
      driver.ask(RESOURCES_ASSIGNED2, ...zeroes(50)).status,
      driver.ask(RESOURCES_ASSIGNED3, ...zeroes(50)).status,
      driver.ask(RESOURCES_ASSIGNED2, ...zeroes(31), [1, 4]).status,
      driver.ask(RESOURCES_ASSIGNED2, ...zeroes(30)).status,
    ]).toEqual([0, 0, 0, NtStatus.NOT_SUPPORTED, NtStatus.INVALID_PARAMETER]);
  });

  test('messages of later versions are unknown to earlier ones', () => {
    const driver = ready(VpciVersion.V1_3);
    expect(driver.createInterrupt().status).toBe(NtStatus.INVALID_DEVICE_REQUEST);
  });

  test('a power state is given back, and blocks of configuration are not there', () => {
    const driver = ready();
    const { status, view } = driver.ask(VpciMessage.POWER_STATE_CHANGE, [0, 4], [4, 4], [0, 4]);
    expect([status, view.getUint32(8, true)]).toEqual([0, 4]);
    expect(driver.ask(VpciMessage.READ_BLOCK, [1, 4], [0, 4], [16, 4]).status).toBe(NtStatus.NOT_SUPPORTED);
  });

  test('another slot has no function', () => {
    const driver = ready();
    expect(driver.ask(VpciMessage.QUERY_RESOURCE_REQUIREMENTS, [1, 4]).status).toBe(NtStatus.NO_SUCH_DEVICE);
    expect(driver.createInterrupt({ slot: 0x20 }).status).toBe(NtStatus.NO_SUCH_DEVICE);
  });
});

describe('configuration space', () => {
  test('is where the guest wants it, while the bus is on', () => {
    const driver = new VpciDriver();
    driver.agree();
    expect(driver.mmio.find(WINDOW)).toBeUndefined();
    expect(driver.powerOn()).toBe(NtStatus.SUCCESS);
    expect([driver.read(0, 4), driver.read(0, 2), driver.read(0, 4, 1)]).toEqual([0x1044_1af4n, 0x1af4n, 0xffff_ffffn]);
    expect(driver.mmio.read(WINDOW, 4)).toBe(1n);
    expect(driver.powerOn()).toBe(NtStatus.INVALID_DEVICE_STATE);
    expect(driver.ask(VpciMessage.BUS_D0EXIT).status).toBe(NtStatus.SUCCESS);
    expect(driver.mmio.find(WINDOW)).toBeUndefined();
    expect(driver.powerOn(0xf_f000_0000n)).toBe(NtStatus.SUCCESS);
    expect(driver.read(0, 4, 0, 0xf_f000_0000n)).toBe(0x1044_1af4n);
  });

  test.each([[0xf000_0800n], [(1n << 40n) - 0x1000n], [(1n << 64n) - 0x1000n]])('can not be at %x', (at) => {
    const driver = new VpciDriver();
    driver.agree();
    expect(driver.powerOn(at)).toBe(NtStatus.INVALID_PARAMETER);
  });

  test('BARs are where the guest writes that they are, until the bus is off', () => {
    const driver = ready();
    driver.write(0x14, 4, 0xf000_2000n);
    driver.write(0x04, 2, 2n);
    expect(driver.mmio.find(0xf000_2000n)?.name).toBe('virtio-rng-pci MSI-X table');
    driver.ask(VpciMessage.BUS_D0EXIT);
    expect(driver.mmio.find(0xf000_2000n)).toBeUndefined();
    driver.powerOn();
    expect([driver.read(0x14, 4), driver.read(0x04, 2)]).toEqual([0n, 0n]);
  });

  test('a write in stages does what one at once does, and names the register', () => {
    const driver = ready();
    const seen: unknown[] = [];
    for (const step of driver.mmio.writeInStages(WINDOW, 4, 0n)) if (step.kind === 'stage') seen.push(step.values.function);
    for (const step of driver.mmio.writeInStages(WINDOW + 0x1004n, 2, 6n))
      if (step.kind === 'stage') seen.push(step.values.register ?? step.values.now);
    expect(seen).toEqual(['virtio-rng-pci', '0x04 command', 6n]);
    expect(driver.read(4, 2)).toBe(6n);
  });
});

describe('interrupts', () => {
  test('are messages that the host gives, by each of the three forms', () => {
    const driver = ready();
    const { CREATE_INTERRUPT_MESSAGE, CREATE_INTERRUPT_MESSAGE2 } = VpciMessage;
    expect(driver.createInterrupt({ vps: [1] })).toEqual({ status: 0, data: 0, address: 0xfee0_0010n });
    // All vCPUs, also those that there aren't.
    const all = driver.ask(CREATE_INTERRUPT_MESSAGE, [0, 4], [0x32, 1], [0, 1], [1, 2], [0, 4], [(1n << 64n) - 1n, 8]);
    expect([all.status, all.view.getUint16(10, true), all.view.getBigUint64(16, true)]).toEqual([0, 1, 0xfee0_0030n]);
    const second = driver.ask(CREATE_INTERRUPT_MESSAGE2, [0, 4], [0x33, 1], [0, 1], [1, 2], [1, 2], [1, 2]);
    expect([second.status, second.view.getBigUint64(16, true)]).toEqual([0, 0xfee0_0050n]);
    for (const address of [0xfee0_0010n, 0xfee0_0030n, 0xfee0_0050n]) driver.assigned.taker?.take({ address, data: 0 });
    expect(driver.came).toEqual(['49 to 1', '50 to 0', '51 to 1']);
  });

  test('end with their message, with the release of resources, and with the bus', () => {
    const driver = ready();
    const gone = (act: () => void) => {
      const { address, data } = driver.createInterrupt();
      act();
      driver.assigned.taker?.take({ address, data });
      return driver.came.splice(0).length === 0;
    };
    const { DELETE_INTERRUPT_MESSAGE, RESOURCES_RELEASED, BUS_D0EXIT } = VpciMessage;
    expect([
      gone(() => {}),
      gone(() => driver.tell(DELETE_INTERRUPT_MESSAGE, [0, 4], [0, 2], [1, 2], [0, 4], [0xfee0_0030n, 8])),
      gone(() => driver.tell(RESOURCES_RELEASED, [0, 4])),
      gone(() => driver.ask(BUS_D0EXIT)),
    ]).toEqual([false, true, true, true]);
    expect(driver.createInterrupt().status).toBe(NtStatus.INVALID_DEVICE_STATE);
    driver.vsp.close();
    expect(driver.interrupts.has(driver.vsp.deviceId)).toBe(false);
  });

  test.each([
    ['a vector of an exception', { vector: 0xe }],
    ['a vector beyond the last one', { vector: 0x100 }],
    ['an NMI', { mode: 4 }],
    ['several vectors', { count: 2 }],
    ['none', { count: 0 }],
    ['no vCPU', { vps: [] }],
    ['a vCPU that is not there', { vps: [2] }],
    ['more vCPUs than it has room for', { vps: Array.from({ length: 33 }, () => 0) }],
  ])('%s is refused', (_, wish) => {
    expect(ready().createInterrupt(wish)).toMatchObject({ status: NtStatus.INVALID_PARAMETER });
  });
});

describe('taking it away', () => {
  test('asks the guest first, and waits until it has let go of it', () => {
    const driver = ready();
    let isGone = false;
    expect(driver.vsp.eject(() => (isGone = true))).toBe(true);
    const [asked] = driver.channel.sent.splice(0);
    expect([...(asked?.payload ?? [])]).toEqual([0x0b, 0, 0x49, 0x42, 0, 0, 0, 0]);
    driver.clock.advance(59_000_000_000n);
    expect(isGone).toBe(false);
    driver.tell(VpciMessage.EJECTION_COMPLETE, [0, 4], [0, 4]);
    expect(isGone).toBe(true);
    expect(driver.ask(VpciMessage.EJECTION_COMPLETE, [0, 4], [0, 4]).status).toBe(NtStatus.INVALID_DEVICE_STATE);
  });

  test('waits for a minute at most, and not where it is asked for again or nobody uses it', () => {
    const driver = ready();
    let isGone = false;
    driver.vsp.eject(() => (isGone = true));
    expect(driver.vsp.eject(() => {})).toBe(false);
    driver.clock.advance(60_000_000_000n);
    expect(isGone).toBe(true);
    driver.vsp.close();
    expect(driver.vsp.eject(() => {})).toBe(false);
  });

  test('a driver that leaves has let go of it', () => {
    const driver = ready();
    let isGone = false;
    driver.vsp.eject(() => (isGone = true));
    driver.vsp.close();
    expect(isGone).toBe(true);
  });
});

test('a message has a frame of its own in the service, with what came of it', () => {
  const driver = ready();
  const seen: string[] = [];
  const wish = [
    [0, 4],
    [0x31, 1],
    [0, 1],
    [1, 2],
    [1, 2],
    [1, 2],
  ] as const;
  const packet = guestPacket(bytesOf([VpciMessage.CREATE_INTERRUPT_MESSAGE2, 4], ...wish));
  for (const step of driver.vsp.receiveInStages(driver.channel, packet))
    if (step.kind === 'enter') seen.push(`${step.frame.component} ${step.frame.name}`);
    else if (step.kind === 'stage')
      seen.push(`${step.id} ${step.values.status ?? step.values.type ?? ''} ${step.values.vps ?? ''}`);
  expect(seen.map((line) => line.trim())).toEqual([
    'vpci.packet PCI_CREATE_INTERRUPT_MESSAGE2',
    'vpcivsp.sys vpci: PCI_CREATE_INTERRUPT_MESSAGE2',
    'vpci.message PCI_CREATE_INTERRUPT_MESSAGE2',
    'vpci.outcome SUCCESS 1',
    'vpci.complete',
  ]);
});

test('what finds no room in the ring waits, in its order', () => {
  const driver = new VpciDriver();
  driver.agree();
  driver.channel.isFull = true;
  driver.tell(VpciMessage.QUERY_BUS_RELATIONS);
  driver.put(Uint8Array.of(1));
  driver.channel.isFull = false;
  driver.put(Uint8Array.of(2));
  expect(driver.channel.sent).toEqual([]);
  driver.vsp.hasRoom(driver.channel);
  expect(driver.channel.sent.map(({ type }) => type)).toEqual([6, 0xb, 0xb]);
});

test('whatever a hostile guest sends and accesses never throws, and is the same in stages and at once', () => {
  const types = [...Object.values(VpciMessage), 0, 0xffff_ffff];
  const seen = [true, false].map((isStaged) => {
    const random = new Random(9);
    const driver = new VpciDriver(isStaged);
    const answers: unknown[] = [];
    driver.agree();
    for (let round = 0; round < 4000; round++) {
      const bytes = Uint8Array.from({ length: random.below(4) === 0 ? random.below(12) : 12 + random.below(140) }, () =>
        random.below(3) === 0 ? random.below(256) : random.below(2),
      );
      const view = new DataView(bytes.buffer);
      if (bytes.length >= 4 && random.below(8) !== 0) view.setUint32(0, random.pick(types), true);
      if (bytes.length >= 8 && random.below(4) !== 0) view.setUint32(4, random.below(8) === 0 ? VpciVersion.V1_4 : 0, true);
      if (bytes.length >= 16 && random.below(4) === 0) view.setBigUint64(8, WINDOW, true);
      answers.push(driver.put(bytes, random.below(2) === 0).map(({ type, view: answer }) => [type, answer.byteLength]));
      if (random.below(16) === 0) driver.agree();
      if (random.below(16) === 0) driver.powerOn();
      if (random.below(8) === 0) driver.createInterrupt({ vector: random.below(0x120), vps: [random.below(3), random.below(2)] });
      if (random.below(64) === 0) driver.vsp.eject(() => {});
      if (random.below(256) === 0) {
        driver.vsp.close();
        driver.vsp.open(driver.channel);
      }
      const size = random.pick([1, 2, 4, 8] as const);
      const at = WINDOW + BigInt(random.below(0x40) + (random.below(8) === 0 ? random.below(0x2000) : 0x1000));
      const value = BigInt(random.below(3) === 0 ? random.below(0x10000) : 0xf000_4000);
      if (isStaged) for (const _ of driver.mmio.writeInStages(at, size, value));
      else driver.mmio.write(at, size, value);
      answers.push(driver.mmio.read(at, size), driver.mmio.read(0xf000_4000n + BigInt(random.below(0x5000)), size));
      driver.assigned.taker?.take({ address: 0xfee0_0010n + BigInt(random.below(64)), data: random.below(2) });
    }
    return [answers, driver.came, driver.vsp.inspect(), driver.interrupts.inspect()];
  });
  expect(seen[0]).toEqual(seen[1]);
  expect(seen[0]?.[1]).not.toEqual([]);
});

test('a machine has what it is assigned, and goes on after it was saved and reset', () => {
  const program = 'bits 64\n_start: hlt\n';
  const { devices } = guest(program, { platform: 'hyperv', assign: ['rng', 'rng'] });
  const names = (devices.inspect().children ?? []).map(({ name }) => name);
  expect(names.filter((name) => name.startsWith('virtio'))).toEqual(['virtio-rng-pci', 'virtio-rng-pci-1']);
  devices.restore(devices.save());
  devices.reset();
});

import { describe, expect, test } from 'vitest';
import { PciMachine, TestFunction, WINDOW } from './pci-machine.ts';

const machineWith = (...functions: readonly TestFunction[]) => {
  const machine = new PciMachine();
  for (const device of functions) machine.bus.add(device);
  return machine;
};
const small = (name = 'small') => new TestFunction(name, [{ index: 0, size: 0x100 }]);
const ONES = 0xffff_ffff;

describe('the configuration ports', () => {
  test('reach registers in bytes, words and dwords', () => {
    const machine = machineWith(small());
    expect([machine.read(0, 0, 4), machine.read(1, 0, 4)]).toEqual([0x1237_8086, 0x5678_1234]);
    expect([machine.read(1, 8, 4), machine.read(1, 0xb, 1), machine.read(1, 0xa, 2)]).toEqual([0x0102_0309, 1, 0x0102]);
    expect([machine.read(1, 0x2c, 4), machine.read(1, 0x0e, 1), machine.read(1, 0x3d, 1)]).toEqual([0xbbbb_aaaa, 0, 1]);
  });

  test('answer as a system probes for mechanism 1', () => {
    const { ports } = machineWith();
    ports.write(0xcfb, 1, 1);
    expect(ports.read(0xcf8, 4)).toBe(0);
    ports.write(0xcf8, 4, 0x8000_0000);
    expect([ports.read(0xcf8, 4), ports.read(0xcf8, 1), ports.read(0xcf8, 2)]).toEqual([0x8000_0000, 0xff, 0xffff]);
    ports.write(0xcf8, 4, ONES);
    expect(ports.read(0xcf8, 4)).toBe(0x80ff_fffc);
  });

  test('give ones where no function is, and while they are off', () => {
    const machine = machineWith(small());
    expect([machine.read(2, 0, 4), machine.read(31, 0, 2), machine.read(2, 0, 1)]).toEqual([ONES, 0xffff, 0xff]);
    machine.ports.write(0xcf8, 4, 0x8000_0900);
    expect(machine.ports.read(0xcfc, 4)).toBe(ONES);
    machine.ports.write(0xcf8, 4, 0x8001_0800);
    expect(machine.ports.read(0xcfc, 4)).toBe(ONES);
    machine.ports.write(0xcf8, 4, 0x0804);
    machine.ports.write(0xcfc, 4, 7);
    expect(machine.ports.read(0xcfc, 4)).toBe(ONES);
    expect(machine.read(1, 4, 2)).toBe(2);
  });

  test('give a dword that crosses registers in bytes', () => {
    const machine = machineWith(small());
    machine.select(1, 0);
    expect(machine.ports.read(0xcfd, 4)).toBe(0xff56_7812);
  });
});

test('configuration spaces are memory too', () => {
  const machine = machineWith(small());
  const at = 0xe000_8000n;
  expect([machine.mmio.read(at, 4), machine.mmio.read(at + 0x2en, 2), machine.mmio.read(at + 8n, 8)]).toEqual([
    0x5678_1234n,
    0xbbbbn,
    0x0102_0309n,
  ]);
  machine.mmio.write(at + 4n, 1, 6n);
  machine.mmio.write(at + 0x20n, 8, 0x1234_5000_ffff_ffffn);
  expect([machine.read(1, 4, 2), machine.read(1, 0x20, 4), machine.read(1, 0x24, 4)]).toEqual([6, 0, 0x1234_5000]);
  expect([0xe000_8100n, 0xe000_8ffcn, 0xe001_0000n, 0xe000_9000n].map((gpa) => machine.mmio.read(gpa, 4))).toEqual(
    Array.from({ length: 4 }, () => 0xffff_ffffn),
  );
});

test('writes in stages do what writes do, and name the function and its register', () => {
  const machine = machineWith(small());
  const stages = (port: number, value: number) =>
    [...machine.ports.writeInStages(port, 4, value)].flatMap((step) => (step.kind === 'stage' ? [step.values] : []));
  const at = (offset: number) => (0x8000_0800 | offset) >>> 0;
  expect(stages(0xcf8, at(0x10))).toEqual([{ function: '00:01.0 small', register: '0x10 BAR 0' }]);
  expect(stages(0xcfc, 0xd000_00ff)).toEqual([
    { function: '00:01.0 small', register: '0x10 BAR 0', value: 0xd000_00ff, size: 4 },
    { now: 0xd000_0000 },
  ]);
  expect(machine.mmio.find(0xd000_0000n)?.name).toBe('small BAR 0');
  const names = [0, 4, 8, 0xc, 0x24, 0x28, 0x2c, 0x3c, 0x40, 0x44, 0x60].map((offset) => stages(0xcf8, at(offset))[0]?.register);
  expect(names).toEqual([
    '0x00 ids',
    '0x04 command',
    '0x08 revision',
    '0x0c cache line and latency',
    '0x24 BAR 5',
    '0x28 CardBus structure',
    '0x2c subsystem',
    '0x3c interrupt line',
    '0x40 MSI-X + 0x0',
    '0x44 MSI-X + 0x4',
    '0x60 reserved',
  ]);
  expect(stages(0xcf8, 0x8001_1000)).toEqual([{ function: '01:02.0 nothing', register: '0x00 none' }]);
});

describe('a configuration space', () => {
  test('tells sizes of BARs by what can be written', () => {
    const machine = machineWith(
      new TestFunction('wide', [
        { index: 0, size: 0x4000, is64: true, prefetchable: true },
        { index: 2, size: 0x10 },
      ]),
    );
    for (const offset of [0x10, 0x14, 0x18, 0x1c]) machine.write(1, offset, 4, ONES);
    expect([0x10, 0x14, 0x18, 0x1c].map((offset) => machine.read(1, offset, 4))).toEqual([0xffff_c00c, ONES, 0xffff_fff0, 0]);
  });

  test('keeps what is read only', () => {
    const machine = machineWith(small());
    const before = Array.from({ length: 64 }, (_, index) => machine.read(1, 4 * index, 4));
    for (let offset = 0; offset < 256; offset += 4) machine.write(1, offset, 4, ONES);
    const changed = before.flatMap((value, index) => (machine.read(1, 4 * index, 4) === value ? [] : [4 * index]));
    // Command; BARs 0 and 5; interrupt line; enable and mask of MSI-X.
    expect(changed).toEqual([0x04, 0x10, 0x24, 0x3c, 0x40]);
    expect(machine.read(1, 4, 4)).toBe(0x0010_0507);
    expect(machine.read(1, 0x40, 4)).toBe(0xc002_0011);
  });

  test('has its BARs where a firmware would put them, and goes back there at a reset', () => {
    const first = new TestFunction('first', [{ index: 0, size: 0x10 }]);
    const second = new TestFunction('second', [{ index: 1, size: 0x4000, is64: true }]);
    const machine = machineWith(first, second);
    const base = Number(WINDOW.base);
    const places = () => [machine.read(1, 0x10, 4), machine.read(1, 0x24, 4), machine.read(2, 0x14, 4), machine.read(2, 0x18, 4)];
    expect(places()).toEqual([base, base + 0x1000, base + 0x4004, 0]);
    expect([machine.read(1, 4, 2), machine.read(1, 0x3c, 1), machine.read(2, 0x3c, 1)]).toEqual([2, 11, 10]);
    machine.write(1, 0x10, 4, 0x1234_5678);
    machine.write(2, 0x18, 4, 7);
    first.configuration.reset();
    second.configuration.reset();
    expect(places()).toEqual([base, base + 0x1000, base + 0x4004, 0]);
  });

  test('chains its capabilities', () => {
    const machine = machineWith(small());
    machine.bus.functions[1]?.configuration.add({ name: 'another', id: 9, bytes: new Uint8Array(7) });
    const first = machine.read(1, 0x34, 1);
    const second = machine.read(1, first + 1, 1);
    expect([first, machine.read(1, first, 1), second, machine.read(1, second, 1), machine.read(1, second + 1, 1)]).toEqual([
      0x40, 0x11, 0x4c, 9, 0,
    ]);
    expect(machine.read(1, 6, 2) & 0x10).toBe(0x10);
  });
});

describe('memory BARs', () => {
  test('answer where the guest puts them', () => {
    const device = small();
    const machine = machineWith(device);
    expect([machine.mmio.find(WINDOW.base)?.name, machine.mmio.read(WINDOW.base + 0x24n, 4)]).toEqual(['small BAR 0', 0x24n]);
    machine.write(1, 0x10, 4, 0xd000_0000);
    expect(machine.mmio.read(WINDOW.base, 4)).toBe(0xffff_ffffn);
    machine.mmio.write(0xd000_00fcn, 4, 0x99n);
    expect(device.written).toEqual(['0+fc/4=99']);
    expect(machine.mmio.find(0xd000_0100n)).toBeUndefined();
  });

  test('answer above 4 GiB', () => {
    const machine = machineWith(new TestFunction('wide', [{ index: 2, size: 0x1000, is64: true }]));
    machine.write(1, 0x1c, 4, 0x80);
    expect(machine.mmio.find(WINDOW.base)).toBeUndefined();
    expect(machine.mmio.read(0x80_c000_0010n, 4)).toBe(0x2010n);
  });

  test('do not answer while memory decoding is off', () => {
    const machine = machineWith(small());
    machine.write(1, 4, 2, 0);
    expect(machine.mmio.read(WINDOW.base, 4)).toBe(0xffff_ffffn);
    machine.write(1, 4, 1, 2);
    expect(machine.mmio.read(WINDOW.base, 4)).toBe(0n);
  });

  test('leave what can not be moved in its place, and of two the lower slot answers', () => {
    const machine = machineWith(small('first'), new TestFunction('second', [{ index: 0, size: 0x200 }]));
    machine.mmio.attach({
      name: 'fixed',
      mmio: [{ base: 0xd000_0000n, length: 0x10n }],
      readMmio: () => 0xf1n,
      writeMmio: () => {},
    });
    for (const slot of [1, 2]) machine.write(slot, 0x10, 4, 0xd000_0000);
    expect([0xd000_0000n, 0xd000_0010n].map((gpa) => machine.mmio.find(gpa)?.name)).toEqual(['fixed', 'first BAR 0']);
    // The second one is larger: who was asked before doesn't matter.
    expect([0xd000_0120n, 0xd000_0010n].map((gpa) => machine.mmio.find(gpa)?.name)).toEqual(['second BAR 0', 'first BAR 0']);
    machine.write(1, 4, 2, 0);
    expect(machine.mmio.find(0xd000_0010n)?.name).toBe('second BAR 0');
  });
});

describe('interrupt pins', () => {
  test('of neighbours lead to different lines, of every eighth slot to the same', () => {
    const devices = Array.from({ length: 9 }, (_, index) => small(`device ${index}`));
    const machine = machineWith(...devices);
    const [first, , , , , , , , ninth] = devices;
    first?.configuration.raise(true);
    ninth?.configuration.raise(true);
    expect(machine.lines.map(({ level }) => level)).toEqual([false, true, false, false, false, false, false, false]);
    first?.configuration.raise(false);
    expect(machine.lines[1]?.level).toBe(true);
    ninth?.configuration.raise(false);
    expect(machine.lines[1]?.level).toBe(false);
  });

  test('share interrupts of the PICs', () => {
    const devices = Array.from({ length: 3 }, (_, index) => small(`device ${index}`));
    const machine = machineWith(...devices);
    const irqs = () => [10, 11].map((irq) => machine.irqs.get(irq)?.level);
    devices[0]?.configuration.raise(true);
    devices[2]?.configuration.raise(true);
    expect(irqs()).toEqual([false, true]);
    devices[0]?.configuration.raise(false);
    expect(irqs()).toEqual([false, true]);
    devices[2]?.configuration.raise(false);
    devices[1]?.configuration.raise(true);
    expect(irqs()).toEqual([true, false]);
  });

  test('are shown in the status, and can be switched off', () => {
    const device = small();
    const machine = machineWith(device);
    device.configuration.raise(true);
    expect([machine.read(1, 6, 2), machine.lines[1]?.level]).toEqual([0x18, true]);
    machine.write(1, 4, 2, 0x402);
    expect([machine.read(1, 6, 2), machine.lines[1]?.level]).toEqual([0x18, false]);
    machine.write(1, 4, 2, 2);
    expect(machine.lines[1]?.level).toBe(true);
    device.configuration.reset();
    expect([machine.read(1, 6, 2), machine.lines[1]?.level]).toEqual([0x10, false]);
  });
});

test('too many functions, or too large BARs, are refused by name', () => {
  const machine = machineWith(...Array.from({ length: 31 }, (_, index) => small(`device ${index}`)));
  expect(() => machine.bus.add(small('one more'))).toThrow('one more finds no slot on the PCI bus, which has 32');
  const full = machineWith(new TestFunction('large', [{ index: 0, size: 0x1000_0000 }]));
  expect(() => full.bus.add(new TestFunction('larger', [{ index: 0, size: 0x1000_0000 }]))).toThrow('larger finds no room');
});

test('the bus is shown as lspci shows it', () => {
  const machine = machineWith(small());
  const [bridge, device] = machine.bus.inspect().children ?? [];
  expect([bridge?.name, bridge?.value, bridge?.detail]).toEqual(['00:00.0', 'host-bridge', '8086:1237, class 0600']);
  expect(device?.children).toEqual([
    { name: 'command', value: '0x0002', detail: 'memory' },
    { name: 'BAR 0', value: '0xc0000000', detail: '0x100 bytes of memory, 32 bits' },
    { name: 'BAR 5', value: '0xc0001000', detail: '0x1000 bytes of memory, 32 bits' },
    { name: 'capability', value: '0x40', detail: 'MSI-X' },
    { name: 'INTA', value: 'not asserted', detail: 'IRQ 11 at the PICs' },
  ]);
});

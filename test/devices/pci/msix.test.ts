import { describe, expect, test } from 'vitest';
import { ApicBus, type InterruptMessage } from '../../../src/devices/local-apic/apic-bus.ts';
import { EVERYBODY } from '../../../src/devices/local-apic/registers.ts';
import { sendMessage } from '../../../src/devices/pci/message.ts';
import { PciMachine, TestFunction, WINDOW } from './pci-machine.ts';

/** A function with three vectors, in slot 1; its table is the first thing in the window. */
function start() {
  const machine = new PciMachine();
  const device = new TestFunction('device', []);
  machine.bus.add(device);
  const table = WINDOW.base;
  return {
    machine,
    device,
    control: (bits: number) => machine.write(1, 0x42, 2, bits),
    entry: (vector: number, data: number, masked = false) => {
      const at = table + BigInt(16 * vector);
      machine.mmio.write(at, 8, 0xfee0_1000n);
      machine.mmio.write(at + 8n, 4, BigInt(data));
      machine.mmio.write(at + 12n, 4, masked ? 1n : 0n);
    },
    mask: (vector: number, masked: boolean) => machine.mmio.write(table + BigInt(16 * vector + 12), 4, masked ? 1n : 0n),
    pending: () => machine.mmio.read(table + 0x800n, 8),
    sent: () => device.messages.splice(0).map(({ data }) => data),
  };
}

describe('MSI-X', () => {
  test('has its table in the BAR that the capability names', () => {
    const { machine } = start();
    expect([0x40, 0x44, 0x48].map((offset) => machine.read(1, offset, 4))).toEqual([0x0002_0011, 5, 0x805]);
    expect([0n, 8n, 12n, 28n, 44n].map((offset) => machine.mmio.read(WINDOW.base + offset, 4))).toEqual([0n, 0n, 1n, 1n, 1n]);
  });

  test('sends what its table says, once it is on', () => {
    const { device, control, entry, sent } = start();
    entry(1, 0x41);
    device.msix.raise(1);
    expect(sent()).toEqual([]);
    control(0x8000);
    device.msix.raise(1);
    expect(device.messages).toEqual([{ address: 0xfee0_1000n, data: 0x41 }]);
    device.msix.raise(3);
    expect(device.messages).toHaveLength(1);
  });

  test.each([
    ['one vector', (masked: boolean, { mask }: ReturnType<typeof start>) => mask(0, masked)],
    ['the function', (masked: boolean, { control }: ReturnType<typeof start>) => control(masked ? 0xc000 : 0x8000)],
  ])('keeps what comes while %s is masked', (_name, set) => {
    const all = start();
    const { device, control, entry, sent, pending } = all;
    control(0x8000);
    entry(0, 0x40);
    set(true, all);
    device.msix.raise(0);
    device.msix.raise(0);
    expect([sent(), pending()]).toEqual([[], 1n]);
    set(false, all);
    expect([sent(), pending()]).toEqual([[0x40], 0n]);
  });

  test('forgets what is pending at a reset of its function, and masks all', () => {
    const { device, control, entry, pending, machine } = start();
    control(0x8000);
    entry(2, 0x42, true);
    device.msix.raise(2);
    expect(pending()).toBe(4n);
    device.msix.reset();
    expect([pending(), machine.mmio.read(WINDOW.base + 32n, 8)]).toEqual([0n, 0n]);
  });

  test('takes whole words in its table only, and reads of any size', () => {
    const { machine } = start();
    machine.mmio.write(WINDOW.base, 4, 0x1122_3344n);
    machine.mmio.write(WINDOW.base, 1, 0xffn);
    machine.mmio.write(WINDOW.base + 2n, 4, 0xffff_ffffn);
    machine.mmio.write(WINDOW.base + 12n, 4, 0xffff_fffen);
    machine.mmio.write(WINDOW.base + 0x800n, 8, 0xffn);
    expect([machine.mmio.read(WINDOW.base, 8), machine.mmio.read(WINDOW.base + 1n, 2)]).toEqual([0x1122_3344n, 0x2233n]);
    expect([machine.mmio.read(WINDOW.base + 12n, 4), machine.mmio.read(WINDOW.base + 0x801n, 4)]).toEqual([0n, 0n]);
  });

  test('goes on from its saved state', () => {
    const first = start();
    first.control(0x8000);
    first.entry(1, 0x41, true);
    first.device.msix.raise(1);
    const saved = structuredClone([first.device.configuration.save(), first.device.msix.save()] as const);
    const second = start();
    second.device.configuration.restore(saved[0]);
    second.device.msix.restore(saved[1]);
    expect(second.pending()).toBe(2n);
    second.mask(1, false);
    expect(second.sent()).toEqual([0x41]);
  });

  test('is shown with its entries', () => {
    const { device, control, entry } = start();
    control(0x8000);
    entry(1, 0x41);
    expect(device.msix.inspect()).toMatchObject({ value: 'on', detail: '3 vectors' });
    expect(device.msix.inspect().children?.[1]).toEqual({
      name: 'entry 1',
      value: '0x00000041',
      detail: 'vector 0x41 to 0xfee01000',
    });
    expect(device.msix.inspect().children?.[0]?.detail).toBe('masked');
  });
});

describe('a message', () => {
  class Recorder extends ApicBus {
    readonly sent: InterruptMessage[] = [];
    override send(message: InterruptMessage): number {
      this.sent.push(message);
      return 1;
    }
  }
  test.each([
    [
      { address: 0xfee0_3000n, data: 0x31 },
      { mode: 0, vector: 0x31, level: false, destination: 3, logical: false },
    ],
    [
      { address: 0xfee0_2004n, data: 0x155 },
      { mode: 1, vector: 0x55, level: false, destination: 2, logical: true },
    ],
    [
      { address: 0xfeef_f000n, data: 0xc031 },
      { mode: 0, vector: 0x31, level: true, destination: EVERYBODY, logical: false },
    ],
  ])('reaches local APICs: %o', (signal, message) => {
    const bus = new Recorder();
    expect(sendMessage(bus, signal)).toBe(1);
    expect(bus.sent).toEqual([message]);
  });

  test.each([
    { address: 0n, data: 0x31 },
    { address: 0xfef0_0000n, data: 0x31 },
    { address: 0x1_fee0_0000n, data: 0x31 },
    { address: 0xfee0_0000n, data: 0x8031 },
  ])('that is none goes nowhere: %o', (signal) => {
    const bus = new Recorder();
    expect([sendMessage(bus, signal), bus.sent]).toEqual([0, []]);
  });
});

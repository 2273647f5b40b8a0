import { expect, test } from 'vitest';
import { imageOfBytes } from '../../../src/devices/disk-image/raw-image.ts';
import { PcDevices } from '../../../src/devices/pc/pc.ts';
import { VirtioConsole } from '../../../src/devices/virtio/console/device.ts';
import { slotPlace } from '../../../src/devices/virtio/slots.ts';
import { VirtioMmio } from '../../../src/devices/virtio/transport/mmio.ts';
import { FakeClock } from '../fake-clock.ts';
import { FakeDma } from './fake-dma.ts';
import { MmioDriver } from './mmio-driver.ts';

const COM1 = 0x3f8;
const LINE_STATUS = COM1 + 5;
const encoded = (words: string) => new TextEncoder().encode(words);

/** A machine with a disk, an entropy device and a console, and a driver of the latter. */
function machine() {
  let printed = '';
  const dma = new FakeDma();
  const pc = new PcDevices({
    clock: new FakeClock(),
    cpus: [],
    startSeconds: 0n,
    lowMemory: 0n,
    highMemory: 0n,
    serialOut: (byte) => (printed += String.fromCharCode(byte)),
    debugOut: () => {},
    powerOff: () => {},
    reset: () => {},
    debugExit: () => {},
    virtio: { dma, disks: [{ image: imageOfBytes(new Uint8Array(512)) }] },
  });
  const device = pc.mmio.find(slotPlace(2).base);
  if (!(device instanceof VirtioMmio)) throw new Error('no console is in slot 2');
  const driver = new MmioDriver(new VirtioConsole({ transmit: () => {} }), dma, device);
  return { pc, driver, printed: () => printed, isAtSerialPort: () => (pc.ports.read(LINE_STATUS, 1) & 1) === 1 };
}

test('both consoles print on the same one outside', () => {
  const { pc, driver, printed } = machine();
  pc.ports.write(COM1, 1, 0x41);
  driver.start().request(encoded('b'), 0, { queue: 1 });
  expect(printed()).toBe('Ab');
});

test('what is typed goes to the console that the guest printed on last', () => {
  const { pc, driver, isAtSerialPort } = machine();
  driver.start();
  driver.ring().offer([{ gpa: 0x5_0000, length: 8, writable: true }]);
  driver.notify();
  pc.receive(encoded('1'));
  expect([isAtSerialPort(), driver.ring().collect()]).toEqual([true, []]);
  pc.ports.read(COM1, 1);
  driver.request(encoded('b'), 0, { queue: 1 });
  expect(pc.listensForInput).toBe(true);
  pc.receive(encoded('2'));
  expect([isAtSerialPort(), driver.ring().collect()]).toMatchObject([false, [{ written: 1 }]]);
  pc.ports.write(COM1, 1, 0x41);
  expect(pc.listensForInput).toBe(false);
  pc.receive(encoded('3'));
  expect(isAtSerialPort()).toBe(true);
});

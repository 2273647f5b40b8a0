import { MmioBus } from '../../../src/devices/bus/mmio-bus.ts';
import { PortBus } from '../../../src/devices/bus/port-bus.ts';
import { LINES, PciBus } from '../../../src/devices/pci/bus.ts';
import { ConfigurationPorts } from '../../../src/devices/pci/configuration-ports.ts';
import { type BarKind, ConfigurationSpace } from '../../../src/devices/pci/configuration-space.ts';
import { Ecam } from '../../../src/devices/pci/ecam.ts';
import type { PciFunction } from '../../../src/devices/pci/function.ts';
import { HostBridge } from '../../../src/devices/pci/host-bridge.ts';
import type { MessageSignal } from '../../../src/devices/pci/message.ts';
import { Msix } from '../../../src/devices/pci/msix.ts';
import { BAR_WINDOW, irqOf } from '../../../src/devices/pci/places.ts';
import { FakeLine } from '../fake-clock.ts';

export const WINDOW = BAR_WINDOW;

/** A bus with its host bridge, reached as a guest reaches it. */
export class PciMachine {
  readonly ports = new PortBus();
  readonly mmio = new MmioBus();
  readonly lines = Array.from({ length: LINES }, () => new FakeLine());
  readonly irqs = new Map([10, 11].map((number) => [number, new FakeLine()]));
  readonly bus = new PciBus({
    line: (number) => this.lines[number] ?? new FakeLine(),
    window: WINDOW,
    irq: (number) => this.irqs.get(number) ?? new FakeLine(),
    irqOf,
  });
  readonly bridge = new HostBridge();

  constructor() {
    this.bus.add(this.bridge);
    this.ports.attach(new ConfigurationPorts(this.bus));
    this.mmio.attach(new Ecam(this.bus));
    this.mmio.attachMovable(this.bus);
  }

  select(slot: number, offset: number): void {
    this.ports.write(0xcf8, 4, (0x8000_0000 | (slot << 11) | (offset & 0xfc)) >>> 0);
  }
  read(slot: number, offset: number, size: 1 | 2 | 4): number {
    this.select(slot, offset);
    return this.ports.read(0xcfc + (offset & 3), size);
  }
  write(slot: number, offset: number, size: 1 | 2 | 4, value: number): void {
    this.select(slot, offset);
    this.ports.write(0xcfc + (offset & 3), size, value);
  }
}

/** A function that remembers what is written to its BARs, and has MSI-X in its last one. */
export class TestFunction implements PciFunction {
  readonly configuration: ConfigurationSpace;
  readonly messages: MessageSignal[] = [];
  readonly msix: Msix;
  readonly regions: PciFunction['regions'];
  readonly written: string[] = [];

  constructor(
    readonly name: string,
    bars: readonly BarKind[],
    vectors = 3,
  ) {
    const own = bars.map(({ index, size }) => ({
      bar: index,
      offset: 0,
      length: size,
      name: `${name} BAR ${index}`,
      read: (offset: number) => BigInt(index * 0x1000 + offset),
      write: (offset: number, bytes: number, value: bigint) => {
        this.written.push(`${index}+${offset.toString(16)}/${bytes}=${value.toString(16)}`);
      },
    }));
    this.configuration = new ConfigurationSpace({
      vendor: 0x1234,
      device: 0x5678,
      revision: 9,
      classCode: 0x01_0203,
      subsystemVendor: 0xaaaa,
      subsystem: 0xbbbb,
      interruptPin: 1,
      bars: [...bars, { index: 5, size: 0x1000 }],
    });
    this.msix = new Msix({
      owner: name,
      configuration: this.configuration,
      vectors,
      bar: 5,
      send: (message) => this.messages.push(message),
    });
    this.regions = [...own, ...this.msix.regions];
  }
}

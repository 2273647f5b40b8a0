import type { MmioBus } from '../bus/mmio-bus.ts';
import type { PortBus } from '../bus/port-bus.ts';
import type { Device, InterruptLine } from '../device.ts';
import { PciBus } from './bus.ts';
import { ConfigurationPorts } from './configuration-ports.ts';
import { Ecam } from './ecam.ts';
import type { PciFunction } from './function.ts';
import { HostBridge } from './host-bridge.ts';
import { BAR_WINDOW, irqOf, pinOf } from './places.ts';

export interface PcPciWorld {
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  /** A pin of the I/O APIC, and an interrupt of the PICs. */
  readonly pin: (number: number) => InterruptLine;
  readonly irq: (number: number) => InterruptLine;
}

/** PCI as a PC has it: bus 0 with its bridge, both ways to configuration spaces, and functions. */
export class PcPci {
  readonly bus: PciBus;
  /** Its parts, as devices of the machine. */
  readonly devices: readonly Device[];

  constructor({ ports, mmio, pin, irq }: PcPciWorld, functions: readonly (Device & PciFunction)[]) {
    this.bus = new PciBus({
      line: (line) => pin(pinOf(line)),
      irq,
      window: BAR_WINDOW,
      irqOf,
    });
    const bridge = new HostBridge();
    for (const device of [bridge, ...functions]) this.bus.add(device);
    const configuration = new ConfigurationPorts(this.bus);
    const ecam = new Ecam(this.bus);
    ports.attach(configuration);
    mmio.attach(ecam);
    mmio.attachMovable(this.bus);
    this.devices = [this.bus, configuration, ecam, bridge, ...functions];
  }
}

import type { Clock } from '../../devices/device.ts';
import type { DmaMemory } from '../../devices/dma.ts';
import type { FirmwareItems } from '../../devices/fw-cfg/items.ts';
import type { InterruptMessage } from '../../devices/local-apic/apic-bus.ts';
import { DELIVERY_NAMES, Delivery } from '../../devices/local-apic/registers.ts';
import type { NetworkDevice } from '../../devices/network-port.ts';
import { PcDevices } from '../../devices/pc/pc.ts';
import type { ScsiDiskDescription } from '../../devices/scsi/controller.ts';
import type { AssignableName } from '../../devices/virtio/assignable.ts';
import type { VirtioBalloonWorld } from '../../devices/virtio/balloon/device.ts';
import type { VirtioConfiguration } from '../../devices/virtio/machine-devices.ts';
import type { Processor } from '../../processor/processor.ts';
import { MSR_APIC_BASE, TSC_OFFSET } from '../../processor/state/layout.ts';
import { hex } from '../../x86/address.ts';
import type { RequestDoor } from '../privileges/request-door.ts';
import type { ConsoleBuffer } from './console-buffer.ts';
import { debugExitEnd } from './ends.ts';
import type { PartitionEnd } from './run.ts';

/** The partition as its devices' world is made of it. */
export interface DeviceHost {
  readonly clock: Clock;
  /** Guest memory, for devices that reach it by themselves. */
  readonly memory: DmaMemory;
  /** The same memory, for a balloon to take pages of it away. */
  readonly balloon: VirtioBalloonWorld;
  readonly processors: readonly Processor[];
  readonly output: ConsoleBuffer;
  readonly door: RequestDoor;
  /** A message into a processor core. */
  signal(vcpu: number, raise: () => void): void;
  finish(end: PartitionEnd): void;
}

/** What is configured of the devices. */
export interface DeviceConfiguration {
  /** Bytes of RAM below and above 4 GiB, for the clock chip's memory size registers. */
  readonly lowMemory: bigint;
  readonly highMemory: bigint;
  /** Seconds since 1970 when the machine is switched on. */
  readonly startSeconds: bigint;
  /** The machine has the device for tests of processors and hypervisors. */
  readonly testDevice?: boolean;
  /** What virtio devices the machine has; none when missing. */
  readonly virtio?: VirtioConfiguration;
  /** Disks of a SCSI controller; the machine has none when missing. */
  readonly scsi?: readonly ScsiDiskDescription[];
  /** The machine has a PCI bus, and its virtio devices on it. */
  readonly hasPci?: boolean;
  /** Hyper-V's display adapter is on the PCI bus. */
  readonly hasVideoFunction?: boolean;
  /** Functions of the host's that the guest has by itself. */
  readonly assigned?: readonly AssignableName[];
  /** What the machine tells its firmware; it has no firmware configuration device when missing. */
  readonly firmware?: FirmwareItems;
  readonly network?: NetworkConfiguration;
}

/** A network card, and what it is plugged into. */
export interface NetworkConfiguration {
  /** The card's address, a number of 48 bits. */
  readonly mac: number;
  readonly make: (clock: Clock) => NetworkDevice;
}

/** Makes the devices of a partition. What they do to the world outside goes through the partition's door. */
export function wireDevices(configuration: DeviceConfiguration, host: DeviceHost): PcDevices {
  const { clock, door, memory, output } = host;
  return new PcDevices({
    ...configuration,
    virtio: configuration.virtio && { ...configuration.virtio, dma: memory, balloonWorld: host.balloon },
    assigned: configuration.assigned && { names: configuration.assigned, dma: memory },
    firmware: configuration.firmware && { items: configuration.firmware, dma: memory },
    // The network's time is not the guest's to be refused.
    network: configuration.network && { mac: configuration.network.mac, port: configuration.network.make(clock) },
    clock: {
      now: () => clock.now(),
      cancel: (handle) => clock.cancel(handle),
      schedule: (when, callback) => (door.ask('timers', () => `a timer for ${when}`) ? clock.schedule(when, callback) : 0),
    },
    cpus: host.processors.map((processor, index) => ({
      apicBase: () => processor.state.get64(MSR_APIC_BASE),
      tsc: () => BigInt.asUintN(64, clock.now() + processor.state.get64(TSC_OFFSET)),
      core: {
        nmi: () => host.signal(index, () => processor.raiseNmi()),
        init: () => host.signal(index, () => processor.raiseInit()),
        startUp: (vector) => host.signal(index, () => processor.raiseSipi(vector)),
      },
    })),
    messages: {
      allows: (message) =>
        message.mode === Delivery.INIT || message.mode === Delivery.STARTUP
          ? door.ask('start-vcpus', () => describe(message))
          : door.ask('send-ipis', () => describe(message)),
      unreached: (message) => door.refuse('vcpus', () => describe(message), 'no vCPU of the partition is named by that'),
    },
    serialOut: (byte) => {
      if (door.ask('serial-console', () => 'to print on the serial console')) output.put('serial', byte);
    },
    debugOut: (byte) => {
      if (door.ask('debug-console', () => 'to print on the debug console')) output.put('debug-console', byte);
    },
    // Who gives a guest a channel lets it write there.
    channelOut: (name, bytes) => {
      for (const byte of bytes) output.put(`channel ${name}`, byte);
    },
    powerOff: () => {
      if (door.ask('power', () => 'to be switched off'))
        host.finish({ kind: 'power-off', status: 0, message: 'The guest powered off.' });
    },
    reset: (source) => {
      if (door.ask('power', () => `a reset through ${source}`))
        host.finish({ kind: 'reset', status: 0, message: `The guest reset the machine through ${source}.` });
    },
    debugExit: (value) => {
      if (door.ask('debug-exit', () => `to end the run with ${hex(value >>> 0)}`)) host.finish(debugExitEnd(value));
    },
  });
}

/** `an interrupt, fixed, vector 0x40, to APIC id 0x9`. */
function describe({ mode, vector, destination, logical }: InterruptMessage): string {
  const to = `${logical ? 'logical destination' : 'APIC id'} ${hex(destination >>> 0)}`;
  return `an interrupt, ${DELIVERY_NAMES[mode] ?? 'reserved'}, vector ${hex(vector)}, to ${to}`;
}

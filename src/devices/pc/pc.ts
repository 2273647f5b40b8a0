import type { Handler } from '../../stages/stage.ts';
import { AcpiPm } from '../acpi-pm/device.ts';
import { allOnes, MmioBus } from '../bus/mmio-bus.ts';
import { PortBus } from '../bus/port-bus.ts';
import { DebugConsole } from '../debug-console/device.ts';
import { DebugExit } from '../debug-exit/device.ts';
import type { Clock, Device, InterruptLine } from '../device.ts';
import type { OverlaidImage } from '../disk-image/overlay.ts';
import type { DmaMemory } from '../dma.ts';
import { FwCfg, type FwCfgWorld } from '../fw-cfg/device.ts';
import { I8042 } from '../i8042/device.ts';
import { KEYBOARD_IRQ } from '../i8042/registers.ts';
import type { InspectNode } from '../inspect.ts';
import { IoApic } from '../io-apic/device.ts';
import { ApicBus, type MessageRules } from '../local-apic/apic-bus.ts';
import { LocalApic, type LocalApicWorld } from '../local-apic/device.ts';
import type { NetworkDevice } from '../network-port.ts';
import type { AssignedFunction } from '../pci/assigned.ts';
import type { PciBus } from '../pci/bus.ts';
import { PcPci } from '../pci/pc-pci.ts';
import { VideoFunction } from '../pci/video-function.ts';
import { Pic8259 } from '../pic8259/device.ts';
import { Pit8254 } from '../pit8254/device.ts';
import { RtcCmos } from '../rtc-cmos/device.ts';
import { IRQ as RTC_IRQ } from '../rtc-cmos/registers.ts';
import { ScsiController, type ScsiDiskDescription } from '../scsi/controller.ts';
import { SystemControl } from '../system-control/device.ts';
import { TestDevice } from '../test-device/device.ts';
import { Uart16550 } from '../uart16550/device.ts';
import { COM1 } from '../uart16550/registers.ts';
import { type AssignableName, makeAssigned } from '../virtio/assignable.ts';
import type { VirtioBalloonWorld } from '../virtio/balloon/device.ts';
import type { VirtioConsole } from '../virtio/console/device.ts';
import { type VirtioConfiguration, VirtioParts } from '../virtio/machine-devices.ts';
import { makeFunctions } from '../virtio/pci-functions.ts';
import { placeInSlots } from '../virtio/slots.ts';
import { isVirtioDevice, type VirtioDevice } from '../virtio/virtio-device.ts';

/** What the machine around the devices gives them. */
export interface PcWorld {
  readonly clock: Clock;
  readonly cpus: readonly Pick<LocalApicWorld, 'apicBase' | 'tsc' | 'core'>[];
  readonly startSeconds: bigint;
  readonly lowMemory: bigint;
  readonly highMemory: bigint;
  readonly serialOut: (byte: number) => void;
  readonly debugOut: (byte: number) => void;
  /** The guest wrote to a channel. */
  readonly channelOut?: (name: string, bytes: Uint8Array) => void;
  readonly powerOff: () => void;
  /** `source` names what asked for it. */
  readonly reset: (source: string) => void;
  readonly debugExit: (value: number) => void;
  /** The machine has the test device. */
  readonly testDevice?: boolean;
  /** The machine has virtio devices, and what they reach. */
  readonly virtio?: VirtioConfiguration & { readonly dma: DmaMemory; readonly balloonWorld?: VirtioBalloonWorld };
  /** Disks of its SCSI controller, which is reached by other ways than a bus of the machine; no controller when missing. */
  readonly scsi?: readonly ScsiDiskDescription[];
  /** The machine has a PCI bus, and its virtio devices on it. */
  readonly hasPci?: boolean;
  /** Hyper-V's display adapter is on the PCI bus. */
  readonly hasVideoFunction?: boolean;
  /** Functions that the guest has by itself, on no bus of the machine, and what they reach. */
  readonly assigned?: { readonly names: readonly AssignableName[]; readonly dma: DmaMemory };
  /** The machine has a firmware configuration device. */
  readonly firmware?: FwCfgWorld;
  /** What its network card is plugged into, and the card's address; no card when missing. */
  readonly network?: { readonly port: NetworkDevice; readonly mac: number };
  /** Rules for messages between processors; none when missing. */
  readonly messages?: MessageRules;
}

const ISA_LINES = 16;
const NANOSECONDS = 1_000_000_000n;
/** Who takes what happened to the network outside, at the partition's input door. */
export const NETWORK_INPUT = 'network';

/** States of all devices, by name. */
export type PcSnapshot = Readonly<Record<string, { readonly version: number }>>;

/**
 * The devices of a PC and their wiring. ISA interrupts go to the PIC pair and to the I/O APIC (0 to pin 2, the others to
 * their own); the PIC's output goes to LINT0 of each local APIC.
 */
export class PcDevices {
  readonly ports = new PortBus();
  readonly mmio = new MmioBus();
  readonly pic: Pic8259;
  readonly pit: Pit8254;
  readonly ioApic: IoApic;
  readonly apicBus: ApicBus;
  readonly localApics: readonly LocalApic[];
  readonly uart: Uart16550;
  readonly rtc: RtcCmos;
  /** How many virtio devices are in the machine's slots. */
  readonly usedSlots: number;
  /** Where the machine has one. */
  readonly pciBus: PciBus | undefined;
  /** What the machine's network card is plugged into. */
  readonly network: NetworkDevice | undefined;
  /** Where the machine has one. */
  readonly scsi: ScsiController | undefined;
  /** Functions that whoever passes them to the guest gives a place. */
  readonly assigned: readonly AssignedFunction[];
  private readonly virtio: VirtioParts | undefined;
  private readonly all: readonly Device[];

  constructor(world: PcWorld) {
    this.apicBus = new ApicBus(world.messages);
    this.pic = new Pic8259({ output: { set() {} } });
    this.ioApic = new IoApic({ bus: this.apicBus });
    this.localApics = world.cpus.map(
      (cpu, id) => new LocalApic({ ...cpu, id, clock: world.clock, bus: this.apicBus, pic: this.pic }),
    );
    this.pit = new Pit8254({ clock: world.clock, line: this.isaLine(0) });
    this.uart = new Uart16550({
      base: COM1.base,
      line: this.isaLine(COM1.irq),
      transmit: (byte) => this.printSerially(byte, world),
    });
    this.rtc = new RtcCmos({
      clock: world.clock,
      line: this.isaLine(RTC_IRQ),
      startSeconds: world.startSeconds,
      lowMemory: world.lowMemory,
      highMemory: world.highMemory,
      processors: world.cpus.length,
    });
    const keyboard = new I8042({ line: this.isaLine(KEYBOARD_IRQ), reset: () => world.reset('the keyboard controller') });
    const acpi = new AcpiPm({ clock: world.clock, powerOff: world.powerOff, reset: () => world.reset('port 0xCF9') });
    const control = new SystemControl({ reset: () => world.reset('port 0x92') });
    const debugExit = new DebugExit({ exit: world.debugExit });
    const debugConsole = new DebugConsole({ transmit: world.debugOut });
    const testDevices = world.testDevice ? [new TestDevice({ line: (number) => this.isaLine(number) })] : [];
    for (const device of [this.pic, this.pit, this.uart, this.rtc, keyboard, acpi, control, debugExit, debugConsole])
      this.ports.attach(device);
    const { virtio } = world;
    this.network = world.network?.port;
    this.virtio =
      virtio &&
      new VirtioParts(virtio, {
        consoleOut: world.serialOut,
        channelOut: world.channelOut,
        balloon: virtio.balloonWorld,
        network: world.network,
        start: world.startSeconds * NANOSECONDS,
        now: () => world.startSeconds * NANOSECONDS + world.clock.now(),
      });
    this.scsi = world.scsi && new ScsiController(world.scsi);
    const { hasPci } = world;
    const parts = this.virtio?.all ?? [];
    const virtioDevices =
      virtio && !hasPci ? placeInSlots(parts, { dma: virtio.dma, line: (number) => this.isaLine(number) }) : [];
    this.usedSlots = virtioDevices.length;
    const pci = hasPci
      ? this.makePci([
          ...(world.hasVideoFunction ? [new VideoFunction()] : []),
          ...(virtio ? makeFunctions(parts, { dma: virtio.dma, apics: this.apicBus }) : []),
        ])
      : undefined;
    this.pciBus = pci?.bus;
    for (const device of [this.ioApic, ...virtioDevices]) this.mmio.attach(device);
    for (const device of testDevices) {
      this.ports.attach(device);
      this.mmio.attach(device);
    }
    this.assigned = world.assigned ? makeAssigned(world.assigned.names, world.assigned.dma) : [];
    for (const assigned of this.assigned) this.mmio.attachMovable(assigned);
    const firmware = world.firmware ? [new FwCfg(world.firmware)] : [];
    for (const device of firmware) this.ports.attach(device);
    this.all = [
      ...this.localApics,
      this.ioApic,
      this.pic,
      this.pit,
      this.uart,
      this.rtc,
      keyboard,
      acpi,
      control,
      debugExit,
      debugConsole,
      ...testDevices,
      ...virtioDevices,
      ...(pci?.devices ?? []),
      ...this.assigned.map(({ device }) => device),
      ...firmware,
      ...(this.scsi ? [this.scsi] : []),
      ...(this.network ? [this.network] : []),
    ];
  }

  private makePci(functions: ConstructorParameters<typeof PcPci>[1]): PcPci {
    const { ports, mmio, pic, ioApic } = this;
    const pin = (number: number) => ({ set: (level: boolean) => ioApic.setLine(number, level) });
    const irq = (number: number) => ({ set: (level: boolean) => pic.setLine(number, level) });
    return new PcPci({ ports, mmio, pin, irq }, functions);
  }

  private printSerially(byte: number, { serialOut }: PcWorld): void {
    serialOut(byte);
    if (this.virtio) this.virtio.console.isInFront = false;
  }

  /** Bytes from outside, for a device that is named in `inputs`, or for the console that the guest printed on last. */
  receive(bytes: Uint8Array, to?: string): void {
    if (to === NETWORK_INPUT) this.network?.happened(bytes);
    else if (to !== undefined) this.virtio?.inputs.get(to)?.(bytes);
    else (this.frontConsole ?? this.uart).receive(bytes);
  }

  /** Whether something may come from outside by a network or by sockets. */
  get isOpen(): boolean {
    return this.network?.isOpen === true || this.virtio?.host?.isOpen === true;
  }
  /** The guest has ended; the machine stays to be looked at. */
  guestEnded(): void {
    this.network?.guestEnded();
  }
  /** The machine is gone: all that leads outside ends. */
  disconnect(): void {
    this.network?.disconnect();
    this.virtio?.host?.disconnect();
  }

  /** What disks hold, in the order in which they were configured. */
  get disks(): readonly OverlaidImage[] {
    return [...(this.virtio?.disks ?? []), ...(this.scsi?.disks.map(({ disk }) => disk) ?? [])];
  }

  /** Names of what takes input from outside besides the console. */
  get inputs(): readonly string[] {
    return [...(this.virtio?.inputs.keys() ?? []), ...(this.network ? [NETWORK_INPUT] : [])];
  }

  /** Whether something from outside would raise an interrupt: a byte for the console, a frame. */
  get listensForInput(): boolean {
    if (this.network?.listensForInput) return true;
    if (this.virtio?.host?.isOpen) return true;
    return (this.frontConsole ?? this.uart).listensForInput;
  }

  /** The virtio console, where the guest prints on it. */
  private get frontConsole(): VirtioConsole | undefined {
    const console = this.virtio?.console;
    return console?.isInFront && console.listensForInput ? console : undefined;
  }

  /** Lines from 16 on lead to the I/O APIC alone. */
  private isaLine(irq: number): InterruptLine {
    const pin = irq === 0 ? 2 : irq;
    return {
      set: (level) => {
        if (irq < ISA_LINES) this.pic.setLine(irq, level);
        this.ioApic.setLine(pin, level);
      },
    };
  }

  /** Those that speak virtio, whatever their transport. */
  get virtioDevices(): readonly VirtioDevice[] {
    return this.all.filter((device) => isVirtioDevice(device));
  }

  /** Name of the device that answers at a port; undefined where none does. */
  portOwner(port: number): string | undefined {
    return this.ports.find(port)?.name;
  }
  /** Name of the device that answers a vCPU at a physical address; undefined where none does. */
  mmioOwner(cpu: number, gpa: bigint): string | undefined {
    const apic = this.localApics[cpu];
    return apic?.answersAt(gpa) ? apic.name : this.mmio.find(gpa)?.name;
  }

  /** Whether a write at a physical address only rings a device's doorbell. */
  isDoorbell(gpa: bigint, size: 1 | 2 | 4 | 8): boolean {
    return this.mmio.find(gpa)?.isDoorbell?.(gpa, size) === true;
  }

  readMmio(cpu: number, gpa: bigint, size: 1 | 2 | 4 | 8): bigint {
    const apic = this.localApics[cpu];
    if (apic?.answersAt(gpa)) return apic.readMmio(gpa, size);
    return gpa < 1n << 52n ? this.mmio.read(gpa, size) : allOnes(size);
  }
  writeMmio(cpu: number, gpa: bigint, size: 1 | 2 | 4 | 8, value: bigint): void {
    const apic = this.localApics[cpu];
    if (apic?.answersAt(gpa)) apic.writeMmio(gpa, size, value);
    else this.mmio.write(gpa, size, value);
  }
  *writeMmioInStages(cpu: number, gpa: bigint, size: 1 | 2 | 4 | 8, value: bigint): Handler {
    const apic = this.localApics[cpu];
    if (apic?.answersAt(gpa)) apic.writeMmio(gpa, size, value);
    else yield* this.mmio.writeInStages(gpa, size, value);
  }

  reset(): void {
    for (const device of this.all) device.reset();
  }
  save(): PcSnapshot {
    return Object.fromEntries(this.all.map((device) => [device.name, device.save()]));
  }
  /** Throws a sentence when a device's state is missing or has another version. */
  restore(snapshot: PcSnapshot): void {
    for (const device of this.all) {
      const state = snapshot[device.name];
      if (state === undefined)
        throw new Error(`The saved state has nothing for ${device.name}; save it again with this program.`);
      device.restore(state);
    }
  }
  /** What guests keep in devices besides their memory. */
  *contents(): Iterable<Uint8Array> {
    for (const device of this.all) yield* device.contents?.() ?? [];
  }
  inspect(): InspectNode {
    return { name: 'devices', children: this.all.map((device) => device.inspect()) };
  }
}

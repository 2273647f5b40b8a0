import type { MmioBus } from '../../../../devices/bus/mmio-bus.ts';
import type { Clock } from '../../../../devices/device.ts';
import type { InspectNode } from '../../../../devices/inspect.ts';
import { Delivery } from '../../../../devices/local-apic/registers.ts';
import type { AssignedFunction } from '../../../../devices/pci/assigned.ts';
import { inspectFunction } from '../../../../devices/pci/inspect.ts';
import { Config } from '../../../../devices/pci/registers.ts';
import { DeviceTimer } from '../../../../devices/timer.ts';
import type { Handler } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { NtStatus } from '../../abi/nt-status.ts';
import { PacketType } from '../../abi/ring.ts';
import * as A from '../../abi/vpci.ts';
import { FIRST_VECTOR, LAST_VECTOR } from '../../hypercalls/vectors.ts';
import type { DeviceInterrupts } from '../../interrupts/device-interrupts.ts';
import type { ChannelOffer, GuestPacket, HostPacket, Vsp, VspChannel } from '../../vmbus/vsp.ts';
import { serveVpci as serveAtOnce } from '../generated/vpci.ts';
import { serveVpci, type VpciOutcome, type VpciWork } from '../handlers/vpci.ts';
import { ConfigWindow } from './config-window.ts';

/** What a virtual PCI bus is made of. */
export interface VpciWorld {
  readonly assigned: AssignedFunction;
  /** Which of the partition's buses it is, from 0. */
  readonly index: number;
  readonly interrupts: DeviceInterrupts;
  readonly mmio: Pick<MmioBus, 'attachMovable'>;
  readonly clock: Clock;
  /** vCPUs of the partition. */
  readonly vcpus: number;
}

const MOST_WAITING = 256;
const MOST_REFUSALS = 32;
/** Physical addresses that guests have: 40 bits. */
const ADDRESSES = 1n << 40n;
/** How long a guest may take to let go of a device, in ns: a minute. */
const PATIENCE = 60_000_000_000n;
/** The only place on the bus. */
const SLOT = 0;

/** Each bus has a PCI domain of its own in Linux: the second field of its instance's GUID, which is not to be 0. */
function instanceOf(index: number): string {
  return `6b1a7d35-${(0x9a01 + index).toString(16)}-4e20-b0c6-3f5d12a98e47`;
}

/** A virtual PCI bus with one function, which the host has assigned to the guest (discrete device assignment): vpcivsp.sys in the parent. */
export class VpciVsp implements Vsp, VpciWork {
  readonly name: string;
  readonly component = 'vpcivsp.sys';
  readonly offer: ChannelOffer;
  /** What the hypervisor knows the function by. */
  readonly deviceId: bigint;
  private readonly window: ConfigWindow;
  private channel: VspChannel | undefined;
  private waiting: HostPacket[] = [];
  private version: number | undefined;
  /** What is to be done once the guest has let go of the function. */
  private leave: (() => void) | undefined;
  private readonly patience: DeviceTimer;
  private readonly refusals = new Map<string, number>();

  constructor(private readonly world: VpciWorld) {
    const { index, assigned, interrupts, mmio, clock } = world;
    this.name = index === 0 ? 'vpci' : `vpci-${index}`;
    this.offer = { interfaceId: A.VPCI_INTERFACE, instanceId: instanceOf(index) };
    this.deviceId = A.deviceIdOf(this.offer.instanceId, 0);
    this.window = new ConfigWindow(`${this.name} configuration`, assigned.device);
    this.patience = new DeviceTimer(clock, () => this.left());
    mmio.attachMovable(this.window);
    assigned.taker = { take: (message) => interrupts.take(this.deviceId, message) };
  }

  open(channel: VspChannel): void {
    this.channel = channel;
    this.world.interrupts.attach(this.deviceId, this.world.assigned.device.name);
  }
  close(): void {
    this.powerOff();
    this.world.interrupts.detach(this.deviceId);
    this.channel = undefined;
    this.waiting = [];
    this.version = undefined;
    this.left();
  }
  reset(): void {
    this.leave = undefined;
    this.patience.set(undefined);
    this.close();
    this.refusals.clear();
  }

  receive(channel: VspChannel, packet: GuestPacket): void {
    serveAtOnce(this, channel, packet);
  }
  receiveInStages(channel: VspChannel, packet: GuestPacket): Handler {
    return serveVpci(this, channel, packet);
  }

  hasRoom(channel: VspChannel): void {
    for (let [packet] = this.waiting; packet && channel.send(packet); [packet] = this.waiting) this.waiting.shift();
  }
  get isBehind(): boolean {
    return this.waiting.length > 0;
  }
  keep(packet: HostPacket): void {
    if (this.channel !== undefined && this.waiting.length < MOST_WAITING) this.waiting.push(packet);
    else this.refuse('let its ring be full');
  }
  refuse(what: string): void {
    if (this.refusals.size < MOST_REFUSALS || this.refusals.has(what))
      this.refusals.set(what, (this.refusals.get(what) ?? 0) + 1);
  }

  // --- taking the function away --------------------------------------------------------------------------------------

  eject(gone: () => void): boolean {
    const { channel, world } = this;
    if (channel === undefined || this.version === undefined || this.leave) return false;
    this.leave = gone;
    this.patience.set(world.clock.now() + PATIENCE);
    const packet = packetOf(A.VpciMessage.EJECT, 4, (body) => body.setUint32(0, SLOT, true));
    if (this.isBehind || !channel.send(packet)) this.keep(packet);
    return true;
  }
  private left(): void {
    const { leave } = this;
    this.leave = undefined;
    this.patience.set(undefined);
    leave?.();
  }

  // --- messages ------------------------------------------------------------------------------------------------------

  get phaseName(): string {
    if (this.version === undefined) return 'no version';
    return this.window.at === undefined ? 'off' : 'on';
  }
  private get isOn(): boolean {
    return this.window.at !== undefined;
  }

  follow(request: A.VpciRequest): VpciOutcome {
    const outcome = this.answer(request);
    if (outcome.status !== NtStatus.SUCCESS && outcome.status !== NtStatus.REVISION_MISMATCH)
      this.refuse(`${A.vpciMessageName(request.type)} that could not be followed`);
    return outcome;
  }

  private answer(request: A.VpciRequest): VpciOutcome {
    const { type, body } = request;
    const M = A.VpciMessage;
    if (type === M.QUERY_PROTOCOL_VERSION) return this.agree(body);
    if (this.version === undefined) return { status: NtStatus.INVALID_DEVICE_STATE };
    if (this.version < (A.SINCE.get(type) ?? 0)) return { status: NtStatus.INVALID_DEVICE_REQUEST };
    switch (type) {
      case M.QUERY_BUS_RELATIONS:
        return { status: NtStatus.SUCCESS, messages: [this.relations()], shown: { functions: 1 } };
      case M.BUS_D0ENTRY:
        return this.powerOn(body);
      case M.BUS_D0EXIT:
        this.powerOff();
        return { status: NtStatus.SUCCESS };
      case M.POWER_STATE_CHANGE:
        return ofFunction(body, A.VpciSize.POWER) ?? { status: NtStatus.SUCCESS, more: bytesFrom(body, A.VpciSize.POWER) };
      case M.QUERY_RESOURCE_REQUIREMENTS:
        return ofFunction(body, A.VpciSize.SLOT) ?? this.requirements();
      case M.RESOURCES_ASSIGNED:
      case M.RESOURCES_ASSIGNED2:
      case M.RESOURCES_ASSIGNED3:
        return ofFunction(body, A.VpciSize.RESOURCES) ?? takeResources(body);
      case M.RESOURCES_RELEASED:
        return ofFunction(body, A.VpciSize.SLOT) ?? this.release();
      case M.CREATE_INTERRUPT_MESSAGE:
      case M.CREATE_INTERRUPT_MESSAGE2:
      case M.CREATE_INTERRUPT_MESSAGE3:
        return ofFunction(body, A.VpciSize.SLOT) ?? this.createInterrupt(request);
      case M.DELETE_INTERRUPT_MESSAGE:
      case M.DELETE_INTERRUPT_MESSAGE2:
        return ofFunction(body, A.VpciSize.DELETE_INTERRUPT) ?? this.deleteInterrupt(body);
      case M.EJECTION_COMPLETE:
        if (this.leave === undefined) return { status: NtStatus.INVALID_DEVICE_STATE };
        this.left();
        return { status: NtStatus.SUCCESS };
      case M.READ_BLOCK:
      case M.WRITE_BLOCK:
        // Such blocks are a way to the host's driver of a function that is one of several of a device.
        return { status: NtStatus.NOT_SUPPORTED };
      default:
        return { status: NtStatus.INVALID_DEVICE_REQUEST };
    }
  }

  private agree(body: DataView): VpciOutcome {
    if (body.byteLength < A.VpciSize.VERSION) return { status: NtStatus.INVALID_PARAMETER };
    if (this.isOn) return { status: NtStatus.INVALID_DEVICE_STATE };
    const wanted = body.getUint32(0, true);
    const isKnown = A.VPCI_VERSIONS.includes(wanted);
    this.version = isKnown ? wanted : undefined;
    const status = isKnown ? NtStatus.SUCCESS : NtStatus.REVISION_MISMATCH;
    return { status, more: bytesFrom(body, A.VpciSize.VERSION), shown: { version: A.vpciVersionName(wanted) } };
  }

  /** Which functions are on the bus, in the form of the version. */
  private relations(): HostPacket {
    const { configuration } = this.world.assigned.device;
    const isLong = this.version !== undefined && this.version >= A.VpciVersion.V1_3;
    const fill = (body: DataView) => {
      body.setUint32(0, 1, true);
      body.setUint32(4, configuration.read(Config.VENDOR_ID, 4), true);
      body.setUint32(8, configuration.read(Config.REVISION, 4), true);
      body.setUint32(12, configuration.read(Config.SUBSYSTEM_VENDOR, 4), true);
      body.setUint32(16, SLOT, true);
      // A serial number, which Linux names the slot by.
      body.setUint32(20, this.world.index + 1, true);
    };
    return isLong ? packetOf(A.VpciMessage.BUS_RELATIONS2, 32, fill) : packetOf(A.VpciMessage.BUS_RELATIONS, 24, fill);
  }

  private powerOn(body: DataView): VpciOutcome {
    if (body.byteLength < A.VpciSize.D0_ENTRY) return { status: NtStatus.INVALID_PARAMETER };
    if (this.isOn) return { status: NtStatus.INVALID_DEVICE_STATE };
    const at = body.getBigUint64(4, true);
    const shown = { configuration: at };
    const isPossible = at % BigInt(A.WINDOW_PAGE) === 0n && at + BigInt(A.WINDOW_LENGTH) <= ADDRESSES;
    if (!isPossible) return { status: NtStatus.INVALID_PARAMETER, shown };
    this.window.at = at;
    return { status: NtStatus.SUCCESS, shown };
  }

  /** The bus is off: no configuration space, no interrupts, and a function that was reset. */
  private powerOff(): void {
    this.window.reset();
    this.world.interrupts.clear(this.deviceId);
    this.world.assigned.device.resetFunction();
  }

  /** What BARs read as after ones were written to them. */
  private requirements(): VpciOutcome {
    const more = new Uint8Array(Uint32Array.from(this.world.assigned.device.configuration.probedBars()).buffer);
    return { status: NtStatus.SUCCESS, more };
  }

  private release(): VpciOutcome {
    this.world.interrupts.clear(this.deviceId);
    return { status: NtStatus.SUCCESS };
  }

  private createInterrupt(request: A.VpciRequest): VpciOutcome {
    if (!this.isOn) return { status: NtStatus.INVALID_DEVICE_STATE };
    const wish = A.readInterruptWish(request);
    if (wish === undefined) return { status: NtStatus.INVALID_PARAMETER };
    const { vector, mode, count, vps: named } = wish;
    const vps = named.filter((vp) => vp < this.world.vcpus);
    const shown = { vector, mode, vectors: count, vps: vps.join(', ') || 'none' };
    const isPossible =
      vector >= FIRST_VECTOR && vector <= LAST_VECTOR && (mode === Delivery.FIXED || mode === Delivery.LOWEST) && count === 1;
    if (!isPossible || vps.length === 0) return { status: NtStatus.INVALID_PARAMETER, shown };
    const message = this.world.interrupts.map(this.deviceId, { vector, vps, isMulticast: false });
    if (message === undefined) return { status: NtStatus.INSUFFICIENT_RESOURCES, shown };
    const more = new Uint8Array(4 + A.VpciSize.INTERRUPT);
    const view = new DataView(more.buffer, 4);
    view.setUint16(2, count, true);
    view.setUint32(4, message.data, true);
    view.setBigUint64(8, message.address, true);
    return { status: NtStatus.SUCCESS, more, shown: { ...shown, ...message } };
  }

  private deleteInterrupt(body: DataView): VpciOutcome {
    const message = { data: body.getUint32(8, true), address: body.getBigUint64(12, true) };
    const isGone = this.world.interrupts.unmap(this.deviceId, message);
    return { status: isGone ? NtStatus.SUCCESS : NtStatus.INVALID_PARAMETER, shown: message };
  }

  inspect(): InspectNode {
    const { version, window, deviceId, refusals, leave } = this;
    return {
      name: this.name,
      value: this.channel === undefined ? 'waits for a driver' : leave ? 'the guest is to let go of it' : this.phaseName,
      children: [
        { name: 'version', value: version === undefined ? 'none' : A.vpciVersionName(version) },
        { name: 'configuration space', value: window.at === undefined ? 'nowhere' : hex(window.at) },
        { name: 'device', value: hex(deviceId), detail: 'as hypercalls name it' },
        inspectFunction(this.world.assigned.device, SLOT),
        {
          name: 'mistakes of the guest',
          value: String([...refusals.values()].reduce((sum, times) => sum + times, 0)),
          children: [...refusals].map(([name, times]) => ({ name, value: `${times} times` })),
        },
      ],
    };
  }
}

/** What is wrong with a message for a function: its length, or that there is none at its slot. */
function ofFunction(body: DataView, size: number): VpciOutcome | undefined {
  if (body.byteLength < size) return { status: NtStatus.INVALID_PARAMETER };
  const slot = body.getUint32(0, true);
  return slot === SLOT ? undefined : { status: NtStatus.NO_SUCH_DEVICE, shown: { slot: A.slotText(slot) } };
}

/** Memory is said again in the BARs. Interrupts are to be asked for by their own messages. */
function takeResources(body: DataView): VpciOutcome {
  const descriptors = body.getUint32(A.RESOURCES_DESCRIPTORS, true);
  return { status: descriptors === 0 ? NtStatus.SUCCESS : NtStatus.NOT_SUPPORTED, shown: { descriptors } };
}

function bytesFrom({ buffer, byteOffset }: DataView, length: number): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length).slice();
}

function packetOf(type: number, size: number, fill: (body: DataView) => void): HostPacket {
  const payload = new Uint8Array(4 + size);
  new DataView(payload.buffer).setUint32(0, type, true);
  fill(new DataView(payload.buffer, 4));
  return { type: PacketType.DATA_IN_BAND, transactionId: 0n, payload };
}

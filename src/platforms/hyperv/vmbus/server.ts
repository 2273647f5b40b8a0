import type { Clock } from '../../../devices/device.ts';
import { DmaError, type DmaMemory } from '../../../devices/dma.ts';
import type { InspectNode } from '../../../devices/inspect.ts';
import type { Handler, StageValue } from '../../../stages/stage.ts';
import { inFrame } from '../../../stages/stage.ts';
import { guidBytes } from '../abi/guid.ts';
import { HvStatus } from '../abi/status.ts';
import {
  EVENT_CONNECTION,
  MESSAGE_CONNECTION,
  MESSAGE_CONNECTION_5,
  MOST_CHANNELS,
  REDIRECT_CONNECTION,
  type VmbusTypeName,
} from '../abi/vmbus.ts';
import { parentFrame } from '../hyperv.ts';
import type { EventTarget, MessageTarget, PostedMessage } from '../synic/connections.ts';
import { type ChannelBus, OpenChannel, type OpenRequest, VmbusChannel, type VmbusDevice } from './channel.ts';
import { hasDedicatedInterrupts, type VmbusConnection } from './connection.ts';
import { serveChannel as serveAtOnce } from './generated/channels.ts';
import { receiveMessage as receiveAtOnce } from './generated/messages.ts';
import type { Gpadl } from './gpadl.ts';
import { serveChannel } from './handlers/channels.ts';
import { receiveMessage } from './handlers/messages.ts';
import { inspectVmbus } from './inspect.ts';
import { interruptGuest } from './interrupt.ts';
import { encodeMessage, type VmbusMessage } from './message.ts';
import { MonitorPage } from './monitor.ts';
import { Notes } from './notes.ts';
import { encodeOffer } from './offer.ts';
import { Outbox } from './outbox.ts';
import { decodePlugging, type Plugging, VMBUS_INPUT } from './plugging.ts';
import type { GuestBuffer, Vsp } from './vsp.ts';
import type { VmbusWorld } from './world.ts';

/** Descriptions of memory that a guest may have at a time. */
export const MOST_GPADLS = 8192;

/** A message that went over the bus, for who looks. */
export interface SeenMessage {
  readonly from: 'guest' | 'host';
  readonly name: VmbusTypeName;
  readonly text: string;
}

/**
 * The VMBus of a partition at its host's end: the server in the parent partition's virtualization stack (vmbusr.sys). It offers devices,
 * whose services (VSPs) it gives channels to.
 */
export class VmbusServer implements ChannelBus {
  readonly devices: VmbusDevice[] = [];
  readonly gpadls = new Map<number, Gpadl>();
  readonly notes = new Notes();
  readonly outbox: Outbox;
  connection: VmbusConnection | undefined;
  /** The last message of each direction. */
  readonly lastMessages = new Map<'guest' | 'host', SeenMessage>();
  readonly messageCounts = { guest: 0, host: 0 };
  private readonly channelsById = new Map<number, VmbusChannel>();
  private readonly monitor: MonitorPage;

  constructor(
    readonly world: VmbusWorld,
    private readonly vsps: readonly Vsp[],
  ) {
    this.outbox = new Outbox(world);
    this.monitor = new MonitorPage(world);
    for (const vsp of vsps) this.addDevice(vsp);
  }

  get dma(): DmaMemory {
    return this.world.dma;
  }
  get clock(): Clock {
    return this.world.clock;
  }

  // --- what the hypervisor delivers -----------------------------------------------------------------------------------

  /** The guest is switched on: connects the ports that every guest finds. */
  reset(): void {
    this.disconnect();
    this.outbox.reset();
    this.notes.clear();
    this.lastMessages.clear();
    this.messageCounts.guest = 0;
    this.messageCounts.host = 0;
    // What was plugged in or out is so no more.
    this.devices.length = 0;
    this.channelsById.clear();
    for (const vsp of this.vsps) {
      vsp.reset();
      this.addDevice(vsp);
    }
    const { connections } = this.world;
    connections.connect(MESSAGE_CONNECTION, this.messagePort());
    connections.connect(MESSAGE_CONNECTION_5, this.messagePort());
    connections.connect(EVENT_CONNECTION, this.sharedEvents());
  }

  private messagePort(): MessageTarget {
    const receive = (message: PostedMessage) => this.receiveInStages(message);
    return {
      kind: 'message',
      server: 'vmbusr.sys',
      post: (message) => receiveAtOnce(this, message),
      *postInStages(message) {
        return yield* receive(message);
      },
    };
  }
  private *receiveInStages(message: PostedMessage): Handler<number> {
    return yield* inFrame(parentFrame('vmbusr.sys', 'VMBus: take message'), receiveMessage(this, message));
  }

  private channelEvents(channel: VmbusChannel): EventTarget {
    const serve = () => this.serveInStages(channel);
    const { component, name } = channel.device.vsp;
    return {
      kind: 'event',
      server: `${component} ${name}`,
      signal: () => {
        serveAtOnce(channel);
        return HvStatus.SUCCESS;
      },
      *signalInStages() {
        yield* serve();
        return HvStatus.SUCCESS;
      },
    };
  }
  private *serveInStages(channel: VmbusChannel): Handler {
    yield* inFrame(parentFrame('vmbusr.sys', `VMBus channel ${channel.id}: ring signalled`), serveChannel(channel));
  }

  /** The event that all channels share: flags in the second half of the interrupt page say which are meant. */
  private sharedEvents(): EventTarget {
    const serve = () => this.serveMarkedInStages();
    return {
      kind: 'event',
      server: 'vmbusr.sys',
      signal: () => {
        for (const channel of this.takeMarked()) serveAtOnce(channel);
        return HvStatus.SUCCESS;
      },
      *signalInStages() {
        yield* serve();
        return HvStatus.SUCCESS;
      },
    };
  }
  private *serveMarkedInStages(): Handler {
    for (const channel of this.takeMarked()) yield* this.serveInStages(channel);
  }

  /** Channels that are marked in the interrupt page for the host; the marks are taken away. */
  private takeMarked(): readonly VmbusChannel[] {
    const page = this.connection?.interruptPage;
    if (page === undefined) return [];
    const half = page + 2048n;
    try {
      const flags = this.dma.read(half, 256);
      const marked = [...this.channelsById.values()].filter(({ id }) => ((flags[id >> 3] ?? 0) & (1 << (id & 7))) !== 0);
      if (marked.length > 0) this.dma.write(half, new Uint8Array(256));
      return marked;
    } catch (error) {
      if (error instanceof DmaError) return [];
      throw error;
    }
  }

  // --- the control path, for its handlers -----------------------------------------------------------------------------

  noteReceived(message: VmbusMessage): void {
    this.messageCounts.guest++;
    this.lastMessages.set('guest', { from: 'guest', name: message.name, text: message.describe() });
  }

  /** Sends a message to the vCPU and the interrupt source that the guest chose for that. */
  send(name: VmbusTypeName, values: Readonly<Record<string, StageValue>> = {}, to = this.connection): void {
    if (to === undefined) return;
    this.sendBytes(name, encodeMessage(name, plain(values)), to);
  }

  private sendBytes(name: VmbusTypeName, bytes: Uint8Array, { vcpu, sint }: Pick<VmbusConnection, 'vcpu' | 'sint'>): void {
    this.messageCounts.host++;
    this.lastMessages.set('host', { from: 'host', name, text: name });
    this.outbox.send(vcpu, sint, bytes);
  }

  /** Agrees with the guest; what was agreed on before ends. */
  connect(connection: VmbusConnection): void {
    this.disconnect();
    this.connection = connection;
    this.world.connections.connect(REDIRECT_CONNECTION, this.messagePort());
    this.monitor.begin(connection.monitorPage);
  }

  /** Ends what the guest and the host have agreed on: all channels are closed, and all that it described is forgotten. */
  disconnect(): void {
    const { connection } = this;
    for (const channel of this.channels) {
      this.close(channel);
      if (connection) this.world.connections.disconnect(channel.connectionId(connection.sint));
      channel.isOffered = false;
      channel.isRescinded = false;
      if (channel.subchannelIndex !== 0 || channel.device.isRemoved) this.forget(channel);
    }
    for (const gpadl of this.gpadls.values()) gpadl.end();
    this.gpadls.clear();
    this.monitor.end();
    this.outbox.clear();
    this.world.connections.disconnect(REDIRECT_CONNECTION);
    this.connection = undefined;
  }

  channel(id: number): VmbusChannel | undefined {
    return this.channelsById.get(id);
  }
  get channels(): readonly VmbusChannel[] {
    return [...this.channelsById.values()].sort((a, b) => a.id - b.id);
  }
  hasVcpu(vcpu: number): boolean {
    return vcpu < this.world.vcpus;
  }
  /** Pages that the guest has described. */
  get pagesDescribed(): number {
    let sum = 0;
    for (const gpadl of this.gpadls.values()) sum += gpadl.pageCount;
    return sum;
  }

  /** Offers a channel to the guest. */
  offer(channel: VmbusChannel): void {
    const { connection } = this;
    if (connection === undefined) return;
    const isDedicated = hasDedicatedInterrupts(connection);
    const bytes = encodeOffer(
      channel,
      this.monitor.place(channel),
      isDedicated ? channel.connectionId(connection.sint) : undefined,
    );
    channel.isOffered = true;
    if (isDedicated) this.world.connections.connect(channel.connectionId(connection.sint), this.channelEvents(channel));
    this.sendBytes('OFFER_CHANNEL', bytes, connection);
  }

  /** The guest opens a channel. */
  open(channel: VmbusChannel, request: OpenRequest): void {
    // While a debugger steps, another vCPU may have opened it, or left the bus.
    if (channel.open !== undefined || !channel.isOffered || this.channelsById.get(channel.id) !== channel) return;
    request.gpadl.user = channel.id;
    channel.open = new OpenChannel(request);
    channel.device.vsp.open(channel);
    this.monitor.watch(channel);
  }

  close(channel: VmbusChannel): void {
    const { open } = channel;
    if (open === undefined) return;
    open.request.gpadl.user = undefined;
    channel.open = undefined;
    channel.service.stop();
    this.monitor.leave(channel);
    channel.device.vsp.close(channel);
  }

  /** Takes a channel away from the guest, which answers with RELID_RELEASED. */
  rescind(channel: VmbusChannel): void {
    this.close(channel);
    if (!channel.isOffered) {
      this.forget(channel);
      return;
    }
    if (channel.isRescinded) return;
    channel.isRescinded = true;
    this.send('RESCIND_CHANNEL_OFFER', { channel: channel.id });
  }

  /** The guest uses a channel's number no more. */
  release(channel: VmbusChannel): void {
    this.close(channel);
    for (const [id, gpadl] of this.gpadls)
      if (gpadl.channel === channel.id) {
        gpadl.end();
        this.gpadls.delete(id);
      }
    if (this.connection) this.world.connections.disconnect(channel.connectionId(this.connection.sint));
    channel.isOffered = false;
    this.forget(channel);
  }

  /** A channel that isn't offered again: a subchannel, or one of a device that is gone. */
  private forget(channel: VmbusChannel): void {
    const { device } = channel;
    if (channel.subchannelIndex === 0 && !device.isRemoved) return;
    this.channelsById.delete(channel.id);
    const index = device.channels.indexOf(channel);
    if (index >= 0) device.channels.splice(index, 1);
    if (device.isRemoved && device.channels.length === 0) this.devices.splice(this.devices.indexOf(device), 1);
  }

  // --- devices --------------------------------------------------------------------------------------------------------

  /** A further device: the guest is offered it at once, where it has asked for offers. */
  addDevice(vsp: Vsp): void {
    for (const guid of [vsp.offer.interfaceId, vsp.offer.instanceId])
      if (guidBytes(guid) === undefined) throw new Error(`${vsp.name} can't be offered as ${guid}: that is no GUID.`);
    const device: VmbusDevice = { vsp, channels: [], isRemoved: false };
    const channel = this.addChannel(device, 0);
    if (channel === undefined) throw new Error(`${vsp.name} is one device more than a VMBus can have.`);
    this.devices.push(device);
    if (this.connection?.hasOffers) this.offer(channel);
  }

  /**
   * Takes a device away, as if it were unplugged; one whose guest is to let go of it first goes then, or when it is taken away again. False
   * where there is none of that name.
   */
  removeDevice(name: string): boolean {
    const device = this.devices.find(({ vsp, isRemoved }) => vsp.name === name && !isRemoved);
    if (device === undefined) return false;
    if (device.vsp.eject?.(() => this.takeAway(device)) !== true) this.takeAway(device);
    return true;
  }
  private takeAway(device: VmbusDevice): void {
    if (device.isRemoved) return;
    device.isRemoved = true;
    for (const channel of [...device.channels].reverse()) this.rescind(channel);
  }

  /** Whether there is a service of that name, also where its device was taken away. */
  hasService(name: string): boolean {
    return this.vsps.some((vsp) => vsp.name === name);
  }

  /** Gives back a device that was taken away. False where there is none of that name, or it is there. */
  restoreDevice(name: string): boolean {
    const vsp = this.vsps.find((one) => one.name === name);
    if (vsp === undefined || this.devices.some((device) => device.vsp === vsp && !device.isRemoved)) return false;
    this.addDevice(vsp);
    return true;
  }

  /** What may come from outside: a device is taken away, or given back. */
  get inputs(): ReadonlyMap<string, (bytes: Uint8Array) => void> {
    return new Map([[VMBUS_INPUT, (bytes: Uint8Array) => this.plug(decodePlugging(bytes))]]);
  }
  private plug(change: Plugging | undefined): void {
    if (change?.isIn === true) this.restoreDevice(change.name);
    else if (change) this.removeDevice(change.name);
  }

  private addChannel(device: VmbusDevice, subchannelIndex: number): VmbusChannel | undefined {
    let id = 1;
    while (this.channelsById.has(id)) id++;
    if (id > MOST_CHANNELS) return undefined;
    const channel = new VmbusChannel(id, device, subchannelIndex, this);
    this.channelsById.set(id, channel);
    device.channels.push(channel);
    return channel;
  }

  // --- for channels ---------------------------------------------------------------------------------------------------

  offerSubchannels(device: VmbusDevice, count: number): void {
    for (let index = 1; index <= count; index++) {
      // One that was taken away may not have been released yet.
      if (device.channels.some((one) => one.subchannelIndex === index && !one.isRescinded)) continue;
      const channel = this.addChannel(device, index);
      if (channel === undefined) return;
      this.offer(channel);
    }
  }

  gpadlOf(device: VmbusDevice, id: number): GuestBuffer | undefined {
    const gpadl = this.gpadls.get(id);
    return gpadl && device.channels.some((channel) => channel.id === gpadl.channel) ? gpadl.buffer : undefined;
  }

  interrupt({ id, open }: VmbusChannel): void {
    const { connection } = this;
    if (connection === undefined || open === undefined) return;
    interruptGuest(this.world, connection, id, open.vcpu);
  }

  inspect(): InspectNode {
    return inspectVmbus(this);
  }
}

/** Values of a stage as those of a message. */
function plain(values: Readonly<Record<string, StageValue>>): Readonly<Record<string, number | bigint | string>> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === 'boolean' ? Number(value) : value]),
  );
}

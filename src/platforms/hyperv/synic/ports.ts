import type { InspectNode } from '../../../devices/inspect.ts';
import { type Handler, inFrame } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { HvStatus } from '../abi/status.ts';
import { ANY_VP, BUFFERS_PER_PORT } from '../abi/synic.ts';
import { type Hyperv, hypervisorFrame } from '../hyperv.ts';
import type { OverlayPage } from '../overlay/overlays.ts';
import type { Connection, EventTarget, MessageTarget, PostedMessage } from './connections.ts';
import {
  deliverMessage as deliverMessageAtOnce,
  setFlag as setFlagAtOnce,
  tellOfPort as tellOfPortAtOnce,
} from './generated/deliver.ts';
import { deliverMessage, setFlag, tellOfPort } from './handlers/deliver.ts';
import { MessageBuffers } from './message-queue.ts';
import { MonitorPage } from './monitor-page.ts';
import type { PortInformation } from './port-information.ts';

/** The partition that a port belongs to. */
export type PortOwner = Pick<Hyperv, 'partitionId' | 'vendor' | 'synic' | 'overlays'>;

/** Of one kind of port. */
export type PortInformationOf<Kind extends PortInformation['kind']> = Extract<PortInformation, { readonly kind: Kind }>;

/** What ports of all kinds have. */
abstract class BasePort<Kind extends PortInformation['kind']> {
  /** It was deleted: its connection, while it remains, is useless. */
  isDeleted = false;
  /** A port has one connection at most. */
  isConnected = false;

  constructor(
    readonly owner: PortOwner,
    /** Number among the ports of its partition. */
    readonly id: number,
    readonly information: PortInformationOf<Kind>,
    /** The partition that may connect to it; 0 for any that knows its number. */
    readonly connectionPartition: bigint,
  ) {}

  delete(): void {
    this.isDeleted = true;
  }

  disconnected(): void {
    this.isConnected = false;
  }

  get place(): string {
    return describePlace(this.information);
  }
}

/** A port that takes messages, with 16 buffers for those that wait. */
export class MessagePort extends BasePort<'message'> implements MessageTarget {
  readonly kind = 'message';
  readonly buffers = new MessageBuffers(BUFFERS_PER_PORT);
  /** Messages that it has taken. */
  posts = 0n;

  /** What is still queued goes with it. */
  override delete(): void {
    super.delete();
    this.owner.synic.withdraw(this.buffers);
  }

  /** Takes a message; gives a status. */
  take({ type, payload }: PostedMessage): number {
    if (this.isDeleted) return HvStatus.INVALID_PORT_ID;
    const { vp, source } = this.information;
    const status = this.owner.synic.post(vp, source, { type, sender: BigInt(this.id), payload }, this.buffers);
    if (status === HvStatus.SUCCESS) this.posts++;
    return status;
  }

  post(message: PostedMessage): number {
    return deliverMessageAtOnce(this, message);
  }
  *postInStages(message: PostedMessage): Handler<number> {
    const frame = hypervisorFrame(this.owner, `message port ${this.id} of partition ${this.owner.partitionId}`);
    return yield* inFrame(frame, deliverMessage(this, message));
  }
}

/** A port that takes event flags. */
export class EventPort extends BasePort<'event'> implements EventTarget {
  readonly kind = 'event';

  /** Sets a flag, relative to the port's first; gives a status. */
  take(flag: number): number {
    if (this.isDeleted) return HvStatus.INVALID_PORT_ID;
    const { vp, source, baseFlag, flagCount } = this.information;
    if (flag >= flagCount) return HvStatus.INVALID_PARAMETER;
    return this.owner.synic.signal(vp, source, baseFlag + flag);
  }

  signal(flag: number): number {
    return setFlagAtOnce(this, flag);
  }
  *signalInStages(flag: number): Handler<number> {
    const frame = hypervisorFrame(this.owner, `event port ${this.id} of partition ${this.owner.partitionId}`);
    return yield* inFrame(frame, setFlag(this, flag));
  }
}

/** A port whose partition is told of a write of another one, by the port's number in an event ring. */
export class DoorbellPort extends BasePort<'doorbell'> {
  readonly kind = 'doorbell';
  /** How often it was rung. */
  rings = 0n;

  /** It waits for no ring any more. */
  override delete(): void {
    super.delete();
    this.owner.synic.forgetPort(this.id);
  }

  /** Tells of itself; gives a status. */
  take(): number {
    if (this.isDeleted) return HvStatus.INVALID_PORT_ID;
    const { vp, source } = this.information;
    const status = this.owner.synic.tell(vp, source, this.id);
    if (status === HvStatus.SUCCESS) this.rings++;
    return status;
  }

  ring(): number {
    return tellOfPortAtOnce(this);
  }
  *ringInStages(): Handler<number> {
    const frame = hypervisorFrame(this.owner, `doorbell port ${this.id} of partition ${this.owner.partitionId}`);
    return yield* inFrame(frame, tellOfPort(this));
  }
}

/** The end of a monitor page in the partition that is signalled. The page is there as long as the port. */
export class MonitorPort extends BasePort<'monitor'> {
  readonly kind = 'monitor';
  readonly page = new MonitorPage();
  private overlay: OverlayPage | undefined;
  private connection: MonitorConnection | undefined;

  /** Lays the page over a page of the partition; false where none can be. */
  lay(): boolean {
    this.overlay ??= this.owner.overlays.make(`monitor page of port ${this.id}`, { writable: true, common: this.page });
    if (this.overlay.place(this.information.gpa)) return true;
    this.overlay.discard();
    return false;
  }

  /** Lays it over one of the partition that sets triggers, too, and begins to look at it; undefined where none can be. */
  connect(from: Pick<Hyperv, 'overlays' | 'machine' | 'connections'>, gpa: bigint): MonitorConnection | undefined {
    const overlay = from.overlays.make(`monitor page of a connection to port ${this.id}`, { writable: true, common: this.page });
    if (!overlay.place(gpa)) {
      overlay.discard();
      return undefined;
    }
    const { connections } = from;
    this.page.watch({
      clock: from.machine.clock,
      // What it can't signal is lost, as the status of a call is that nobody looks at.
      signal: (id, flag) => {
        const target = connections.get(id);
        if (target?.kind === 'event') target.signal(flag);
      },
    });
    this.connection = new MonitorConnection(this, overlay);
    return this.connection;
  }

  override delete(): void {
    super.delete();
    this.connection?.end();
    this.overlay?.discard();
  }
}

/** The end of a monitor page in the partition that sets its triggers. */
export class MonitorConnection implements Connection {
  readonly kind = 'monitor';

  constructor(
    private readonly port: MonitorPort,
    private readonly overlay: OverlayPage,
  ) {}

  get willSignal(): boolean {
    return this.port.page.isAboutToLook;
  }
  end(): void {
    this.port.page.unwatch();
    this.overlay.discard();
  }
  disconnected(): void {
    this.end();
    this.port.disconnected();
  }
}

export type Port = MessagePort | EventPort | DoorbellPort | MonitorPort;

/** Makes a port of what is asked for. */
export function makePort(owner: PortOwner, id: number, information: PortInformation, connectionPartition: bigint): Port {
  switch (information.kind) {
    case 'message':
      return new MessagePort(owner, id, information, connectionPartition);
    case 'event':
      return new EventPort(owner, id, information, connectionPartition);
    case 'doorbell':
      return new DoorbellPort(owner, id, information, connectionPartition);
    case 'monitor':
      return new MonitorPort(owner, id, information, connectionPartition);
  }
}

/** Ports of a partition that it or its parent has made. */
const MOST_PORTS = 4096;
/** Of them with a monitor page, which has 128 triggers. */
const MOST_MONITORS = 32;

/** The ports of a partition by their numbers, of 24 bits. */
export class Ports {
  private readonly members = new Map<number, Port>();

  get(id: number): Port | undefined {
    return this.members.get(id);
  }
  get isFull(): boolean {
    return this.members.size >= MOST_PORTS;
  }
  get hasTooManyMonitors(): boolean {
    let count = 0;
    for (const { kind } of this.members.values()) if (kind === 'monitor') count++;
    return count >= MOST_MONITORS;
  }
  /** False where the number is in use. */
  add(port: Port): boolean {
    if (this.members.has(port.id)) return false;
    this.members.set(port.id, port);
    return true;
  }
  delete(id: number): boolean {
    this.members.get(id)?.delete();
    return this.members.delete(id);
  }
  /** The partition ends, or begins anew. */
  clear(): void {
    for (const port of this.members.values()) port.delete();
    this.members.clear();
  }

  inspect(): InspectNode {
    const children = [...this.members.values()].map((port): InspectNode => {
      const isConnected = port.isConnected ? undefined : 'not connected';
      return {
        name: `port ${port.id}`,
        value: port.kind,
        detail: [port.place, usesOf(port), isConnected].filter(Boolean).join(', '),
      };
    });
    return { name: 'ports', value: `${children.length}`, children };
  }
}

function usesOf(port: Port): string | undefined {
  if (port instanceof MessagePort) return `${port.posts} messages, ${port.buffers.free} buffers free`;
  if (port instanceof MonitorPort) return `${port.page.signals} events signalled`;
  return port instanceof DoorbellPort ? `rung ${port.rings} times` : undefined;
}

function describePlace(information: PortInformation): string {
  if (information.kind === 'monitor') return `monitor page ${hex(information.gpa)}`;
  const vp = information.vp === ANY_VP ? 'any vCPU' : `vCPU ${information.vp}`;
  const flags =
    information.kind === 'event' ? `, flags ${information.baseFlag} to ${information.baseFlag + information.flagCount - 1}` : '';
  return `SINT${information.source} of ${vp}${flags}`;
}

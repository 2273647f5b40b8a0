import type { InspectNode } from '../../../devices/inspect.ts';
import type { Handler } from '../../../stages/stage.ts';
import {
  encodeIc,
  encodeNegotiation,
  FRAMEWORK_VERSIONS,
  IcDevice,
  type IcEnvelope,
  IcFlag,
  IcMessage,
  IcStatus,
  type IcVersion,
  version,
  versionText,
} from '../abi/integration.ts';
import type { ChannelOffer, GuestPacket, HostPacket, Vsp, VspChannel } from '../vmbus/vsp.ts';
import { takeAnswer as takeAnswerAtOnce } from './generated/integration.ts';
import { type IntegrationWork, takeAnswer } from './handlers/integration.ts';

/** What is different with each component. What it wants to ask the guest, it gives as the bodies of messages. */
export interface IntegrationService {
  readonly name: keyof typeof IcDevice;
  readonly messageType: number;
  /** Versions of its messages that it knows, oldest first. */
  readonly versions: readonly IcVersion[];
  /** The guest's driver has chosen a version: what to ask first. */
  begin(version: IcVersion): readonly Uint8Array[];
  /** An answer: what to ask next. */
  answered(answer: IcEnvelope): readonly Uint8Array[];
  /** The channel is closed. */
  end(): void;
  inspect(): readonly InspectNode[];
}

type State = 'closed' | 'negotiating' | 'ready' | 'failed';

/** Messages through a pipe, one a packet. */
const NAMED_PIPE = 0x10;
const MESSAGE_MODE = 4;
const IN_BAND = 6;
/** Requests that wait for room in the ring; more are dropped. */
const MOST_WAITING = 32;

/**
 * An integration component of the worker process: agrees with the guest's driver on versions, then asks it something now and then. The
 * guest answers, and never asks.
 */
export class IntegrationComponent implements Vsp, IntegrationWork {
  readonly component = 'vmwp.exe';
  readonly offer: ChannelOffer;
  private channel: VspChannel | undefined;
  private state: State = 'closed';
  private framework = version(0);
  private message = version(0);
  private transaction = 0;
  private waiting: HostPacket[] = [];
  private problem = '';
  private service: IntegrationService;

  constructor(service: IntegrationService) {
    this.service = service;
    const [interfaceId, instanceId] = IcDevice[service.name];
    this.offer = { interfaceId, instanceId, flags: NAMED_PIPE, userData: Uint8Array.of(MESSAGE_MODE, 0, 0, 0) };
  }

  get name(): string {
    return this.service.name;
  }
  get messageType(): number {
    return this.service.messageType;
  }
  /** The guest's driver takes requests. */
  get isReady(): boolean {
    return this.state === 'ready';
  }

  open(channel: VspChannel): void {
    this.close();
    this.channel = channel;
    this.state = 'negotiating';
    this.problem = '';
    const body = encodeNegotiation(FRAMEWORK_VERSIONS, this.service.versions);
    this.put([this.packet(IcMessage.NEGOTIATE, body)]);
  }

  close(): void {
    if (this.channel) this.service.end();
    this.channel = undefined;
    this.state = 'closed';
    this.waiting = [];
    this.framework = version(0);
    this.message = version(0);
    this.transaction = 0;
  }

  reset(): void {
    this.close();
    this.problem = '';
  }

  receive(channel: VspChannel, packet: GuestPacket): void {
    takeAnswerAtOnce(this, channel, packet);
  }
  *receiveInStages(channel: VspChannel, packet: GuestPacket): Handler {
    yield* takeAnswer(this, channel, packet);
  }

  agreed(choice: { readonly framework: IcVersion; readonly message: IcVersion } | undefined): readonly HostPacket[] {
    if (this.state !== 'negotiating') {
      this.refused('versions are agreed on once');
      return [];
    }
    const knows = (versions: readonly IcVersion[], { major, minor }: IcVersion) =>
      versions.some((known) => known.major === major && known.minor === minor);
    if (!choice || !knows(FRAMEWORK_VERSIONS, choice.framework) || !knows(this.service.versions, choice.message)) {
      this.state = 'failed';
      this.refused('the guest has chosen no version of those that were offered');
      return [];
    }
    this.framework = choice.framework;
    this.message = choice.message;
    this.state = 'ready';
    return this.requests(this.service.begin(choice.message));
  }

  answered(answer: IcEnvelope): readonly HostPacket[] {
    if (this.state === 'ready') return this.requests(this.service.answered(answer));
    this.refused('an answer came before versions were agreed on');
    return [];
  }

  refused(why: string): void {
    this.problem = why;
  }

  /** Asks the guest something; false where its driver doesn't take requests. */
  ask(...bodies: readonly Uint8Array[]): boolean {
    if (!this.isReady) return false;
    this.put(this.requests(bodies));
    return true;
  }

  private requests(bodies: readonly Uint8Array[]): readonly HostPacket[] {
    return bodies.map((body) => {
      this.transaction = (this.transaction + 1) & 0xff;
      return this.packet(this.messageType, body);
    });
  }

  private packet(type: number, body: Uint8Array): HostPacket {
    const { framework, message, transaction } = this;
    const flags = IcFlag.TRANSACTION | IcFlag.REQUEST;
    const payload = encodeIc({ type, framework, message, status: IcStatus.OK, transaction, flags, body });
    return { type: IN_BAND, transactionId: BigInt(transaction), payload };
  }

  private put(packets: readonly HostPacket[]): void {
    for (const packet of packets) {
      const isSent = this.waiting.length === 0 && this.channel?.send(packet) === true;
      if (!isSent) this.waitForRoom(packet);
    }
  }

  waitForRoom(packet: HostPacket): void {
    if (this.waiting.length < MOST_WAITING) this.waiting.push(packet);
  }

  hasRoom(): void {
    const { waiting } = this;
    this.waiting = [];
    this.put(waiting);
  }

  inspect(): InspectNode {
    const { state, problem, framework, message, service, isReady } = this;
    const versions = isReady ? `framework ${versionText(framework)}, messages ${versionText(message)}` : undefined;
    return {
      name: this.name,
      value: state,
      detail: versions,
      children: [...(isReady ? service.inspect() : []), ...(problem === '' ? [] : [{ name: 'problem', value: problem }])],
    };
  }
}

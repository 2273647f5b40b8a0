import type { InspectNode } from '../../../devices/inspect.ts';
import { Status } from '../../../devices/scsi/abi.ts';
import type { ScsiController } from '../../../devices/scsi/controller.ts';
import { LONGEST_TRANSFER } from '../../../devices/scsi/disk.ts';
import type { Handler } from '../../../stages/stage.ts';
import * as A from '../abi/storvsp.ts';
import type { ChannelOffer, GuestPacket, HostPacket, Vsp, VspChannel } from '../vmbus/vsp.ts';
import { receiveStorage as receiveAtOnce } from './generated/storage.ts';
import { receiveStorage, type StorageWork } from './handlers/storage.ts';
import { answerTo, firstWord, type RequestResult, type StoragePacket, type StorageRequest } from './storage-packet.ts';

/** Interface of a SCSI controller, and its instance here. */
const SCSI_INTERFACE = 'ba6163d9-04a1-4d29-b605-72e2ffb1dc7f';
const FIRST_CONTROLLER = 'f8b3781a-1e82-4818-a1c3-63d806ec15bb';
/** Answers that wait for room in the ring: more than an honest driver has requests under way. */
const MOST_WAITING = 4096;

/** How far the guest's driver has come. */
export type StoragePhase = 'begin' | 'version' | 'properties' | 'end' | 'ready';

export interface StorageOptions {
  /** Channels that the guest may ask for besides the first. */
  readonly maxSubchannels: number;
}

/** The storage service: takes SCSI commands that the guest's storvsc sends through the VMBus to the disks of a controller. */
export class StorageVsp implements Vsp, StorageWork {
  readonly name = 'storvsp';
  readonly component = 'storvsp.sys';
  readonly offer: ChannelOffer = { interfaceId: SCSI_INTERFACE, instanceId: FIRST_CONTROLLER };
  private phase: StoragePhase = 'begin';
  private version: number | undefined;
  private subchannels = 0;
  private requests = 0;
  private errors = 0;
  private lost = 0;
  private readonly channels = new Map<VspChannel, HostPacket[]>();

  constructor(
    private readonly controller: ScsiController,
    private readonly options: StorageOptions,
  ) {}

  open(channel: VspChannel): void {
    if (channel.subchannelIndex === 0) this.begin();
    this.channels.set(channel, []);
  }
  close(channel: VspChannel): void {
    this.channels.delete(channel);
    if (channel.subchannelIndex === 0) this.begin();
  }
  private begin(): void {
    this.phase = 'begin';
    this.version = undefined;
    this.subchannels = 0;
  }

  receive(channel: VspChannel, packet: GuestPacket): void {
    receiveAtOnce(this, channel, packet);
  }
  *receiveInStages(channel: VspChannel, packet: GuestPacket): Handler {
    yield* receiveStorage(this, channel, packet);
  }

  get phaseName(): string {
    return this.phase;
  }
  get isReady(): boolean {
    return this.phase === 'ready';
  }

  /** Takes what is no request: what sets the channel up, and resets. */
  control(channel: VspChannel, packet: StoragePacket): Uint8Array {
    const { operation } = packet;
    if (!this.isReady && channel.subchannelIndex !== 0) return answerTo(packet, A.NtStatus.INVALID_DEVICE_STATE);
    switch (operation) {
      case A.Operation.RESET_LUN:
      case A.Operation.RESET_ADAPTER:
      case A.Operation.RESET_BUS:
        if (!this.isReady) break;
        this.controller.resetUnits();
        return answerTo(packet, A.NtStatus.SUCCESS);
      case A.Operation.ENUMERATE_BUS:
        if (!this.isReady) break;
        return answerTo(packet, A.NtStatus.SUCCESS);
      case A.Operation.CREATE_SUBCHANNELS:
        return this.createSubchannels(channel, packet);
      case A.Operation.BEGIN_INITIALIZATION:
        if (this.phase !== 'begin') break;
        this.phase = 'version';
        return answerTo(packet, A.NtStatus.SUCCESS);
      case A.Operation.QUERY_PROTOCOL_VERSION:
        return this.negotiate(packet);
      case A.Operation.QUERY_PROPERTIES:
        return this.tellProperties(packet);
      case A.Operation.END_INITIALIZATION:
        if (this.phase !== 'end') break;
        this.phase = 'ready';
        return answerTo(packet, A.NtStatus.SUCCESS);
      case A.Operation.FC_HBA_DATA:
        return answerTo(packet, A.NtStatus.NOT_SUPPORTED);
      default:
        return answerTo(packet, A.NtStatus.INVALID_DEVICE_REQUEST);
    }
    return answerTo(packet, A.NtStatus.INVALID_DEVICE_STATE);
  }

  /** The driver begins with its newest version, and goes on until one is taken. */
  private negotiate(packet: StoragePacket): Uint8Array {
    if (this.phase !== 'version') return answerTo(packet, A.NtStatus.INVALID_DEVICE_STATE);
    const version = firstWord(packet);
    const isKnown = A.VERSIONS.includes(version);
    if (isKnown) {
      this.version = version;
      this.phase = 'properties';
    }
    const status = isKnown ? A.NtStatus.SUCCESS : A.NtStatus.REVISION_MISMATCH;
    return answerTo(packet, status, (body) => body.setUint16(0, version, true));
  }

  private get hasSubchannels(): boolean {
    return this.version !== undefined && this.version >= A.VERSION_WIN8;
  }

  private tellProperties(packet: StoragePacket): Uint8Array {
    if (this.phase !== 'properties') return answerTo(packet, A.NtStatus.INVALID_DEVICE_STATE);
    this.phase = 'end';
    return answerTo(packet, A.NtStatus.SUCCESS, (body) => {
      body.setUint16(A.Properties.MAX_SUBCHANNELS, this.hasSubchannels ? this.options.maxSubchannels : 0, true);
      body.setUint32(A.Properties.FLAGS, this.hasSubchannels ? A.SUPPORTS_MULTI_CHANNEL : 0, true);
      body.setUint32(A.Properties.MAX_TRANSFER, LONGEST_TRANSFER, true);
    });
  }

  private createSubchannels(channel: VspChannel, packet: StoragePacket): Uint8Array {
    const isTime = this.phase === 'end' || this.phase === 'ready';
    if (!isTime || channel.subchannelIndex !== 0 || !this.hasSubchannels)
      return answerTo(packet, A.NtStatus.INVALID_DEVICE_STATE);
    const count = firstWord(packet);
    if (count > this.options.maxSubchannels || count < this.subchannels) return answerTo(packet, A.NtStatus.INVALID_PARAMETER);
    this.subchannels = count;
    channel.offerSubchannels(count);
    return answerTo(packet, A.NtStatus.SUCCESS);
  }

  /** Does what a request block asks for. The guest's buffer is read once, before, and written once, after. */
  execute({ address, command, direction, length }: StorageRequest, { buffer }: GuestPacket): RequestResult {
    const failed = (srbStatus: number): RequestResult => ({ srbStatus, scsiStatus: 0, moved: 0 });
    const room = direction === A.Direction.READ ? length : 0;
    const given = direction === A.Direction.WRITE ? length : 0;
    if (direction > A.Direction.NONE || length > LONGEST_TRANSFER || Math.max(room, given) > (buffer?.length ?? 0))
      return failed(A.SrbStatus.INVALID_REQUEST);
    const out = given === 0 ? new Uint8Array(0) : buffer?.read(0, given);
    if (out === undefined) return failed(A.SrbStatus.INTERNAL_ERROR);
    const outcome = this.controller.execute(address, command, { out, room });
    if (outcome === undefined) return { srbStatus: A.SrbStatus.INVALID_LUN, scsiStatus: Status.CHECK_CONDITION, moved: 0 };
    const { status, data, moved, sense, isCut } = outcome;
    if (data.length > 0 && buffer?.write(0, data) !== true) return failed(A.SrbStatus.INTERNAL_ERROR);
    const srbStatus = sense ? A.SrbStatus.ERROR : isCut ? A.SrbStatus.DATA_OVERRUN : A.SrbStatus.SUCCESS;
    return { srbStatus, scsiStatus: status, moved, ...(sense && { sense }) };
  }

  count({ srbStatus }: RequestResult): void {
    this.requests++;
    if (srbStatus !== A.SrbStatus.SUCCESS) this.errors++;
  }

  /** An answer that the ring had no room for. */
  keep(channel: VspChannel, packet: HostPacket): void {
    const waiting = this.channels.get(channel);
    if (waiting === undefined || waiting.length >= MOST_WAITING) this.lost++;
    else waiting.push(packet);
  }
  isBehind(channel: VspChannel): boolean {
    return (this.channels.get(channel)?.length ?? 0) > 0;
  }

  hasRoom(channel: VspChannel): void {
    const waiting = this.channels.get(channel);
    while (waiting?.[0] && channel.send(waiting[0])) waiting.shift();
  }

  reset(): void {
    this.begin();
    this.channels.clear();
    this.requests = 0;
    this.errors = 0;
    this.lost = 0;
  }

  inspect(): InspectNode {
    const { version, lost } = this;
    const name = version === undefined ? 'none yet' : `${version >> 8}.${version & 0xff}`;
    return {
      name: this.name,
      value: this.phase,
      detail: `protocol version: ${name}`,
      children: [
        { name: 'channels', value: String(this.channels.size), detail: `${this.subchannels} subchannels asked for` },
        { name: 'requests', value: String(this.requests), detail: `${this.errors} of them not done` },
        ...(lost === 0 ? [] : [{ name: 'lost answers', value: String(lost), detail: 'the guest never made room for them' }]),
        this.controller.inspect(),
      ],
    };
  }
}

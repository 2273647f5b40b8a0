import type { DmaMemory } from '../../../../devices/dma.ts';
import type { InspectNode } from '../../../../devices/inspect.ts';
import type { Handler } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { PacketType } from '../../abi/ring.ts';
import {
  EDID_SIZE,
  MOST_RESOLUTIONS,
  VIDEO_INSTANCE,
  VIDEO_INTERFACE,
  VideoMessage,
  type VideoRequest,
  VideoSize,
  VideoVersion,
  videoMessage,
  videoVersionName,
} from '../../abi/synthvid.ts';
import type { ChannelOffer, GuestPacket, HostPacket, Vsp, VspChannel } from '../../vmbus/vsp.ts';
import { serveVideo as serveAtOnce } from '../generated/video.ts';
import { serveVideo, type VideoService } from '../handlers/video.ts';
import { readPixels, readSituation, type Situation } from './screen.ts';

/** What a screen is made of. */
export interface VideoWorld {
  /** Guest memory, where the guest has its video memory. */
  readonly memory: DmaMemory;
}

/** What a screen shows. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue and 255 of each pixel, line by line. */
  readonly pixels: Uint8Array;
}

/** The screen that is told to the guest first, and the others that it can choose. */
const RESOLUTIONS: readonly (readonly [width: number, height: number])[] = [
  [1024, 768],
  [640, 480],
  [800, 600],
];
/** Video memory: enough for the largest of them, and what an allocation of pages may have in Linux. */
const VIDEO_MEMORY_MEGABYTES = 4;
const MOST_PARKED = 64;
const MOST_REFUSALS = 32;
/** Pixels of a pointer's shape each way at most. */
const LARGEST_POINTER = 96;

/** The synthetic screen of a virtual machine, in its worker process: where the guest's image is, and when it changes. */
export class VideoVsp implements Vsp, VideoService {
  readonly name = 'synthvid';
  readonly component = 'vmwp.exe';
  readonly offer: ChannelOffer = {
    interfaceId: VIDEO_INTERFACE,
    instanceId: VIDEO_INSTANCE,
    mmioMegabytes: VIDEO_MEMORY_MEGABYTES,
  };
  private channel: VspChannel | undefined;
  private parked: HostPacket[] = [];
  private version: number | undefined;
  private memoryAt: bigint | undefined;
  private situation: Situation | undefined;
  private hasAskedForDirt = false;
  private pointer = { isVisible: false, x: 0, y: 0, size: 'none' };
  private updates = 0;
  private readonly refusals = new Map<string, number>();

  constructor(private readonly world: VideoWorld) {}

  open(channel: VspChannel): void {
    this.close();
    this.channel = channel;
  }
  close(): void {
    this.channel = undefined;
    this.parked = [];
    this.version = undefined;
    this.memoryAt = undefined;
    this.situation = undefined;
    this.hasAskedForDirt = false;
    this.pointer = { isVisible: false, x: 0, y: 0, size: 'none' };
  }
  reset(): void {
    this.close();
    this.updates = 0;
    this.refusals.clear();
  }

  receive(channel: VspChannel, packet: GuestPacket): void {
    serveAtOnce(this, channel, packet);
  }
  receiveInStages(channel: VspChannel, packet: GuestPacket): Handler {
    return serveVideo(this, channel, packet);
  }

  hasRoom(channel: VspChannel): void {
    for (let [packet] = this.parked; packet && channel.send(packet); [packet] = this.parked) this.parked.shift();
  }
  park(packet: HostPacket): void {
    if (this.parked.length < MOST_PARKED) this.parked.push(packet);
    else this.refuse('let its ring be full');
  }
  refuse(what: string): void {
    if (this.refusals.size < MOST_REFUSALS || this.refusals.has(what))
      this.refusals.set(what, (this.refusals.get(what) ?? 0) + 1);
  }

  // --- messages ----------------------------------------------------------------------------------------------------------

  follow({ type, body }: VideoRequest): { readonly outcome: string; readonly answers: readonly HostPacket[] } {
    const answers = this.answer(type, body);
    if (typeof answers !== 'string') return { outcome: 'followed', answers };
    this.refuse(answers);
    return { outcome: answers, answers: [] };
  }

  /** What is sent for a message; what is wrong with it. */
  private answer(type: number, body: DataView): readonly HostPacket[] | string {
    if (type === VideoMessage.VERSION_REQUEST) return this.agree(body);
    if (this.version === undefined) return 'sent a message before a version was agreed on';
    switch (type) {
      case VideoMessage.RESOLUTION_REQUEST:
        return this.version >= VideoVersion.V3_5 ? this.tellResolutions(body) : 'asked for resolutions in a version without';
      case VideoMessage.VRAM_LOCATION:
        return this.takeMemory(body);
      case VideoMessage.SITUATION_UPDATE:
        return this.takeSituation(body);
      case VideoMessage.POINTER_POSITION:
        return this.movePointer(body);
      case VideoMessage.POINTER_SHAPE:
        return this.shapePointer(body);
      case VideoMessage.DIRT:
        return this.takeDirt(body);
      default:
        return `sent a message of type ${type}`;
    }
  }

  private agree(body: DataView): readonly HostPacket[] | string {
    if (body.byteLength < VideoSize.VERSION) return 'sent a version request that is too short';
    const wanted = body.getUint32(0, true);
    const isKnown = Object.values(VideoVersion).some((version) => version === wanted);
    this.version = isKnown ? wanted : undefined;
    const fill = (answer: DataView) => {
      answer.setUint32(0, wanted, true);
      answer.setUint8(4, isKnown ? 1 : 0);
      answer.setUint8(5, 1);
    };
    return [packetOf(videoMessage(VideoMessage.VERSION_RESPONSE, 6, fill))];
  }

  private tellResolutions(body: DataView): readonly HostPacket[] {
    const most = body.byteLength > 0 ? Math.min(body.getUint8(0), MOST_RESOLUTIONS) : MOST_RESOLUTIONS;
    const told = RESOLUTIONS.slice(0, Math.max(1, most));
    const fill = (answer: DataView) => {
      // No block describes the monitor: it is none that somebody made.
      answer.setUint8(EDID_SIZE, told.length);
      answer.setUint8(EDID_SIZE + 1, 0);
      answer.setUint8(EDID_SIZE + 2, 1);
      told.forEach(([width, height], index) => {
        answer.setUint16(EDID_SIZE + 3 + 4 * index, width, true);
        answer.setUint16(EDID_SIZE + 5 + 4 * index, height, true);
      });
    };
    return [packetOf(videoMessage(VideoMessage.RESOLUTION_RESPONSE, EDID_SIZE + 3 + 4 * told.length, fill))];
  }

  private takeMemory(body: DataView): readonly HostPacket[] | string {
    if (body.byteLength < VideoSize.VRAM) return 'told a place of its video memory that is too short';
    if (body.getUint8(8) === 0) return 'told no place of its video memory';
    this.memoryAt = body.getBigUint64(9, true);
    return [acknowledge(VideoMessage.VRAM_LOCATION_ACK, body)];
  }

  private takeSituation(body: DataView): readonly HostPacket[] | string {
    if (body.byteLength < VideoSize.SITUATION || body.getUint8(8) !== 1) return 'described another number of screens than one';
    const situation = readSituation(body, 9, VIDEO_MEMORY_MEGABYTES << 20);
    if (situation === undefined) return 'described an image that is not in its video memory';
    this.situation = situation;
    this.updates++;
    const answers = [acknowledge(VideoMessage.SITUATION_UPDATE_ACK, body)];
    if (this.hasAskedForDirt) return answers;
    this.hasAskedForDirt = true;
    // The guest is to say what it changes, and how its pointer looks and moves.
    const fill = (answer: DataView) => answer.setUint32(0, 0x0101_0101, true);
    return [...answers, packetOf(videoMessage(VideoMessage.FEATURE_CHANGE, 4, fill))];
  }

  private movePointer(body: DataView): readonly HostPacket[] | string {
    if (body.byteLength < VideoSize.POINTER_POSITION) return 'moved its pointer by a message that is too short';
    const [x, y] = [body.getInt32(2, true), body.getInt32(6, true)];
    this.pointer = { ...this.pointer, isVisible: body.getUint8(0) !== 0, x, y };
    return [];
  }

  private shapePointer(body: DataView): readonly HostPacket[] | string {
    if (body.byteLength < VideoSize.POINTER_SHAPE) return 'shaped its pointer by a message that is too short';
    const [width, height] = [body.getUint32(2, true), body.getUint32(6, true)];
    if (width > LARGEST_POINTER || height > LARGEST_POINTER) return 'shaped a pointer that is too large';
    this.pointer = { ...this.pointer, size: `${width} × ${height}` };
    return [];
  }

  private takeDirt(body: DataView): readonly HostPacket[] | string {
    if (body.byteLength < VideoSize.DIRT) return 'told changes by a message that is too short';
    if (body.byteLength < VideoSize.DIRT + body.getUint8(1) * VideoSize.RECTANGLE)
      return 'told more changes than there are in its message';
    this.updates++;
    return [];
  }

  // --- what it shows -----------------------------------------------------------------------------------------------------

  /** The guest has told what it shows. */
  get isLit(): boolean {
    return this.memoryAt !== undefined && this.situation?.isActive === true;
  }

  /** How often the guest said that something is new. */
  get generation(): number {
    return this.updates;
  }

  /** What the screen shows; undefined while it is dark. Reading it changes nothing. */
  picture(): Picture | undefined {
    const { situation, memoryAt } = this;
    if (situation === undefined || memoryAt === undefined || !situation.isActive) return undefined;
    const pixels = readPixels(this.world.memory, memoryAt, situation);
    return pixels && { width: situation.width, height: situation.height, pixels };
  }

  inspect(): InspectNode {
    const { situation, memoryAt, version, pointer } = this;
    const isLit = situation?.isActive === true;
    const { width, height, depth, pitch } = situation ?? {};
    return {
      name: this.name,
      value: this.channel === undefined ? 'waits for a driver' : isLit ? `${width} × ${height}` : 'dark',
      children: [
        { name: 'version', value: version === undefined ? 'none' : videoVersionName(version) },
        {
          name: 'video memory',
          value: memoryAt === undefined ? 'none' : hex(memoryAt),
          detail: isLit ? `${depth} bits for each pixel, ${pitch} bytes for each line` : undefined,
        },
        { name: 'updates', value: String(this.updates) },
        { name: 'pointer', value: pointer.isVisible ? `at ${pointer.x}, ${pointer.y}` : 'hidden', detail: pointer.size },
        {
          name: 'mistakes of the guest',
          value: String([...this.refusals.values()].reduce((sum, times) => sum + times, 0)),
          children: [...this.refusals].map(([name, times]) => ({ name, value: `${times} times` })),
        },
      ],
    };
  }
}

function packetOf(payload: Uint8Array): HostPacket {
  return { type: PacketType.DATA_IN_BAND, transactionId: 0n, payload };
}

/** Gives back what the guest wrote in front of its message. */
function acknowledge(type: number, body: DataView): HostPacket {
  return packetOf(videoMessage(type, 8, (answer) => answer.setBigUint64(0, body.getBigUint64(0, true), true)));
}

import type { OverlaidImage } from '../disk-image/overlay.ts';
import { VirtioBalloon, type VirtioBalloonWorld } from './balloon/device.ts';
import { VirtioBlock, type VirtioBlockWorld } from './block/device.ts';
import { VirtioConsole } from './console/device.ts';
import { VirtioEntropy } from './entropy/device.ts';
import {
  BALLOON_HINTS,
  BALLOON_STATISTICS,
  BALLOON_TARGET,
  CONSOLE_SIZE,
  channelInput,
  decodeConsoleSize,
  decodePages,
  VSOCK_INPUT,
} from './inputs.ts';
import type { VirtioModel } from './model.ts';
import { VirtioNetwork, type VirtioNetworkWorld } from './network/device.ts';
import { type Share, VirtioP9 } from './p9/device.ts';
import { VirtioVsock } from './vsock/device.ts';
import { EchoHost, type HostEvent, type ReachableHost } from './vsock/host.ts';

/** What is configured of a machine's virtio devices. */
export interface VirtioConfiguration {
  /** Of whole sectors. Their images are not changed. */
  readonly disks: readonly VirtioDisk[];
  /** Names of ports that the console has besides. */
  readonly channels?: readonly string[];
  /** Folders that the guest can mount. */
  readonly shares?: readonly Share[];
  /** Its context, 3 or more, where it has sockets to the host. */
  readonly vsock?: number;
  /** Makes the host that they reach; only the echo is there when missing. */
  readonly vsockHost?: (happened: (event: HostEvent) => void) => ReachableHost;
  /** It has a memory balloon. */
  readonly balloon?: boolean;
  /** It has a network card. */
  readonly network?: boolean;
}

/** Whether there is anything besides what a machine with virtio always has. */
export function asksForMore(wanted: Omit<VirtioConfiguration, 'disks'>): boolean {
  const { channels = [], balloon = false, network = false, vsock, shares = [] } = wanted;
  return channels.length > 0 || shares.length > 0 || balloon || network || vsock !== undefined;
}

/** Virtio devices of a machine that has any: its disks, the entropy device and the console, and what it was asked to have besides. */
export function virtioDeviceCount({ disks, balloon = false, network = false, vsock, shares = [] }: VirtioConfiguration): number {
  return disks.length + shares.length + 2 + [balloon, network, vsock !== undefined].filter(Boolean).length;
}

/** A disk; without a serial number it has one of its place. */
export type VirtioDisk = Omit<VirtioBlockWorld, 'serial'> & Partial<Pick<VirtioBlockWorld, 'serial'>>;

/** A device of a machine, before it has a place in it. */
export interface VirtioPart {
  readonly model: VirtioModel;
  /** Told apart from others of its kind: `virtio-blk`, `virtio-blk-1` … */
  readonly name: string;
  /** It offers packed rings too. */
  readonly offersPacked: boolean;
}

interface PartsWorld {
  /** The guest prints on the console. */
  readonly consoleOut: (byte: number) => void;
  /** Nanoseconds since 1970: when the machine was switched on, and now. */
  readonly start: bigint;
  readonly now: () => bigint;
  /** What a balloon takes memory from; there is no balloon when missing. */
  readonly balloon?: VirtioBalloonWorld;
  /** The guest writes to a channel; nobody hears it when missing. */
  readonly channelOut?: (name: string, bytes: Uint8Array) => void;
  /** What a network card is plugged into; there is no card when missing. */
  readonly network?: VirtioNetworkWorld;
}

/** The virtio devices that a machine has, whatever their transport: its disks, an entropy device, a console. */
export class VirtioParts {
  readonly all: readonly VirtioPart[];
  readonly console: VirtioConsole;
  /** What the disks hold, in their order. */
  readonly disks: readonly OverlaidImage[];
  /** What the guest's sockets reach outside. */
  host: ReachableHost | undefined;
  /** What takes input from outside, by name. */
  readonly inputs: ReadonlyMap<string, (bytes: Uint8Array) => void>;

  constructor(
    { disks, channels = [], balloon: hasBalloon = false, vsock: cid, vsockHost, shares = [] }: VirtioConfiguration,
    world: PartsWorld,
  ) {
    this.console = new VirtioConsole({
      transmit: world.consoleOut,
      channels: channels.map((name) => ({ name, transmit: (bytes) => world.channelOut?.(name, bytes) })),
    });
    const balloon = hasBalloon && world.balloon ? new VirtioBalloon(world.balloon) : undefined;
    const makeHost = (happened: (event: HostEvent) => void) => {
      this.host = vsockHost?.(happened);
      return this.host ?? new EchoHost(happened);
    };
    const vsock = cid === undefined ? undefined : new VirtioVsock({ cid, host: makeHost });
    this.inputs = new Map([
      [CONSOLE_SIZE, (bytes) => this.console.resize(decodeConsoleSize(bytes))],
      ...channels.map((name) => [channelInput(name), (bytes: Uint8Array) => this.console.receive(bytes, name)] as const),
      ...(balloon ? balloonInputs(balloon) : []),
      ...(this.host ? [[VSOCK_INPUT, (bytes: Uint8Array) => this.host?.input(bytes)] as const] : []),
    ]);
    // Disks have both kinds of rings to choose from, the others split ones: so a guest that takes packed rings shows both.
    const models = disks.map((disk, index) => new VirtioBlock({ ...disk, serial: disk.serial ?? `hyperscope-disk${index}` }));
    this.disks = models.map(({ disk }) => disk);
    const blocks = models.map((model, index): VirtioPart => ({ model, name: numbered(model.name, index), offersPacked: true }));
    const card = world.network && new VirtioNetwork(world.network);
    const more: readonly (VirtioModel | undefined)[] = [balloon, card, vsock];
    const others = [new VirtioEntropy(), this.console, ...more.flatMap((model) => model ?? [])];
    const { start, now } = world;
    const folders = shares.map((share, index): VirtioPart => {
      const model = new VirtioP9({ ...share, start, now });
      return { model, name: numbered(model.name, index), offersPacked: false };
    });
    const rest = others.map((model): VirtioPart => ({ model, name: model.name, offersPacked: false }));
    this.all = [...blocks, ...rest, ...folders];
  }
}

/** The second one of a name has the number 1. */
function numbered(name: string, index: number): string {
  return index === 0 ? name : `${name}-${index}`;
}

function balloonInputs(balloon: VirtioBalloon): readonly (readonly [string, (bytes: Uint8Array) => void])[] {
  return [
    [BALLOON_TARGET, (bytes) => balloon.inflateTo(decodePages(bytes))],
    [BALLOON_STATISTICS, () => balloon.askStatistics()],
    [BALLOON_HINTS, () => balloon.askHints()],
  ];
}

import type { Handler } from '../../../stages/stage.ts';
import type { InspectNode } from '../../inspect.ts';
import { requireVersion } from '../../state.ts';
import { DeviceId, featureBit, featureBits } from '../abi.ts';
import { servePages as servePagesAtOnce } from '../generated/balloon.ts';
import { type BalloonWork, type PageRole, servePages } from '../handlers/balloon.ts';
import type { DriverSide, VirtioModel } from '../model.ts';
import type { ChainPart, DescriptorChain, RingPlace, Segment } from '../queue/chain.ts';
import { pageRuns } from './page-runs.ts';
import * as R from './registers.ts';

export interface VirtioBalloonState {
  readonly version: 1;
  /** Pages that the guest is to give back, and that it says it has. */
  readonly target: number;
  readonly actual: number;
  readonly poison: number;
  readonly hintCommand: number;
  readonly lastHint: number;
  readonly isHinting: boolean;
  readonly counts: BalloonCounts;
  readonly statistics: readonly (readonly [tag: number, value: bigint])[];
  /** The buffer with which new statistics are asked for. */
  readonly pending: RingPlace | undefined;
}

/** Pages that moved since switch-on. */
interface BalloonCounts {
  readonly inflated: number;
  readonly deflated: number;
  readonly reported: number;
  readonly hinted: number;
}

export interface VirtioBalloonWorld {
  /** Takes whole pages away; what isn't RAM is passed over. `ballooned`: until they are given again, else until they are touched. */
  readonly take: (gpa: bigint, size: bigint, state: 'ballooned' | 'unbacked') => void;
  /** Gives memory to pages that have none. */
  readonly give: (gpa: bigint, size: bigint) => void;
}

const QUEUE_SIZE = 128;
/** What one buffer can name or hold; more is passed over. */
const LONGEST_LIST = 0x1_0000;
const LONGEST_STATISTICS = 64 * R.STATISTIC_SIZE;
const NO_COUNTS: BalloonCounts = { inflated: 0, deflated: 0, reported: 0, hinted: 0 };

type Role = PageRole | 'statistics';

/**
 * The memory balloon (virtio 1.2, 5.5). Pages of an inflated balloon have no memory until the guest deflates it; free pages that it
 * reports have none until somebody touches them.
 */
export class VirtioBalloon implements VirtioModel<VirtioBalloonState>, BalloonWork {
  readonly name = 'virtio-balloon';
  readonly id = DeviceId.BALLOON;
  readonly queues = ['inflate', 'deflate', 'statistics', 'free page hints', 'free page reports'].map((name) => ({
    name,
    size: QUEUE_SIZE,
  }));
  readonly features = featureBits(...Object.values(R.BalloonFeature));
  readonly featureBits = R.BalloonFeature;
  private driver: DriverSide | undefined;
  private target = 0;
  private actual = 0;
  private poison = 0;
  private hintCommand: number = R.HintCommand.STOP;
  private lastHint: number = R.HintCommand.DONE;
  /** The driver tells hints of the command that was given last. */
  private isHinting = false;
  private counts = NO_COUNTS;
  private statistics: readonly (readonly [tag: number, value: bigint])[] = [];
  private pending: RingPlace | undefined;

  constructor(private readonly world: VirtioBalloonWorld) {}

  connect(driver: DriverSide): void {
    this.driver = driver;
  }

  // --- configuration --------------------------------------------------------------------------------------------------

  configuration(): Uint8Array {
    const view = new DataView(new ArrayBuffer(R.CONFIGURATION_SIZE));
    view.setUint32(R.Place.TARGET, this.target, true);
    view.setUint32(R.Place.ACTUAL, this.actual, true);
    view.setUint32(R.Place.HINT_COMMAND, this.hintCommand, true);
    view.setUint32(R.Place.POISON, this.poison, true);
    return new Uint8Array(view.buffer);
  }

  writeConfiguration(offset: number, value: number, size: number): void {
    if (size !== 4) return;
    if (offset === R.Place.ACTUAL) this.actual = value;
    if (offset === R.Place.POISON) this.poison = value;
  }

  private accepts(feature: number): boolean {
    return ((this.driver?.features ?? 0n) & featureBit(feature)) !== 0n;
  }

  /** What each queue is for: those of features that weren't accepted are not there, and the others move up. */
  private roles(): readonly Role[] {
    return [
      'inflate',
      'deflate',
      ...(this.accepts(R.BalloonFeature.STATS_VQ) ? (['statistics'] as const) : []),
      ...(this.accepts(R.BalloonFeature.FREE_PAGE_HINT) ? (['hints'] as const) : []),
      ...(this.accepts(R.BalloonFeature.PAGE_REPORTING) ? (['reports'] as const) : []),
    ];
  }

  // --- what the user wants --------------------------------------------------------------------------------------------

  /** The guest is to give back so many pages in all. */
  inflateTo(pages: number): void {
    this.target = pages >>> 0;
    this.driver?.configurationChanged();
  }

  /** Asks for new statistics. Without effect until the driver has given some. */
  askStatistics(): void {
    const index = this.roles().indexOf('statistics');
    const queue = index < 0 ? undefined : this.driver?.queue(index);
    const { pending, driver } = this;
    if (queue === undefined || pending === undefined) return;
    this.pending = undefined;
    driver?.attempt(() => {
      queue.giveBack(pending, 0);
      driver.signal(index);
    });
  }

  /** Asks which pages are free just now. */
  askHints(): void {
    if (!this.accepts(R.BalloonFeature.FREE_PAGE_HINT)) return;
    this.lastHint = Math.max(R.HintCommand.FIRST, (this.lastHint + 1) >>> 0);
    this.setHintCommand(this.lastHint);
  }

  private setHintCommand(command: number): void {
    this.hintCommand = command;
    this.driver?.configurationChanged();
  }

  // --- queues ---------------------------------------------------------------------------------------------------------

  notified(index: number): void {
    const { driver } = this;
    const role = this.roles()[index];
    if (role === 'statistics') this.takeStatistics(index);
    else if (driver && role) servePagesAtOnce(this, driver, index, role);
  }
  *notifiedInStages(index: number): Handler {
    const { driver } = this;
    const role = this.roles()[index];
    if (role === 'statistics') this.takeStatistics(index);
    else if (driver && role) yield* servePages(this, driver, index, role);
  }

  /** A driver has one buffer for statistics, which stays here until new ones are wanted; of several the newest counts. */
  private takeStatistics(index: number): void {
    const queue = this.driver?.queue(index);
    if (queue === undefined) return;
    for (let taken = 0; taken < queue.layout.size; taken++) {
      const chain = queue.take();
      if (chain === undefined) break;
      if (this.pending) queue.giveBack(this.pending, 0);
      this.pending = { id: chain.id, ringEntries: chain.ringEntries };
      this.readStatistics(chain.readable);
    }
    this.driver?.signal(index);
  }

  movePages(role: PageRole, { readable, writable }: DescriptorChain): number {
    const { inflated, deflated, hinted, reported } = this.counts;
    switch (role) {
      case 'inflate': {
        const pages = this.each(readable, (gpa, size) => this.world.take(gpa, size, 'ballooned'));
        this.counts = { ...this.counts, inflated: inflated + pages };
        return pages;
      }
      case 'deflate': {
        const pages = this.each(readable, (gpa, size) => this.world.give(gpa, size));
        this.counts = { ...this.counts, deflated: deflated + pages };
        return pages;
      }
      case 'hints': {
        const pages = this.hint(readable, writable);
        this.counts = { ...this.counts, hinted: hinted + pages };
        return pages;
      }
      case 'reports': {
        const pages = this.report(writable.segments);
        this.counts = { ...this.counts, reported: reported + pages };
        return pages;
      }
    }
  }

  /** The pages of a list of page numbers, as ranges; how many there are. */
  private each(list: ChainPart, action: (gpa: bigint, size: bigint) => void): number {
    let pages = 0;
    for (const { first, count } of pageRuns(list.read(0, LONGEST_LIST))) {
      action(BigInt(first) << R.PAGE_SHIFT, BigInt(count) << R.PAGE_SHIFT);
      pages += count;
    }
    return pages;
  }

  /** Free pages that may go at once. Ones that must keep a pattern stay. */
  private report(segments: readonly Segment[]): number {
    if (this.accepts(R.BalloonFeature.PAGE_POISON) && this.poison !== 0) return 0;
    let pages = 0;
    for (const { gpa, length } of segments) {
      const start = ((gpa + BigInt(R.PAGE - 1)) >> R.PAGE_SHIFT) << R.PAGE_SHIFT;
      const size = ((gpa + BigInt(length) - start) >> R.PAGE_SHIFT) << R.PAGE_SHIFT;
      if (size <= 0n) continue;
      this.world.take(start, size, 'unbacked');
      pages += Number(size >> R.PAGE_SHIFT);
    }
    return pages;
  }

  /** A command that the driver answers, or a free block: nothing is taken away, since the guest may use it again. */
  private hint(readable: ChainPart, writable: ChainPart): number {
    if (readable.length >= 4) {
      const bytes = readable.read(0, 4);
      const command = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
      this.isHinting = command >= R.HintCommand.FIRST && command === this.hintCommand;
      // All was told: the driver may have its pages back.
      if (command === R.HintCommand.STOP && this.hintCommand !== R.HintCommand.DONE) this.setHintCommand(R.HintCommand.DONE);
    }
    return this.isHinting ? Math.floor(writable.length / R.PAGE) : 0;
  }

  private readStatistics(readable: ChainPart): void {
    const bytes = readable.read(0, LONGEST_STATISTICS);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const found = new Map<number, bigint>();
    for (let at = 0; at + R.STATISTIC_SIZE <= bytes.length; at += R.STATISTIC_SIZE)
      found.set(view.getUint16(at, true), view.getBigUint64(at + 2, true));
    this.statistics = [...found];
  }

  queueStopped(index: number): void {
    if (this.roles()[index] === 'statistics') this.pending = undefined;
  }

  // --- as a part of a machine -----------------------------------------------------------------------------------------

  disconnect(): void {
    this.actual = 0;
    this.poison = 0;
    this.hintCommand = R.HintCommand.STOP;
    this.isHinting = false;
    this.pending = undefined;
  }
  reset(): void {
    this.disconnect();
    this.target = 0;
    this.lastHint = R.HintCommand.DONE;
    this.counts = NO_COUNTS;
    this.statistics = [];
  }
  save(): VirtioBalloonState {
    const { target, actual, poison, hintCommand, lastHint, isHinting, counts, statistics, pending } = this;
    return { version: 1, target, actual, poison, hintCommand, lastHint, isHinting, counts, statistics, pending };
  }
  restore(state: VirtioBalloonState): void {
    requireVersion(this.name, state, 1);
    this.target = state.target;
    this.actual = state.actual;
    this.poison = state.poison;
    this.hintCommand = state.hintCommand;
    this.lastHint = state.lastHint;
    this.isHinting = state.isHinting;
    this.counts = state.counts;
    this.statistics = state.statistics;
    this.pending = state.pending;
  }
  inspect(): readonly InspectNode[] {
    const { inflated, deflated, reported, hinted } = this.counts;
    const statistics = this.statistics.map(([tag, value]): InspectNode => {
      const [name, unit] = R.STATISTICS[tag] ?? [`statistic ${tag}`, 'times'];
      return { name, value: unit === 'bytes' ? sizeText(value) : String(value) };
    });
    return [
      { name: 'target', value: sizeText(BigInt(this.target) << R.PAGE_SHIFT), detail: 'that the guest is asked to give back' },
      { name: 'actual', value: sizeText(BigInt(this.actual) << R.PAGE_SHIFT), detail: 'that it says it has given back' },
      {
        name: 'pages',
        value: `${inflated} inflated, ${deflated} deflated`,
        detail: `${reported} reported free, ${hinted} hinted`,
      },
      ...(statistics.length > 0 ? [{ name: 'statistics of the guest', children: statistics }] : []),
    ];
  }
}

/** `32 MiB`, or in KiB where it isn't whole. A guest that doesn't know says −1. */
function sizeText(bytes: bigint): string {
  if (bytes === 0xffff_ffff_ffff_ffffn) return 'unknown';
  return bytes % 0x10_0000n === 0n ? `${bytes >> 20n} MiB` : `${bytes >> 10n} KiB`;
}

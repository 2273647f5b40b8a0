import type { Clock } from '../../../devices/device.ts';
import type { InspectNode } from '../../../devices/inspect.ts';
import {
  FILE_TIME_EPOCH,
  type IcEnvelope,
  IcMessage,
  IcStatus,
  type IcVersion,
  TIME_SYNC_SIZE,
  TimeSyncFlag,
  version,
} from '../abi/integration.ts';
import { TICKS_PER_UNIT } from '../hyperv.ts';
import type { IntegrationService } from './integration-component.ts';

const TICKS_PER_SECOND = 1_000_000_000n;
/** Ticks between two samples. */
const PERIOD = 5n * TICKS_PER_SECOND;
const UNITS_PER_SECOND = TICKS_PER_SECOND / TICKS_PER_UNIT;
/** Messages have the reference time from this version on. */
const HAS_REFERENCE = 4;

/**
 * Tells the guest what time it is: once in order that it sets its clock, then by samples. The parent's clock is guest time from the
 * configured start on, so that two runs are alike.
 */
export class TimeSync implements IntegrationService {
  readonly name = 'timesync';
  readonly messageType = IcMessage.TIME_SYNC;
  readonly versions = [version(1), version(3), version(4)];
  private chosen = version(0);
  private sent = 0;
  private failures = 0;
  private timer: number | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly startSeconds: bigint,
    private readonly ask: (body: Uint8Array) => void,
  ) {}

  begin(chosen: IcVersion): readonly Uint8Array[] {
    this.chosen = chosen;
    this.schedule();
    return [this.time(TimeSyncFlag.SYNC)];
  }

  /** Has the guest set its clock. */
  synchronize(): void {
    this.ask(this.time(TimeSyncFlag.SYNC));
  }

  private schedule(): void {
    this.timer = this.clock.schedule(this.clock.now() + PERIOD, () => {
      this.schedule();
      this.ask(this.time(TimeSyncFlag.SAMPLE));
    });
  }

  private time(flags: number): Uint8Array {
    this.sent++;
    const hasReference = this.chosen.major >= HAS_REFERENCE;
    const reference = this.clock.now() / TICKS_PER_UNIT;
    const view = new DataView(new ArrayBuffer(hasReference ? TIME_SYNC_SIZE.from4 : TIME_SYNC_SIZE.before4));
    view.setBigUint64(0, (FILE_TIME_EPOCH + this.startSeconds) * UNITS_PER_SECOND + reference, true);
    if (hasReference) view.setBigUint64(8, reference, true);
    view.setUint8(hasReference ? 16 : 24, flags);
    return new Uint8Array(view.buffer);
  }

  answered({ status }: IcEnvelope): readonly Uint8Array[] {
    if (status !== IcStatus.OK) this.failures++;
    return [];
  }

  end(): void {
    if (this.timer !== undefined) this.clock.cancel(this.timer);
    this.timer = undefined;
    this.sent = 0;
    this.failures = 0;
  }

  inspect(): readonly InspectNode[] {
    return [
      { name: 'messages', value: String(this.sent) },
      { name: 'refused', value: String(this.failures) },
    ];
  }
}

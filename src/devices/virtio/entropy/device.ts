import type { Handler } from '../../../stages/stage.ts';
import { mixedSeed, nextSeed } from '../../../x86/split-mix.ts';
import type { InspectNode } from '../../inspect.ts';
import { requireVersion } from '../../state.ts';
import { DeviceId } from '../abi.ts';
import { fillRequests as fillRequestsAtOnce } from '../generated/entropy.ts';
import { type EntropyWork, fillRequests } from '../handlers/entropy.ts';
import type { DriverSide, VirtioModel } from '../model.ts';

export interface VirtioEntropyState {
  readonly version: 1;
  readonly seed: bigint;
  readonly given: number;
}

const REQUESTS = 0;
const WORD = 8;

/** The entropy device (virtio 1.2, 5.4): the same bytes in every run, since their source is a part of the state. */
export class VirtioEntropy implements VirtioModel<VirtioEntropyState>, EntropyWork {
  readonly name = 'virtio-rng';
  readonly id = DeviceId.ENTROPY;
  readonly queues = [{ name: 'requests', size: 64 }];
  readonly features = 0n;
  readonly featureBits = {};
  private driver: DriverSide | undefined;
  private seed = 0n;
  private given = 0;

  connect(driver: DriverSide): void {
    this.driver = driver;
  }
  configuration(): Uint8Array {
    return new Uint8Array(0);
  }

  notified(): void {
    if (this.driver) fillRequestsAtOnce(this, this.driver, REQUESTS);
  }
  *notifiedInStages(): Handler {
    if (this.driver) yield* fillRequests(this, this.driver, REQUESTS);
  }

  draw(length: number): Uint8Array {
    this.given += length;
    const view = new DataView(new ArrayBuffer(Math.ceil(length / WORD) * WORD));
    for (let at = 0; at < length; at += WORD) {
      this.seed = nextSeed(this.seed);
      view.setBigUint64(at, mixedSeed(this.seed), true);
    }
    return new Uint8Array(view.buffer, 0, length);
  }

  disconnect(): void {}
  reset(): void {
    this.seed = 0n;
    this.given = 0;
  }
  save(): VirtioEntropyState {
    return { version: 1, seed: this.seed, given: this.given };
  }
  restore(state: VirtioEntropyState): void {
    requireVersion(this.name, state, 1);
    this.seed = state.seed;
    this.given = state.given;
  }
  inspect(): readonly InspectNode[] {
    return [{ name: 'bytes given', value: String(this.given) }];
  }
}

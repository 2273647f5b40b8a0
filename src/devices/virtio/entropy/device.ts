import { mixedSeed, nextSeed } from '../../../x86/split-mix.ts';
import type { InspectNode } from '../../inspect.ts';
import { requireVersion } from '../../state.ts';
import { DeviceId } from '../abi.ts';
import type { DriverSide, VirtioModel } from '../model.ts';
import { serveQueue } from '../queue/serve.ts';

export interface VirtioEntropyState {
  readonly version: 1;
  readonly seed: bigint;
  readonly given: number;
}

const REQUESTS = 0;
/** Bytes that one buffer gets at most: the device may give less than there is room for (virtio 1.2, 5.4.6). */
const MOST_AT_ONCE = 0x1000;
const WORD = 8;

/** The entropy device (virtio 1.2, 5.4): the same bytes in every run, since their source is a part of the state. */
export class VirtioEntropy implements VirtioModel<VirtioEntropyState> {
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
    const queue = this.driver?.queue(REQUESTS);
    if (queue === undefined) return;
    serveQueue(queue, ({ writable }) => {
      const bytes = this.draw(Math.min(writable.length, MOST_AT_ONCE));
      writable.write(0, bytes);
      this.given += bytes.length;
      return bytes.length;
    });
    this.driver?.signal(REQUESTS);
  }

  private draw(length: number): Uint8Array {
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

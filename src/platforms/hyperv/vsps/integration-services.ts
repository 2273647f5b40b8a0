import type { Clock } from '../../../devices/device.ts';
import type { Vsp } from '../vmbus/vsp.ts';
import { Heartbeat } from './heartbeat.ts';
import { IntegrationComponent } from './integration-component.ts';
import { decodeKvpRequest, KVP_INPUT, SHUTDOWN_INPUT, TIME_INPUT } from './integration-inputs.ts';
import { KeyValueExchange } from './kvp.ts';
import { Shutdown } from './shutdown.ts';
import { TimeSync } from './timesync.ts';

/** What the integration components live in. */
export interface IntegrationWorld {
  readonly clock: Clock;
  /** What the wall clock shows at switch-on, in seconds since 1970. */
  readonly startSeconds: bigint;
}

/** The integration components of a virtual machine, and what they take from outside. */
export class IntegrationServices {
  readonly vsps: readonly Vsp[];
  readonly inputs: ReadonlyMap<string, (bytes: Uint8Array) => void>;

  constructor({ clock, startSeconds }: IntegrationWorld) {
    const heartbeat = new IntegrationComponent(new Heartbeat(clock, (body) => heartbeat.ask(body)));
    const shutdownService = new Shutdown((body) => shutdown.ask(body));
    const shutdown = new IntegrationComponent(shutdownService);
    const timeService = new TimeSync(clock, startSeconds, (body) => timesync.ask(body));
    const timesync = new IntegrationComponent(timeService);
    const kvpService = new KeyValueExchange((body) => kvp.ask(body));
    const kvp = new IntegrationComponent(kvpService);
    this.vsps = [heartbeat, shutdown, timesync, kvp];
    this.inputs = new Map([
      [SHUTDOWN_INPUT, (bytes: Uint8Array) => shutdownService.request(bytes[0] ?? 0)],
      [
        TIME_INPUT,
        () => {
          if (timesync.isReady) timeService.synchronize();
        },
      ],
      [
        KVP_INPUT,
        (bytes: Uint8Array) => {
          const request = decodeKvpRequest(bytes);
          if (request && kvp.isReady) kvpService.request(request);
        },
      ],
    ]);
  }
}

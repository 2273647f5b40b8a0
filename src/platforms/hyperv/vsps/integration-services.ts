import type { Clock } from '../../../devices/device.ts';
import type { InspectNode } from '../../../devices/inspect.ts';
import type { Vsp } from '../vmbus/vsp.ts';
import { Backup } from './backup.ts';
import { Heartbeat } from './heartbeat.ts';
import { IntegrationComponent } from './integration-component.ts';
import {
  BACKUP_INPUT,
  decodeBackupRequest,
  decodeKvpRequest,
  KVP_INPUT,
  SHUTDOWN_INPUT,
  TIME_INPUT,
} from './integration-inputs.ts';
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
  private readonly takers: readonly (readonly [name: string, by: IntegrationComponent, take: (bytes: Uint8Array) => void])[];

  constructor({ clock, startSeconds }: IntegrationWorld) {
    const heartbeat = new IntegrationComponent(new Heartbeat(clock, (body) => heartbeat.ask(body)));
    const down = new Shutdown((body) => shutdown.ask(body));
    const shutdown = new IntegrationComponent(down);
    const time = new TimeSync(clock, startSeconds, (body) => timesync.ask(body));
    const timesync = new IntegrationComponent(time);
    const pairs = new KeyValueExchange((body) => kvp.ask(body));
    const kvp = new IntegrationComponent(pairs);
    const backup = new Backup((body) => vss.ask(body));
    const vss = new IntegrationComponent(backup);
    this.vsps = [heartbeat, shutdown, timesync, kvp, vss];
    this.takers = [
      [SHUTDOWN_INPUT, shutdown, (bytes) => down.request(bytes[0] ?? 0)],
      [TIME_INPUT, timesync, () => time.synchronize()],
      [
        KVP_INPUT,
        kvp,
        (bytes) => {
          const request = decodeKvpRequest(bytes);
          if (request) pairs.request(request);
        },
      ],
      [
        BACKUP_INPUT,
        vss,
        (bytes) => {
          const request = decodeBackupRequest(bytes);
          if (request) backup.request(request);
        },
      ],
    ];
  }

  inspect(): InspectNode {
    return { name: 'integration', children: this.vsps.map((vsp) => vsp.inspect()) };
  }

  /** Those whose drivers in the guest take requests now. */
  get inputs(): ReadonlyMap<string, (bytes: Uint8Array) => void> {
    return new Map(this.takers.flatMap(([name, by, take]) => (by.isReady ? [[name, take] as const] : [])));
  }
}

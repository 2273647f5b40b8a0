import type { Clock } from '../../../devices/device.ts';
import type { InspectNode } from '../../../devices/inspect.ts';
import { ApplicationState, HEARTBEAT_SIZE, type IcEnvelope, IcMessage, version } from '../abi/integration.ts';
import type { IntegrationService } from './integration-component.ts';

/** Ticks between two heartbeats, as Hyper-V has it. */
const PERIOD = 2_000_000_000n;
/** Heartbeats that may go unanswered before the guest is said to have no heartbeat. */
const PATIENCE = 3;

/** Asks the guest every two seconds whether it lives. */
export class Heartbeat implements IntegrationService {
  readonly name = 'heartbeat';
  readonly messageType = IcMessage.HEARTBEAT;
  readonly versions = [version(1), version(3)];
  private sequence = 0n;
  private answers = 0;
  private unanswered = 0;
  private application = 0;
  private timer: number | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly ask: (body: Uint8Array) => void,
  ) {}

  begin(): readonly Uint8Array[] {
    this.schedule();
    return [this.beat()];
  }

  private schedule(): void {
    this.timer = this.clock.schedule(this.clock.now() + PERIOD, () => {
      this.schedule();
      this.ask(this.beat());
    });
  }

  private beat(): Uint8Array {
    this.unanswered++;
    const view = new DataView(new ArrayBuffer(HEARTBEAT_SIZE));
    view.setBigUint64(0, this.sequence, true);
    return new Uint8Array(view.buffer);
  }

  answered({ body }: IcEnvelope): readonly Uint8Array[] {
    if (body.length < HEARTBEAT_SIZE) return [];
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    this.sequence = view.getBigUint64(0, true);
    this.application = view.getUint32(8, true);
    this.answers++;
    this.unanswered = 0;
    return [];
  }

  end(): void {
    if (this.timer !== undefined) this.clock.cancel(this.timer);
    this.timer = undefined;
    this.sequence = 0n;
    this.answers = 0;
    this.unanswered = 0;
    this.application = 0;
  }

  inspect(): readonly InspectNode[] {
    const isAlive = this.answers > 0 && this.unanswered <= PATIENCE;
    return [
      { name: 'status', value: isAlive ? 'OK' : 'no contact', detail: `${this.unanswered} unanswered` },
      { name: 'answers', value: String(this.answers) },
      { name: 'applications', value: ApplicationState[this.application] ?? String(this.application) },
    ];
  }
}

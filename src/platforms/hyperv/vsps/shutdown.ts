import type { InspectNode } from '../../../devices/inspect.ts';
import { hex } from '../../../x86/address.ts';
import {
  type IcEnvelope,
  IcMessage,
  IcStatus,
  SHUTDOWN_PLANNED,
  SHUTDOWN_SIZE,
  ShutdownFlag,
  version,
} from '../abi/integration.ts';
import type { IntegrationService } from './integration-component.ts';

/** Asks the guest to end, as somebody at its console would. */
export class Shutdown implements IntegrationService {
  readonly name = 'shutdown';
  readonly messageType = IcMessage.SHUTDOWN;
  readonly versions = [version(1), version(3), version(3, 1), version(3, 2)];
  private outcome = 'not asked';

  constructor(private readonly ask: (body: Uint8Array) => boolean) {}

  begin(): readonly Uint8Array[] {
    this.outcome = 'not asked';
    return [];
  }

  /** `flags`: of ShutdownFlag. */
  request(flags: number): void {
    const view = new DataView(new ArrayBuffer(SHUTDOWN_SIZE));
    view.setUint32(0, SHUTDOWN_PLANNED, true);
    view.setUint32(8, flags & (ShutdownFlag.FORCE | ShutdownFlag.RESTART | ShutdownFlag.HIBERNATE), true);
    this.outcome = this.ask(new Uint8Array(view.buffer)) ? 'asked' : 'not asked';
  }

  answered({ status }: IcEnvelope): readonly Uint8Array[] {
    this.outcome = status === IcStatus.OK ? 'the guest goes down' : `the guest refuses: ${hex(status)}`;
    return [];
  }

  end(): void {
    this.outcome = 'not asked';
  }

  inspect(): readonly InspectNode[] {
    return [{ name: 'request', value: this.outcome }];
  }
}

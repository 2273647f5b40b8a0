import type { Partition } from '../hypervisor/partition/partition.ts';
import { SHUTDOWN_INPUT } from '../platforms/hyperv/vsps/integration-inputs.ts';

const SIGNAL = 'SIGTERM';

/**
 * Asks the guest to shut down, as the user wishes: by a key, or by the signal SIGTERM, which ends this process where the guest takes no
 * such request, and when it comes a second time.
 */
export class ShutdownRequests {
  private readonly onSignal = () => {
    const isFirst = !this.wasAsked;
    this.wasAsked = true;
    // Without an end of its own for the run, the next signal finds no listener.
    if (!this.end) this.close();
    if (isFirst && this.ask()) return;
    if (this.end) this.end();
    else process.kill(process.pid, SIGNAL);
  };
  private wasAsked = false;

  constructor(
    private readonly partition: Partition,
    /** Ends the run; the signal ends the process at once when missing. */
    private readonly end?: () => void,
  ) {
    process.on(SIGNAL, this.onSignal);
  }

  /** False, and a word to the user, where the guest takes no request. */
  ask(): boolean {
    const isAsked = this.partition.sendToDevice(SHUTDOWN_INPUT, Uint8Array.of(0));
    const why =
      this.partition.platform === 'hyperv' ? 'its driver (Linux: hv_utils) is not ready' : 'only one of Hyper-V can be asked';
    process.stderr.write(
      `hyperscope: ${isAsked ? 'the guest is asked to shut down' : `the guest can not be asked to shut down: ${why}`}\r\n`,
    );
    return isAsked;
  }

  close(): void {
    process.off(SIGNAL, this.onSignal);
  }
}

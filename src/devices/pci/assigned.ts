import type { MmioDecoder, NamedMmioDevice } from '../bus/mmio-bus.ts';
import type { Device } from '../device.ts';
import { BarDecoder } from './bar-decoder.ts';
import type { PciFunction } from './function.ts';
import type { MessageSignal } from './message.ts';

/** A function that can be given to a guest by itself. */
export type AssignableFunction = Device &
  PciFunction & {
    /** A function level reset (PCI Express 6.0, 6.6.2). */
    resetFunction(): void;
  };

/** Who takes the messages (MSI-X) of a function that a guest has. */
export interface MessageTaker {
  take(message: MessageSignal): void;
}

/**
 * A function that a hypervisor has assigned to a guest: on no bus of the machine's, with BARs where the guest puts them. Its messages go to
 * whoever remaps interrupts for the guest, and nowhere before.
 */
export class AssignedFunction implements MmioDecoder {
  readonly device: AssignableFunction;
  taker: MessageTaker | undefined;
  private readonly decoder = new BarDecoder();

  /** `make`: makes the function, with where it sends its messages. */
  constructor(make: (send: (message: MessageSignal) => void) => AssignableFunction) {
    this.device = make((message) => this.taker?.take(message));
    this.device.configuration.connect({
      decodingChanged: () => this.decoder.decode([this.device]),
      interruptChanged() {},
    });
  }

  find(gpa: bigint): NamedMmioDevice | undefined {
    return this.decoder.find(gpa);
  }
}

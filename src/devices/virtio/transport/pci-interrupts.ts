import { type Handler, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import type { InspectNode } from '../../inspect.ts';
import type { ConfigurationSpace } from '../../pci/configuration-space.ts';
import type { MessageSignal } from '../../pci/message.ts';
import { Msix, type MsixState } from '../../pci/msix.ts';
import { MSIX_BAR, NO_VECTOR } from './pci-registers.ts';
import { Interrupt } from './registers.ts';

interface InterruptsWorld {
  readonly owner: string;
  readonly configuration: ConfigurationSpace;
  readonly queues: number;
  readonly send: (message: MessageSignal) => void;
}

export interface PciInterruptsState {
  readonly msix: MsixState;
  readonly status: number;
  readonly configurationVector: number;
  readonly queueVectors: readonly number[];
}

/**
 * How a virtio device interrupts over PCI (virtio 1.2, 4.1.4.5, 4.1.5.1): by MSI-X with a vector for each queue and one for the
 * configuration, or by its pin with a status that a read clears.
 */
export class PciInterrupts {
  readonly msix: Msix;
  private statusBits = 0;
  private configurationVector = NO_VECTOR;
  private readonly queueVectors: number[];

  constructor(private readonly world: InterruptsWorld) {
    const { owner, configuration, queues } = world;
    this.queueVectors = Array.from({ length: queues }, () => NO_VECTOR);
    this.msix = new Msix({
      owner,
      configuration,
      vectors: queues + 1,
      bar: MSIX_BAR.index,
      // A message is a write to memory, which only a bus master does.
      send: (message) => {
        if (configuration.isBusMaster) world.send(message);
      },
      changed: () => this.drivePin(),
    });
  }

  /** The device interrupts for a queue, or because of its configuration. */
  raise(source: number | 'configuration'): void {
    const isQueue = source !== 'configuration';
    // The status tells of queues only where no message does.
    if (!isQueue) this.statusBits |= Interrupt.CONFIGURATION;
    else if (!this.msix.isEnabled) this.statusBits |= Interrupt.QUEUE;
    if (this.msix.isEnabled) this.msix.raise(isQueue ? this.queueVector(source) : this.configurationVector);
    this.drivePin();
  }

  /** The same in stages. */
  *raiseInStages(source: number | 'configuration'): Handler {
    const { isEnabled } = this.msix;
    const entry = source === 'configuration' ? this.configurationVector : this.queueVector(source);
    yield stage('virtio-pci.interrupt', { by: isEnabled ? 'MSI-X' : 'INTA', ...(isEnabled ? this.msix.describe(entry) : {}) });
    this.raise(source);
  }

  private drivePin(): void {
    this.world.configuration.raise(this.statusBits !== 0 && !this.msix.isEnabled);
  }

  /** The driver reads the status. */
  takeStatus(): number {
    const status = this.statusBits;
    this.statusBits = 0;
    this.drivePin();
    return status;
  }

  get vectorOfConfiguration(): number {
    return this.configurationVector;
  }
  set vectorOfConfiguration(vector: number) {
    this.configurationVector = this.possible(vector);
  }
  /** {@link NO_VECTOR} for a queue that isn't there. */
  queueVector(queue: number): number {
    return this.queueVectors[queue] ?? NO_VECTOR;
  }
  setQueueVector(queue: number, vector: number): void {
    if (queue < this.queueVectors.length) this.queueVectors[queue] = this.possible(vector);
  }
  private possible(vector: number): number {
    return vector < this.msix.vectors ? vector : NO_VECTOR;
  }

  /** The driver reset one queue. */
  forgetQueue(queue: number): void {
    this.setQueueVector(queue, NO_VECTOR);
  }

  /** The driver reset the device. The table of messages stays, what waits to be sent doesn't. */
  disconnect(): void {
    this.statusBits = 0;
    this.configurationVector = NO_VECTOR;
    this.queueVectors.fill(NO_VECTOR);
    this.msix.forget();
    this.drivePin();
  }
  reset(): void {
    this.disconnect();
    this.msix.reset();
  }
  save(): PciInterruptsState {
    const { statusBits, configurationVector, queueVectors } = this;
    return { msix: this.msix.save(), status: statusBits, configurationVector, queueVectors: [...queueVectors] };
  }
  restore(state: PciInterruptsState): void {
    this.msix.restore(state.msix);
    this.statusBits = state.status;
    this.configurationVector = state.configurationVector;
    for (const queue of this.queueVectors.keys()) this.queueVectors[queue] = state.queueVectors[queue] ?? NO_VECTOR;
  }
  inspect(): readonly InspectNode[] {
    const shown = (vector: number) => (vector === NO_VECTOR ? 'none' : `${vector}`);
    const queues = this.queueVectors.map((vector, queue) => `queue ${queue}: ${shown(vector)}`);
    return [
      { name: 'ISR status', value: hex(this.statusBits, 2) },
      {
        name: 'MSI-X entries',
        detail: [`configuration: ${shown(this.configurationVector)}`, ...queues].join(', '),
      },
    ];
  }
}

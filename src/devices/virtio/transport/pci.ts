import { inFrame, modelFrame } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import type { Device } from '../../device.ts';
import { DmaError, type DmaMemory } from '../../dma.ts';
import type { InspectNode } from '../../inspect.ts';
import { ConfigurationSpace } from '../../pci/configuration-space.ts';
import type { BarRegion, PciFunction } from '../../pci/function.ts';
import type { MessageSignal } from '../../pci/message.ts';
import { requireVersion } from '../../state.ts';
import type { VirtioModel } from '../model.ts';
import { PciCommon, type PciCommonState } from './pci-common.ts';
import { PciInterrupts, type PciInterruptsState } from './pci-interrupts.ts';
import {
  CLASS_CODES,
  FIRST_DEVICE,
  MSIX_BAR,
  NOTIFY_MULTIPLIER,
  OTHER_CLASS,
  PLACE_LENGTH,
  Place,
  REVISION,
  STRUCTURES_BAR,
  SUBSYSTEM,
  VENDOR,
} from './pci-registers.ts';
import { addStructures } from './pci-structures.ts';
import { type SessionState, VirtioSession } from './session.ts';

export interface VirtioPciState {
  readonly version: 1;
  readonly configuration: Uint8Array;
  readonly session: SessionState;
  readonly common: PciCommonState;
  readonly interrupts: PciInterruptsState;
  readonly model: { readonly version: number };
}

export interface VirtioPciWorld {
  readonly dma: DmaMemory;
  /** A message to the local APICs. */
  readonly send: (message: MessageSignal) => void;
  readonly offersPacked?: boolean;
  /** It has no interrupt pin: where only messages lead anywhere. */
  readonly hasNoPin?: boolean;
  /** What the device is called in a machine that has several of its kind. */
  readonly name?: string;
}

/** A virtio device on a PCI bus, without the registers of old drivers: virtio-pci, "modern" (virtio 1.2, 4.1). */
export class VirtioPci implements Device<VirtioPciState>, PciFunction {
  /** `virtio-blk-pci`, as QEMU calls it. */
  readonly name: string;
  readonly configuration: ConfigurationSpace;
  readonly regions: readonly BarRegion[];
  readonly session: VirtioSession;
  private readonly common: PciCommon;
  private readonly interrupts: PciInterrupts;

  constructor(
    private readonly model: VirtioModel,
    world: VirtioPciWorld,
  ) {
    this.name = pciName(model.name, world.name ?? model.name);
    this.configuration = new ConfigurationSpace({
      vendor: VENDOR,
      device: FIRST_DEVICE + model.id,
      revision: REVISION,
      classCode: CLASS_CODES[model.id] ?? OTHER_CLASS,
      subsystemVendor: VENDOR,
      subsystem: SUBSYSTEM,
      interruptPin: world.hasNoPin ? undefined : 1,
      bars: [MSIX_BAR, STRUCTURES_BAR],
    });
    this.interrupts = new PciInterrupts({
      owner: this.name,
      configuration: this.configuration,
      queues: model.queues.length,
      send: world.send,
    });
    this.session = new VirtioSession(model, {
      dma: onlyAsMaster(world.dma, this.configuration),
      offersPacked: world.offersPacked,
      interrupt: (source) => this.interrupts.raise(source),
      interruptInStages: (source) => inFrame(modelFrame('virtio-pci interrupt'), this.interrupts.raiseInStages(source)),
    });
    this.common = new PciCommon(this.session, this.interrupts);
    const structures = this.structures();
    addStructures(this.configuration, structures);
    this.regions = [...this.interrupts.msix.regions, ...structures];
  }

  private structures(): readonly BarRegion[] {
    const { session, common, interrupts } = this;
    type Access = Pick<BarRegion, 'read' | 'write' | 'writeInStages' | 'isDoorbell'>;
    const region = (what: string, offset: number, access: Access): BarRegion => ({
      bar: STRUCTURES_BAR.index,
      offset,
      length: PLACE_LENGTH,
      name: `${this.name} ${what}`,
      ...access,
    });
    // Whatever is written anywhere in a queue's place.
    const queueAt = (offset: number) => Math.floor(offset / NOTIFY_MULTIPLIER);
    const notify = (offset: number) => session.notify(queueAt(offset));
    const notifyInStages = (offset: number) => inFrame(modelFrame('virtio-pci notify'), session.notifyInStages(queueAt(offset)));
    return [
      region('common configuration', Place.COMMON, common),
      region('ISR status', Place.ISR, {
        read: (offset) => (offset === 0 ? BigInt(interrupts.takeStatus()) : 0n),
        write: () => {},
      }),
      region('device configuration', Place.DEVICE, {
        read: (offset, size) => session.readConfiguration(offset, size),
        write: (offset, size, value) => session.writeConfiguration(offset, size, value),
      }),
      region('notify', Place.NOTIFY, { read: () => 0n, write: notify, writeInStages: notifyInStages, isDoorbell: true }),
    ];
  }

  /** A function level reset: what a driver has set up is forgotten; the device behind it goes on. */
  resetFunction(): void {
    this.session.writeStatus(0);
    this.common.disconnect();
    this.interrupts.reset();
    this.configuration.reset();
  }

  reset(): void {
    this.session.reset();
    this.common.disconnect();
    this.interrupts.reset();
    this.configuration.reset();
  }

  save(): VirtioPciState {
    const { configuration, session, common, interrupts, model } = this;
    return {
      version: 1,
      configuration: configuration.save(),
      session: session.save(),
      common: common.save(),
      interrupts: interrupts.save(),
      model: model.save(),
    };
  }

  /** Memory is to be restored before. The line is not driven again: what it leads to restores its own state. */
  restore(state: VirtioPciState): void {
    requireVersion(this.name, state, 1);
    this.configuration.restore(state.configuration);
    this.common.restore(state.common);
    this.interrupts.restore(state.interrupts);
    this.model.restore(state.model);
    this.session.restore(state.session);
  }

  contents(): Iterable<Uint8Array> {
    return this.model.contents?.() ?? [];
  }

  inspect(): InspectNode {
    const { session, model, interrupts, configuration } = this;
    return {
      name: this.name,
      value: hex(configuration.barAddress(STRUCTURES_BAR)),
      detail: `virtio-pci, device type ${model.id}`,
      children: [...session.inspect(), ...interrupts.inspect(), ...model.inspect()],
    };
  }
  inspectFunction(): readonly InspectNode[] {
    return [this.interrupts.msix.inspect()];
  }
}

/** `virtio-blk-pci-1` of the kind `virtio-blk` and the name `virtio-blk-1`. */
function pciName(kind: string, name: string): string {
  return name.startsWith(kind) ? `${kind}-pci${name.slice(kind.length)}` : `${name}-pci`;
}

/** Memory as a function reaches it: not before the guest lets it. */
function onlyAsMaster(dma: DmaMemory, configuration: ConfigurationSpace): DmaMemory {
  const check = () => {
    if (!configuration.isBusMaster)
      throw new DmaError('it is to reach memory, but bus mastering is off (bit 2 of the command register)');
  };
  return {
    forLooking: dma.forLooking ?? dma,
    covers: (gpa, length) => dma.covers(gpa, length),
    read: (gpa, length) => {
      check();
      return dma.read(gpa, length);
    },
    write: (gpa, bytes) => {
      check();
      dma.write(gpa, bytes);
    },
  };
}

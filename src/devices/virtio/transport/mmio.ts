import { type Handler, inFrame, modelFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import type { Device, InterruptLine, MmioDevice } from '../../device.ts';
import type { DmaMemory } from '../../dma.ts';
import type { InspectNode } from '../../inspect.ts';
import { requireVersion } from '../../state.ts';
import type { VirtioModel } from '../model.ts';
import { Interrupt, LENGTH, MAGIC, Register as R, VENDOR, VERSION } from './registers.ts';
import { type QueueSetup, type SessionState, VirtioSession } from './session.ts';

export interface VirtioMmioState {
  readonly version: 1;
  readonly session: SessionState;
  readonly deviceFeaturesSelect: number;
  readonly driverFeaturesSelect: number;
  readonly queueSelect: number;
  readonly interruptStatus: number;
  readonly model: { readonly version: number };
}

export interface VirtioMmioWorld {
  /** Of its registers. */
  readonly base: bigint;
  /** Level-triggered: high while the interrupt status isn't zero. */
  readonly line: InterruptLine;
  readonly dma: DmaMemory;
  readonly offersPacked?: boolean;
  /** What the device is called in a machine that has several of its kind. */
  readonly name?: string;
}

type AreaName = Exclude<keyof QueueSetup, 'size'>;

const LOW = 0xffff_ffffn;
const HIGH_SHIFT = 32n;

const bitOf = (source: number | 'configuration'): number =>
  source === 'configuration' ? Interrupt.CONFIGURATION : Interrupt.QUEUE;

/** A virtio device behind registers in memory: virtio-mmio, version 2 (virtio 1.2, 4.2). */
export class VirtioMmio implements Device<VirtioMmioState>, MmioDevice {
  readonly name: string;
  readonly mmio: MmioDevice['mmio'];
  readonly session: VirtioSession;
  private deviceFeaturesSelect = 0;
  private driverFeaturesSelect = 0;
  private queueSelect = 0;
  private interruptStatus = 0;

  constructor(
    private readonly model: VirtioModel,
    private readonly world: VirtioMmioWorld,
  ) {
    const { base, dma, offersPacked } = world;
    this.name = world.name ?? model.name;
    this.mmio = [{ base, length: LENGTH }];
    this.session = new VirtioSession(model, {
      dma,
      offersPacked,
      interrupt: (source) => this.raise(bitOf(source)),
      interruptInStages: (source) => inFrame(modelFrame('virtio-mmio interrupt'), this.raiseInStages(bitOf(source))),
    });
  }

  private *raiseInStages(bit: number): Handler {
    yield stage('virtio-mmio.interrupt', { interrupt_status: this.interruptStatus | bit, line: 'high until acknowledged' });
    this.raise(bit);
  }
  private raise(bit: number): void {
    this.setInterrupts(this.interruptStatus | bit);
  }
  private setInterrupts(status: number): void {
    this.interruptStatus = status;
    this.world.line.set(status !== 0);
  }

  // --- registers ------------------------------------------------------------------------------------------------------

  readMmio(gpa: bigint, size: 1 | 2 | 4 | 8): bigint {
    const offset = Number(gpa - this.world.base);
    if (offset >= R.CONFIG) return this.session.readConfiguration(offset - R.CONFIG, size);
    // All other registers are of 32 bits and are read so (4.2.2.2).
    return size === 4 && offset % 4 === 0 ? BigInt(this.readRegister(offset)) : 0n;
  }

  private readRegister(offset: number): number {
    const { session, model, queueSelect } = this;
    switch (offset) {
      case R.MAGIC:
        return MAGIC;
      case R.VERSION:
        return VERSION;
      case R.DEVICE_ID:
        return model.id;
      case R.VENDOR_ID:
        return VENDOR;
      case R.DEVICE_FEATURES:
        return session.offeredWord(this.deviceFeaturesSelect);
      case R.QUEUE_SIZE_MAX:
        return session.largestSize(queueSelect);
      case R.QUEUE_READY:
        return session.isReady(queueSelect) ? 1 : 0;
      case R.INTERRUPT_STATUS:
        return this.interruptStatus;
      case R.STATUS:
        return session.status;
      case R.SHM_LENGTH_LOW:
      case R.SHM_LENGTH_HIGH:
      case R.SHM_BASE_LOW:
      case R.SHM_BASE_HIGH:
        // No device here has shared memory.
        return 0xffff_ffff;
      case R.CONFIG_GENERATION:
        return session.generation;
      default:
        // What is written only, reserved, or done at once, as the reset of a queue is.
        return 0;
    }
  }

  writeMmio(gpa: bigint, size: 1 | 2 | 4 | 8, value: bigint): void {
    const offset = Number(gpa - this.world.base);
    if (offset >= R.CONFIG) this.session.writeConfiguration(offset - R.CONFIG, size, value);
    else if (size === 4 && offset % 4 === 0) this.writeRegister(offset, Number(value & LOW));
  }

  isDoorbell(gpa: bigint, size: 1 | 2 | 4 | 8): boolean {
    return Number(gpa - this.world.base) === R.QUEUE_NOTIFY && size === 4;
  }

  /** Work that is worth to be stepped through begins with QueueNotify. */
  *writeMmioInStages(gpa: bigint, size: 1 | 2 | 4 | 8, value: bigint): Handler {
    if (!this.isDoorbell(gpa, size)) this.writeMmio(gpa, size, value);
    else {
      const index = this.session.notifiedQueue(Number(value & LOW));
      yield* inFrame(modelFrame('virtio-mmio QueueNotify'), this.session.notifyInStages(index));
    }
  }

  private writeRegister(offset: number, value: number): void {
    const { session, queueSelect } = this;
    switch (offset) {
      case R.DEVICE_FEATURES_SELECT:
        this.deviceFeaturesSelect = value;
        break;
      case R.DRIVER_FEATURES:
        session.chooseWord(this.driverFeaturesSelect, value);
        break;
      case R.DRIVER_FEATURES_SELECT:
        this.driverFeaturesSelect = value;
        break;
      case R.QUEUE_SELECT:
        this.queueSelect = value;
        break;
      case R.QUEUE_SIZE:
        session.change(queueSelect, { size: value });
        break;
      case R.QUEUE_READY:
        session.setReady(queueSelect, (value & 1) !== 0);
        break;
      case R.QUEUE_NOTIFY:
        session.notify(session.notifiedQueue(value));
        break;
      case R.INTERRUPT_ACKNOWLEDGE:
        this.setInterrupts(this.interruptStatus & ~value);
        break;
      case R.STATUS:
        session.writeStatus(value & 0xff);
        if ((value & 0xff) === 0) this.forgetSelections();
        break;
      case R.QUEUE_DESCRIPTOR_LOW:
      case R.QUEUE_DESCRIPTOR_HIGH:
        this.setHalf('descriptorArea', offset === R.QUEUE_DESCRIPTOR_HIGH, value);
        break;
      case R.QUEUE_DRIVER_LOW:
      case R.QUEUE_DRIVER_HIGH:
        this.setHalf('driverArea', offset === R.QUEUE_DRIVER_HIGH, value);
        break;
      case R.QUEUE_DEVICE_LOW:
      case R.QUEUE_DEVICE_HIGH:
        this.setHalf('deviceArea', offset === R.QUEUE_DEVICE_HIGH, value);
        break;
      case R.QUEUE_RESET:
        if (value & 1) session.resetQueue(queueSelect);
        break;
      default:
        break;
    }
  }

  private setHalf(area: AreaName, isHigh: boolean, value: number): void {
    const before = this.session.setup(this.queueSelect)?.[area] ?? 0n;
    const half = BigInt(value);
    const address = isHigh ? (before & LOW) | (half << HIGH_SHIFT) : (before & ~LOW) | half;
    this.session.change(this.queueSelect, { [area]: address });
  }

  private forgetSelections(): void {
    this.deviceFeaturesSelect = 0;
    this.driverFeaturesSelect = 0;
    this.queueSelect = 0;
    this.setInterrupts(0);
  }

  // --- as a device of the machine -------------------------------------------------------------------------------------

  reset(): void {
    this.session.reset();
    this.forgetSelections();
  }

  save(): VirtioMmioState {
    const { deviceFeaturesSelect, driverFeaturesSelect, queueSelect, interruptStatus, session, model } = this;
    return {
      version: 1,
      session: session.save(),
      deviceFeaturesSelect,
      driverFeaturesSelect,
      queueSelect,
      interruptStatus,
      model: model.save(),
    };
  }

  /** Memory is to be restored before. The line is not driven again: what it leads to restores its own state. */
  restore(state: VirtioMmioState): void {
    requireVersion(this.name, state, 1);
    this.deviceFeaturesSelect = state.deviceFeaturesSelect;
    this.driverFeaturesSelect = state.driverFeaturesSelect;
    this.queueSelect = state.queueSelect;
    this.interruptStatus = state.interruptStatus;
    this.model.restore(state.model);
    this.session.restore(state.session);
  }

  contents(): Iterable<Uint8Array> {
    return this.model.contents?.() ?? [];
  }

  inspect(): InspectNode {
    const { session, model, interruptStatus } = this;
    const causes = [
      ...(interruptStatus & Interrupt.QUEUE ? ['used buffers'] : []),
      ...(interruptStatus & Interrupt.CONFIGURATION ? ['configuration change'] : []),
    ];
    return {
      name: this.name,
      value: hex(this.world.base),
      detail: `virtio-mmio, device type ${model.id}`,
      children: [
        ...session.inspect(),
        { name: 'interrupt status', value: hex(interruptStatus), detail: causes.join(', ') || 'none' },
        ...model.inspect(),
      ],
    };
  }
}

import type { PciInterrupts } from './pci-interrupts.ts';
import { Common as C } from './pci-registers.ts';
import type { QueueSetup, VirtioSession } from './session.ts';

export interface PciCommonState {
  readonly deviceFeaturesSelect: number;
  readonly driverFeaturesSelect: number;
  readonly queueSelect: number;
}

type AreaName = Exclude<keyof QueueSetup, 'size'>;

interface Register {
  readonly size: 1 | 2 | 4;
  readonly read: () => number;
  readonly write?: (value: number) => void;
}

const LOW = 0xffff_ffffn;

/**
 * The common configuration of a virtio-pci device (virtio 1.2, 4.1.4.3). Each register is reached in its own size, those of 64 bits also
 * in halves; other accesses read as zero and have no effect.
 */
export class PciCommon {
  private deviceFeaturesSelect = 0;
  private driverFeaturesSelect = 0;
  private queueSelect = 0;
  private readonly registers: ReadonlyMap<number, Register>;

  constructor(
    private readonly session: VirtioSession,
    private readonly interrupts: PciInterrupts,
  ) {
    this.registers = new Map([...this.deviceRegisters(), ...this.queueRegisters()]);
  }

  private deviceRegisters(): readonly [number, Register][] {
    const { session, interrupts } = this;
    return [
      [
        C.DEVICE_FEATURES_SELECT,
        {
          size: 4,
          read: () => this.deviceFeaturesSelect,
          write: (value) => {
            this.deviceFeaturesSelect = value;
          },
        },
      ],
      [C.DEVICE_FEATURES, { size: 4, read: () => session.offeredWord(this.deviceFeaturesSelect) }],
      [
        C.DRIVER_FEATURES_SELECT,
        {
          size: 4,
          read: () => this.driverFeaturesSelect,
          write: (value) => {
            this.driverFeaturesSelect = value;
          },
        },
      ],
      [
        C.DRIVER_FEATURES,
        {
          size: 4,
          read: () => session.chosenWord(this.driverFeaturesSelect),
          write: (value) => session.chooseWord(this.driverFeaturesSelect, value),
        },
      ],
      [
        C.CONFIGURATION_VECTOR,
        {
          size: 2,
          read: () => interrupts.vectorOfConfiguration,
          write: (value) => {
            interrupts.vectorOfConfiguration = value;
          },
        },
      ],
      [C.QUEUES, { size: 2, read: () => session.model.queues.length }],
      [C.STATUS, { size: 1, read: () => session.status, write: (value) => this.writeStatus(value) }],
      [C.GENERATION, { size: 1, read: () => session.generation & 0xff }],
    ];
  }

  private queueRegisters(): readonly [number, Register][] {
    const { session, interrupts } = this;
    return [
      [
        C.QUEUE_SELECT,
        {
          size: 2,
          read: () => this.queueSelect,
          write: (value) => {
            this.queueSelect = value;
          },
        },
      ],
      [
        C.QUEUE_SIZE,
        {
          size: 2,
          read: () => session.setup(this.queueSelect)?.size ?? 0,
          write: (value) => session.change(this.queueSelect, { size: value }),
        },
      ],
      [
        C.QUEUE_VECTOR,
        {
          size: 2,
          read: () => interrupts.queueVector(this.queueSelect),
          write: (value) => interrupts.setQueueVector(this.queueSelect, value),
        },
      ],
      [
        C.QUEUE_ENABLE,
        {
          size: 2,
          read: () => (session.isReady(this.queueSelect) ? 1 : 0),
          // A queue is stopped by a reset only.
          write: (value) => {
            if (value === 1) session.setReady(this.queueSelect, true);
          },
        },
      ],
      // Places of notifications have the numbers of their queues.
      [C.QUEUE_NOTIFY_OFFSET, { size: 2, read: () => (session.setup(this.queueSelect) ? this.queueSelect : 0) }],
      ...this.area('descriptorArea', C.QUEUE_DESCRIPTOR),
      ...this.area('driverArea', C.QUEUE_DRIVER),
      ...this.area('deviceArea', C.QUEUE_DEVICE),
      [
        C.QUEUE_RESET,
        {
          size: 2,
          // It is done at once.
          read: () => 0,
          write: (value) => {
            if (value === 1 && session.resetQueue(this.queueSelect)) interrupts.forgetQueue(this.queueSelect);
          },
        },
      ],
    ];
  }

  /** The halves of an address. */
  private area(name: AreaName, offset: number): readonly [number, Register][] {
    const address = () => this.session.setup(this.queueSelect)?.[name] ?? 0n;
    const half = (shift: bigint): Register => ({
      size: 4,
      read: () => Number((address() >> shift) & LOW),
      write: (value) =>
        this.session.change(this.queueSelect, { [name]: (address() & ~(LOW << shift)) | (BigInt(value) << shift) }),
    });
    return [
      [offset, half(0n)],
      [offset + 4, half(32n)],
    ];
  }

  private writeStatus(value: number): void {
    this.session.writeStatus(value);
    if (value !== 0) return;
    this.disconnect();
    this.interrupts.disconnect();
  }

  readonly read = (offset: number, size: 1 | 2 | 4 | 8): bigint => {
    if (size === 8) return this.read(offset, 4) | (this.read(offset + 4, 4) << 32n);
    const register = this.registers.get(offset);
    return register?.size === size ? BigInt(register.read()) : 0n;
  };

  readonly write = (offset: number, size: 1 | 2 | 4 | 8, value: bigint): void => {
    if (size === 8) {
      this.write(offset, 4, value & LOW);
      this.write(offset + 4, 4, value >> 32n);
      return;
    }
    const register = this.registers.get(offset);
    if (register?.size === size) register.write?.(Number(BigInt.asUintN(8 * size, value)));
  };

  /** The driver reset the device, or the machine was. */
  disconnect(): void {
    this.deviceFeaturesSelect = 0;
    this.driverFeaturesSelect = 0;
    this.queueSelect = 0;
  }
  save(): PciCommonState {
    const { deviceFeaturesSelect, driverFeaturesSelect, queueSelect } = this;
    return { deviceFeaturesSelect, driverFeaturesSelect, queueSelect };
  }
  restore(state: PciCommonState): void {
    this.deviceFeaturesSelect = state.deviceFeaturesSelect;
    this.driverFeaturesSelect = state.driverFeaturesSelect;
    this.queueSelect = state.queueSelect;
  }
}

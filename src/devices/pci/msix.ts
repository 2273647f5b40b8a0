import { hex } from '../../x86/address.ts';
import type { InspectNode } from '../inspect.ts';
import type { ConfigurationSpace } from './configuration-space.ts';
import type { BarRegion } from './function.ts';
import type { MessageSignal } from './message.ts';
import { CapabilityId, ENTRY_MASKED, MsixControl, MsixEntry, MsixField } from './registers.ts';

export interface MsixWorld {
  /** The function's name. */
  readonly owner: string;
  readonly configuration: ConfigurationSpace;
  /** Entries: 1 to 128. */
  readonly vectors: number;
  /** The BAR that has the table, from its beginning on, and the pending bits behind it. */
  readonly bar: number;
  readonly send: (message: MessageSignal) => void;
  /** The function was switched between messages and its pin. */
  readonly changed?: () => void;
}

export interface MsixState {
  readonly table: Uint8Array;
  readonly pending: readonly boolean[];
}

/** Where the pending bits are in the BAR, whatever the table's size. */
export const PENDING_OFFSET = 0x800;
const MOST_VECTORS = 128;
const PENDING_LENGTH = MOST_VECTORS / 8;

/** MSI-X (PCI Local Bus 3.0, 6.8.2): a table of messages, one for each vector, which can be masked one by one and all together. */
export class Msix {
  readonly regions: readonly BarRegion[];
  private readonly capability: DataView;
  private readonly table: Uint8Array;
  private readonly view: DataView;
  private readonly pending: boolean[];

  constructor(private readonly world: MsixWorld) {
    const { vectors, bar, configuration, owner } = world;
    if (vectors < 1 || vectors > MOST_VECTORS)
      throw new Error(`${owner} was made with ${vectors} interrupt vectors; 1 to ${MOST_VECTORS} are possible.`);
    this.table = new Uint8Array(vectors * MsixEntry.LENGTH);
    this.view = new DataView(this.table.buffer);
    this.pending = Array.from({ length: vectors }, () => false);
    const bytes = new Uint8Array(MsixField.LENGTH);
    const writable = new Uint8Array(MsixField.LENGTH);
    const fields = new DataView(bytes.buffer);
    fields.setUint16(MsixField.CONTROL, vectors - 1, true);
    fields.setUint32(MsixField.TABLE, bar, true);
    fields.setUint32(MsixField.PENDING, PENDING_OFFSET | bar, true);
    new DataView(writable.buffer).setUint16(MsixField.CONTROL, MsixControl.ENABLE | MsixControl.MASK_ALL, true);
    this.capability = configuration.add({
      name: 'MSI-X',
      id: CapabilityId.MSIX,
      bytes,
      writable,
      written: () => this.controlWritten(),
    });
    this.regions = [
      {
        bar,
        offset: 0,
        length: this.table.length,
        name: `${owner} MSI-X table`,
        read: (offset, size) => this.readTable(offset, size),
        write: (offset, size, value) => this.writeTable(offset, size, value),
      },
      {
        bar,
        offset: PENDING_OFFSET,
        length: PENDING_LENGTH,
        name: `${owner} MSI-X pending bits`,
        read: (offset, size) => this.readPending(offset, size),
        write: () => {},
      },
    ];
    this.reset();
  }

  private get control(): number {
    return this.capability.getUint16(MsixField.CONTROL, true);
  }
  get isEnabled(): boolean {
    return (this.control & MsixControl.ENABLE) !== 0;
  }
  get vectors(): number {
    return this.pending.length;
  }

  /** What an interrupt for a vector is, for a debugger. */
  describe(vector: number): Readonly<Record<string, number | bigint | string>> {
    if (vector >= this.vectors) return { note: 'no entry: nothing is sent' };
    return { entry: vector, ...this.message(vector), masked: this.isMasked(vector) ? 'yes: it stays pending' : 'no' };
  }

  private isMasked(vector: number): boolean {
    const control = this.view.getUint32(vector * MsixEntry.LENGTH + MsixEntry.CONTROL, true);
    return (this.control & MsixControl.MASK_ALL) !== 0 || (control & ENTRY_MASKED) !== 0;
  }

  /** The function has an interrupt for a vector: it is sent, or pending while the vector is masked. Without effect while off. */
  raise(vector: number): void {
    if (!this.isEnabled || vector >= this.vectors) return;
    if (this.isMasked(vector)) this.pending[vector] = true;
    else this.send(vector);
  }

  /** The function has no interrupt for any vector any more: it was reset. */
  forget(): void {
    this.pending.fill(false);
  }

  private send(vector: number): void {
    this.pending[vector] = false;
    this.world.send(this.message(vector));
  }
  private message(vector: number): MessageSignal {
    const at = vector * MsixEntry.LENGTH;
    return {
      address: this.view.getBigUint64(at + MsixEntry.ADDRESS, true),
      data: this.view.getUint32(at + MsixEntry.DATA, true),
    };
  }

  /** Sends what waited, once nothing masks it. */
  private sendPending(): void {
    if (!this.isEnabled) return;
    this.pending.forEach((isPending, vector) => {
      if (isPending && !this.isMasked(vector)) this.send(vector);
    });
  }

  private controlWritten(): void {
    this.world.changed?.();
    this.sendPending();
  }

  private readTable(offset: number, size: number): bigint {
    let value = 0n;
    for (let index = 0; index < size; index++) value |= BigInt(this.table[offset + index] ?? 0) << BigInt(8 * index);
    return value;
  }

  private writeTable(offset: number, size: number, value: bigint): void {
    // Only whole words are written, aligned (6.8.2).
    if (size < 4 || offset % size !== 0) return;
    for (let at = offset; at < offset + size && at < this.table.length; at += 4) {
      const word = Number((value >> BigInt(8 * (at - offset))) & 0xffff_ffffn);
      const isControl = at % MsixEntry.LENGTH === MsixEntry.CONTROL;
      this.view.setUint32(at, isControl ? word & ENTRY_MASKED : word, true);
    }
    this.sendPending();
  }

  private readPending(offset: number, size: number): bigint {
    const bits = this.pending.reduce((all, isPending, vector) => all | (isPending ? 1n << BigInt(vector) : 0n), 0n);
    return BigInt.asUintN(8 * size, bits >> BigInt(8 * offset));
  }

  /** All entries are masked at first. The capability is a part of the configuration space, which resets itself. */
  reset(): void {
    this.table.fill(0);
    for (let vector = 0; vector < this.vectors; vector++)
      this.view.setUint32(vector * MsixEntry.LENGTH + MsixEntry.CONTROL, ENTRY_MASKED, true);
    this.forget();
  }
  save(): MsixState {
    return { table: this.table.slice(), pending: [...this.pending] };
  }
  restore(state: MsixState): void {
    this.table.set(state.table.subarray(0, this.table.length));
    for (const vector of this.pending.keys()) this.pending[vector] = state.pending[vector] ?? false;
  }

  inspect(): InspectNode {
    const isMasked = (this.control & MsixControl.MASK_ALL) !== 0;
    return {
      name: 'MSI-X',
      value: this.isEnabled ? (isMasked ? 'all masked' : 'on') : 'off',
      detail: `${this.vectors} vectors`,
      children: this.pending.map((isPending, vector) => {
        const { address, data } = this.message(vector);
        const mask = this.isMasked(vector) ? 'masked' : `vector ${hex(data & 0xff, 2)} to ${hex(address)}`;
        return { name: `entry ${vector}`, value: hex(data, 8), detail: isPending ? `${mask}, pending` : mask };
      }),
    };
  }
}

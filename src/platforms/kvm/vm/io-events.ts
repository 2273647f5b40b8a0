import type { InspectNode } from '../../../devices/inspect.ts';
import { hex } from '../../../x86/address.ts';
import { IoEventFlag } from '../abi/flags.ts';
import { KvmError } from '../api/errors.ts';
import type { IoEvent } from '../api/vm.ts';

const LENGTHS: readonly number[] = [0, 1, 2, 4, 8];
const KNOWN_FLAGS = IoEventFlag.DATAMATCH | IoEventFlag.PIO | IoEventFlag.DEASSIGN;

const isPio = ({ flags }: IoEvent) => (flags & IoEventFlag.PIO) !== 0;
const matchesData = ({ flags }: IoEvent) => (flags & IoEventFlag.DATAMATCH) !== 0;

/** Writes of a virtual machine's guest that end in the kernel, with a signal on an eventfd (Linux virt/kvm/eventfd.c). */
export class IoEvents {
  private events: IoEvent[] = [];

  /** KVM_IOEVENTFD. */
  set(event: IoEvent): void {
    const { address, length, flags } = event;
    if (!LENGTHS.includes(length))
      throw new KvmError('EINVAL', `An ioeventfd has a length of 1, 2, 4 or 8 bytes, or 0 for any; not ${length}`);
    if (address < 0n || (address + BigInt(length)) >> 64n !== 0n)
      throw new KvmError('EINVAL', 'An ioeventfd ends beyond 64 bits');
    if (flags & ~KNOWN_FLAGS) throw new KvmError('EINVAL', `An ioeventfd has unknown flags: ${hex(flags)}`);
    if (length === 0 && matchesData(event)) throw new KvmError('EINVAL', 'An ioeventfd for any length can match no data');
    if (flags & IoEventFlag.DEASSIGN) this.remove(event);
    else if (this.events.some((other) => collides(other, event)))
      throw new KvmError('EEXIST', `There is an ioeventfd for that at ${hex(address)}`);
    else this.events.push(event);
  }

  private remove(event: IoEvent): void {
    const index = this.events.findIndex(
      (other) =>
        other.fd === event.fd &&
        other.address === event.address &&
        other.length === event.length &&
        isPio(other) === isPio(event) &&
        matchesData(other) === matchesData(event) &&
        (!matchesData(event) || other.dataMatch === event.dataMatch),
    );
    if (index < 0) throw new KvmError('ENOENT', `There is no such ioeventfd at ${hex(event.address)}`);
    this.events.splice(index, 1);
  }

  /** Whether there are any: most machines have none, and each exit asks. */
  get exist(): boolean {
    return this.events.length > 0;
  }

  /** The one that a write of the guest ends at. `value` is zero-extended. */
  find(bus: 'pio' | 'mmio', address: bigint, length: number, value: bigint): IoEvent | undefined {
    for (const event of this.events) {
      if (event.address !== address || isPio(event) !== (bus === 'pio')) continue;
      if (event.length !== 0 && event.length !== length) continue;
      if (!matchesData(event) || event.dataMatch === value) return event;
    }
    return undefined;
  }

  inspect(): InspectNode {
    const children = this.events.map((event): InspectNode => {
      const data = matchesData(event) ? `, value ${hex(event.dataMatch)}` : '';
      return {
        name: isPio(event) ? 'port' : 'memory',
        value: hex(event.address),
        detail: `writes of ${event.length === 0 ? 'any length' : `${event.length} bytes`}${data}`,
      };
    });
    return { name: 'ioeventfds', value: `${children.length}`, children };
  }
}

/** Whether two could be meant by one write. */
function collides(one: IoEvent, other: IoEvent): boolean {
  return (
    isPio(one) === isPio(other) &&
    one.address === other.address &&
    (one.length === 0 || other.length === 0 || one.length === other.length) &&
    (!matchesData(one) || !matchesData(other) || one.dataMatch === other.dataMatch)
  );
}

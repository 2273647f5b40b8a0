import type { PortDevice } from '../../devices/device.ts';
import type { InspectNode } from '../../devices/inspect.ts';
import { SOURCES } from './abi/synic.ts';
import type { Hyperv } from './hyperv.ts';
import type { PartitionSynic } from './synic/partition-synic.ts';
import { EventPort, MessagePort } from './synic/ports.ts';

const PORT = 0x3000;
const PORT_COUNT = 4;

/** What a guest can ask for, in bits 23:16 of what it writes. */
const Operation = {
  CREATE_ROUTE: 1,
  DESTROY_ROUTE: 2,
  RAISE: 3,
  CREATE_MESSAGE_CONNECTION: 4,
  DESTROY_MESSAGE_CONNECTION: 5,
  CREATE_EVENT_CONNECTION: 6,
  DESTROY_EVENT_CONNECTION: 7,
} as const;

/**
 * A device for guests that test a hypervisor's SynIC, as QEMU's hyperv-testdev: a write of 4 bytes to port 0x3000 (source in bits 7:0, vCPU
 * in 15:8, operation in 23:16, connection in 31:24) raises an interrupt source, or makes a connection whose other end sends what comes there
 * back to a vCPU.
 */
export class HypervTestDevice implements PortDevice {
  readonly name = 'hyperv-testdev';
  readonly ports = [{ base: PORT, count: PORT_COUNT }];
  /** vCPU and source, in bits 15:0, that may be raised. */
  private readonly routes = new Set<number>();
  /** Connections that were made here. */
  private readonly made = new Map<number, MessagePort | EventPort>();

  constructor(
    private readonly hyperv: Pick<Hyperv, 'partitionId' | 'vendor' | 'connections' | 'overlays'> & {
      readonly synic: PartitionSynic;
    },
  ) {}

  reset(): void {
    this.routes.clear();
    this.made.clear();
  }

  readPort(_port: number, size: 1 | 2 | 4): number {
    return 0xffff_ffff >>> (32 - size * 8);
  }

  writePort(port: number, size: 1 | 2 | 4, value: number): void {
    if (port !== PORT || size !== 4) return;
    const source = value & 0xff;
    const vcpu = (value >>> 8) & 0xff;
    const connection = value >>> 24;
    const route = value & 0xffff;
    switch ((value >>> 16) & 0xff) {
      case Operation.CREATE_ROUTE:
        if (source < SOURCES) this.routes.add(route);
        break;
      case Operation.DESTROY_ROUTE:
        this.routes.delete(route);
        break;
      case Operation.RAISE:
        if (this.routes.has(route)) this.hyperv.synic.raise(vcpu, source);
        break;
      case Operation.CREATE_MESSAGE_CONNECTION:
        this.connect(connection, new MessagePort(this.hyperv, 0, { kind: 'message', source, vp: vcpu }, 0n));
        break;
      case Operation.CREATE_EVENT_CONNECTION:
        this.connect(
          connection,
          new EventPort(this.hyperv, 0, { kind: 'event', source, vp: vcpu, baseFlag: connection, flagCount: 1 }, 0n),
        );
        break;
      case Operation.DESTROY_MESSAGE_CONNECTION:
        this.disconnect(connection, 'message');
        break;
      case Operation.DESTROY_EVENT_CONNECTION:
        this.disconnect(connection, 'event');
        break;
    }
  }

  private connect(connection: number, port: MessagePort | EventPort): void {
    if (this.hyperv.connections.connect(connection, port)) this.made.set(connection, port);
  }
  private disconnect(connection: number, kind: 'message' | 'event'): void {
    const port = this.made.get(connection);
    if (port?.kind !== kind) return;
    this.made.delete(connection);
    port.delete();
    if (this.hyperv.connections.get(connection) === port) this.hyperv.connections.disconnect(connection);
  }

  inspect(): InspectNode {
    const children = [...this.made].map(([id, { kind }]) => ({ name: `connection ${id}`, value: kind }));
    return { name: this.name, value: `${this.routes.size} sources to be raised`, children };
  }
}

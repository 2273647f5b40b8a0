import type { Handler } from '../../stages/stage.ts';
import { hex } from '../../x86/address.ts';
import type { PortDevice } from '../device.ts';

/** A device on the port bus, with the name that errors and frames show. */
export type NamedPortDevice = PortDevice & { readonly name: string };

/** The 64 Ki I/O ports of a machine and who answers at each (Intel SDM vol. 1, ch. 19). */
export class PortBus {
  private readonly owners = new Map<number, NamedPortDevice>();
  readonly devices: NamedPortDevice[] = [];

  /** Throws a sentence that names both devices when a port is taken. */
  attach(device: NamedPortDevice): void {
    for (const { base, count } of device.ports)
      for (let port = base; port < base + count; port++) {
        const owner = this.owners.get(port);
        if (owner !== undefined && owner !== device)
          throw new Error(`I/O port ${hex(port)} is claimed by both ${owner.name} and ${device.name}; move one of them.`);
        this.owners.set(port, device);
      }
    this.devices.push(device);
  }

  find(port: number): NamedPortDevice | undefined {
    return this.owners.get(port);
  }

  /** Bytes that nobody answers for read as ones. */
  read(port: number, size: 1 | 2 | 4): number {
    const device = this.whole(port, size);
    if (device) return device.readPort(port, size) >>> 0;
    if (size === 1) return 0xff;
    let value = 0;
    for (let index = 0; index < size; index++) {
      const at = (port + index) & 0xffff;
      const byte = this.owners.get(at)?.readPort(at, 1) ?? 0xff;
      value |= (byte & 0xff) << (8 * index);
    }
    return value >>> 0;
  }

  write(port: number, size: 1 | 2 | 4, value: number): void {
    const device = this.whole(port, size);
    if (device) device.writePort(port, size, value);
    else if (size > 1)
      for (let index = 0; index < size; index++) {
        const at = (port + index) & 0xffff;
        this.owners.get(at)?.writePort(at, 1, (value >>> (8 * index)) & 0xff);
      }
  }

  *writeInStages(port: number, size: 1 | 2 | 4, value: number): Handler {
    const device = this.whole(port, size);
    if (device?.writePortInStages) yield* device.writePortInStages(port, size, value);
    else this.write(port, size, value);
  }

  /** The device that takes the access as one; undefined when it must be split into bytes. */
  private whole(port: number, size: 1 | 2 | 4): NamedPortDevice | undefined {
    const device = this.owners.get(port);
    if (device === undefined || size === 1) return device;
    if (device.byteWide || port + size > 0x10000) return undefined;
    return this.owners.get(port + size - 1) === device ? device : undefined;
  }
}

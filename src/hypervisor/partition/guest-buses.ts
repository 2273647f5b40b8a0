import type { PcDevices } from '../../devices/pc/pc.ts';
import type { Handler } from '../../stages/stage.ts';
import { hex } from '../../x86/address.ts';
import type { RequestDoor } from '../privileges/request-door.ts';

type Size = 1 | 2 | 4 | 8;

/**
 * The ports and the device memory of a machine as its guest reaches them: through the partition's door. What is refused has no effect
 * and reads as ones.
 */
export class GuestBuses {
  constructor(
    private readonly devices: PcDevices,
    private readonly door: RequestDoor,
  ) {}

  readPort(port: number, size: 1 | 2 | 4): number {
    const isReached = this.door.askForPorts(port, size, () => `to read port ${hex(port)}`);
    return isReached ? this.devices.ports.read(port, size) : 0xffff_ffff >>> (32 - size * 8);
  }
  writePort(port: number, size: 1 | 2 | 4, value: number): void {
    if (this.mayWrite(port, size)) this.devices.ports.write(port, size, value);
  }
  *writePortInStages(port: number, size: 1 | 2 | 4, value: number): Handler {
    if (this.mayWrite(port, size)) yield* this.devices.ports.writeInStages(port, size, value);
  }
  private mayWrite(port: number, size: 1 | 2 | 4): boolean {
    return this.door.askForPorts(port, size, () => `to write port ${hex(port)}`);
  }

  readMmio(vcpu: number, gpa: bigint, size: Size): bigint {
    this.look(vcpu, gpa, 'read');
    return this.devices.readMmio(vcpu, gpa, size);
  }
  writeMmio(vcpu: number, gpa: bigint, size: Size, value: bigint): void {
    this.look(vcpu, gpa, 'write');
    this.devices.writeMmio(vcpu, gpa, size, value);
  }
  *writeMmioInStages(vcpu: number, gpa: bigint, size: Size, value: bigint): Handler {
    this.look(vcpu, gpa, 'write');
    yield* this.devices.writeMmioInStages(vcpu, gpa, size, value);
  }

  /** Enters that a processor looked for page tables or instructions at an address without RAM. It finds nothing there. */
  refuseMissing(vcpu: number, gpa: bigint, access: 'walk' | 'fetch'): void {
    this.look(vcpu, gpa, access === 'walk' ? 'read a page table at' : 'run code at');
  }

  private look(vcpu: number, gpa: bigint, access: string): void {
    if (this.devices.mmioOwner(vcpu, gpa) === undefined)
      this.door.refuse(
        'memory',
        () => `to ${access} physical address ${hex(gpa)}`,
        'the partition has neither RAM nor a device there',
      );
  }
}

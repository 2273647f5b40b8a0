import { type Handler, inFrame, modelFrame, stage } from '../../stages/stage.ts';
import { hex } from '../../x86/address.ts';
import type { Device, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import type { PciBus } from './bus.ts';
import { placeName } from './inspect.ts';
import { ADDRESS_BITS, ADDRESS_ENABLED, CONFIG_ADDRESS, CONFIG_DATA } from './registers.ts';

export interface ConfigurationPortsState {
  readonly version: 1;
  readonly address: number;
}

/**
 * Configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2): the address at 0xCF8, which only 32-bit accesses reach, and a window on the
 * register that it names at 0xCFC. Port 0xCF9 is the reset control register.
 */
export class ConfigurationPorts implements Device<ConfigurationPortsState>, PortDevice {
  readonly name = 'pci-configuration';
  readonly ports = [
    { base: CONFIG_ADDRESS, count: 1 },
    { base: CONFIG_ADDRESS + 2, count: 2 },
    { base: CONFIG_DATA, count: 4 },
  ];
  private address = 0;

  constructor(private readonly bus: PciBus) {}

  private get target(): number {
    return (this.address >>> 8) & 0xffff;
  }
  private get isEnabled(): boolean {
    return (this.address & ADDRESS_ENABLED) !== 0;
  }
  private offset(port: number): number {
    return (this.address & 0xfc) + (port - CONFIG_DATA);
  }

  readPort(port: number, size: 1 | 2 | 4): number {
    if (port === CONFIG_ADDRESS && size === 4) return this.address;
    if (port < CONFIG_DATA || !this.isEnabled) return 0xffff_ffff >>> (32 - size * 8);
    return this.bus.readConfiguration(this.target, this.offset(port), size);
  }

  writePort(port: number, size: 1 | 2 | 4, value: number): void {
    if (port === CONFIG_ADDRESS && size === 4) this.address = (value & ADDRESS_BITS) >>> 0;
    else if (port >= CONFIG_DATA && this.isEnabled) this.bus.writeConfiguration(this.target, this.offset(port), size, value);
  }

  /** The same in stages: which function and register the address names, and what the register is afterwards. */
  *writePortInStages(port: number, size: 1 | 2 | 4, value: number): Handler {
    const isAddress = port === CONFIG_ADDRESS && size === 4;
    if (isAddress || (port >= CONFIG_DATA && this.isEnabled))
      yield* inFrame(modelFrame(`PCI configuration ${isAddress ? 'address' : 'data'}`), this.writeAndTell(port, size, value));
    else this.writePort(port, size, value);
  }
  private *writeAndTell(port: number, size: 1 | 2 | 4, value: number): Handler {
    if (port >= CONFIG_DATA) yield stage('pci.write', { ...this.bus.describe(this.target, this.offset(port)), value, size });
    this.writePort(port, size, value);
    if (port === CONFIG_ADDRESS) yield stage('pci.select', this.bus.describe(this.target, this.address & 0xfc));
    else yield stage('pci.written', { now: this.readPort(port, size) });
  }

  reset(): void {
    this.address = 0;
  }
  save(): ConfigurationPortsState {
    return { version: 1, address: this.address };
  }
  restore(state: ConfigurationPortsState): void {
    requireVersion(this.name, state, 1);
    this.address = state.address;
  }
  inspect(): InspectNode {
    const { address, target, isEnabled } = this;
    const register = `register ${hex(address & 0xfc, 2)} of ${placeName(target)}`;
    return { name: this.name, value: hex(address, 8), detail: isEnabled ? register : 'off' };
  }
}

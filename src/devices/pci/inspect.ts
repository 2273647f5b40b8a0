import { hex } from '../../x86/address.ts';
import type { InspectNode } from '../inspect.ts';
import type { ConfigurationSpace } from './configuration-space.ts';
import type { PciFunction } from './function.ts';
import { Command, Config } from './registers.ts';

const COMMAND_NAMES = [
  [Command.IO, 'I/O'],
  [Command.MEMORY, 'memory'],
  [Command.MASTER, 'bus master'],
  [Command.NO_INTX, 'no INTx'],
] as const;

const two = (value: number): string => value.toString(16).padStart(2, '0');

/** `00:03.0`, of bus, slot and function as an address has them: 8, 5 and 3 bits. */
export const placeName = (target: number): string => `${two(target >> 8)}:${two((target >> 3) & 0x1f)}.${target & 7}`;
/** `00:03.0`, of a slot of bus 0. */
export const slotName = (slot: number): string => placeName(slot << 3);

/** A function as `lspci -v` shows it: ids, command, BARs, capabilities, and what it has of its own. */
export function inspectFunction(device: PciFunction, slot: number): InspectNode {
  const { configuration } = device;
  const half = (offset: number) => configuration.read(offset, 2).toString(16).padStart(4, '0');
  const names = COMMAND_NAMES.flatMap(([bit, name]) => (configuration.command & bit ? [name] : []));
  return {
    name: slotName(slot),
    value: device.name,
    detail: `${half(Config.VENDOR_ID)}:${half(Config.DEVICE_ID)}, class ${half(Config.CLASS + 1)}`,
    children: [
      { name: 'command', value: hex(configuration.command, 4), detail: names.join(', ') || 'nothing is on' },
      ...inspectBars(configuration),
      ...configuration.capabilities.map(({ offset, capability }) => ({
        name: 'capability',
        value: hex(offset, 2),
        detail: capability.name,
      })),
      ...inspectPin(configuration),
      ...(device.inspectFunction?.() ?? []),
    ],
  };
}

function inspectBars(configuration: ConfigurationSpace): readonly InspectNode[] {
  const off = configuration.decodesMemory ? '' : ', not decoded';
  return configuration.bars.map((bar) => ({
    name: `BAR ${bar.index}`,
    value: hex(configuration.barAddress(bar)),
    detail: `${hex(bar.size)} bytes of memory, ${bar.is64 ? '64' : '32'} bits${bar.prefetchable ? ', prefetchable' : ''}${off}`,
  }));
}

function inspectPin(configuration: ConfigurationSpace): readonly InspectNode[] {
  const pin = configuration.read(Config.INTERRUPT_PIN, 1);
  if (pin === 0) return [];
  const line = configuration.read(Config.INTERRUPT_LINE, 1);
  return [{ name: 'INTA', value: configuration.drivesPin ? 'asserted' : 'not asserted', detail: `IRQ ${line} at the PICs` }];
}

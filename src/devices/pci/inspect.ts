import { hex } from '../../x86/address.ts';
import type { InspectNode } from '../inspect.ts';
import type { ConfigurationSpace } from './configuration-space.ts';
import type { PciFunction } from './function.ts';
import { BARS, Command, Config } from './registers.ts';

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

/** Names of registers of the header, from the last one on. */
const REGISTER_NAMES = [
  [Config.INTERRUPT_PIN, 'interrupt pin'],
  [Config.INTERRUPT_LINE, 'interrupt line'],
  [Config.CAPABILITIES + 1, 'reserved'],
  [Config.CAPABILITIES, 'first capability'],
  [Config.ROM, 'expansion ROM'],
  [Config.SUBSYSTEM_VENDOR, 'subsystem'],
  [Config.CARD_BUS, 'CardBus structure'],
  [Config.HEADER_TYPE, 'header type'],
  [Config.CACHE_LINE, 'cache line and latency'],
  [Config.CLASS, 'class'],
  [Config.REVISION, 'revision'],
  [Config.STATUS, 'status'],
  [Config.COMMAND, 'command'],
  [Config.VENDOR_ID, 'ids'],
] as const;

/** What the register at an offset is called. */
export function registerName({ capabilities }: ConfigurationSpace, offset: number): string {
  const bar = Math.floor((offset - Config.BARS) / 4);
  if (bar >= 0 && bar < BARS) return `BAR ${bar}`;
  const found = capabilities.find(({ offset: at, capability }) => offset >= at && offset < at + capability.bytes.length);
  if (found) return `${found.capability.name} + ${hex(offset - found.offset)}`;
  if (offset >= Config.FIRST_CAPABILITY) return 'reserved';
  return REGISTER_NAMES.find(([at]) => offset >= at)?.[1] ?? 'reserved';
}

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

import type { ConfigurationSpace } from '../../pci/configuration-space.ts';
import type { BarRegion } from '../../pci/function.ts';
import { CapabilityId } from '../../pci/registers.ts';
import {
  CAPABILITY_LENGTH,
  Common,
  Field,
  LONG_CAPABILITY_LENGTH,
  NOTIFY_MULTIPLIER,
  PLACE_LENGTH,
  Place,
  STRUCTURES_BAR,
  Structure,
} from './pci-registers.ts';

/** Tells a driver where the structures of a virtio-pci device are (virtio 1.2, 4.1.4), and gives it the window on them (4.1.4.9). */
export function addStructures(configuration: ConfigurationSpace, regions: readonly BarRegion[]): void {
  const add = (name: string, type: number, offset: number, size: number, more?: { readonly multiplier: number }) => {
    const bytes = capability(type, more ? LONG_CAPABILITY_LENGTH : CAPABILITY_LENGTH);
    const view = new DataView(bytes.buffer);
    view.setUint8(Field.BAR, STRUCTURES_BAR.index);
    view.setUint32(Field.OFFSET, offset, true);
    view.setUint32(Field.SIZE, size, true);
    if (more) view.setUint32(Field.MULTIPLIER, more.multiplier, true);
    configuration.add({ name: `virtio: ${name}`, id: CapabilityId.VENDOR, bytes });
  };
  add('common configuration', Structure.COMMON, Place.COMMON, Common.LENGTH);
  add('ISR status', Structure.ISR, Place.ISR, 1);
  add('device configuration', Structure.DEVICE, Place.DEVICE, PLACE_LENGTH);
  add('notify', Structure.NOTIFY, Place.NOTIFY, PLACE_LENGTH, { multiplier: NOTIFY_MULTIPLIER });
  addWindow(configuration, regions);
}

function capability(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[Field.LENGTH] = length;
  bytes[Field.TYPE] = type;
  return bytes;
}

const WINDOW_SIZES = [1, 2, 4] as const;

/** Access to the structures from the configuration space alone: BAR, offset and length are written, then data are read or written. */
function addWindow(configuration: ConfigurationSpace, regions: readonly BarRegion[]): void {
  const bytes = capability(Structure.WINDOW, LONG_CAPABILITY_LENGTH);
  const writable = new Uint8Array(LONG_CAPABILITY_LENGTH);
  writable[Field.BAR] = 0xff;
  writable.fill(0xff, Field.OFFSET);
  /** The register that the window is on, where the access reaches its data. */
  const register = (from: number, size: number) => {
    const length = WINDOW_SIZES.find((possible) => possible === view.getUint32(Field.SIZE, true));
    if (from > Field.DATA || from + size <= Field.DATA || length === undefined) return undefined;
    const offset = view.getUint32(Field.OFFSET, true);
    const bar = view.getUint8(Field.BAR);
    const region = regions.find((place) => place.bar === bar && offset >= place.offset && offset < place.offset + place.length);
    return region && offset % length === 0 ? { region, length, offset: offset - region.offset } : undefined;
  };
  const view: DataView = configuration.add({
    name: 'virtio: window on the structures',
    id: CapabilityId.VENDOR,
    bytes,
    writable,
    beforeRead: (from, size) => {
      const found = register(from, size);
      if (found) view.setUint32(Field.DATA, Number(found.region.read(found.offset, found.length)), true);
    },
    written: (from, size) => {
      const found = register(from, size);
      if (!found) return;
      const value = BigInt.asUintN(8 * found.length, BigInt(view.getUint32(Field.DATA, true)));
      found.region.write(found.offset, found.length, value);
    },
  });
}

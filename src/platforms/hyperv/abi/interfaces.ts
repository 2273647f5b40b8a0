import { IcDevice } from './integration.ts';
import { NETWORK_INTERFACE } from './nvsp.ts';
import { VPCI_INTERFACE } from './vpci.ts';

/** Kinds of devices on the VMBus, by the GUID of their interface (Linux include/linux/hyperv.h). */

export const SCSI_INTERFACE = 'ba6163d9-04a1-4d29-b605-72e2ffb1dc7f';
export const KEYBOARD_INTERFACE = 'f912ad6d-2b17-48ea-bd65-f927a61c7684';
export const VIDEO_INTERFACE = 'da0a7802-e377-4aac-8e77-0558eb1073f8';

const NAMES: ReadonlyMap<string, string> = new Map<string, string>([
  [NETWORK_INTERFACE, 'network card'],
  [SCSI_INTERFACE, 'SCSI controller'],
  ['32412632-86cb-44a2-9b5c-50d1417354f5', 'IDE controller'],
  ['2f9bcc4a-0069-4af3-b76b-6fd0be528cda', 'fibre channel controller'],
  [KEYBOARD_INTERFACE, 'keyboard'],
  ['cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a', 'mouse'],
  [VIDEO_INTERFACE, 'video'],
  ['525074dc-8985-46e2-8057-a307dc18a502', 'dynamic memory'],
  [VPCI_INTERFACE, 'PCI pass-through'],
  ...Object.entries(IcDevice).map(([name, [id]]) => [id, name] as const),
]);

/** `network card`, or the GUID of a kind that has no name. */
export function interfaceName(id: string): string {
  return NAMES.get(id) ?? id;
}

/** Interfaces of integration components, whose packets have a header of their own. */
export const INTEGRATION_INTERFACES: ReadonlySet<string> = new Set(Object.values(IcDevice).map(([id]) => id));

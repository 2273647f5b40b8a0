import { SLOTS as PCI_SLOTS } from '../devices/pci/registers.ts';
import { MOST_CHANNELS } from '../devices/virtio/console/device.ts';
import { asksForMore, type VirtioConfiguration, virtioDeviceCount } from '../devices/virtio/machine-devices.ts';
import { LONGEST_TAG, type Share } from '../devices/virtio/p9/device.ts';
import { SLOTS } from '../devices/virtio/slots.ts';
import { FIRST_GUEST_CID } from '../devices/virtio/vsock/registers.ts';
import type { MachineName, PlatformName } from './configuration.ts';

/** Slots that the host bridge leaves. */
const FREE_PCI_SLOTS = PCI_SLOTS - 1;
const LARGEST_CID = 0xffff_fffe;

/** Why a machine can't have these virtio devices, as a sentence that says how to mend it; undefined where it can. */
export function whyNoVirtio(wishes: VirtioConfiguration, platform: PlatformName, machine: MachineName): string | undefined {
  const { channels = [], vsock, shares = [] } = wishes;
  if ((platform === 'bare' || platform === 'hyperv') && asksForMore(wishes))
    return `Channels, balloons, sockets and shared folders are those of virtio, which platform ${platform} has not; use platform kvm.`;
  const wanted = virtioDeviceCount(wishes);
  const places = machine === 'pc' ? FREE_PCI_SLOTS : SLOTS;
  if (wanted > places)
    return `A ${machine} has places for ${places} virtio devices, but ${wanted} were asked for (an entropy device and a console are among them); leave some out${machine === 'pc' ? '' : ', or use machine pc'}.`;
  if (vsock !== undefined && (!Number.isInteger(vsock) || vsock < FIRST_GUEST_CID || vsock > LARGEST_CID))
    return `A guest can have the context ${FIRST_GUEST_CID} to ${LARGEST_CID} for its sockets; ${vsock} was asked for.`;
  return whyNoChannels(channels) ?? whyNoShares(shares);
}

function whyNoChannels(channels: readonly string[]): string | undefined {
  if (channels.length > MOST_CHANNELS) return `A console can have ${MOST_CHANNELS} channels; ${channels.length} were asked for.`;
  for (const [index, name] of channels.entries()) {
    if (!/^[\w.-]{1,64}$/.test(name))
      return `A channel can't have the name "${name}"; it takes up to 64 letters, digits, ".", "_" and "-".`;
    if (channels.indexOf(name) !== index) return `Two channels have the name "${name}"; give each one of its own.`;
  }
  return undefined;
}

function whyNoShares(shares: readonly Share[]): string | undefined {
  for (const [index, { tag }] of shares.entries()) {
    if (!/^[\w.-]+$/.test(tag) || tag.length > LONGEST_TAG)
      return `A shared folder can't have the tag "${tag}"; it takes up to ${LONGEST_TAG} letters, digits, ".", "_" and "-".`;
    if (shares.findIndex((share) => share.tag === tag) !== index)
      return `Two shared folders have the tag "${tag}"; give each one of its own.`;
  }
  return undefined;
}

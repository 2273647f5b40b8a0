import { EVENT_CONNECTION, HEADER_SIZE, USER_DATA_SIZE } from '../abi/vmbus.ts';
import type { VmbusChannel } from './channel.ts';
import { encodeMessage } from './message.ts';

/** Where an offer's user data is in its message. */
const OFFER_USER_DATA = HEADER_SIZE + 52;

/**
 * OFFER_CHANNEL. `monitor`: the bit of the monitor page that the channel has, if it has one. `connection`: by which the guest signals this
 * channel alone; undefined where all channels have one for all.
 */
export function encodeOffer(channel: VmbusChannel, monitor: number | undefined, connection: number | undefined): Uint8Array {
  const { interfaceId, instanceId, flags = 0, mmioMegabytes = 0, userData } = channel.device.vsp.offer;
  const bytes = encodeMessage('OFFER_CHANNEL', {
    interface: interfaceId,
    instance: instanceId,
    flags,
    mmio_megabytes: mmioMegabytes,
    subchannel: channel.subchannelIndex,
    channel: channel.id,
    monitor: monitor ?? 0,
    is_monitored: monitor === undefined ? 0 : 1,
    is_dedicated: connection === undefined ? 0 : 1,
    connection: connection ?? EVENT_CONNECTION,
  });
  if (userData) bytes.set(userData.subarray(0, USER_DATA_SIZE), OFFER_USER_DATA);
  return bytes;
}

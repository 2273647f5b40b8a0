import { expect, test } from 'vitest';
import { SCSI_INTERFACE } from '../../../../src/platforms/hyperv/abi/interfaces.ts';
import { NETWORK_INTERFACE } from '../../../../src/platforms/hyperv/abi/nvsp.ts';
import { VPCI_INTERFACE, VpciMessage } from '../../../../src/platforms/hyperv/abi/vpci.ts';
import { explainPacket } from '../../../../src/platforms/hyperv/vmbus/explain.ts';
import { pictureRing } from '../../../../src/platforms/hyperv/vmbus/picture.ts';
import { bytesOf } from '../hypercalls/caller.ts';
import { EchoVsp } from './echo-vsp.ts';
import { directExtension, FakeGuest } from './fake-guest.ts';

function start() {
  const guest = new FakeGuest(new EchoVsp());
  const channel = guest.start();
  const open = guest.bus.channel(1)?.open;
  if (open === undefined) throw new Error('the channel is not open');
  return { guest, channel, open };
}

test('a picture of a ring has packets that wait, and those that were taken as long as nothing is over them', () => {
  const { guest, channel, open } = start();
  for (let number = 0; number < 3; number++) channel.out.send({ transaction: BigInt(number) });
  const transactions = (isWaiting: boolean) =>
    pictureRing(open.fromGuest)
      .packets.filter((packet) => packet.isWaiting === isWaiting)
      .map(({ transaction }) => Number(transaction));
  expect(transactions(true)).toEqual([0, 1, 2]);
  guest.signal(channel.connection);
  channel.out.send({ transaction: 3n });
  expect([transactions(false), transactions(true)]).toEqual([[0, 1, 2], [3]]);
  for (let number = 4; number < 300; number++) {
    guest.signal(channel.connection);
    channel.out.send({ transaction: BigInt(number), wantsCompletion: false });
  }
  expect(transactions(false)).toEqual(Array.from({ length: 16 }, (_, index) => 283 + index));
  expect(transactions(true)).toEqual([299]);
});

test('a picture says what is wrong, as far as it can be read', () => {
  const { channel, open } = start();
  channel.out.send({ transaction: 1n });
  channel.out.send({ transaction: 2n });
  channel.out.put(32 + 4, Uint8Array.of(0xff, 0xff));
  const { packets, problem } = pictureRing(open.fromGuest);
  expect(packets.map(({ transaction }) => transaction)).toEqual([1n]);
  expect(problem).toBe("a packet of 524280 bytes can't be among 32");
});

test('packets are explained by the protocol of their device', () => {
  const { channel, open } = start();
  const rndis = Uint8Array.from([107, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
  channel.out.send({ type: 9, payload: rndis, extension: directExtension(100, 8, [0x20]) });
  const srb = new Uint8Array(64);
  srb.set([3, 0, 0, 0], 0);
  srb.set([0, 0, 3, 10], 12 + 5);
  new DataView(srb.buffer).setUint32(12 + 12, 4096, true);
  srb[12 + 16] = 0x28;
  channel.out.send({ payload: srb });
  const [network, storage] = pictureRing(open.fromGuest).packets;
  if (network === undefined || storage === undefined) throw new Error('there are no packets');
  expect(explainPacket(NETWORK_INTERFACE, network)).toEqual([
    ['data', '100 bytes from 0x20008'],
    ['message', 'NVSP_MSG1_TYPE_SEND_RNDIS_PKT'],
    ['channel', 'control'],
    ['section', 'none'],
  ]);
  expect(explainPacket(SCSI_INTERFACE, storage)).toEqual([
    ['operation', 'EXECUTE_SRB'],
    ['command', 'READ(10)'],
    ['lun', '3'],
    ['transfer', '4096 bytes'],
  ]);
  expect(explainPacket('another', storage)).toEqual([]);
});

test('packets of a virtual PCI bus are explained, whatever is in them', () => {
  const { channel, open } = start();
  const explained = (payload: Uint8Array, type = 6) => {
    channel.out.send({ type, payload });
    const packet = pictureRing(open.fromGuest).packets.at(-1);
    if (packet === undefined) throw new Error('there is no packet');
    return explainPacket(VPCI_INTERFACE, packet);
  };
  const { QUERY_PROTOCOL_VERSION, BUS_D0ENTRY, CREATE_INTERRUPT_MESSAGE2, DELETE_INTERRUPT_MESSAGE, EJECT } = VpciMessage;
  expect(explained(bytesOf([QUERY_PROTOCOL_VERSION, 4], [0x1_0003, 4]))).toEqual([
    ['message', 'PCI_QUERY_PROTOCOL_VERSION'],
    ['version', '1.3'],
  ]);
  expect(explained(bytesOf([BUS_D0ENTRY, 4], [0, 4], [0xf000_0000, 8])).at(-1)).toEqual(['configuration space', '0xf0000000']);
  const wish = [
    [0x20, 4],
    [0x31, 1],
    [0, 1],
    [1, 2],
    [2, 2],
    [0, 2],
    [1, 2],
  ] as const;
  expect(explained(bytesOf([CREATE_INTERRUPT_MESSAGE2, 4], ...wish))).toEqual([
    ['message', 'PCI_CREATE_INTERRUPT_MESSAGE2'],
    ['slot', 'device 0, function 1'],
    ['vector', '0x31'],
    ['vCPUs', '0, 1'],
  ]);
  const interrupt = [
    [0, 2],
    [1, 2],
    [7, 4],
    [0xfee0_0010, 8],
  ] as const;
  expect(explained(bytesOf([DELETE_INTERRUPT_MESSAGE, 4], [0, 4], ...interrupt)).at(-1)).toEqual([
    'interrupt',
    '0x7 to 0xfee00010',
  ]);
  expect(explained(bytesOf([EJECT, 4], [0, 4])).at(-1)).toEqual(['slot', 'device 0, function 0']);
  expect(explained(bytesOf([0, 4], [0, 4], ...interrupt), 0xb)).toEqual([
    ['status', 'SUCCESS'],
    ['interrupt', '0x7 to 0xfee00010'],
  ]);
  expect(explained(bytesOf([0xc000_0059, 4]), 0xb)).toEqual([['status', 'REVISION_MISMATCH']]);
  for (const type of Object.values(VpciMessage)) expect(explained(bytesOf([type, 4]))[0]?.[1]).toMatch(/^PCI_/);
});

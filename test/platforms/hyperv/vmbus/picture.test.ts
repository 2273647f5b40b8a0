import { expect, test } from 'vitest';
import { SCSI_INTERFACE } from '../../../../src/platforms/hyperv/abi/interfaces.ts';
import { NETWORK_INTERFACE } from '../../../../src/platforms/hyperv/abi/nvsp.ts';
import { explainPacket } from '../../../../src/platforms/hyperv/vmbus/explain.ts';
import { pictureRing } from '../../../../src/platforms/hyperv/vmbus/picture.ts';
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

import { expect, test } from 'vitest';
import { imageOfBytes } from '../../../../src/devices/disk-image/raw-image.ts';
import { ScsiController } from '../../../../src/devices/scsi/controller.ts';
import { PacketType } from '../../../../src/platforms/hyperv/abi/ring.ts';
import * as A from '../../../../src/platforms/hyperv/abi/storvsp.ts';
import { StorageVsp } from '../../../../src/platforms/hyperv/vsps/storage.ts';
import { be, numberedBlocks } from '../../../devices/scsi/commands.ts';
import { directExtension, FakeGuest, type GuestChannel } from '../vmbus/fake-guest.ts';

const PAGE = 4096;

/** A guest whose storage driver is set up. */
function start(isStaged = false) {
  const controller = new ScsiController([{ image: imageOfBytes(numberedBlocks()) }]);
  const vsp = new StorageVsp(controller, { maxSubchannels: 1 });
  const guest = new FakeGuest(vsp);
  const first = guest.start();
  guest.isStaged = isStaged;
  const packet = (operation: number, word = 0) => {
    const view = new DataView(new ArrayBuffer(A.PACKET_SIZE));
    view.setUint32(0, operation, true);
    view.setUint16(12, word, true);
    return new Uint8Array(view.buffer);
  };
  const exchange = (channel: GuestChannel, message: Parameters<GuestChannel['out']['send']>[0]) => {
    channel.out.send({ transaction: 0x55n, ...message });
    guest.signal(channel.connection);
    return channel.in.take();
  };
  for (const [operation, word] of [
    [A.Operation.BEGIN_INITIALIZATION, 0],
    [A.Operation.QUERY_PROTOCOL_VERSION, 0x602],
    [A.Operation.QUERY_PROPERTIES, 0],
    [A.Operation.END_INITIALIZATION, 0],
  ] as const)
    exchange(first, { payload: packet(operation, word) });
  /** Sends a command about `length` bytes that begin `offset` bytes into pages. */
  const transfer = (
    channel: GuestChannel,
    cdb: readonly number[],
    direction: number,
    length: number,
    offset: number,
    pages: readonly number[],
  ) => {
    const payload = packet(A.Operation.EXECUTE_SRB, A.SRB_SIZE);
    const view = new DataView(payload.buffer);
    view.setUint8(12 + A.Srb.CDB_LENGTH, cdb.length);
    view.setUint8(12 + A.Srb.DATA_IN, direction);
    view.setUint32(12 + A.Srb.TRANSFER_LENGTH, length, true);
    payload.set(cdb, 12 + A.Srb.CDB);
    const answer = exchange(channel, {
      type: PacketType.DATA_GPA_DIRECT,
      payload,
      extension: directExtension(length, offset, pages),
    });
    return answer && { type: answer.type, transaction: answer.transaction, srb: answer.payload[14] };
  };
  return { guest, first, vsp, exchange, packet, transfer };
}

const read10 = (lba: number, blocks: number) => [0x28, 0, ...be(lba, 4), 0, ...be(blocks, 2), 0];
const write10 = (lba: number, blocks: number) => [0x2a, 0, ...be(lba, 4), 0, ...be(blocks, 2), 0];
const DONE = { type: PacketType.COMPLETION, transaction: 0x55n, srb: A.SrbStatus.SUCCESS };

test('blocks go through the ring into pages that lie apart, and back', () => {
  const { guest, first, transfer } = start();
  const [one = 0, , other = 0] = guest.pages(3);
  expect(transfer(first, read10(10, 2), A.Direction.READ, 1024, PAGE - 512, [one, other])).toEqual(DONE);
  const at = (page: number, offset: number) => guest.dma.bytes[page * PAGE + offset];
  expect([at(one, PAGE - 513), at(one, PAGE - 512), at(one, PAGE - 1), at(other, 0), at(other, 511), at(other, 512)]).toEqual([
    0, 10, 10, 11, 11, 0,
  ]);
  guest.dma.bytes.fill(0xee, other * PAGE, other * PAGE + 512);
  expect(transfer(first, write10(3, 1), A.Direction.WRITE, 512, 0, [other])).toEqual(DONE);
  expect(transfer(first, read10(3, 1), A.Direction.READ, 512, 0, [one])).toEqual(DONE);
  expect(at(one, 511)).toBe(0xee);
});

test('pages that are no memory make the request one that can not be', () => {
  const { first, transfer } = start();
  expect(transfer(first, read10(0, 1), A.Direction.READ, 512, 0, [0xf_ffff])?.srb).toBe(A.SrbStatus.INVALID_REQUEST);
});

test('a subchannel is offered, opened, and takes commands', () => {
  const { guest, first, exchange, packet, transfer } = start();
  exchange(first, { payload: packet(A.Operation.CREATE_SUBCHANNELS, 1) });
  const offer = guest.next();
  if (offer?.name !== 'OFFER_CHANNEL') throw new Error('no subchannel was offered');
  const second = guest.open(offer);
  const [page = 0] = guest.pages(1);
  expect(transfer(second, read10(7, 1), A.Direction.READ, 512, 0, [page])).toEqual(DONE);
  expect(guest.dma.bytes[page * PAGE]).toBe(7);
});

test('the call stack leads from the signal through the ring to the command', () => {
  const { guest, first, transfer } = start(true);
  const [page = 0] = guest.pages(1);
  guest.steps.length = 0;
  transfer(first, read10(7, 1), A.Direction.READ, 512, 0, [page]);
  const frames = guest.steps.flatMap((step) => (step.kind === 'enter' ? [`${step.frame.component}: ${step.frame.name}`] : []));
  const isSrb = (frame: string) => frame === 'storvsp.sys: storvsp: EXECUTE_SRB READ(10)';
  expect(frames.findIndex((frame) => frame.startsWith('vmbusr.sys: VMBus channel'))).toBeLessThan(frames.findIndex(isSrb));
  expect(frames.filter(isSrb)).toHaveLength(1);
  expect(frames.at(-1)).toMatch(/^vmbusr\.sys: VMBus channel \d+: send packet$/);
});

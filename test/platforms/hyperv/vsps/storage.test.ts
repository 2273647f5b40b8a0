import { describe, expect, test } from 'vitest';
import { imageOfBytes } from '../../../../src/devices/disk-image/raw-image.ts';
import { ScsiController } from '../../../../src/devices/scsi/controller.ts';
import * as A from '../../../../src/platforms/hyperv/abi/storvsp.ts';
import type { GuestBuffer } from '../../../../src/platforms/hyperv/vmbus/vsp.ts';
import { StorageVsp } from '../../../../src/platforms/hyperv/vsps/storage.ts';
import { be, numberedBlocks } from '../../../devices/scsi/commands.ts';
import { Random } from '../../../support/random.ts';
import { bufferOf, FakeChannel, guestPacket } from './fake-channel.ts';

interface Srb {
  readonly cdb: readonly number[];
  readonly direction?: number;
  readonly length?: number;
  readonly lun?: number;
  readonly buffer?: GuestBuffer;
}

function start({ isStepped = false, size = A.PACKET_SIZE, isReadOnly = false } = {}) {
  const controller = new ScsiController([{ image: imageOfBytes(numberedBlocks()), isReadOnly }]);
  const vsp = new StorageVsp(controller, { maxSubchannels: 3 });
  const channel = new FakeChannel();
  vsp.open(channel);
  const stages: string[] = [];
  const values: Record<string, unknown> = {};
  const frames: string[] = [];
  const give = (payload: Uint8Array, buffer?: GuestBuffer, to = channel, wantsCompletion = true) => {
    const packet = guestPacket(payload, { buffer, type: buffer ? 9 : 6, wantsCompletion });
    if (!isStepped) vsp.receive(to, packet);
    else
      for (const step of vsp.receiveInStages(to, packet)) {
        if (step.kind === 'stage') {
          stages.push(step.id);
          Object.assign(values, step.values);
        } else if (step.kind === 'enter') frames.push(`${step.frame.component} ${step.frame.name}`);
      }
    const answer = to.take();
    if (answer === undefined) return undefined;
    expect([answer.type, answer.transactionId]).toEqual([0xb, 0x77n]);
    const view = new DataView(answer.payload.buffer, answer.payload.byteOffset, answer.payload.byteLength);
    expect([view.getUint32(0, true), view.byteLength]).toEqual([A.Operation.COMPLETE_IO, size]);
    return { status: view.getUint32(8, true), body: new DataView(view.buffer, view.byteOffset + 12) };
  };
  const send = (operation: number, word = 0, to = channel) => {
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(0, operation, true);
    view.setUint16(12, word, true);
    return give(new Uint8Array(view.buffer), undefined, to);
  };
  const initialize = (version = 0x602) => {
    send(A.Operation.BEGIN_INITIALIZATION);
    send(A.Operation.QUERY_PROTOCOL_VERSION, version);
    send(A.Operation.QUERY_PROPERTIES);
    return send(A.Operation.END_INITIALIZATION)?.status;
  };
  const execute = ({ cdb, direction = A.Direction.NONE, length = 0, lun = 0, buffer }: Srb, to = channel) => {
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(0, A.Operation.EXECUTE_SRB, true);
    view.setUint16(12, size - 12, true);
    view.setUint8(12 + A.Srb.LUN, lun);
    view.setUint8(12 + A.Srb.CDB_LENGTH, cdb.length);
    view.setUint8(12 + A.Srb.SENSE_LENGTH, A.SENSE_ROOM);
    view.setUint8(12 + A.Srb.DATA_IN, direction);
    view.setUint32(12 + A.Srb.TRANSFER_LENGTH, length, true);
    const payload = new Uint8Array(view.buffer);
    payload.set(cdb.slice(0, 16), 12 + A.Srb.CDB);
    const answer = give(payload, buffer, to);
    if (answer === undefined) return undefined;
    const { status, body } = answer;
    const sense = body.getUint8(2) & 0x80 ? body.getUint8(16 + 12) : undefined;
    return { status, srb: body.getUint8(2) & 0x7f, scsi: body.getUint8(3), moved: body.getUint32(12, true), sense };
  };
  return { vsp, controller, channel, send, give, initialize, execute, stages, values, frames };
}

const read10 = (lba: number, blocks = 1) => [0x28, 0, ...be(lba, 4), 0, ...be(blocks, 2), 0];
const write10 = (lba: number, blocks = 1) => [0x2a, 0, ...be(lba, 4), 0, ...be(blocks, 2), 0];

describe.each([
  ['at once', false],
  ['in stages', true],
])('storvsp, %s', (_name, isStepped) => {
  test('is set up as Linux does it', () => {
    const { send, vsp } = start({ isStepped });
    expect(send(A.Operation.BEGIN_INITIALIZATION)?.status).toBe(0);
    expect(send(A.Operation.QUERY_PROTOCOL_VERSION, 0x603)?.status).toBe(0xc000_0059);
    expect(send(A.Operation.QUERY_PROTOCOL_VERSION, 0x602)?.status).toBe(0);
    const properties = send(A.Operation.QUERY_PROPERTIES);
    expect(properties?.status).toBe(0);
    expect([properties?.body.getUint16(4, true), properties?.body.getUint32(8, true)]).toEqual([3, 1]);
    expect(properties?.body.getUint32(12, true)).toBe(0x40000);
    expect(send(A.Operation.END_INITIALIZATION)?.status).toBe(0);
    expect(vsp.inspect()).toMatchObject({ value: 'ready', detail: 'protocol version: 6.2' });
  });

  test('reads and writes blocks in the guest', () => {
    const { initialize, execute } = start({ isStepped });
    initialize();
    const memory = new Uint8Array(1024);
    const buffer = bufferOf(memory);
    expect(execute({ cdb: read10(98, 2), direction: A.Direction.READ, length: 1024, buffer })).toEqual({
      status: 0,
      srb: 1,
      scsi: 0,
      moved: 1024,
      sense: undefined,
    });
    expect([memory[0], memory[1023]]).toEqual([98, 99]);
    memory.fill(0xcd);
    expect(execute({ cdb: write10(4, 2), direction: A.Direction.WRITE, length: 1024, buffer })?.srb).toBe(1);
    memory.fill(0);
    execute({ cdb: read10(5), direction: A.Direction.READ, length: 512, buffer });
    expect([memory[0], memory[511], memory[512]]).toEqual([0xcd, 0xcd, 0]);
  });
});

describe('order', () => {
  test.each([
    ['a command before the end', A.Operation.EXECUTE_SRB],
    ['a version before the begin', A.Operation.QUERY_PROTOCOL_VERSION],
    ['properties before a version', A.Operation.QUERY_PROPERTIES],
    ['the end before the properties', A.Operation.END_INITIALIZATION],
    ['subchannels before the properties', A.Operation.CREATE_SUBCHANNELS],
    ['a reset', A.Operation.RESET_BUS],
  ])('%s is no valid state of the device', (_name, operation) => {
    expect(start().send(operation, 0x602)?.status).toBe(0xc000_0184);
  });

  test('a second begin is refused, until the channel is closed', () => {
    const { vsp, channel, initialize, send } = start();
    initialize();
    expect(send(A.Operation.BEGIN_INITIALIZATION)?.status).toBe(0xc000_0184);
    vsp.close(channel);
    vsp.open(channel);
    expect(send(A.Operation.BEGIN_INITIALIZATION)?.status).toBe(0);
  });

  test.each(A.VERSIONS)('version 0x%s', (version) => {
    expect(start().initialize(version)).toBe(0);
  });

  test('operations that are unknown or of another kind of controller', () => {
    const { initialize, send } = start();
    initialize();
    expect(send(99)?.status).toBe(0xc000_0010);
    expect(send(A.Operation.FC_HBA_DATA)?.status).toBe(0xc000_00bb);
    expect(send(A.Operation.RESET_LUN)?.status).toBe(0);
    expect(send(A.Operation.ENUMERATE_BUS)?.status).toBe(0);
  });
});

test('old drivers have shorter packets, and no subchannels', () => {
  const { initialize, send, execute } = start({ size: A.OLD_PACKET_SIZE });
  expect(initialize(0x402)).toBe(0);
  expect(send(A.Operation.CREATE_SUBCHANNELS, 1)?.status).toBe(0xc000_0184);
  expect(execute({ cdb: [0, 0, 0, 0, 0, 0] })?.srb).toBe(1);
});

test('subchannels: as many as there may be, and commands on them', () => {
  const { initialize, send, channel, vsp, execute } = start();
  initialize();
  expect(send(A.Operation.CREATE_SUBCHANNELS, 4)?.status).toBe(0xc000_000d);
  expect(send(A.Operation.CREATE_SUBCHANNELS, 2)?.status).toBe(0);
  expect(channel.subchannels).toBe(2);
  const second = new FakeChannel(2, 1);
  vsp.open(second);
  expect(execute({ cdb: [0, 0, 0, 0, 0, 0] }, second)?.srb).toBe(1);
  expect(send(A.Operation.CREATE_SUBCHANNELS, 2, second)?.status).toBe(0xc000_0184);
  vsp.close(second);
  expect(execute({ cdb: [0, 0, 0, 0, 0, 0] })?.srb).toBe(1);
});

describe('a request that goes wrong', () => {
  const ready = (options = {}) => {
    const started = start(options);
    started.initialize();
    return started;
  };
  const memory = bufferOf(new Uint8Array(512));

  test('an error of the disk comes with sense data', () => {
    const { execute } = ready();
    const behind = execute({ cdb: read10(100), direction: A.Direction.READ, length: 512, buffer: memory });
    expect(behind).toEqual({ status: 0xc000_0185, srb: 4, scsi: 2, moved: 0, sense: 0x21 });
  });

  test('a disk that can not be written says so', () => {
    const { execute } = ready({ isReadOnly: true });
    expect(execute({ cdb: write10(1), direction: A.Direction.WRITE, length: 512, buffer: memory })?.sense).toBe(0x27);
  });

  test('a place without a disk', () => {
    const { execute } = ready();
    expect(execute({ cdb: [0, 0, 0, 0, 0, 0], lun: 5 })).toMatchObject({ status: 0xc000_00c0, srb: 0x20, scsi: 2 });
  });

  test('more data than the buffer has, or than one request may have', () => {
    const { execute } = ready();
    const big = { length: 1 << 30, read: () => undefined, write: () => false };
    for (const [length, buffer] of [
      [513, memory],
      [512, undefined],
      [0x40001, big],
    ] as const)
      expect(execute({ cdb: read10(0), direction: A.Direction.READ, length, buffer })?.srb).toBe(6);
    expect(execute({ cdb: read10(0), direction: 3, length: 512, buffer: memory })?.srb).toBe(6);
    expect(execute({ cdb: new Array(17).fill(0) })?.srb).toBe(6);
    expect(execute({ cdb: [] })?.srb).toBe(6);
  });

  test('a buffer where no memory is', () => {
    const { execute, controller } = ready();
    const gone = { length: 512, read: () => undefined, write: () => false };
    expect(execute({ cdb: read10(0), direction: A.Direction.READ, length: 512, buffer: gone })?.srb).toBe(0x30);
    expect(execute({ cdb: write10(0), direction: A.Direction.WRITE, length: 512, buffer: gone })?.srb).toBe(0x30);
    expect([...controller.contents()]).toEqual([]);
  });

  test('less room than the command gives is an overrun', () => {
    const { execute } = ready();
    expect(execute({ cdb: read10(0, 2), direction: A.Direction.READ, length: 512, buffer: memory })).toMatchObject({
      srb: 0x12,
      moved: 512,
    });
  });

  test('packets that are too short', () => {
    const { vsp, channel } = ready();
    for (const length of [0, 4, 11]) {
      vsp.receive(channel, guestPacket(new Uint8Array(length)));
      expect(new DataView((channel.take()?.payload ?? new Uint8Array(48)).buffer).getUint32(8, true)).toBe(0xc000_000d);
    }
    const short = new Uint8Array(20);
    short[0] = A.Operation.EXECUTE_SRB;
    vsp.receive(channel, guestPacket(short));
    expect(channel.take()?.payload[12 + 2]).toBe(6);
  });
});

test('answers wait for room in the ring, in their order', () => {
  const { initialize, execute, vsp, channel } = start();
  initialize();
  channel.isFull = true;
  expect(execute({ cdb: [0, 0, 0, 0, 0, 0] })).toBeUndefined();
  channel.isFull = false;
  // The ring has room again, but the first one waits still.
  expect(execute({ cdb: [0, 0, 0, 0, 0, 0], lun: 5 })).toBeUndefined();
  vsp.hasRoom(channel);
  expect(channel.sent.map(({ payload }) => (payload[14] ?? 0) & 0x7f)).toEqual([1, 0x20]);
});

test('nobody is answered who asked for none', () => {
  const { initialize, vsp, channel } = start();
  initialize();
  vsp.receive(channel, guestPacket(new Uint8Array(64), { wantsCompletion: false }));
  expect(channel.sent).toEqual([]);
});

test('its stages name the command, its blocks and how it ended', () => {
  const { initialize, execute, stages, frames, values } = start({ isStepped: true });
  initialize();
  stages.length = 0;
  execute({ cdb: read10(5, 2), direction: A.Direction.READ, length: 1024, buffer: bufferOf(new Uint8Array(1024)) });
  expect(stages).toEqual(['storvsp.packet', 'storvsp.srb', 'storvsp.result', 'storvsp.complete']);
  expect(frames.at(-1)).toBe('storvsp.sys storvsp: EXECUTE_SRB READ(10)');
  expect(frames.slice(0, 1)).toEqual(['storvsp.sys storvsp: BEGIN_INITIALIZATION']);
  expect(values).toMatchObject({ lba: 5n, blocks: 2, bytes: 1024, srbStatus: 'SUCCESS', scsiStatus: 'GOOD', sense: 'none' });
});

test('packets by chance do no harm: each is answered, with and without stages alike', () => {
  const plain = start();
  const stepped = start({ isStepped: true });
  plain.initialize();
  stepped.initialize();
  const random = new Random(7);
  const operations = [0, 1, 2, 3, 6, 12, 0x10, 0x12, 0x28, 0x2a, 0x42, 0x93, 0x9e, 0xa0, 0xff];
  const byte = () => (random.chance(0.5) ? (operations[random.below(operations.length)] ?? 0) : random.below(256));
  for (let round = 0; round < 2000; round++) {
    const payload = Uint8Array.from({ length: random.below(80) }, () => (random.chance(0.3) ? byte() : 0));
    if (payload.length > 24 && random.chance(0.75)) {
      payload.set([A.Operation.EXECUTE_SRB, 0, 0, 0]);
      payload[12 + A.Srb.CDB_LENGTH] = 1 + random.below(17);
      payload[12 + A.Srb.DATA_IN] = random.below(4);
      payload[12 + A.Srb.CDB] = operations[random.below(operations.length)] ?? 0;
    }
    const memory = Uint8Array.from({ length: random.below(3000) }, () => random.below(256));
    const hasBuffer = random.chance(0.75);
    const [one, other] = [plain, stepped].map(({ vsp, channel }, index) => {
      const bytes = memory.slice();
      const packet = guestPacket(payload, { type: 9, buffer: hasBuffer ? bufferOf(bytes) : undefined });
      if (index === 0) vsp.receive(channel, packet);
      else for (const _step of vsp.receiveInStages(channel, packet));
      // As text, which is compared much faster than bytes are.
      const answers = channel.sent.splice(0).map((answer) => `${answer.type} ${Buffer.from(answer.payload).toString('hex')}`);
      return { answers, memory: Buffer.from(bytes).toString('hex') };
    });
    expect(one?.answers.length).toBe(1);
    expect(`${other?.answers} ${other?.memory}`).toBe(`${one?.answers} ${one?.memory}`);
  }
  const contents = ({ controller }: typeof plain) => Buffer.concat([...controller.contents()]).toString('hex');
  expect(contents(stepped)).toBe(contents(plain));
});

import { describe, expect, test } from 'vitest';
import { ImageError } from '../../../src/devices/disk-image/disk-image.ts';
import { decodeCommand } from '../../../src/devices/scsi/command.ts';
import { ScsiController } from '../../../src/devices/scsi/controller.ts';
import { senseBytes } from '../../../src/devices/scsi/sense.ts';
import { Random } from '../../support/random.ts';
import { BLOCKS, be, startDisk } from './commands.ts';

const text = (bytes: Uint8Array | undefined) => new TextDecoder('latin1').decode(bytes);

/** The four forms of a command on blocks. */
const READS: readonly (readonly [string, (lba: number, blocks: number) => number[]])[] = [
  ['READ(6)', (lba, blocks) => [0x08, ...be(lba, 3), blocks, 0]],
  ['READ(10)', (lba, blocks) => [0x28, 0, ...be(lba, 4), 0, ...be(blocks, 2), 0]],
  ['READ(12)', (lba, blocks) => [0xa8, 0, ...be(lba, 4), ...be(blocks, 4), 0, 0]],
  ['READ(16)', (lba, blocks) => [0x88, 0, ...be(lba, 8), ...be(blocks, 4), 0, 0]],
];
const WRITES = READS.map(([name, make]) => {
  const write = (lba: number, blocks: number) => {
    const [operation = 0, ...rest] = make(lba, blocks);
    return [operation + 2, ...rest];
  };
  return [name.replace('READ', 'WRITE'), write] as const;
});
const read10 = (lba: number, blocks = 1) => [0x28, 0, ...be(lba, 4), 0, ...be(blocks, 2), 0];

describe.each(READS)('%s', (name, make) => {
  test('reads blocks', () => {
    const { send } = startDisk();
    const { data, moved, isGood } = send(make(98, 2));
    expect([isGood, moved, data?.[0], data?.[511], data?.[512], data?.[1023]]).toEqual([true, 1024, 98, 98, 99, 99]);
    expect(decodeCommand(Uint8Array.from(make(98, 2))).name).toBe(name);
  });

  test('behind the end is refused', () => {
    const { send } = startDisk();
    expect(send(make(99, 2))).toMatchObject({ isGood: false, moved: 0, why: 'LOGICAL BLOCK ADDRESS OUT OF RANGE' });
  });

  test('into too small a buffer is cut', () => {
    const { send } = startDisk();
    expect(send(make(5, 2), { room: 700 })).toMatchObject({ isGood: true, moved: 700, isCut: true });
  });
});

describe.each(WRITES)('%s', (_name, make) => {
  test('writes blocks', () => {
    const { send, disk } = startDisk();
    expect(send(make(7, 2), { out: new Uint8Array(1024).fill(0xab) })).toMatchObject({ isGood: true, moved: 1024 });
    const { data } = send(read10(6, 4));
    expect([data?.[511], data?.[512], data?.[1535], data?.[1536]]).toEqual([6, 0xab, 0xab, 9]);
    expect(disk.disk.written).toBe(4096 * 2);
  });

  test('needs all its data, room on the disk, and a disk that can be written', () => {
    const out = new Uint8Array(1024);
    expect(startDisk().send(make(7, 2), { out: out.subarray(1) }).why).toBe('INVALID FIELD IN CDB');
    expect(startDisk().send(make(99, 2), { out }).why).toBe('LOGICAL BLOCK ADDRESS OUT OF RANGE');
    expect(startDisk({ isReadOnly: true }).send(make(7, 2), { out }).why).toBe('WRITE PROTECTED');
  });
});

test('READ(6) of no blocks reads 256 of them', () => {
  expect(decodeCommand(Uint8Array.of(0x08, 0xff, 0xff, 0xff, 0, 0))).toMatchObject({ lba: 0x1f_ffffn, blocks: 256 });
});

test('the largest numbers are no way around the end', () => {
  const { send } = startDisk();
  expect(send([0x88, 0, ...be(2n ** 64n - 1n, 8), ...be(0xffff_ffff, 4), 0, 0]).why).toBe('LOGICAL BLOCK ADDRESS OUT OF RANGE');
});

test('capacities', () => {
  const { send } = startDisk();
  expect([...(send([0x25, ...be(0, 9)]).data ?? [])]).toEqual([...be(BLOCKS - 1, 4), ...be(512, 4)]);
  const { data } = send([0x9e, 0x10, ...be(0, 8), ...be(32, 4), 0, 0]);
  expect([...(data?.subarray(0, 12) ?? [])]).toEqual([...be(BLOCKS - 1, 8), ...be(512, 4)]);
  expect(data?.[14]).toBe(0xc0);
  expect(send([0x9e, 0x11, ...be(0, 14)]).why).toBe('INVALID FIELD IN CDB');
});

describe('INQUIRY', () => {
  const inquire = (page?: number, allocation = 255) => [0x12, page === undefined ? 0 : 1, page ?? 0, ...be(allocation, 2), 0];

  test('says what the disk is', () => {
    const { data } = startDisk().send(inquire());
    expect([data?.length, data?.[0], data?.[2]]).toEqual([36, 0, 5]);
    expect(text(data?.subarray(8))).toBe('Msft    Virtual Disk    1.0 ');
    expect(startDisk().send(inquire(undefined, 5)).data).toHaveLength(5);
  });

  test('tells pages of product data, each by its length', () => {
    const { send } = startDisk({ serial: 'A-SERIAL' });
    const pages = send(inquire(0)).data;
    expect([...(pages ?? [])]).toEqual([0, 0, 0, 6, 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2]);
    for (const page of pages?.subarray(4) ?? []) {
      const { data } = send(inquire(page));
      expect([data?.[1], data?.[3]]).toEqual([page, (data?.length ?? 0) - 4]);
    }
    expect(text(send(inquire(0x80)).data?.subarray(4))).toBe('A-SERIAL');
    expect(text(send(inquire(0x83)).data?.subarray(28))).toBe('Msft    A-SERIAL');
    expect(send(inquire(0x84)).why).toBe('INVALID FIELD IN CDB');
    expect(send([0x12, 0, 0x80, 0, 255, 0]).why).toBe('INVALID FIELD IN CDB');
  });

  test('a name of its own for each disk, and the same one in each run', () => {
    const name = (serial: string) => startDisk({ serial }).send(inquire(0x83)).data?.subarray(8, 24).toString();
    expect(name('A')).toBe(name('A'));
    expect(name('A')).not.toBe(name('B'));
  });

  test('in a place without a disk says that there is none', () => {
    expect(startDisk().send(inquire(), { lun: 3 }).data?.[0]).toBe(0x7f);
    expect(startDisk().send(inquire(0x80), { lun: 3 }).why).toBe('INVALID FIELD IN CDB');
    expect(startDisk().send(read10(0), { lun: 3 }).status).toBeUndefined();
  });
});

test('REPORT LUNS lists the disks', () => {
  const disks = [1, 2, 3].map(() => ({ image: { size: 512, read: () => new Uint8Array(512) } }));
  const controller = new ScsiController(disks);
  const report = (target: number, selection = 0) =>
    controller.execute({ path: 0, target, lun: 0 }, decodeCommand(Uint8Array.of(0xa0, 0, selection, 0, 0, 0, ...be(512, 4))), {
      out: new Uint8Array(0),
      room: 512,
    });
  const list = (...luns: number[]) => [
    ...be(luns.length * 8, 4),
    0,
    0,
    0,
    0,
    ...luns.flatMap((lun) => [0, lun, 0, 0, 0, 0, 0, 0]),
  ];
  expect([...(report(0)?.data ?? [])]).toEqual(list(0, 1, 2));
  expect([...(report(1)?.data ?? [])]).toEqual(list());
  expect([...(report(0, 1)?.data ?? [])]).toEqual(list());
  expect(report(0, 3)?.sense?.text).toBe('INVALID FIELD IN CDB');
});

describe('MODE SENSE', () => {
  test.each([
    ['(6)', [0x1a, 0, 0x3f, 0, 255, 0], 4, 3],
    ['(10)', [0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 255, 0], 8, 7],
  ])('%s gives all pages behind a descriptor', (_name, cdb, head, descriptorAt) => {
    const { data } = startDisk().send(cdb);
    expect(data?.[descriptorAt]).toBe(8);
    expect(data).toHaveLength(head + 8 + 20 + 12 + 12);
    expect(data?.[head + 8]).toBe(8);
  });

  test('tells a disk that can not be written', () => {
    const specific = (isReadOnly: boolean) => startDisk({ isReadOnly }).send([0x1a, 8, 8, 0, 255, 0]).data?.[2];
    expect([specific(false), specific(true)]).toEqual([0x10, 0x90]);
  });

  test('of an unknown page, or of saved ones, is refused; nothing can be changed', () => {
    const { send } = startDisk();
    expect(send([0x1a, 0, 0x05, 0, 255, 0]).why).toBe('INVALID FIELD IN CDB');
    expect(send([0x1a, 0, 0xc8, 0, 255, 0]).why).toBe('SAVING PARAMETERS NOT SUPPORTED');
    expect([...(send([0x1a, 8, 0x48, 0, 255, 0]).data?.subarray(4) ?? [])]).toEqual([8, 18, ...new Array(18).fill(0)]);
  });
});

describe('what changes blocks without data for each', () => {
  const unmap = (...ranges: (readonly [number, number])[]) => {
    const list = ranges.flatMap(([lba, blocks]) => [...be(lba, 8), ...be(blocks, 4), 0, 0, 0, 0]);
    const out = Uint8Array.from([...be(6 + list.length, 2), ...be(list.length, 2), 0, 0, 0, 0, ...list]);
    return [[0x42, 0, 0, 0, 0, 0, 0, ...be(out.length, 2), 0], { out }] as const;
  };

  test('UNMAP clears its ranges, all or none', () => {
    const { send } = startDisk();
    expect(send(...unmap([3, 1], [99, 2])).why).toBe('LOGICAL BLOCK ADDRESS OUT OF RANGE');
    expect(send(read10(3)).data?.[0]).toBe(3);
    expect(send(...unmap([3, 1], [98, 2])).isGood).toBe(true);
    expect([3, 4, 98, 99].map((lba) => send(read10(lba)).data?.[0])).toEqual([0, 4, 0, 0]);
    const [cdb] = unmap([3, 1]);
    expect(send(cdb, { out: new Uint8Array(10) }).why).toBe('PARAMETER LIST LENGTH ERROR');
  });

  test('WRITE SAME(16) repeats a block, or clears', () => {
    const { send } = startDisk();
    const same = (flags: number, lba: number, blocks: number) => [0x93, flags, ...be(lba, 8), ...be(blocks, 4), 0, 0];
    expect(send(same(0, 2, 3), { out: new Uint8Array(512).fill(0x5a) })).toMatchObject({ isGood: true, moved: 512 });
    expect([1, 2, 4, 5].map((lba) => send(read10(lba)).data?.[0])).toEqual([1, 0x5a, 0x5a, 5]);
    expect(send(same(8, 2, 3), { out: new Uint8Array(512) }).isGood).toBe(true);
    expect(send(same(1, 50, 0)).isGood).toBe(true);
    expect([2, 49, 50, 99].map((lba) => send(read10(lba)).data?.[0])).toEqual([0, 49, 0, 0]);
    expect(send(same(8, 2, 3), { out: new Uint8Array(512).fill(1) }).why).toBe('INVALID FIELD IN CDB');
    expect(send(same(0, 2, 3)).why).toBe('INVALID FIELD IN CDB');
  });

  test('a disk that can not be written refuses both', () => {
    const { send } = startDisk({ isReadOnly: true });
    expect(send(...unmap([3, 1])).why).toBe('WRITE PROTECTED');
    expect(send([0x93, 1, ...be(0, 8), ...be(1, 4), 0, 0]).why).toBe('WRITE PROTECTED');
  });
});

test('VERIFY compares where it is asked to', () => {
  const { send } = startDisk();
  const verify = (compares: number) => [0x2f, compares << 1, ...be(9, 4), 0, ...be(1, 2), 0];
  expect(send(verify(0)).isGood).toBe(true);
  expect(send(verify(1), { out: new Uint8Array(512).fill(9) }).isGood).toBe(true);
  expect(send(verify(1), { out: new Uint8Array(512) }).why).toBe('MISCOMPARE DURING VERIFY OPERATION');
});

test('a stopped disk wants to be started', () => {
  const { send, controller } = startDisk();
  const startStop = (start: number) => send([0x1b, 0, 0, 0, start, 0]).isGood;
  const ready = () => send([0, 0, 0, 0, 0, 0]).why;
  expect(ready()).toBeUndefined();
  expect(startStop(0)).toBe(true);
  expect(ready()).toBe('LOGICAL UNIT NOT READY, INITIALIZING COMMAND REQUIRED');
  expect(send(read10(0)).isGood).toBe(false);
  expect(send([3, 0, 0, 0, 18, 0]).data?.[2]).toBe(2);
  expect(startStop(1)).toBe(true);
  expect(ready()).toBeUndefined();
  startStop(0);
  controller.resetUnits();
  expect(ready()).toBeUndefined();
});

test('what only says that it should be done is done', () => {
  const { send } = startDisk();
  expect(send([0x35, ...be(0, 9)]).isGood).toBe(true);
  expect(send([0x91, ...be(0, 15)]).isGood).toBe(true);
  expect(send([0x1e, 0, 0, 0, 1, 0]).isGood).toBe(true);
});

test('an unknown command is refused, with sense data', () => {
  const { send, disk } = startDisk();
  const { sense } = send([0xc1, 0, 0, 0, 0, 0]);
  expect([...(sense ? senseBytes(sense) : [])]).toEqual([0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0]);
  expect(disk.inspect(0).children?.at(-1)).toMatchObject({ name: 'last sense', value: 'ILLEGAL REQUEST' });
});

test('an image that can not be read is a bad medium', () => {
  const image = {
    size: 512,
    read: (): Uint8Array => {
      throw new ImageError('The disk image is damaged.');
    },
  };
  const controller = new ScsiController([{ image }]);
  const outcome = controller.execute({ path: 0, target: 0, lun: 0 }, decodeCommand(Uint8Array.from(read10(0))), {
    out: new Uint8Array(0),
    room: 512,
  });
  expect(outcome?.sense?.text).toBe('UNRECOVERED READ ERROR');
});

test('state: what was written can be saved, restored, told by the hash, and forgotten', () => {
  const { controller, send } = startDisk();
  const contents = () => [...controller.contents()].map((bytes) => bytes.length);
  expect(contents()).toEqual([]);
  send([0x2a, 0, ...be(1, 4), 0, 0, 1, 0], { out: new Uint8Array(512).fill(7) });
  expect(contents()).toEqual([1, 8, 4096]);
  const saved = controller.save();
  controller.reset();
  expect(send(read10(1)).data?.[0]).toBe(1);
  controller.restore(saved);
  expect(send(read10(1)).data?.[0]).toBe(7);
});

test('no command throws, moves more than there is room for, or reads behind the disk', () => {
  const { send } = startDisk();
  const random = new Random(1);
  const next = (limit: number) => random.below(limit);
  for (let round = 0; round < 10_000; round++) {
    const cdb = Array.from({ length: 16 }, () => (next(3) === 0 ? next(256) : next(4)));
    const room = next(2000);
    const { data } = send(cdb, { out: new Uint8Array(next(2000)), room, lun: next(3) });
    expect(data?.length ?? 0).toBeLessThanOrEqual(room);
  }
});

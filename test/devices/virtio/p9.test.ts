import { beforeEach, describe, expect, test } from 'vitest';
import { Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioP9 } from '../../../src/devices/virtio/p9/device.ts';
import { Errno, FieldReader, FieldWriter, Request as T } from '../../../src/devices/virtio/p9/protocol.ts';
import { FakeFolder } from './fake-folder.ts';
import { PACKED, SPLIT, type VirtioDriver } from './mmio-driver.ts';
import { onEach } from './transports.ts';

const START = 1_767_225_600_000_000_000n;
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const encoded = (words: string) => new TextEncoder().encode(words);
const TREE = {
  'b.txt': 'hello, guest',
  'a.sh': '#!/bin/sh',
  '..': 'escaped',
  link: '->/etc/passwd',
  sub: { deep: { 'x.txt': 'x' }, 'y.txt': 'y' },
};

function message(type: number, fields: FieldWriter): Uint8Array {
  const body = fields.bytes();
  return new FieldWriter()
    .u32(7 + body.length)
    .u8(type)
    .u16(1)
    .raw(body)
    .bytes();
}
const write = () => new FieldWriter();

describe.each(
  onEach([
    ['split', SPLIT],
    ['packed', PACKED],
  ]),
)('a shared folder, %s', (_name, makeDriver, features) => {
  let now = START;
  let folder: FakeFolder;
  let model: VirtioP9;
  let driver: VirtioDriver;
  const make = (isReadOnly = false) => {
    folder = new FakeFolder(TREE);
    model = new VirtioP9({ tag: 'work', folder, isReadOnly, start: START, now: () => now });
    driver = makeDriver(model).start(features);
    expect(ask(T.VERSION, write().u32(0x2000).text('9P2000.L')).text()).toBe('');
    expect(errorOf(T.ATTACH, write().u32(0).u32(0xffff_ffff).text('root').text('').u32(0))).toBe(0);
  };
  beforeEach(() => {
    now = START;
    make();
  });

  const exchange = (type: number, fields: FieldWriter) => {
    const { bytes, used } = driver.request(message(type, fields), 0x2000);
    expect(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)).toBe(used?.written);
    return bytes.subarray(0, used?.written ?? 0);
  };
  /** The fields of an answer; the first four bytes of that to VERSION are passed over. */
  const ask = (type: number, fields: FieldWriter) => {
    const bytes = exchange(type, fields);
    if (bytes[4] !== type + 1) throw new Error(`error ${bytes[7]}`);
    return new FieldReader(bytes.subarray(type === T.VERSION ? 9 : 7));
  };
  const errorOf = (type: number, fields: FieldWriter) => {
    const bytes = exchange(type, fields);
    return bytes[4] === 7 ? bytes[7] : 0;
  };
  const walk = (fid: number, ...names: readonly string[]) => {
    const fields = write().u32(0).u32(fid).u16(names.length);
    for (const name of names) fields.text(name);
    return fields;
  };
  const to = (fid: number, ...names: readonly string[]) => expect(ask(T.WALK, walk(fid, ...names)).u16()).toBe(names.length);
  const open = (fid: number, flags = 0) => ask(T.LOPEN, write().u32(fid).u32(flags));
  const read = (fid: number, offset = 0, count = 100) => {
    const answer = ask(T.READ, write().u32(fid).u64(BigInt(offset)).u32(count));
    return text(answer.raw(answer.u32()));
  };
  const put = (fid: number, offset: number, words: string) =>
    write().u32(fid).u64(BigInt(offset)).u32(words.length).raw(encoded(words));
  const list = (fid: number, room = 4000) => {
    const names: string[] = [];
    for (let offset = 0n; ; ) {
      const answer = ask(T.READDIR, write().u32(fid).u64(offset).u32(room));
      const length = answer.u32();
      if (length === 0) return names;
      const entries = new FieldReader(answer.raw(length));
      for (let left = length; left > 0; ) {
        entries.raw(13);
        offset = entries.u64();
        entries.u8();
        const name = entries.text();
        names.push(name);
        left -= 24 + encoded(name).length;
      }
    }
  };
  const attributes = (fid: number) => {
    const answer = ask(T.GETATTR, write().u32(fid).u64(0x7ffn));
    answer.raw(8 + 13);
    const mode = answer.u32();
    answer.raw(8 + 16);
    const size = answer.u64();
    answer.raw(16);
    return { mode: mode.toString(8), size, seconds: answer.u64() };
  };

  test('has its tag', () => {
    expect([driver.config(0, 2), driver.config(2, 4)]).toEqual([4n, 0x6b72_6f77n]);
  });

  test('is listed in the same order everywhere, in pieces too, and without what leads out', () => {
    to(1);
    open(1);
    expect(list(1)).toEqual(['.', '..', 'a.sh', 'b.txt', 'link', 'sub']);
    expect(list(1, 60)).toEqual(list(1));
  });

  test('is read', () => {
    to(1, 'b.txt');
    open(1);
    expect([read(1), read(1, 7, 2), read(1, 12), read(1, 1e9)]).toEqual(['hello, guest', 'gu', '', '']);
    expect(attributes(1)).toEqual({ mode: '100644', size: 12n, seconds: START / 1_000_000_000n });
    to(2, 'a.sh');
    expect(attributes(2).mode).toBe('100755');
    to(3, 'link');
    expect(attributes(3)).toMatchObject({ mode: '120777', size: 11n });
    expect(ask(T.READLINK, write().u32(3)).text()).toBe('/etc/passwd');
  });

  test('has no way out', () => {
    to(1, '..', '..', 'sub', '..', '..');
    open(1);
    expect(list(1)).toContain('b.txt');
    expect(errorOf(T.WALK, walk(2, '../b.txt'))).toBe(Errno.NO_ENTRY);
    expect(errorOf(T.WALK, walk(2, '/etc'))).toBe(Errno.NO_ENTRY);
    // Links are for the guest to follow.
    expect(ask(T.WALK, walk(2, 'link', 'passwd')).u16()).toBe(1);
    for (const name of ['', '.', '..', 'a/b', 'a\0', '..\\x'])
      expect(errorOf(T.MKDIR, write().u32(0).text(name).u32(0o755).u32(0))).toBe(Errno.INVALID);
  });

  test('is written into memory, and the folder is as it was', () => {
    to(1, 'b.txt');
    open(1, 2);
    now += 5_000_000_000n;
    expect(ask(T.WRITE, put(1, 7, 'world and more')).u32()).toBe(14);
    expect(read(1)).toBe('hello, world and more');
    expect(attributes(1)).toMatchObject({ size: 21n, seconds: START / 1_000_000_000n + 5n });
    expect(TREE['b.txt']).toBe('hello, guest');
    ask(T.SETATTR, write().u32(1).u32(8).u32(0).u32(0).u32(0).u64(5n).u64(0n).u64(0n).u64(0n).u64(0n));
    ask(T.WRITE, put(1, 8, '!'));
    expect(read(1)).toBe('hello\0\0\0!');
  });

  test('gets new files, folders and links, which are renamed and removed', () => {
    ask(T.MKDIR, write().u32(0).text('new').u32(0o700).u32(0));
    to(1, 'new');
    ask(T.LCREATE, write().u32(1).text('file').u32(2).u32(0o640).u32(0));
    ask(T.WRITE, put(1, 0, 'text'));
    ask(T.SYMLINK, write().u32(0).text('way').text('new/file').u32(0));
    ask(T.RENAMEAT, write().u32(0).text('new').u32(0).text('old'));
    to(2, 'old', 'file');
    open(2);
    expect(read(2)).toBe('text');
    expect(errorOf(T.UNLINKAT, write().u32(0).text('old').u32(0))).toBe(Errno.IS_FOLDER);
    expect(errorOf(T.UNLINKAT, write().u32(0).text('old').u32(0x200))).toBe(Errno.NOT_EMPTY);
    to(3, 'old');
    ask(T.UNLINKAT, write().u32(3).text('file').u32(0));
    ask(T.UNLINKAT, write().u32(0).text('old').u32(0x200));
    ask(T.UNLINKAT, write().u32(0).text('b.txt').u32(0));
    to(4);
    open(4);
    expect(list(4)).toEqual(['.', '..', 'a.sh', 'link', 'sub', 'way']);
    // Who has it open sees an empty file.
    expect(read(2)).toBe('');
  });

  test('does not let a folder into itself', () => {
    to(1, 'sub', 'deep');
    expect(errorOf(T.RENAMEAT, write().u32(0).text('sub').u32(1).text('again'))).toBe(Errno.INVALID);
    ask(T.RENAMEAT, write().u32(0).text('b.txt').u32(1).text('x.txt'));
    to(2, 'sub', 'deep', 'x.txt');
    open(2);
    expect(read(2)).toBe('hello, guest');
  });

  test('that is only read refuses all that would change it', () => {
    make(true);
    to(1, 'b.txt');
    expect(errorOf(T.LOPEN, write().u32(1).u32(1))).toBe(Errno.READ_ONLY);
    expect(errorOf(T.MKDIR, write().u32(0).text('new').u32(0o700).u32(0))).toBe(Errno.READ_ONLY);
    expect(errorOf(T.UNLINKAT, write().u32(0).text('b.txt').u32(0))).toBe(Errno.READ_ONLY);
    open(1);
    expect([read(1), [...model.contents()]]).toEqual(['hello, guest', []]);
  });

  test.each<[string, number, FieldWriter, number]>([
    ['an unknown type', 99, write(), Errno.NOT_SUPPORTED],
    ['an extended attribute', T.XATTRWALK, write().u32(0).u32(9).text('user.x'), Errno.NOT_SUPPORTED],
    ['a number that is not in use', T.CLUNK, write().u32(77), Errno.BAD_FID],
    ['fields that are missing', T.WALK, write().u32(0), Errno.PROTOCOL],
    ['a text that is longer than its message', T.MKDIR, write().u32(0).u16(0xffff), Errno.PROTOCOL],
    ['reading what was not opened', T.READ, write().u32(0).u64(0n).u32(9), Errno.BAD_FID],
    ['a name that is too long', T.MKDIR, write().u32(0).text('x'.repeat(256)).u32(0).u32(0), Errno.NAME_TOO_LONG],
    ['names without end', T.WALK, write().u32(0).u32(9).u16(0xffff), Errno.INVALID],
  ])('answers %s with an error', (_what, type, fields, error) => {
    expect(errorOf(type, fields)).toBe(error);
    expect(driver.status & Status.NEEDS_RESET).toBe(0);
  });

  test('keeps no more than it may', () => {
    to(1, 'b.txt');
    open(1, 1);
    expect(errorOf(T.WRITE, put(1, 600 << 20, 'x'))).toBe(Errno.NO_SPACE);
    expect(
      errorOf(
        T.SETATTR,
        write()
          .u32(1)
          .u32(8)
          .u32(0)
          .u32(0)
          .u32(0)
          .u64(1n << 62n)
          .raw(new Uint8Array(32)),
      ),
    ).toBe(Errno.NO_SPACE);
  });

  test('needs a reset after a message without its header, or without room for its answer', () => {
    driver.request(new Uint8Array(6), 100);
    expect(driver.status & Status.NEEDS_RESET).toBe(Status.NEEDS_RESET);
    driver.start(features);
    driver.request(message(T.CLUNK, write().u32(0)), 10);
    expect(driver.status & Status.NEEDS_RESET).toBe(Status.NEEDS_RESET);
  });

  test('is saved with what is open, also what is gone, and tells what was changed for the state hash', () => {
    expect([...model.contents()]).toEqual([]);
    to(1, 'sub', 'y.txt');
    open(1, 2);
    ask(T.WRITE, put(1, 1, 'es'));
    to(2, 'sub');
    to(3, 'b.txt');
    open(3, 2);
    ask(T.UNLINKAT, write().u32(0).text('b.txt').u32(0));
    const saved = structuredClone(driver.device.save());
    const changed = [...model.contents()];
    expect(changed.some((bytes) => text(bytes) === 'yes')).toBe(true);
    const { dma } = driver;
    make();
    driver.dma.bytes.set(dma.bytes);
    driver.device.restore(saved);
    expect(driver.device.save()).toEqual(saved);
    expect([...model.contents()]).toEqual(changed);
    driver.device.reset();
    expect([...model.contents()]).toEqual([]);
  });
});

import { describe, expect, test } from 'vitest';
import { ImageError, type ImageFiles } from '../../../src/devices/disk-image/disk-image.ts';
import { openImage } from '../../../src/devices/disk-image/open-image.ts';
import { fileOfBytes } from '../../../src/devices/disk-image/raw-image.ts';
import { Random } from '../../support/random.ts';
import { basedOn, CLUSTER, type HandMade, handMade, LEVEL_ONE, LEVEL_TWO, SIZE } from './qcow2-file.ts';

function files(images: Readonly<Record<string, Uint8Array>>): ImageFiles {
  return {
    open: (path) => {
      const bytes = images[path];
      if (bytes === undefined) throw new ImageError(`${path} can't be read.`);
      return fileOfBytes(path, bytes);
    },
    resolve: (_from, relative) => relative,
  };
}
const open = (bytes: Uint8Array) => openImage('a.qcow2', files({ 'a.qcow2': bytes }));

test('a small image made by hand is read', () => {
  const image = open(handMade().bytes);
  expect(image.size).toBe(SIZE);
  expect([...image.read(CLUSTER - 2, 4)]).toEqual([0xd0, 0xd0, 0, 0]);
  expect(image.read(0, SIZE).filter((byte) => byte !== 0)).toHaveLength(CLUSTER);
});

describe('an image is refused', () => {
  test.each<[string, (image: HandMade) => void, string]>([
    ['of another version', ({ view }) => view.setUint32(4, 4), 'has version 4 of qcow2'],
    ['that is encrypted', ({ view }) => view.setUint32(32, 2), 'is encrypted'],
    ['that was not closed', ({ view }) => view.setBigUint64(72, 1n), 'was not closed properly'],
    ['that is corrupt', ({ view }) => view.setBigUint64(72, 2n), 'is marked as corrupt'],
    ['with its data elsewhere', ({ view }) => view.setBigUint64(72, 4n), 'keeps its data in another file'],
    ['compressed by zstd', ({ view }) => view.setBigUint64(72, 8n), 'is compressed by zstd'],
    ['with subclusters', ({ view }) => view.setBigUint64(72, 16n), 'has extended entries'],
    ['with an unknown feature', ({ view }) => view.setBigUint64(72, 1n << 40n), 'needs features that are not known'],
    ['of tiny clusters', ({ view }) => view.setUint32(20, 8), 'its clusters have 2^8 bytes'],
    ['of huge clusters', ({ view }) => view.setUint32(20, 64), 'its clusters have 2^64 bytes'],
    ['that is far too large', ({ view }) => view.setBigUint64(24, 1n << 63n), 'its size is 9223372036854775808'],
    ['whose first table is too short', ({ view }) => view.setBigUint64(24, 1n << 40n), 'its first table has 1 entries'],
    ['whose first table is huge', ({ view }) => view.setUint32(36, 0xffff_ffff), 'its first table has 4294967295 entries'],
    ['whose first table is elsewhere', ({ view }) => view.setBigUint64(40, 1n << 40n), 'is damaged or cut off'],
    ['with an odd header', ({ view }) => view.setUint32(100, 99), 'its header has 99 bytes'],
    ['with a base of no name', ({ view }) => view.setBigUint64(8, 8n), 'it is based on has 0 bytes'],
    ['with a base on the network', (image) => basedOn(image, 'nbd://host/disk'), 'is based on nbd://host/disk, which is no file'],
    ['with a base anywhere', (image) => basedOn(image, '/etc/passwd'), 'is based on /etc/passwd, which is not in its folder'],
    ['with a base above', (image) => basedOn(image, 'sub/../../b'), 'which is not in its folder'],
    ['with a base on a drive', (image) => basedOn(image, 'C:b'), 'which is not in its folder'],
    ['with a base in JSON', (image) => basedOn(image, 'json:{}'), 'which is no file'],
  ])('%s', (_what, change, message) => {
    const image = handMade();
    change(image);
    expect(() => open(image.bytes)).toThrow(message);
    expect(() => open(image.bytes)).toThrow(ImageError);
  });

  test('that is based on itself, and one with too many bases', () => {
    const pair = { 'a.qcow2': basedOn(handMade(), 'b.qcow2'), 'b.qcow2': basedOn(handMade(), 'a.qcow2') };
    expect(() => openImage('a.qcow2', files(pair))).toThrow('The disk image a.qcow2 is based on itself, through b.qcow2.');
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`${index}`, basedOn(handMade(), `${index + 1}`)]));
    expect(() => openImage('0', files(many))).toThrow('is based on more than 31 others');
  });
});

describe('what is read throws', () => {
  test.each<[string, (image: HandMade) => void, string]>([
    ['for a table behind the end', ({ view }) => view.setBigUint64(LEVEL_ONE, 1n << 40n), 'a table of the second level at byte'],
    ['for a table that is not aligned', ({ view }) => view.setBigUint64(20, 10n << 32n), 'no cluster begins'],
    ['for data behind the end', ({ view }) => view.setBigUint64(LEVEL_TWO, 1n << 50n), 'a cluster at byte'],
    [
      'for compressed data behind the end',
      ({ view }) => view.setBigUint64(LEVEL_TWO, (1n << 62n) | 0x100000n),
      'a compressed cluster',
    ],
    ['for compressed data that are none', ({ view }) => view.setBigUint64(LEVEL_TWO, (1n << 62n) | 0x600n), "can't be unpacked"],
  ])('%s', (_what, change, message) => {
    const image = handMade();
    change(image);
    expect(() => open(image.bytes).read(0, CLUSTER)).toThrow(message);
  });
});

test('damaged images throw ImageError and nothing else', () => {
  const random = new Random(5);
  for (let round = 0; round < 3000; round++) {
    const { bytes } = handMade();
    for (let changes = random.between(1, 4); changes > 0; changes--)
      bytes[random.pick([random.below(128), LEVEL_ONE + random.below(8), LEVEL_TWO + random.below(32)])] = random.below(256);
    const cut = random.below(4) === 0 ? random.below(bytes.length) : bytes.length;
    try {
      const image = open(bytes.subarray(0, cut));
      if (image.size >= CLUSTER) image.read(Math.floor((image.size - CLUSTER) / 2), CLUSTER);
    } catch (error) {
      expect(error).toBeInstanceOf(ImageError);
    }
  }
});

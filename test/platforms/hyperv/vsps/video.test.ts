import { describe, expect, test } from 'vitest';
import { DmaError, type DmaMemory } from '../../../../src/devices/dma.ts';
import { PacketType } from '../../../../src/platforms/hyperv/abi/ring.ts';
import { readVideo, VideoMessage, VideoVersion, videoMessage } from '../../../../src/platforms/hyperv/abi/synthvid.ts';
import { VideoVsp } from '../../../../src/platforms/hyperv/vsps/video/video-vsp.ts';
import { Random } from '../../../support/random.ts';
import { guest } from '../../run-guest.ts';
import { FakeChannel } from './netvsc.ts';

const RAM = 1 << 20;
const VRAM = 0x1_0000n;

/** A driver of the screen made by hand, with memory of its own. */
class Driver {
  readonly ram = new Uint8Array(RAM);
  readonly channel = new FakeChannel(4, 0, new Map());
  readonly memory: DmaMemory = {
    covers: (gpa, length) => gpa + BigInt(length) <= BigInt(RAM),
    read: (gpa, length) => {
      if (gpa + BigInt(length) > BigInt(RAM)) throw new DmaError('no RAM is there');
      return this.ram.slice(Number(gpa), Number(gpa) + length);
    },
    write: () => {
      throw new DmaError('the screen only reads');
    },
  };
  readonly vsp = new VideoVsp({ memory: this.memory });

  constructor(private readonly inStages = true) {
    this.vsp.open(this.channel);
  }

  put(payload: Uint8Array): void {
    const packet = { type: PacketType.DATA_IN_BAND, transactionId: 0n, wantsCompletion: false, payload };
    if (this.inStages) for (const _ of this.vsp.receiveInStages(this.channel, packet));
    else this.vsp.receive(this.channel, packet);
  }

  /** Sends a message; types and bodies of what comes back. */
  send(
    type: number,
    size: number,
    fill: (body: DataView) => void = () => {},
  ): readonly (readonly [type: number, body: number[]])[] {
    this.put(videoMessage(type, size, fill));
    return this.channel.ring.splice(0).map(({ payload }) => {
      const answer = readVideo(payload);
      if (answer === undefined) throw new Error('no message');
      const { buffer, byteOffset, byteLength } = answer.body;
      return [answer.type, [...new Uint8Array(buffer, byteOffset, byteLength)]];
    });
  }

  agree(version: number = VideoVersion.V3_5) {
    return this.send(VideoMessage.VERSION_REQUEST, 4, (body) => body.setUint32(0, version, true));
  }
  place(gpa = VRAM) {
    return this.send(VideoMessage.VRAM_LOCATION, 17, (body) => {
      body.setBigUint64(0, 77n, true);
      body.setUint8(8, 1);
      body.setBigUint64(9, gpa, true);
    });
  }
  show(width: number, height: number, depth = 32, pitch = (width * depth) / 8, isActive = 1) {
    return this.send(VideoMessage.SITUATION_UPDATE, 27, (body) => {
      body.setBigUint64(0, 78n, true);
      body.setUint8(8, 1);
      body.setUint8(9, isActive);
      body.setUint8(14, depth);
      body.setUint32(15, width, true);
      body.setUint32(19, height, true);
      body.setUint32(23, pitch, true);
    });
  }
}

const longword = (value: number) => [value & 255, value >> 8, 0, 0, 0, 0, 0, 0];

describe('the protocol', () => {
  test.each([
    ['3.0', VideoVersion.V3_0, 1],
    ['3.2', VideoVersion.V3_2, 1],
    ['3.5', VideoVersion.V3_5, 1],
    ['4.0', 0x4, 0],
  ])('version %s', (_, version, isAccepted) => {
    expect(new Driver().agree(version)).toEqual([
      [VideoMessage.VERSION_RESPONSE, [version & 255, 0, version >>> 16, 0, isAccepted, 1]],
    ]);
  });

  test('resolutions, as many as the guest takes', () => {
    const driver = new Driver();
    driver.agree();
    const [[type, body] = [0, []]] = driver.send(VideoMessage.RESOLUTION_REQUEST, 1, (request) => request.setUint8(0, 64));
    expect([type, body.slice(128)]).toEqual([
      VideoMessage.RESOLUTION_RESPONSE,
      // Three, the first is the usual one, and standard: 1024 × 768, 640 × 480, 800 × 600.
      [3, 0, 1, 0, 4, 0, 3, 128, 2, 224, 1, 32, 3, 88, 2],
    ]);
    const [[, fewer] = [0, []]] = driver.send(VideoMessage.RESOLUTION_REQUEST, 1, (request) => request.setUint8(0, 1));
    expect(fewer.length).toBe(128 + 3 + 4);
  });

  test('places and situations are acknowledged with the guest’s own number; the first one asks for changes', () => {
    const driver = new Driver();
    driver.agree();
    expect(driver.place()).toEqual([[VideoMessage.VRAM_LOCATION_ACK, longword(77)]]);
    expect(driver.show(16, 8)).toEqual([
      [VideoMessage.SITUATION_UPDATE_ACK, longword(78)],
      [VideoMessage.FEATURE_CHANGE, [1, 1, 1, 1]],
    ]);
    expect(driver.show(16, 8)).toEqual([[VideoMessage.SITUATION_UPDATE_ACK, longword(78)]]);
  });

  test.each<readonly [what: string, act: (driver: Driver) => unknown]>([
    ['a message before a version', (driver) => driver.place()],
    ['an image wider than its lines', (driver) => [driver.agree(), driver.show(16, 8, 32, 60)].at(-1)],
    ['an image beyond the video memory', (driver) => [driver.agree(), driver.show(2048, 1024)].at(-1)],
    ['pixels of 24 bits', (driver) => [driver.agree(), driver.show(16, 8, 24)].at(-1)],
    ['a message that is too short', (driver) => [driver.agree(), driver.send(VideoMessage.SITUATION_UPDATE, 20)].at(-1)],
    ['a message of an unknown type', (driver) => [driver.agree(), driver.send(99, 20)].at(-1)],
    [
      'more changes than are told',
      (driver) => [driver.agree(), driver.send(VideoMessage.DIRT, 18, (body) => body.setUint8(1, 2))].at(-1),
    ],
  ])('%s: no answer, and it is noted', (_, act) => {
    const driver = new Driver();
    expect(act(driver)).toEqual([]);
    expect(driver.vsp.inspect().children?.at(-1)?.value).toBe('1');
  });

  test('what finds no room in the ring waits', () => {
    const driver = new Driver();
    driver.channel.room = 0;
    driver.agree();
    driver.channel.room = 1;
    driver.vsp.hasRoom(driver.channel);
    expect(driver.channel.ring.length).toBe(1);
  });
});

describe('the picture', () => {
  test('is what the guest has in its memory, with 32 bits for each pixel', () => {
    const driver = new Driver();
    expect(driver.vsp.picture()).toBeUndefined();
    driver.agree();
    driver.place();
    driver.show(2, 2, 32, 16);
    driver.ram.set([1, 2, 3, 0, 4, 5, 6, 0], Number(VRAM));
    driver.ram.set([7, 8, 9, 0, 10, 11, 12, 0], Number(VRAM) + 16);
    expect(driver.vsp.picture()).toEqual({
      width: 2,
      height: 2,
      pixels: Uint8Array.of(3, 2, 1, 255, 6, 5, 4, 255, 9, 8, 7, 255, 12, 11, 10, 255),
    });
    driver.show(0, 0, 0, 0, 0);
    expect([driver.vsp.picture(), driver.vsp.inspect().value]).toEqual([undefined, 'dark']);
  });

  test('with 16 bits for each pixel', () => {
    const driver = new Driver();
    driver.agree();
    driver.place();
    driver.show(3, 1, 16);
    driver.ram.set([0x00, 0xf8, 0xe0, 0x07, 0x1f, 0x00], Number(VRAM));
    expect([...(driver.vsp.picture()?.pixels ?? [])]).toEqual([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255]);
  });

  test('is none where no memory is', () => {
    const driver = new Driver();
    driver.agree();
    for (const gpa of [BigInt(RAM - 4), 0xffff_ffff_ffff_f000n]) {
      driver.place(gpa);
      driver.show(16, 16);
      expect(driver.vsp.picture()).toBeUndefined();
    }
  });

  test('changes are counted', () => {
    const driver = new Driver();
    driver.agree();
    const before = driver.vsp.generation;
    driver.send(VideoMessage.DIRT, 18, (body) => body.setUint8(1, 1));
    expect(driver.vsp.generation).toBe(before + 1);
    driver.send(VideoMessage.POINTER_POSITION, 10, (body) => {
      body.setUint8(0, 1);
      body.setInt32(2, 5, true);
    });
    driver.send(VideoMessage.POINTER_SHAPE, 22, (body) => body.setUint32(2, 1, true));
    expect(driver.vsp.inspect().children?.find(({ name }) => name === 'pointer')).toMatchObject({
      value: 'at 5, 0',
      detail: '1 × 0',
    });
  });
});

test('what a hostile guest sends never throws, and is the same in stages and at once', () => {
  const seen = [true, false].map((inStages) => {
    const random = new Random(5);
    const driver = new Driver(inStages);
    driver.agree();
    for (let round = 0; round < 3000; round++) {
      const bytes = Uint8Array.from({ length: random.below(48) }, () =>
        random.below(2) === 0 ? random.below(4) : random.below(256),
      );
      driver.put(
        random.below(8) === 0
          ? bytes
          : videoMessage(random.below(16), bytes.length, (body) => new Uint8Array(body.buffer, body.byteOffset).set(bytes)),
      );
      driver.vsp.picture();
    }
    return [driver.channel.ring.map(({ payload }) => [...payload]), driver.vsp.inspect()];
  });
  expect(seen[0]).toEqual(seen[1]);
});

test('a screen is one of Hyper-V’s, and in a pc it is on the PCI bus', () => {
  const program = 'bits 64\n_start: hlt\n';
  expect(() => guest(program, { platform: 'kvm', screen: true })).toThrow('A screen is one of Hyper-V');
  const { devices } = guest(program, { platform: 'hyperv', machine: 'pc', screen: true });
  const names = (devices.inspect().children ?? []).map(({ name }) => name);
  expect(names).toContain('hyperv-video');
  devices.restore(devices.save());
  devices.reset();
});

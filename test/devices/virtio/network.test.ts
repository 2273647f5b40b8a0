import { describe, expect, test } from 'vitest';
import { foldChecksum, pseudoHeaderSum, wordSum } from '../../../src/devices/checksum.ts';
import { Feature, featureBit, Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioNetwork } from '../../../src/devices/virtio/network/device.ts';
import { NetworkFeature as F } from '../../../src/devices/virtio/network/registers.ts';
import { BUFFERS, PACKED, SPLIT } from './mmio-driver.ts';
import { onEach } from './transports.ts';

const MAC = 0x5254_0012_3456;
const [RECEIVE, TRANSMIT, CONTROL] = [0, 1, 2];
const hexBytes = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const hexText = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
/** A frame for a station, with so many bytes in all. */
const frameFor = (mac: string, length = 60, type = '0800') => {
  const frame = new Uint8Array(length).fill(0x5a);
  frame.set(hexBytes(`${mac} 525400000001 ${type}`));
  return frame;
};
const OWN = '525400123456';

describe.each(
  onEach([
    ['split', SPLIT],
    ['packed', PACKED],
    ['split with event index', SPLIT | featureBit(Feature.EVENT_IDX)],
    ['packed with event index', PACKED | featureBit(Feature.EVENT_IDX)],
  ]),
)('a network card, %s', (_name, make, rings) => {
  /** A driver that agreed on all features but some. */
  const start = (...without: number[]) => {
    const sent: Uint8Array[] = [];
    const model = new VirtioNetwork({ mac: MAC, port: { connect() {}, transmit: (frame) => sent.push(frame) } });
    const driver = make(model);
    const lacking = without.reduce((bits, feature) => bits | featureBit(feature), 0n);
    const { features } = model;
    Object.defineProperty(model, 'features', { value: features & ~lacking });
    driver.start(rings);
    Object.defineProperty(model, 'features', { value: features });
    const command = (text: string) => driver.request(hexBytes(text), 1, { queue: CONTROL }).bytes[0];
    return { sent, model, driver, command };
  };
  /** Makes buffers for frames, each so long. */
  const offer = ({ driver }: ReturnType<typeof start>, ...lengths: number[]) => {
    lengths.forEach((length, index) => {
      driver.ring(RECEIVE).offer([{ gpa: BUFFERS + index * 0x1000, length, writable: true }]);
    });
    driver.notify(RECEIVE);
  };
  const buffer = ({ driver }: ReturnType<typeof start>, index: number, length: number) =>
    driver.dma.bytes.slice(BUFFERS + index * 0x1000, BUFFERS + index * 0x1000 + length);

  test('tells its address, its link and the longest packet', () => {
    const { driver, model } = start();
    const config = () => hexText(Uint8Array.from({ length: 12 }, (_, at) => Number(driver.config(at, 1))));
    expect(config()).toBe(`${OWN}01000100dc05`);
    expect(driver.generation).toBe(0);
    model.setLink(false);
    expect([config(), driver.generation, driver.acknowledge()]).toEqual([`${OWN}00000100dc05`, 1, 2]);
    model.setLink(false);
    expect(driver.generation).toBe(1);
  });

  test('sends frames, however they are cut', () => {
    const { driver, sent } = start();
    const frame = frameFor('ffffffffffff', 100);
    const whole = new Uint8Array([...new Uint8Array(12), ...frame]);
    expect(driver.request(whole, 0, { queue: TRANSMIT }).used?.written).toBe(0);
    driver.request(whole, 0, { queue: TRANSMIT, piece: 40 });
    driver.request(whole, 0, { queue: TRANSMIT, piece: 40, indirect: true });
    expect(sent).toEqual([frame, frame, frame]);
  });

  test('completes checksums', () => {
    const guest = start();
    const frame = frameFor(OWN, 60);
    frame.set(hexBytes('0011 2233 0000 4455'), 34);
    const wish = (start: number, offset: number) => new Uint8Array([1, 0, 0, 0, 0, 0, start, 0, offset, 0, 0, 0, ...frame]);
    guest.driver.request(wish(34, 4), 0, { queue: TRANSMIT });
    const expected = frame.slice();
    new DataView(expected.buffer).setUint16(38, foldChecksum(wordSum(frame.subarray(34))));
    expect(guest.sent).toEqual([expected]);
    // Out of the frame: the frame isn't sent.
    guest.driver.request(wish(58, 4), 0, { queue: TRANSMIT });
    expect([guest.sent.length, guest.driver.shown('frames sent')?.detail]).toEqual([1, '1 were refused for their headers']);
    const without = start(F.CSUM, F.HOST_TSO4);
    without.driver.request(wish(34, 4), 0, { queue: TRANSMIT });
    expect(without.sent).toEqual([]);
  });

  test('cuts long TCP segments', () => {
    const { driver, sent } = start();
    const payload = Uint8Array.from({ length: 2500 }, (_, at) => at);
    const headers = hexBytes(
      `${OWN} 525400000001 0800` +
        '45000000 00ff4000 40060000 0a00020f 0a000202' +
        '9c400050 fffffc18 00000007 50990fff 00000000',
    );
    driver.request(new Uint8Array([1, 1, 54, 0, 0xe8, 3, 34, 0, 16, 0, 0, 0, ...headers, ...payload]), 0, { queue: TRANSMIT });
    expect(sent.map((frame) => frame.length)).toEqual([1054, 1054, 554]);
    expect(Buffer.concat(sent.map((frame) => frame.subarray(54)))).toEqual(Buffer.from(payload));
    const views = sent.map((frame) => new DataView(frame.buffer));
    expect(views.map((view) => view.getUint16(16))).toEqual([1040, 1040, 540]);
    expect(views.map((view) => view.getUint16(18))).toEqual([0xff, 0x100, 0x101]);
    // Sequence numbers wrap; CWR is on the first, PSH and FIN on the last.
    expect(views.map((view) => view.getUint32(38))).toEqual([0xffff_fc18, 0, 1000]);
    expect(views.map((view) => view.getUint8(47))).toEqual([0x90, 0x10, 0x19]);
    for (const frame of sent) {
      expect(foldChecksum(wordSum(frame.subarray(14, 34)))).toBe(0);
      const pseudo = pseudoHeaderSum(0x0a00020f, 0x0a000202, 6, frame.length - 34);
      expect(foldChecksum(wordSum(frame.subarray(34), pseudo))).toBe(0);
    }
  });

  test.each([
    ['a size of 0', [1, 1, 54, 0, 0, 0, 34, 0, 16, 0, 0, 0], '0800'],
    ['too many pieces', [1, 1, 54, 0, 1, 0, 34, 0, 16, 0, 0, 0], '0800'],
    ['no checksum', [0, 1, 54, 0, 100, 0, 34, 0, 16, 0, 0, 0], '0800'],
    ['no IPv4', [1, 1, 54, 0, 100, 0, 34, 0, 16, 0, 0, 0], '86dd'],
    ['another kind', [1, 3, 54, 0, 100, 0, 34, 0, 16, 0, 0, 0], '0800'],
  ])('does not cut by %s', (_what, header, type) => {
    const { driver, sent } = start();
    const frame = frameFor(OWN, 400, type);
    frame.set(hexBytes('45000000 00ff4000 40060000 0a00020f 0a000202 9c400050 00000001 00000007 50100fff'), 14);
    driver.request(new Uint8Array([...header, ...frame]), 0, { queue: TRANSMIT });
    expect(sent).toEqual([]);
  });

  test('hands over frames with their headers, and says that they are right', () => {
    const guest = start();
    offer(guest, 1526);
    guest.model.receive(frameFor(OWN, 1514));
    expect(guest.driver.ring(RECEIVE).collect()).toMatchObject([{ written: 1526 }]);
    expect(hexText(buffer(guest, 0, 24))).toBe(`020000000000000000000100${OWN}525400000001`);
    expect(guest.driver.line.level).toBe(true);
    const without = start(F.GUEST_CSUM);
    offer(without, 1526);
    without.model.receive(frameFor(OWN));
    expect(hexText(buffer(without, 0, 12))).toBe('000000000000000000000100');
  });

  test('spreads a frame over several buffers where that was agreed on, and waits for all of them', () => {
    const guest = start();
    offer(guest, 50, 60);
    guest.model.receive(frameFor(OWN, 120));
    guest.model.receive(frameFor(OWN, 60));
    const ring = guest.driver.ring(RECEIVE);
    expect(ring.collect()).toEqual([]);
    ring.offer([{ gpa: BUFFERS + 0x2000, length: 60, writable: true }]);
    guest.driver.notify(RECEIVE);
    expect(ring.collect().map(({ written }) => written)).toEqual([50, 60, 22]);
    expect(hexText(buffer(guest, 0, 12))).toBe('020000000000000000000300');
    ring.offer([{ gpa: BUFFERS + 0x3000, length: 100, writable: true }]);
    guest.driver.notify(RECEIVE);
    expect(ring.collect().map(({ written }) => written)).toEqual([72]);
  });

  test('loses a frame for which a buffer is too short, and keeps the buffer', () => {
    const guest = start(F.MRG_RXBUF);
    offer(guest, 80);
    guest.model.receive(frameFor(OWN, 120));
    expect(guest.driver.ring(RECEIVE).collect()).toEqual([]);
    guest.model.receive(frameFor(OWN, 60));
    expect(guest.driver.ring(RECEIVE).collect()).toMatchObject([{ written: 72 }]);
    expect(guest.driver.shown('frames received')?.detail).toBe('0 wait for buffers, 1 were lost');
  });

  test('keeps so many frames for a driver that has no buffers', () => {
    const guest = start();
    for (let index = 0; index < 300; index++) guest.model.receive(frameFor(OWN, 60 + index));
    expect(guest.driver.shown('frames received')?.detail).toBe('256 wait for buffers, 44 were lost');
    offer(guest, 1526, 1526);
    expect(
      guest.driver
        .ring(RECEIVE)
        .collect()
        .map(({ written }) => written),
    ).toEqual([72, 73]);
  });

  test('neither sends nor takes frames without a link', () => {
    const guest = start();
    offer(guest, 1526);
    guest.model.setLink(false);
    guest.model.receive(frameFor(OWN));
    guest.driver.request(new Uint8Array(80), 0, { queue: TRANSMIT });
    expect([guest.driver.ring(RECEIVE).collect(), guest.sent, guest.model.listensForInput]).toEqual([[], [], false]);
  });

  describe('its control queue', () => {
    const taken = (guest: ReturnType<typeof start>, ...frames: Uint8Array[]) =>
      frames.map((frame) => {
        offer(guest, 1526);
        guest.model.receive(frame);
        const isTaken = guest.driver.ring(RECEIVE).collect().length > 0;
        return isTaken;
      });
    const [OTHER, GROUP, ALL] = ['525400999999', '01005e000001', 'ffffffffffff'].map((mac) => frameFor(mac));
    const all = [frameFor(OWN), OTHER, GROUP, ALL].flatMap((frame) => frame ?? []);

    test.each([
      ['nothing', [], [true, true, true, true]],
      ['not promiscuous', ['0000 00'], [true, false, false, true]],
      ['all groups', ['0000 00', '0001 01'], [true, false, true, true]],
      ['all stations', ['0000 00', '0002 01'], [true, true, false, true]],
      ['no groups', ['0000 00', '0001 01', '0003 01'], [true, false, false, true]],
      ['no stations', ['0000 00', '0004 01'], [false, false, false, true]],
      ['no broadcasts', ['0000 00', '0005 01'], [true, false, false, false]],
      ['a table', ['0000 00', '0100 01000000 525400999999 01000000 01005e000001'], [true, true, true, true]],
      [
        'an empty table',
        ['0000 00', '0100 01000000 525400999999 00000000', '0100 00000000 00000000'],
        [true, false, false, true],
      ],
      ['too long a table', ['0000 00', `0100 ${'41000000'}${'020000000000'.repeat(65)}00000000`], [true, true, false, true]],
      ['another address', ['0000 00', '0101 525400999999'], [false, true, false, true]],
    ])('chooses frames: %s', (_what, commands, expected) => {
      const guest = start();
      for (const text of commands) expect(guest.command(text)).toBe(0);
      const isTaken = all.map((frame) => taken(guest, frame)[0] ?? false);
      expect(isTaken).toEqual(expected);
    });

    test('chooses virtual networks', () => {
      const guest = start();
      const tagged = frameFor(OWN, 60, '8100 0005');
      expect(guest.command('0000 00')).toBe(0);
      expect(taken(guest, tagged)).toEqual([false]);
      expect(guest.command('0200 0500')).toBe(0);
      expect(taken(guest, tagged)).toEqual([true]);
      expect(guest.command('0201 0500')).toBe(0);
      expect(taken(guest, tagged)).toEqual([false]);
    });

    test.each([
      ['an unknown class', '0900'],
      ['an unknown command', '0009 01'],
      ['a switch without its value', '0000'],
      ['a table that is cut off', '0100 02000000 525400999999'],
      ['a table with more behind it', '0100 00000000 00000000 00'],
      ['a virtual network that can not be', '0200 0010'],
      ['an address that is too short', '0101 5254'],
      ['several queues', '0400 0200'],
    ])('refuses %s', (_what, text) => expect(start().command(text)).toBe(1));

    test('refuses what was not agreed on', () => {
      expect(start(F.CTRL_MAC_ADDR).command('0101 525400999999')).toBe(1);
      expect(start(F.CTRL_RX_EXTRA).command('0002 01')).toBe(1);
      expect(start(F.CTRL_VLAN).command('0200 0500')).toBe(1);
    });

    test('is as at the start after a reset of the device', () => {
      const guest = start();
      guest.command('0000 00');
      guest.command('0101 525400999999');
      expect(guest.driver.config(0, 1)).toBe(0x52n);
      expect(guest.driver.config(5, 1)).toBe(0x99n);
      guest.driver.start(rings);
      expect(guest.driver.config(5, 1)).toBe(0x56n);
      expect(taken(guest, ...all)).toEqual([true, true, true, true]);
    });
  });

  test.each([
    ['a frame without a header', TRANSMIT, 11, 0],
    ['a command without a number', CONTROL, 1, 1],
    ['a command without room for its outcome', CONTROL, 3, 0],
  ])('needs a reset for %s', (_what, queue, readable, room) => {
    const { driver } = start();
    driver.request(new Uint8Array(readable), room, { queue });
    expect(driver.status & Status.NEEDS_RESET).toBe(Status.NEEDS_RESET);
  });

  test('needs a reset for a buffer for frames that it may not write', () => {
    const { driver, model } = start();
    driver.ring(RECEIVE).offer([{ gpa: BUFFERS, length: 100 }]);
    driver.notify(RECEIVE);
    model.receive(frameFor(OWN));
    expect(driver.status & Status.NEEDS_RESET).toBe(Status.NEEDS_RESET);
  });

  test('goes on after a restore as it was', () => {
    const first = start();
    first.command('0000 00');
    first.model.receive(frameFor(OWN, 77));
    first.model.setLink(false);
    const second = start();
    second.model.restore(structuredClone(first.model.save()));
    expect(second.model.save()).toEqual(first.model.save());
    second.model.setLink(true);
    offer(second, 1526);
    expect(second.driver.ring(RECEIVE).collect()).toMatchObject([{ written: 89 }]);
  });
});

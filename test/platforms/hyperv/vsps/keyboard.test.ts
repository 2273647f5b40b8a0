import { describe, expect, test } from 'vitest';
import { codesOfKeys, codesOfText } from '../../../../src/devices/keyboard/scan-codes.ts';
import { KEYBOARD_INPUT, KeyboardVsp } from '../../../../src/platforms/hyperv/vsps/keyboard.ts';
import { FakeChannel, guestPacket } from './fake-channel.ts';

function message(type: number, word = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, type, true);
  view.setUint32(4, word, true);
  return new Uint8Array(view.buffer);
}

function start({ version = 0x1_0000, isStepped = false } = {}) {
  const keyboard = new KeyboardVsp();
  const channel = new FakeChannel();
  const stages: string[] = [];
  const give = (payload: Uint8Array, wantsCompletion = true) => {
    const packet = guestPacket(payload, { wantsCompletion });
    if (!isStepped) keyboard.receive(channel, packet);
    else for (const step of keyboard.receiveInStages(channel, packet)) if (step.kind === 'stage') stages.push(step.id);
  };
  const type = (bytes: Uint8Array) => keyboard.inputs.get(KEYBOARD_INPUT)?.(bytes);
  /** What came: type, status or make code, flags. */
  const taken = () =>
    channel.sent.splice(0).map(({ payload }) => {
      const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
      return view.byteLength === 12 ? [view.getUint16(4, true), view.getUint32(8, true)] : view.getUint32(4, true);
    });
  keyboard.open(channel);
  give(message(1, version), false);
  return { keyboard, channel, give, type, taken, stages };
}

describe.each([
  ['at once', false],
  ['in stages', true],
])('the keyboard, %s', (_name, isStepped) => {
  test('agrees on version 1.0', () => {
    const { keyboard, channel, stages } = start({ isStepped });
    expect(channel.sent).toMatchObject([{ type: 6, payload: message(2, 1) }]);
    expect(keyboard.inspect()).toMatchObject({ value: 'ready', detail: 'protocol 1.0' });
    expect(stages).toEqual(isStepped ? ['keyboard.message', 'keyboard.protocol'] : []);
  });

  test('shows the LEDs that the guest switches on', () => {
    const { keyboard, give } = start({ isStepped });
    give(message(4, 6));
    expect(keyboard.inspect().children?.[0]).toEqual({ name: 'LEDs', value: 'num lock, caps lock' });
  });
});

test('tells keys with their prefixes, pressed and released', () => {
  const { type, taken } = start();
  taken();
  type(codesOfText('A'));
  expect(taken()).toEqual([
    [0x2a, 0],
    [0x1e, 0],
    [0x1e, 2],
    [0x2a, 2],
  ]);
  type(codesOfKeys('delete'));
  expect(taken()).toEqual([
    [0x53, 4],
    [0x53, 6],
  ]);
});

test('completes what its sender wants completed', () => {
  const { give, channel } = start();
  channel.sent.length = 0;
  give(message(4, 1));
  expect(channel.sent).toMatchObject([{ type: 0xb, transactionId: 0x77n, payload: { length: 0 } }]);
});

test('takes no keys before its driver is there, or of another version', () => {
  const { keyboard, channel } = start({ version: 0x2_0000 });
  expect(channel.sent).toMatchObject([{ payload: message(2, 0) }]);
  expect(keyboard.inputs.size).toBe(0);
  expect(new KeyboardVsp().inputs.size).toBe(0);
});

test('keys wait for room in the ring, and no more of them than can be kept', () => {
  const { keyboard, channel, type, taken } = start();
  taken();
  channel.isFull = true;
  type(codesOfText('ab'));
  channel.isFull = false;
  type(codesOfText('c'));
  expect(taken()).toEqual([]);
  keyboard.hasRoom(channel);
  expect(taken().map((event) => Array.isArray(event) && event[0])).toEqual([0x1e, 0x1e, 0x30, 0x30, 0x2e, 0x2e]);
  channel.isFull = true;
  for (let round = 0; round < 3; round++) type(codesOfText('x'.repeat(1000)));
  expect(keyboard.inspect().children?.find(({ name }) => name === 'lost')?.value).toBe(String(6000 - 4096));
});

test('messages that are too short, or none, do nothing', () => {
  const { keyboard, channel, give, taken } = start();
  taken();
  for (const payload of [new Uint8Array(0), new Uint8Array(7).fill(1), message(2), message(3), message(99)]) give(payload, false);
  expect(channel.sent).toEqual([]);
  keyboard.close();
  expect(keyboard.inputs.size).toBe(0);
  keyboard.reset();
  expect(keyboard.inspect().value).toBe('closed');
});

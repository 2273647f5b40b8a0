import { describe, expect, test } from 'vitest';
import { channelView, vmbusView } from '../../src/debugger/inspection/vmbus.ts';
import type { Part } from '../../src/webview/parts.ts';
import { channelParts } from '../../src/webview/vmbus/channel-parts.ts';
import { type ChannelsMessage, chosenChannel, firstChoice } from '../../src/webview/vmbus/messages.ts';
import { EchoVsp } from '../platforms/hyperv/vmbus/echo-vsp.ts';
import { FakeGuest } from '../platforms/hyperv/vmbus/fake-guest.ts';

function asked() {
  const guest = new FakeGuest(new EchoVsp(), new EchoVsp({}, 'other'));
  const channel = guest.start();
  channel.out.send({ transaction: 5n, payload: Uint8Array.of(1, 0, 0, 0, 2, 0, 6, 0) });
  guest.signal(channel.connection);
  return { guest, channel };
}

function message({ bus }: FakeGuest, unfolded: readonly string[] = []): ChannelsMessage {
  const options = { reference: (gpa: bigint) => `reference ${gpa}`, unfolded };
  return {
    kind: 'channels',
    moving: false,
    partitions: [{ id: 1, name: 'guest', bus: vmbusView(bus) }],
    chosen: { partition: 1, channel: 1 },
    channel: channelView(bus, 1, options),
  };
}

function all(parts: readonly Part[]): Part[] {
  return parts.flatMap((part) => [part, ...all(part.children ?? [])]);
}
const textOf = ({ text = '', children = [] }: Part): string =>
  [text, ...children.map(textOf)].filter((part) => part !== '').join(' ');
const sections = (shown: ChannelsMessage, unfolded: readonly string[] = []) =>
  new Map(
    all(channelParts(shown, new Set(unfolded)))
      .filter(({ tag }) => tag === 'section')
      .map((part) => [part.attributes?.['aria-label'], part]),
  );
const text = (part: Part | undefined) => (part ? textOf(part) : '');

describe('the page of VMBus channels', () => {
  test('has both rings with their packets, the channel and the bus', () => {
    const found = sections(message(asked().guest));
    expect([...found.keys()]).toEqual(['Guest to Host', 'Host to Guest', 'Channel', 'Bus']);
    expect(text(found.get('Guest to Host'))).toMatch(
      /write 32, read 32: 0 of 4096 bytes, 0 packets wait 1 packets, 32 bytes, 1 signals .* in-band taken 8 bytes, transaction 0x5, wants completion/,
    );
    expect(text(found.get('Host to Guest'))).toMatch(/write 32, read 0: 32 of 4096 bytes, 1 packets wait .* completion waits/);
    expect(text(found.get('Channel'))).toContain('channel 1, open service echo kind network card');
    expect(text(found.get('Bus'))).toContain('version 5.3 messages to vCPU 0, source 2');
  });

  test('draws what is in a ring as a bar, in two pieces around its end', () => {
    const { guest, channel } = asked();
    const pieces = () =>
      all(channelParts(message(guest), new Set()))
        .filter(({ attributes }) => attributes?.class === 'filled')
        .map(({ style }) => style);
    expect(pieces()).toEqual([{ left: '0.00%', width: '0.78%' }]);
    channel.in.word(4, 4064);
    expect(pieces()).toEqual([
      { left: '99.22%', width: '0.78%' },
      { left: '0.00%', width: '0.78%' },
    ]);
  });

  test('unfolds a packet to its bytes, and leads to memory', () => {
    const { guest } = asked();
    const parts = all([sections(message(guest, ['from:0']), ['from:0']).get('Guest to Host') ?? { tag: 'p' }]);
    expect(parts.find(({ attributes }) => attributes?.['data-unfold'] === 'from:0')?.attributes?.['aria-expanded']).toBe('true');
    expect(parts.filter(({ tag }) => tag === 'pre').map((part) => part.text)).toEqual([
      expect.stringMatching(/^0000 {2}01 00 00 00 02 00 06 00/),
    ]);
    const references = parts.flatMap(({ attributes }) => (attributes?.['data-memory'] ? [attributes['data-memory']] : []));
    expect(references).toEqual([`reference ${0x10 * 4096}`, `reference ${0x11 * 4096}`]);
  });

  test('says why a channel is broken', () => {
    const { guest, channel } = asked();
    channel.out.word(0, 4096);
    const problems = () =>
      all(channelParts(message(guest), new Set()))
        .filter(({ attributes }) => attributes?.class === 'problem')
        .map(textOf);
    expect(problems()).toEqual(['Wrong: the write index 4096 is no place in a ring of 4096 bytes.']);
    guest.signal(channel.connection);
    expect(problems()).toEqual([
      'The channel is broken. The guest must not do this: the write index 4096 is no place in a ring of 4096 bytes.',
    ]);
  });

  test('says that there is nothing to show', () => {
    const none: ChannelsMessage = { kind: 'channels', moving: false, partitions: [] };
    expect(channelParts(none, new Set()).map(textOf)).toEqual([expect.stringMatching(/^This guest has no VMBus channels\./)]);
    const gone = { ...message(asked().guest), chosen: { partition: 1, channel: 9 } };
    expect(channelParts(gone, new Set()).map(textOf)).toEqual(['That channel is no longer there.']);
  });
});

test('a view begins with the busiest channel that is open', () => {
  const { guest } = asked();
  const partitions = [{ id: 3, name: 'guest', bus: vmbusView(guest.bus) }];
  expect(firstChoice(partitions)).toEqual({ partition: 3, channel: 1 });
  const idle = [{ id: 3, name: 'guest', bus: vmbusView(new FakeGuest(new EchoVsp()).bus) }];
  expect(firstChoice(idle)).toEqual({ partition: 3, channel: 1 });
  expect(firstChoice([])).toBeUndefined();
  expect(chosenChannel(partitions, firstChoice(partitions))?.name).toBe('echo');
});

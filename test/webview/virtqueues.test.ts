import { describe, expect, test } from 'vitest';
import { virtioDeviceView, virtqueueView } from '../../src/debugger/inspection/virtqueues.ts';
import { imageOfBytes } from '../../src/devices/disk-image/raw-image.ts';
import { VirtioBlock } from '../../src/devices/virtio/block/device.ts';
import type { Part } from '../../src/webview/parts.ts';
import { chosenDevice, firstChoice, type QueuesMessage } from '../../src/webview/virtqueues/messages.ts';
import { queueParts } from '../../src/webview/virtqueues/queue-parts.ts';
import { BUFFERS, MmioDriver, PACKED, SPLIT } from '../devices/virtio/mmio-driver.ts';

/** A disk whose driver has asked for its first sector. */
function asked(features = SPLIT): MmioDriver {
  const driver = new MmioDriver(new VirtioBlock({ image: imageOfBytes(new Uint8Array(512)), serial: 'disk' })).start(features);
  driver.ring().offer([
    { gpa: BUFFERS, length: 16 },
    { gpa: BUFFERS + 0x1000, length: 512, writable: true },
    { gpa: BUFFERS + 0x800, length: 1, writable: true },
  ]);
  return driver;
}

function message({ device }: MmioDriver, unfolded: readonly number[] = []): QueuesMessage {
  const options = { reference: (gpa: bigint) => `reference ${gpa}`, unfolded };
  return {
    kind: 'queues',
    moving: false,
    partitions: [{ id: 1, name: 'guest', devices: [virtioDeviceView(device)] }],
    chosen: { partition: 1, device: 'virtio-blk', queue: 0 },
    queue: virtqueueView(device, 0, options),
  };
}

function all(parts: readonly Part[]): Part[] {
  return parts.flatMap((part) => [part, ...all(part.children ?? [])]);
}
const textOf = ({ text = '', children = [] }: Part): string =>
  [text, ...children.map(textOf)].filter((part) => part !== '').join(' ');
const sections = (shown: QueuesMessage, unfolded: readonly number[] = []) =>
  new Map(
    all(queueParts(shown, new Set(unfolded)))
      .filter(({ tag }) => tag === 'section')
      .map((part) => [part.attributes?.['aria-label'], part]),
  );
const rows = (part: Part | undefined) =>
  all(part ? [part] : [])
    .filter(({ tag }) => tag === 'tr')
    .slice(1);

describe('the page of virtqueues', () => {
  test('has the tables of a split queue, with the entries of a buffer in its colour', () => {
    const found = sections(message(asked()));
    expect([...found.keys()]).toEqual(['Buffers', 'Descriptor Table', 'Available Ring', 'Used Ring', 'Queue']);
    const [first, second, , fourth] = rows(found.get('Descriptor Table'));
    expect(first && textOf(first)).toBe('0 0x50000 16 NEXT 1 0 waits');
    expect(second && textOf(second)).toBe('1 0x51000 512 NEXT WRITE 2 0 waits');
    expect([first, fourth].map((row) => row?.attributes?.class)).toEqual(['chain chain-0', undefined]);
    const [slot] = rows(found.get('Available Ring'));
    expect(slot && [textOf(slot), slot.attributes?.class]).toEqual(['0 0 waits', 'waiting here']);
    expect(textOf(found.get('Available Ring') ?? { tag: 'p' })).toContain('index 1, flags 0');
  });

  test('has the one ring of a packed queue, and what each side wants', () => {
    const found = sections(message(asked(PACKED)));
    expect([...found.keys()]).toEqual(['Buffers', 'Descriptor Ring', 'Events', 'Queue']);
    expect(textOf(found.get('Events') ?? { tag: 'p' })).toBe('Events driver wants enable device wants enable');
    expect(textOf(found.get('Queue') ?? { tag: 'p' })).toContain('next taken 0, wrap counter 1');
    expect(rows(found.get('Descriptor Ring'))[0]?.attributes?.class).toBe('chain chain-0 here');
  });

  test('says what a buffer asks for, and unfolds to its bytes', () => {
    const driver = asked();
    const folded = sections(message(driver)).get('Buffers');
    expect(folded && textOf(folded)).toBe('Buffers 0 waits type IN sector 0x0 data 512 bytes');
    const unfolded = all([sections(message(driver, [0]), [0]).get('Buffers') ?? { tag: 'p' }]);
    expect(unfolded.find(({ attributes }) => attributes?.['data-unfold'] === '0')?.attributes?.['aria-expanded']).toBe('true');
    expect(unfolded.filter(({ tag }) => tag === 'pre').map(({ text }) => text?.split('\n').length)).toEqual([1, 17, 1]);
  });

  test('leads to memory', () => {
    const parts = all(queueParts(message(asked()), new Set()));
    const references = parts.flatMap(({ text, attributes }) =>
      attributes?.['data-memory'] ? [[text, attributes['data-memory']]] : [],
    );
    expect(references).toContainEqual(['0x51000', `reference ${0x51000}`]);
    expect(references).toContainEqual(['0x20000', `reference ${0x20000}`]);
  });

  test('says why a device needs a reset, and marks the buffer', () => {
    const driver = asked();
    driver.dma.view.setUint16(Number(driver.ring().layout.descriptorArea) + 14, 99, true);
    driver.notify();
    const problems = all(queueParts(message(driver), new Set()))
      .filter(({ attributes }) => attributes?.class === 'problem')
      .map(textOf);
    expect(problems).toEqual([
      'The device needs a reset. The driver must not do this: descriptor 99 is wanted, but there are 8.',
      'Wrong: descriptor 99 is wanted, but there are 8.',
    ]);
  });

  test('says that there is nothing to show', () => {
    const none: QueuesMessage = { kind: 'queues', moving: false, partitions: [{ id: 1, name: 'guest', devices: [] }] };
    expect(queueParts(none, new Set()).map(textOf)).toEqual([expect.stringMatching(/^This guest has no virtio devices\./)]);
    const gone = { ...message(asked()), chosen: { partition: 1, device: 'virtio-blk', queue: 5 } };
    expect(queueParts(gone, new Set()).map(textOf)).toEqual(['That queue is no longer there.']);
  });
});

test('a view begins with the first queue that a driver uses', () => {
  const idle = new MmioDriver(new VirtioBlock({ image: imageOfBytes(new Uint8Array(512)), serial: 'disk' }));
  const devices = [{ ...virtioDeviceView(idle.device), name: 'virtio-idle' }, virtioDeviceView(asked().device)];
  const partitions = [{ id: 3, name: 'guest', devices }];
  expect(firstChoice(partitions)).toEqual({ partition: 3, device: 'virtio-blk', queue: 0 });
  expect(firstChoice([{ id: 3, name: 'guest', devices: devices.slice(0, 1) }])?.device).toBe('virtio-idle');
  expect(firstChoice([])).toBeUndefined();
  expect(chosenDevice(partitions, firstChoice(partitions))?.name).toBe('virtio-blk');
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client, lineOf, sample } from './client.ts';

const PROGRAM = sample('kvm/virtio-blk.asm');
const QUEUE = 'hyperscope/virtqueues';
const FIRST = { partition: 1, device: 'virtio-blk', queue: 0 };

let folder = '';
let disk = '';
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-virtqueues-'));
  disk = path.join(folder, 'disk.img');
  const bytes = new Uint8Array(64 * 512);
  bytes.set(new TextEncoder().encode('Hello from a sector\n'));
  writeFileSync(disk, bytes);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The sample, stopped in front of its first request to the device. */
function atDoorbell(): Client {
  const client = new Client();
  client.launch(PROGRAM, { disk: [disk], memory: '16M' });
  const line = lineOf(PROGRAM, '[rbx + QUEUE_NOTIFY]');
  client.ask('setBreakpoints', { source: { path: PROGRAM }, breakpoints: [{ line }] });
  client.ask('configurationDone');
  client.run();
  client.move('continue');
  return client;
}
const queue = (client: Client, more: object = {}) => client.ask(QUEUE, { ...FIRST, ...more }).queue;
const command = (client: Client, text: string) => client.evaluate(text, 'repl');
const top = (client: Client): string => client.frames()[0].name;

describe('hyperscope/virtqueues', () => {
  test('lists devices with their status, features and queues', () => {
    const { partitions, queue: none } = atDoorbell().ask(QUEUE);
    expect(none).toBeUndefined();
    const [{ id, devices }] = partitions;
    expect([id, devices.map(({ name }: { name: string }) => name)]).toEqual([1, ['virtio-blk', 'virtio-rng', 'virtio-console']]);
    expect(devices[0]).toMatchObject({ status: '0x0f', accepted: ['VERSION_1'], type: 2 });
    expect(devices[0].statusNames).toContain('DRIVER_OK');
    expect(devices[0].declined).toContain('RING_PACKED');
    expect(devices[0].queues).toEqual([
      { index: 0, name: 'requests', isReady: true, size: 8, largest: 128, waiting: 1, taken: 0 },
    ]);
    expect(devices[2].queues.map(({ name, isReady }: { name: string; isReady: boolean }) => [name, isReady])).toEqual([
      ['receive', false],
      ['transmit', false],
    ]);
  });

  test('shows a request on its way through the device, as it is stepped', () => {
    const client = atDoorbell();
    const states = () => queue(client).chains.map(({ state }: { state: string }) => state);
    expect(states()).toEqual(['waiting']);
    const seen: string[] = [];
    do {
      client.move('stepIn');
      seen.push(`${states()} in ${top(client)}`);
    } while (client.frames().some(({ name }) => name.startsWith('── VM exit')));
    expect(seen).toContain('waiting in VMM process: virtio-mmio QueueNotify');
    expect(seen).toContain('taken in VMM process: virtio-blk request');
    expect(seen).toContain('used in VMM process: virtio-mmio interrupt');
    expect(states()).toEqual(['used']);
    expect(queue(client)).toMatchObject({ used: { index: 1 }, position: { available: 1, used: 1 } });
  });

  test('has the places of descriptors as memory, and the bytes of what is unfolded', () => {
    const client = atDoorbell();
    const { chains, entries, areas } = queue(client, { unfold: [0] });
    const [{ links, fields, id }] = chains;
    expect([id, fields]).toEqual([
      0,
      [
        { name: 'type', value: 'IN' },
        { name: 'sector', value: '0x0' },
        { name: 'data', value: '512 bytes' },
      ],
    ]);
    expect(links[0].dump).toHaveLength(1);
    expect(links[1].dump).toHaveLength(17);
    expect(queue(client).chains[0].links[0].dump).toBeUndefined();
    const { data } = client.ask('readMemory', { memoryReference: areas[0].memoryReference, count: 16 });
    expect(Buffer.from(data, 'base64').readBigUInt64LE()).toBe(BigInt(entries[0].address));
    expect(entries[0]).toMatchObject({ length: 16, flags: ['NEXT'], link: 1, chain: 0 });
  });

  test('says why a device needs a reset, and where', () => {
    const client = atDoorbell();
    const [{ memoryReference }] = queue(client).areas;
    // The second descriptor of the chain names one that the table doesn't have.
    client.ask('writeMemory', { memoryReference, offset: 30, data: Buffer.from([99, 0]).toString('base64') });
    client.move('next');
    const answer = client.ask(QUEUE, FIRST);
    const reason = 'descriptor 99 is wanted, but there are 8';
    expect(answer.partitions[0].devices[0]).toMatchObject({ needsReset: reason });
    expect(answer.queue.chains[0]).toMatchObject({ state: 'waiting', problem: reason });
    expect(answer.queue.chains[0].links.at(-1)).toMatchObject({ index: 1, problem: reason });
    expect(command(client, 'virtqueue virtio-blk')).toMatch(`needs a reset: ${reason}`);
    expect(command(client, 'virtqueues')).toMatch(`needs a reset: ${reason}`);
  });

  test('knows devices on a PCI bus too', () => {
    const client = new Client();
    client.launch(PROGRAM, { disk: [disk], memory: '16M', machine: 'pc' });
    const [{ devices }] = client.ask(QUEUE).partitions;
    expect(devices.map(({ name }: { name: string }) => name)).toContain('virtio-blk-pci');
  });

  test.each([
    [{ device: 'virtio-9', queue: 0 }, /the name of a virtio device of the partition as "device"/],
    [{ device: 'virtio-blk' }, /a number "queue"/],
    [{ device: 'virtio-blk', queue: 7 }, /the number of a queue of that device as "queue"/],
    [{ device: 'virtio-blk', queue: 0, partition: 9 }, /the number of a partition of this session/],
  ])('refuses %j in a sentence', (parameters, sentence) => {
    expect(atDoorbell().request(QUEUE, parameters).message).toMatch(sentence);
  });
});

describe('the console', () => {
  test('lists the queues', () => {
    const text = command(atDoorbell(), 'virtqueues');
    expect(text).toMatch(
      /^virtio-blk {2,}status 0x0f ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK\n {2}0 requests {2,}8 entries, 1 wait, 0 in flight/,
    );
    expect(text).toMatch(/ {2}1 transmit {2,}not ready, up to 64 entries$/);
  });

  test('shows one by number or name', () => {
    const client = atDoorbell();
    const text = command(client, 'virtqueue virtio-blk requests');
    expect(text).toBe(command(client, 'virtqueue virtio-blk 0'));
    expect(text).toMatch(/^requests: split ring of 8 entries\ndescriptor table +0x[0-9a-f]+ +128 bytes\n/);
    expect(text).toMatch(/\nwaiting 0: type IN, sector 0x0, data 512 bytes\n {2}0 +0x[0-9a-f]+ +16 bytes +NEXT +next 1\n/);
    expect(text).toMatch(/\n {2}2 +0x[0-9a-f]+ +1 bytes +WRITE$/);
  });

  test.each([
    [
      'virtqueue',
      /^There is no virtio device ""; they are virtio-blk, virtio-rng, virtio-console\. The command is virtqueue DEVICE \[QUEUE\]\.$/,
    ],
    ['virtqueue virtio-blk 1', /^virtio-blk has no queue "1"; it has 0 \(requests\)\.$/],
    ['virtqueue virtio-blk -1', /^virtio-blk has no queue "-1"/],
    ['virtqueues all', /^virtqueues takes no "all"/],
  ])('refuses %s in a sentence', (text, sentence) => {
    expect(atDoorbell().request('evaluate', { expression: text, context: 'repl' }).message).toMatch(sentence);
  });

  test('has nothing to show of a guest without virtio', () => {
    const client = new Client();
    client.launch(sample('hello/hello.asm'));
    client.ask('configurationDone');
    client.run();
    for (const text of ['virtqueues', 'virtqueue virtio-blk'])
      expect(command(client, text)).toBe(
        'This guest has no virtio devices; on platform kvm a disk gives it some, and on hyperv devices are on the VMBus (vmbus).',
      );
  });
});

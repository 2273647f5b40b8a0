import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../../../src/cli/node-files.ts';
import { Host } from '../../../../src/hypervisor/host/host.ts';
import type { GuestPartition } from '../../../../src/hypervisor/partition/guest-partition.ts';
import { parseEthernet } from '../../../../src/network/packets/ethernet.ts';
import type { PartitionConfiguration } from '../../../../src/platforms/configuration.ts';
import { createPartition } from '../../../../src/platforms/create-partition.ts';
import { makeSwitch, networkPlan, type PartitionNetworkPlan } from '../../../../src/platforms/network.ts';
import { loadProgram } from '../../../../src/programs/load-program.ts';
import { runToEnd } from '../../run-guest.ts';

const SAMPLE = path.resolve(import.meta.dirname, '../../../../samples/hyperv/vmbus.asm');
const ANSWERING = path.resolve(path.dirname(SAMPLE), 'answer.asm');
const SOURCE = readFileSync(SAMPLE, 'utf8');

function plan(net: 'user' | 'switch', more: Partial<PartitionNetworkPlan> = {}): PartitionNetworkPlan {
  const found = networkPlan({ net });
  if (found === undefined) throw new Error('a network is wanted');
  return { ...found, ...more };
}

/** The sample's driver of a network card, as it is or changed. */
function guest(configuration: Partial<PartitionConfiguration>, source = SOURCE, host?: Host, file = SAMPLE): GuestPartition {
  const bytes = new TextEncoder().encode(source);
  const files = { ...nodeFiles, read: (path: string) => (path === file ? bytes : nodeFiles.read(path)) };
  const program = loadProgram(bytes, file, {}, files);
  return createPartition({ platform: 'hyperv', vendor: 'intel', memory: 16 << 20, vcpus: 1, ...configuration }, program, host);
}

const ANSWER = 'the card is 52:54:00:12:34:56\n10.0.2.2 is at 52:55:0a:00:02:02\n';

describe.each(['intel', 'amd'] as const)('a driver of netvsc on %s', (vendor) => {
  test('asks the user network and gets an answer, the same in both tiers and after a reset', () => {
    const frames: [at: bigint, from: number | undefined][] = [];
    const capture = {
      write: (at: bigint, frame: Uint8Array) => frames.push([at, parseEthernet(frame)?.source]),
      close() {},
    };
    const partition = guest({ vendor, network: plan('user', { capture }) });
    const first = runToEnd(partition);
    expect([first.text.slice(-ANSWER.length), first.end.kind]).toEqual([ANSWER, 'power-off']);
    expect(frames.map(([, source]) => source)).toEqual([0x5254_0012_3456, 0x5255_0a00_0202]);
    partition.reset();
    const again = runToEnd(partition, 1000);
    expect([again.hash, again.instructions]).toEqual([first.hash, first.instructions]);
    const interpreted = runToEnd(guest({ vendor, network: plan('user'), translator: 0 }));
    expect([interpreted.hash, interpreted.instructions]).toEqual([first.hash, first.instructions]);
  });
});

test('without a network there is no card', () => {
  expect(runToEnd(guest({})).text).toContain('the parent partition offers no network card');
});

test.each(['intel', 'amd'] as const)('two child partitions talk over the virtual switch on %s', (vendor) => {
  const host = new Host();
  const bridge = makeSwitch();
  const texts = ['', ''];
  const partitions = [SAMPLE, ANSWERING].map((file, index) => {
    const network = plan('switch', { switch: bridge });
    const partition = guest({ vendor, network }, readFileSync(file, 'utf8'), host, file);
    partition.onConsole((_, bytes) => {
      texts[index] += new TextDecoder().decode(bytes);
    });
    return partition;
  });
  for (let turns = 0; turns < 200 && partitions.some(({ end }) => end === undefined); turns++)
    host.run({ instructions: 1_000_000 });
  expect(texts.map((text) => text.slice(text.indexOf('the card is')))).toEqual([
    'the card is 52:54:00:12:34:56\n10.0.2.2 is at 52:54:00:12:34:57\n',
    'the card is 52:54:00:12:34:57\nasked by 52:54:00:12:34:56\n',
  ]);
});

test.each([
  ['intel', 'hvix64'],
  ['amd', 'hvax64'],
] as const)('the way of a frame is one call stack, from the hypercall to the virtual switch, on %s', (vendor, image) => {
  const unseen = runToEnd(guest({ vendor, network: plan('user') }));
  const partition = guest({ vendor, network: plan('user') });
  partition.setDebugHooks({ stopAtExit: (_vcpu, exit) => exit.reason === 'hypercall' });
  const chains: string[] = [];
  for (let stop = partition.run({ instructions: 10_000 }); stop.kind !== 'ended'; stop = partition.run({ instructions: 10_000 }))
    if (stop.kind === 'exit')
      while (partition.run({ instructions: 1, stopAtStage: true, stopAtEntry: true }).kind === 'stage')
        chains.push(
          partition.vcpus[0]?.activity?.frames.map(({ frame }) => `${frame.component}: ${frame.name}`).join(' | ') ?? '',
        );
  const whole = chains.find((chain) => chain.endsWith('virtual switch: forward'));
  expect(whole?.split(' | ')).toEqual([
    `${image}: VM exit`,
    expect.stringContaining(image),
    expect.stringContaining('HvCallSignalEvent'),
    expect.stringMatching(/^vmbusr.sys: VMBus channel \d+: ring signalled$/),
    'vmswitch.sys: netvsp: take packet',
    'vmswitch.sys: netvsp: NVSP_MSG1_TYPE_SEND_RNDIS_PKT',
    'vmswitch.sys: netvsp: send RNDIS packet',
    'vmswitch.sys: virtual switch: forward',
  ]);
  expect([partition.stateHash(), partition.icount]).toEqual([unseen.hash, unseen.instructions]);
});

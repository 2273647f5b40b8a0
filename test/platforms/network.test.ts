import { describe, expect, test } from 'vitest';
import { NETWORK_INPUT } from '../../src/devices/pc/pc.ts';
import { Host } from '../../src/hypervisor/host/host.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import { encodeEvent, type OutsideConnection, type OutsideWorld } from '../../src/network/outside.ts';
import { parseForward } from '../../src/network/user/options.ts';
import { ConfigurationError, type PartitionConfiguration } from '../../src/platforms/configuration.ts';
import {
  makeSwitch,
  type NetworkWishes,
  networkPlan,
  type PartitionNetworkPlan,
  withServedFiles,
} from '../../src/platforms/network.ts';
import { SAMPLE, SENDER, SLEEPING_RECEIVER, talking } from './network-guests.ts';
import { guest, runToEnd } from './run-guest.ts';

function planOf(wishes: NetworkWishes, more: Partial<PartitionNetworkPlan> = {}): PartitionNetworkPlan {
  const plan = networkPlan(wishes);
  if (plan === undefined) throw new Error('a network is wanted');
  return { ...plan, ...more };
}
const withNetwork = (network: PartitionNetworkPlan, more: Partial<PartitionConfiguration> = {}, host?: Host, source = SAMPLE) =>
  guest(source, { memory: 16 << 20, network, ...more }, host);

describe.each(['intel', 'amd'] as const)('a guest with a network card, %s', (vendor) => {
  test('asks the user network and gets an answer, the same in both tiers and after a reset', () => {
    const network = planOf({ net: 'user' });
    const partition = withNetwork(network, { vendor });
    const { text, end, hash, instructions } = runToEnd(partition);
    expect([text, end.kind]).toEqual(['10.0.2.2 is at 52:55:0a:00:02:02\n', 'power-off']);
    partition.reset();
    expect(runToEnd(partition, 100)).toMatchObject({ hash, instructions });
    expect(runToEnd(withNetwork(network, { vendor, translator: 0 }))).toMatchObject({ hash, instructions });
  });
});

test('each partition of a host has a card with an address of its own', () => {
  const host = new Host();
  const addresses = [planOf({ net: 'user' }), planOf({ net: 'user' }), planOf({ net: 'user', mac: 0x0200_0000_0001 })].map(
    (plan) => {
      const devices = withNetwork(plan, {}, host).devices.inspect().children;
      return devices?.find(({ name }) => name === 'virtio-net')?.children?.find(({ name }) => name === 'address')?.value;
    },
  );
  expect(addresses).toEqual(['52:54:00:12:34:56', '52:54:00:12:34:57', '02:00:00:00:00:01']);
});

/**
 * Answers each frame with one that has its own time in it, so often; the first one begins. How long it waited is in its memory, so in
 * the hash.
 */
const player = (rounds: number, begins: boolean) =>
  talking(`
    mov word [sender + 6], 0
    mov r14d, ${rounds}
    mov ecx, RECEIVE
    mov rdi, receive_queue
    call offer
    ${begins ? 'jmp .send' : ''}
.round:
    mov rdi, receive_queue
    call wait_for
    mov r15, [incoming + HEADER + 14]
    mov ecx, RECEIVE
    call offer
.send:
    rdtsc
    shl rdx, 32
    or rax, rdx
    add rax, r15
    imul rax, rax, 0x19660d
    mov [outgoing + HEADER + 14], rax
    mov ecx, TRANSMIT
    mov rdi, transmit_queue
    call offer
    dec r14d
    jnz .round
`);

describe('two guests at a switch', () => {
  const ROUNDS = 12;
  /** Frames that came and went, by partition. */
  const play = (slice: number) => {
    const host = new Host();
    const bridge = makeSwitch();
    const frames: string[][] = [[], []];
    const partitions = [true, false].map((begins, index) => {
      const capture = {
        write: (ticks: bigint, frame: Uint8Array) =>
          frames[index]?.push(`${ticks} ${Buffer.from(frame.subarray(0, 22)).toString('hex')}`),
        close() {},
      };
      const source = player(ROUNDS, begins);
      return withNetwork(planOf({ net: 'switch' }, { switch: bridge, capture }), {}, host, source);
    });
    for (let rest = 10_000; rest > 0; rest--) {
      const { partition } = host.run({ instructions: slice });
      if (partition && host.partitions.every(({ end }) => end !== undefined)) break;
    }
    return { partitions, frames };
  };
  const outcome = ({ partitions, frames }: ReturnType<typeof play>) => {
    return {
      frames,
      ends: partitions.map(({ end, icount }) => `${end?.kind} ${icount}`),
      hashes: partitions.map((one) => one.stateHash()),
    };
  };

  test('talk to each other, each frame 0.1 ms later', () => {
    const { frames, partitions } = play(1_000_000);
    expect(partitions.map(({ end }) => end?.kind)).toEqual(['power-off', 'power-off']);
    const [first = [], second = []] = frames;
    const timeOf = (line: string | undefined) => BigInt(line?.split(' ')[0] ?? 0);
    const sent = first.filter((line) => line.includes('525400123456'));
    const heard = second.filter((line) => line.includes('525400123456'));
    expect(sent.length).toBe(ROUNDS);
    expect(heard.map((line) => line.split(' ')[1])).toEqual(sent.map((line) => line.split(' ')[1]));
    // A timer fires at an instruction boundary: at its very time, as long as no instruction takes longer.
    heard.forEach((line, index) => {
      expect(timeOf(line) - timeOf(sent[index])).toBe(100_000n);
    });
  });

  test('do so at the same instructions, however the host is called', () => {
    const expected = outcome(play(1_000_000));
    expect(outcome(play(1_000_000))).toEqual(expected);
    expect(outcome(play(7_001))).toEqual(expected);
    expect(outcome(play(997))).toEqual(expected);
  });
});

test('a user network at a switch outlives the guest that brings it', () => {
  const run = (slice: number) => {
    const host = new Host();
    const bridge = makeSwitch();
    const ends = 'bits 64\nmov dx, 0x604\nmov ax, 0x2000\nout dx, ax';
    const asksLater = SAMPLE.replace('talk:', 'talk:\n    mov ecx, 900000\n.work:\n    loop .work\n');
    const [, asking] = [ends, asksLater].map((source, index) =>
      withNetwork(planOf({ net: index === 0 ? 'switch+user' : 'switch' }, { switch: bridge }), {}, host, source),
    );
    let text = '';
    asking?.onConsole((_source, bytes) => {
      text += Buffer.from(bytes).toString('latin1');
    });
    for (let rest = 10_000; rest > 0 && asking?.end === undefined; rest--) host.run({ instructions: slice });
    return { text, hash: asking?.stateHash(), icount: asking?.icount };
  };
  const outcome = run(1_000_000);
  expect(outcome.text).toBe('10.0.2.2 is at 52:55:0a:00:02:02\n');
  expect(run(7_001)).toEqual(outcome);
});

test('a frame wakes a guest that has nothing else to do, also when its sender has nothing left either', () => {
  const host = new Host();
  const bridge = makeSwitch();
  const [receiver] = [SLEEPING_RECEIVER, SENDER].map((source) =>
    withNetwork(planOf({ net: 'switch' }, { switch: bridge }), {}, host, source),
  );
  const kinds: string[] = [];
  while (receiver && receiver.end === undefined && kinds.at(-1) !== 'idle')
    kinds.push(host.run({ instructions: 100_000 }).stop.kind);
  expect(receiver?.end?.kind).toBe('power-off');
});

describe('what comes from outside', () => {
  /** A way outside that answers nothing by itself. */
  class Quiet implements OutsideConnection {
    ended = 0;
    constructor(readonly world: OutsideWorld) {}
    open(): void {}
    send(): void {}
    finish(): void {}
    close(): void {}
    setFlowing(): void {}
    end(): void {
      this.ended++;
    }
  }
  /** Takes so many frames, and keeps the time of each. */
  const listener = talking(`
    mov r14d, 3
.round:
    mov ecx, RECEIVE
    mov rdi, receive_queue
    call offer
    call wait_for
    rdtsc
    add r15, rax
    dec r14d
    jnz .round
  `);
  const start = () => {
    let outside: Quiet | undefined;
    const plan = planOf(
      { forward: [parseForward('udp:9000:7')] },
      {
        openOutside: (world) => {
          outside = new Quiet(world);
          return outside;
        },
      },
    );
    const partition = withNetwork(plan, {}, undefined, listener);
    return { partition, outside };
  };
  const finish = (partition: GuestPartition, slice: number) => {
    while (partition.run({ instructions: slice }).kind !== 'ended');
    return partition.stateHash();
  };

  test('comes at the same instructions when it is repeated, without anybody outside', () => {
    const { partition, outside } = start();
    for (const [index, at] of [40_000, 7_777, 123_456].entries()) {
      partition.run({ instructions: at });
      if (index === 0) outside?.world.happened({ kind: 'accepted', flow: 1, forward: 0 });
      // Each is a question for the guest's address, since nobody has told it yet.
      outside?.world.happened({ kind: 'data', flow: 1, bytes: Uint8Array.of(index) });
    }
    const log = partition.input.log;
    expect(log.map(({ to }) => to)).toEqual(Array.from({ length: 4 }, () => NETWORK_INPUT));
    const hash = finish(partition, 10_000);
    const again = start().partition;
    again.input.replay(log);
    expect(finish(again, 3_333)).toBe(hash);
    const early = start().partition;
    early.input.replay(log.map((input) => ({ ...input, icount: input.icount - 20_000n, ticks: input.ticks - 20_000n })));
    expect(finish(early, 10_000)).not.toBe(hash);
  });

  test('ends with the partition', () => {
    const { partition, outside } = start();
    partition.destroy();
    partition.destroy();
    expect(outside?.ended).toBe(1);
  });

  test('is nothing for a machine without a network', () => {
    const partition = guest(SAMPLE, { memory: 16 << 20 });
    expect(partition.sendToDevice(NETWORK_INPUT, encodeEvent({ kind: 'connected', flow: 1 }))).toBe(false);
  });
});

describe('networks that can not be', () => {
  test.each<[string, PartitionNetworkPlan, Partial<PartitionConfiguration>]>([
    ['platform bare has not', planOf({ net: 'user' }), { platform: 'bare' }],
    ['this one is alone', planOf({ net: 'switch' }), {}],
    ['belong to a user network', planOf({ net: 'switch', forward: [parseForward('tcp:1:1')] }, { switch: makeSwitch() }), {}],
    [
      'tcp port 1 of this machine is forwarded twice',
      planOf({ forward: [parseForward('tcp:1:1'), parseForward('tcp:1:2')] }),
      {},
    ],
  ])('%s', (sentence, network, more) => {
    expect(() => withNetwork(network, more)).toThrow(ConfigurationError);
    expect(() => withNetwork(network, more)).toThrow(sentence);
  });
});

test('served files have the last parts of their paths as names, which must differ', () => {
  const files = {
    read: (path: string) => new TextEncoder().encode(path),
    resolve: (_: string, path: string) => path,
    exists: () => true,
  };
  const plan = planOf({ serve: ['build/app.tar', 'notes'] });
  expect([plan.kind, ...(withServedFiles(plan, files).user.files?.keys() ?? [])]).toEqual(['user', 'app.tar', 'notes']);
  expect(() => withServedFiles(planOf({ serve: ['a/x', 'b/x'] }), files)).toThrow(ConfigurationError);
});

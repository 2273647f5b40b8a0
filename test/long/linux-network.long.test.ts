import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer as createWebServer } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import path from 'node:path';
import { afterAll, describe, expect, type TestContext, test } from 'vitest';
import { loopbackSockets } from '../../src/cli/loopback-sockets.ts';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { RealTime } from '../../src/cli/real-time.ts';
import { Host } from '../../src/hypervisor/host/host.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import type { OpenOutside } from '../../src/network/outside.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { makeSwitch, networkPlan, type PartitionNetworkPlan } from '../../src/platforms/network.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { initramfs } from '../linux/initramfs.ts';
import { debianBusybox, debianKernel } from '../linux/kernel.ts';

const INIT = path.resolve(import.meta.dirname, '../linux/network-init.sh');
const DRIVERS = ['virtio_ring', 'virtio', 'virtio_mmio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci'];
const MODULES = [...DRIVERS, 'failover', 'net_failover', 'virtio_net'];
const LOOPBACK = '127.0.0.1';
const SLICE = 1_000_000;
const BIG = Buffer.alloc(300_000, 'abcdefg');

/** What guests boot: the kernel's path and the first file system; or why it can't be had. */
function prepare(): { readonly kernel: string; readonly initrd: Uint8Array } | { readonly reason: string } {
  const [kernel, busybox] = [debianKernel(), debianBusybox()];
  if ('reason' in kernel) return kernel;
  if ('reason' in busybox) return busybox;
  const lacking = MODULES.find((name) => !existsSync(path.join(kernel.modules, `${name}.ko`)));
  if (lacking) return { reason: `the kernel's package has no uncompressed module ${lacking}` };
  const files = MODULES.map((name) => ({ name: `${name}.ko`, bytes: readFileSync(path.join(kernel.modules, `${name}.ko`)) }));
  const [init, tools] = [readFileSync(INIT), readFileSync(busybox.path)];
  return { kernel: kernel.path, initrd: initramfs([{ name: 'init', bytes: init }, { name: 'busybox', bytes: tools }, ...files]) };
}
const prepared = prepare();

function guestOf(context: TestContext) {
  if (!('reason' in prepared)) return prepared;
  console.log(`skipped: ${prepared.reason}`);
  return context.skip(prepared.reason);
}

interface Linux {
  readonly partition: GuestPartition;
  /** What it has printed since it began to talk. */
  readonly lines: () => string[];
}

/** Boots a guest; `words` are for its user space. */
function boot(
  { kernel, initrd }: Exclude<typeof prepared, { readonly reason: string }>,
  words: string,
  network: PartitionNetworkPlan,
  { host = new Host(), machine = 'microvm' as 'microvm' | 'pc' } = {},
): Linux {
  const program = loadProgram(nodeFiles.read(kernel), kernel, {}, nodeFiles);
  const commandLine = `console=ttyS0 quiet panic=-1 cryptomgr.notests rdinit=/init ${words}`;
  const partition = createPartition(
    { platform: 'kvm', vendor: 'intel', memory: 128 << 20, vcpus: 1, machine, commandLine, initrd, network },
    program,
    host,
  );
  let text = '';
  partition.onConsole((_source, bytes) => {
    text += Buffer.from(bytes).toString('latin1');
  });
  const lines = () => {
    const [, spoken = ''] = text.replaceAll('\r', '').split('BEGIN\n');
    return spoken.split('\n').filter((line) => line !== '' && !/^\[ *\d/.test(line));
  };
  return { partition, lines };
}

function plan(wishes: Parameters<typeof networkPlan>[0], more: Partial<PartitionNetworkPlan> = {}): PartitionNetworkPlan {
  const made = networkPlan(wishes);
  if (!made) throw new Error('a network is wanted');
  return { ...made, ...more };
}

describe('two Linux guests at a switch', () => {
  const play = (context: TestContext, slice: number) => {
    const guest = guestOf(context);
    const host = new Host();
    const bridge = makeSwitch();
    const network = plan({ net: 'switch' }, { switch: bridge });
    const [first, second] = ['role=answer own=10.0.0.1 peer=10.0.0.2', 'role=ask own=10.0.0.2 peer=10.0.0.1'].map((words) =>
      boot(guest, words, network, { host }),
    );
    if (!first || !second) throw new Error('there are two');
    const both = [first.partition, second.partition];
    while (both.some(({ end }) => end === undefined)) {
      const { stop } = host.run({ instructions: slice });
      if (stop.kind !== 'budget' && stop.kind !== 'ended') throw new Error(`the host stopped with ${stop.kind}`);
    }
    return { first, second, hashes: both.map((one) => `${one.icount} ${one.stateHash()}`) };
  };

  test('ping each other and talk by TCP, and the same run is the same again', (context) => {
    const started = performance.now();
    const { first, second, hashes } = play(context, SLICE);
    const seconds = (performance.now() - started) / 1000;
    console.log(`two guests: ${first.partition.icount + second.partition.icount} instructions in ${seconds.toFixed(1)} s`);
    expect(first.lines()).toEqual(['address 52:54:00:12:34:56 mtu 1500 carrier 1', 'from the one that asks', 'END']);
    expect(second.lines()).toEqual([
      'address 52:54:00:12:34:57 mtu 1500 carrier 1',
      '3 packets transmitted, 3 packets received, 0% packet loss',
      'from the one that answers',
      'END',
    ]);
    expect([first.partition.end?.kind, second.partition.end?.kind]).toEqual(['power-off', 'power-off']);
    expect(play(context, 77_777).hashes).toEqual(hashes);
  });
});

describe('a Linux guest on a user network', () => {
  const closing: (() => void)[] = [];
  afterAll(() => {
    for (const close of closing) close();
  });
  const portOf = (address: string | AddressInfo | null) => (typeof address === 'object' ? (address?.port ?? 0) : 0);

  /** Services on this machine: a web server, a file by datagrams; and a port that nobody has. */
  async function services() {
    const web = createWebServer(({ url }, answer) => {
      answer.end(url === '/hello' ? 'hello from outside\n' : BIG);
    }).listen(0, LOOPBACK);
    await once(web, 'listening');
    const files = createSocket('udp4').bind(0, LOOPBACK);
    await once(files, 'listening');
    // TFTP (RFC 1350): a read request is answered with the first block, which is the last one since it is short.
    files.on('message', (bytes, from) => {
      const block = Buffer.concat([Uint8Array.of(0, 3, 0, 1), Buffer.from('hello by datagram\n')]);
      if (bytes[1] === 1) files.send(block, from.port, from.address);
    });
    const free = createServer().listen(0, LOOPBACK);
    await once(free, 'listening');
    const port = portOf(free.address());
    free.close();
    await once(free, 'close');
    closing.push(
      () => web.close(),
      () => files.close(),
    );
    return { web: portOf(web.address()), files: portOf(files.address()), free: port };
  }

  test.for(['microvm', 'pc'] as const)(
    '%s: DHCP, pings, names, a web server outside, a file by datagrams, a client outside',
    async (machine, context) => {
      const guest = guestOf(context);
      const { web, files, free } = await services();
      const wishes = {
        net: 'user',
        guestForward: [
          { kind: 'tcp', port: 80, hostPort: web },
          { kind: 'udp', port: 69, hostPort: files },
        ],
        forward: [{ kind: 'tcp', hostPort: free, guestIp: 0x0a00_020f, guestPort: 80 }],
        hosts: [['server.test', 0x0a00_0202]],
      } as const;
      const start = (openOutside?: OpenOutside) => boot(guest, 'role=user', plan(wishes, { openOutside }), { machine });

      const told: string[] = [];
      const { partition, lines } = start(loopbackSockets((sentence) => told.push(sentence)));
      partition.idlePace = new RealTime();
      let client = '';
      for (let hasClient = false; partition.end === undefined; ) {
        partition.run({ instructions: SLICE });
        if (!hasClient && lines().includes('READY')) {
          hasClient = true;
          const socket = connect(free, LOOPBACK);
          socket.on('data', (bytes) => {
            client += bytes;
          });
          socket.on('error', () => {});
          socket.end('from the client\n');
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      const icount = partition.icount;
      const hash = partition.stateHash();
      const log = partition.input.log;
      partition.destroy();
      expect(lines()).toEqual([
        'address 52:54:00:12:34:56 mtu 1500 carrier 1',
        'lease 10.0.2.15/24 router 10.0.2.2 dns 10.0.2.3',
        '3 packets transmitted, 3 packets received, 0% packet loss',
        'Name:\tserver.test',
        'Address: 10.0.2.2',
        "** server can't find nowhere.test: NXDOMAIN",
        'hello from outside',
        'b3d96beb7bc9fb9f1dfb97a0e15be48e  /big',
        "wget: can't connect to remote host (10.0.2.2): Connection refused",
        'hello by datagram',
        'READY',
        'from the client',
        'END',
      ]);
      expect([client, told, partition.end?.kind]).toEqual(['from the guest\n', [], 'destroyed']);

      // Once is enough to see that nothing else comes in.
      if (machine === 'pc') return;
      const again = start();
      again.partition.input.replay(log);
      while (again.partition.end === undefined) again.partition.run({ instructions: 77_777 });
      expect([again.partition.icount, again.partition.stateHash()]).toEqual([icount, hash]);
      expect(again.lines()).toEqual(lines());
    },
  );
});

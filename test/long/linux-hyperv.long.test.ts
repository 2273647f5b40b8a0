import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import type { InspectNode } from '../../src/devices/inspect.ts';
import { Host } from '../../src/hypervisor/host/host.ts';
import {
  BACKUP_INPUT,
  encodeBackupRequest,
  encodeKvpRequest,
  KVP_INPUT,
  SHUTDOWN_INPUT,
} from '../../src/platforms/hyperv/vsps/integration-inputs.ts';
import { makeSwitch, networkPlan, type PartitionNetworkPlan } from '../../src/platforms/network.ts';
import { openDisk } from '../../src/platforms/open-disk.ts';
import { ConsoleGuest } from '../linux/console-guest.ts';
import {
  BootedGuest,
  fileOfDisk,
  greetingDisk,
  HYPERV_COMMAND_LINE,
  hypervGuest,
  type PreparedGuest,
} from '../linux/hyperv-guest.ts';
import { debianDaemon } from '../linux/kernel.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-hyperv-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BIG = Buffer.alloc(300_000, 'abcdefg');
const GREETING = 'hello from the host';
const SLICE = 1_000_000;
const IS_READY = '@ ready\n';

const prepared = hypervGuest();
const reason = 'reason' in prepared ? prepared.reason : undefined;
if (reason) console.log(`skipped: ${reason}`);
const guest = 'kernel' in prepared ? prepared : { kernel: '', initrd: new Uint8Array(0) };

/** What the user space said, in order. */
const marks = (text: string) => [...text.matchAll(/^@ (.*)$/gm)].map(([, words]) => words);
const DEVICES = [
  'device {0e0b6031-5213-4934-818b-38d90ced39db} hv_utils',
  'device {35fa2e29-ea23-4236-96ae-3a6ebacba440} hv_utils',
  'device {57164f39-9115-4e78-ab55-382f3bd5422d} hv_utils',
  'device {9527e630-d0ae-497b-adce-e80ab0175caf} hv_utils',
  'device {a9a0f4e7-5a45-4d96-b827-8a841e8c03e6} hv_utils',
  'device {ba6163d9-04a1-4d29-b605-72e2ffb1dc7f} hv_storvsc',
  'device {f8615163-df3e-46c5-913f-f2d2f965ed0e} hv_netvsc',
  'device {f912ad6d-2b17-48ea-bd65-f927a61c7684} hyperv_keyboard',
];

describe.skipIf(reason)("Debian's kernel as a child of Hyper-V, by the command line", () => {
  for (const [vendor, vcpus] of [
    ['intel', 1],
    ['amd', 2],
  ] as const)
    test(`finds all that its parent has for it, and goes down when it is asked: ${vendor}, ${vcpus} vCPUs`, async (context) => {
      const disk = greetingDisk(folder, GREETING);
      if ('reason' in disk) return context.skip(disk.reason);
      const [initrd, big] = [path.join(folder, 'initramfs.cpio'), path.join(folder, 'big')];
      writeFileSync(initrd, guest.initrd);
      writeFileSync(big, BIG);
      const machine = ['--platform', 'hyperv', '--vendor', vendor, '--vcpus', String(vcpus), '--memory', '192M'];
      const devices = ['--disk', `${disk.path},write=on`, '--net', 'user', '--serve', big];
      const boot = ['--initrd', initrd, '--append', `${HYPERV_COMMAND_LINE} role=all`];
      const linux = new ConsoleGuest([guest.kernel, ...machine, ...devices, ...boot]);
      await linux.until(IS_READY);
      linux.stop();
      const { status, errors } = await linux.end();
      expect([status, errors]).toEqual([0, 'hyperscope: the guest is asked to shut down\r\n']);
      for (const line of [
        /^\[ +0\.0+\] Hypervisor detected: Microsoft Hyper-V$/m,
        /Hyper-V: privilege flags low 0x[\da-f]+, high 0x[\da-f]+, hints 0x[\da-f]+, misc 0x[\da-f]+$/m,
        /Hyper-V: Host Build \d+\.\d+\.\d+\.\d+-\d+-\d+$/m,
        /Hyper-V: LAPIC Timer Frequency: 0x[\da-f]+$/m,
        /clocksource: hyperv_clocksource_tsc_page: /,
        /Booting paravirtualized kernel on Hyper-V$/m,
        /hv_vmbus: Vmbus version:5\.3$/m,
        /hv_vmbus: registering driver hv_storvsc$/m,
        /scsi 0:0:0:0: Direct-Access /,
        /hv_vmbus: registering driver hv_netvsc$/m,
        /hv_utils: Heartbeat IC version 3\.0$/m,
        /hv_utils: Shutdown IC version 3\.2$/m,
        /hv_utils: TimeSync IC version 4\.0$/m,
        /hv_utils: VSS IC version 5\.0$/m,
        /hv_vmbus: registering driver hyperv_keyboard$/m,
        /hv_utils: Shutdown request received - graceful shutdown initiated$/m,
        /reboot: Power down$/m,
      ])
        expect(linux.text).toMatch(line);
      expect(linux.text).not.toMatch(/BUG|Call Trace|unchecked MSR|WARNING: CPU|Unknown symbol/);
      const said = marks(linux.text);
      expect(said).toEqual(expect.arrayContaining(DEVICES));
      expect(said.filter((line) => !line?.startsWith('device '))).toEqual([
        `cpus ${vcpus}`,
        'clock hyperv_clocksource_tsc_page',
        'events Hyper-V clockevent',
        'year 2026',
        `disk ${GREETING}`,
        `disk ${8 << 20} bytes`,
        'lease 10.0.2.15/24 router 10.0.2.2',
        'ping 3 packets transmitted, 3 packets received, 0% packet loss',
        `fetched ${createHash('md5').update(BIG).digest('hex')}`,
        'ready',
      ]);
      expect(fileOfDisk(disk.path, 'answer')).toBe(`written by the guest on ${vcpus} vCPUs\n`);
      expect(fileOfDisk(disk.path, 'many')).toBe('x'.repeat(256 << 10));
    });
});

/** Boots a guest inside of this process; `words` are for its user space. */
function boot(words: string, network?: PartitionNetworkPlan, host = new Host(), prepared: PreparedGuest = guest): BootedGuest {
  return new BootedGuest(prepared, { commandLine: `${HYPERV_COMMAND_LINE} quiet ${words}`, network }, host);
}

function planOf(wishes: Parameters<typeof networkPlan>[0], more: Partial<PartitionNetworkPlan> = {}): PartitionNetworkPlan {
  const made = networkPlan(wishes);
  if (!made) throw new Error('a network is wanted');
  return { ...made, ...more };
}

describe.skipIf(reason)('Linux as a child of Hyper-V', () => {
  test('is the same again when the same request to shut down comes at the same instruction', () => {
    const first = boot('role=boot');
    while (!first.text.includes(IS_READY)) first.partition.run({ instructions: SLICE });
    expect(first.partition.sendToDevice(SHUTDOWN_INPUT, Uint8Array.of(0))).toBe(true);
    while (first.partition.end === undefined) first.partition.run({ instructions: SLICE });
    expect(first.partition.end.kind).toBe('power-off');
    const again = boot('role=boot');
    again.partition.input.replay(first.partition.input.log);
    while (again.partition.end === undefined) again.partition.run({ instructions: 77_777 });
    const state = ({ partition }: BootedGuest) => [partition.icount, partition.stateHash()];
    expect(state(again)).toEqual(state(first));
    expect(again.text).toBe(first.text);
  });

  test('that panics tells its host why, by the crash MSRs', () => {
    const { partition } = boot('role=panic');
    while (partition.end === undefined) partition.run({ instructions: SLICE });
    const { kind, message, details } = partition.end;
    expect([kind, message]).toEqual([
      'crash',
      expect.stringMatching(
        /^The guest \(Linux.*\) reported a crash on VP 0: "Kernel panic - not syncing: sysrq triggered crash"\.$/,
      ),
    ]);
    expect(details?.join('\n')).toMatch(/sysrq_handle_crash/);
  });

  test('exchanges key-value pairs by its service', (context) => {
    const daemon = debianDaemon('hv_kvp_daemon');
    if ('reason' in daemon) return context.skip(daemon.reason);
    const withDaemon = hypervGuest({ files: daemon.files });
    if ('reason' in withDaemon) return context.skip(withDaemon.reason);
    const linux = boot('role=pairs own=10.0.2.15', planOf({ net: 'user' }), undefined, withDaemon);
    const { partition } = linux;
    const set = encodeKvpRequest({ operation: 'set', key: 'role', value: 'web' });
    let isSet = false;
    while (!linux.text.includes(IS_READY) && partition.end === undefined) {
      partition.run({ instructions: SLICE });
      if (!isSet) isSet = partition.sendToDevice(KVP_INPUT, set);
    }
    expect(linux.marks.slice(4)).toEqual(['address 52:54:00:12:34:56', 'pair role web ', 'ready']);
    const find = (node: InspectNode | undefined, name: string) => node?.children?.find((child) => child.name === name);
    const shown = () => ['platform', 'integration', 'kvp'].reduce<InspectNode | undefined>(find, partition.inspect());
    const card = encodeKvpRequest({ operation: 'addresses', key: '52:54:00:12:34:56' });
    expect(partition.sendToDevice(KVP_INPUT, card)).toBe(true);
    expect(linux.until(() => find(shown(), 'card 52:54:00:12:34:56') !== undefined)).toBe(true);
    const kvp = shown();
    expect(find(find(kvp, 'card 52:54:00:12:34:56'), 'addresses')?.value).toMatch(/(^|, )10\.0\.2\.15($|,)/);
    const pairs = Object.fromEntries(find(kvp, 'auto')?.children?.map(({ name, value }) => [name, value]) ?? []);
    expect(pairs).toMatchObject({
      OSName: 'Tiny',
      OSBuildNumber: expect.stringMatching(/^6\.1\.0/),
      ProcessorArchitecture: 'x86_64',
    });
    expect(find(find(kvp, 'external'), 'role')?.value).toBe('web');
  });

  test('has its file systems stand still for a backup, until they are thawed', (context) => {
    const [daemon, disk] = [debianDaemon('hv_vss_daemon'), greetingDisk(folder, GREETING)];
    if ('reason' in daemon) return context.skip(daemon.reason);
    if ('reason' in disk) return context.skip(disk.reason);
    const withDaemon = hypervGuest({ files: daemon.files });
    if ('reason' in withDaemon) return context.skip(withDaemon.reason);
    const disks = [openDisk({ file: disk.path }, nodeFiles)];
    const commandLine = `${HYPERV_COMMAND_LINE} quiet role=backup`;
    const linux = new BootedGuest(withDaemon, { commandLine, disks });
    const { partition } = linux;
    const find = (node: InspectNode | undefined, name: string) => node?.children?.find((child) => child.name === name);
    const shown = (name: string) =>
      ['platform', 'integration', 'vss', name].reduce<InspectNode | undefined>(find, partition.inspect())?.value;
    const ask = (request: 'freeze' | 'thaw') => partition.sendToDevice(BACKUP_INPUT, encodeBackupRequest(request));
    const wrote = () => linux.marks.filter((words) => words === 'wrote').length;
    // Without its service the driver refuses.
    const isFrozen = () => {
      if (/not asked|refuses/.test(shown('request') ?? '') && wrote() > 0) ask('freeze');
      return shown('file systems') === 'frozen';
    };
    expect(linux.until(isFrozen)).toBe(true);
    // A line may have been written just before.
    linux.until(() => false, 100);
    const before = wrote();
    linux.until(() => false, 1000);
    expect(wrote()).toBe(before);
    ask('thaw');
    expect(linux.until(() => wrote() > before + 2)).toBe(true);
    expect([shown('request'), shown('file systems')]).toEqual(['done: THAW', 'running']);
  });

  test('and another one talk over the virtual switch', () => {
    const host = new Host();
    const network = planOf({ net: 'switch' }, { switch: makeSwitch() });
    const [first, second] = ['role=answer own=10.0.0.1 peer=10.0.0.2', 'role=ask own=10.0.0.2 peer=10.0.0.1'].map((words) =>
      boot(words, network, host),
    );
    if (!first || !second) throw new Error('there are two');
    while ([first, second].some(({ partition }) => partition.end === undefined)) {
      const { stop } = host.run({ instructions: SLICE });
      if (stop.kind !== 'budget' && stop.kind !== 'ended') throw new Error(`the host stopped with ${stop.kind}`);
    }
    const [answers, asks] = [first, second].map((linux) => linux.marks.slice(4));
    expect(answers).toEqual(['address 52:54:00:12:34:56', 'done', 'ready']);
    expect(asks).toEqual([
      'address 52:54:00:12:34:57',
      'ping 3 packets transmitted, 3 packets received, 0% packet loss',
      'heard from the one that answers',
      'ready',
    ]);
  });
});

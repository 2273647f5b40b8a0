import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { encodePlugging, VMBUS_INPUT } from '../../src/platforms/hyperv/vmbus/plugging.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { busyboxInitramfs } from '../linux/busybox-initramfs.ts';
import { debianBusybox, debianKernel } from '../linux/kernel.ts';

/** In the order in which they need each other. */
const MODULES = [
  'hv_vmbus',
  'pci-hyperv-intf',
  'pci-hyperv',
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'virtio-rng',
];
const MOST_INSTRUCTIONS = 6_000_000_000n;
const BUS = '6b1a7d35-9a01-4e20-b0c6-3f5d12a98e47';

test.for(['intel', 'amd'] as const)(
  "Debian's pci-hyperv on %s: random bytes of an assigned device, whose interrupts go to one vCPU after the other",
  (vendor, context) => {
    const kernel = debianKernel();
    const busybox = debianBusybox();
    if ('reason' in kernel) return context.skip(kernel.reason);
    if ('reason' in busybox) return context.skip(busybox.reason);
    const initrd = busyboxInitramfs({ busybox: busybox.path, modules: kernel.modules }, 'hyperv-vpci-init.sh', MODULES);
    const partition = createPartition(
      {
        platform: 'hyperv',
        vendor,
        vcpus: 2,
        assign: ['rng'],
        initrd,
        commandLine: 'console=ttyS0 quiet panic=-1 cryptomgr.notests',
        exitsKept: 100_000,
      },
      loadProgram(readFileSync(kernel.image), kernel.image, {}, nodeFiles),
    );
    const marks: string[] = [];
    let open = '';
    partition.onConsole((_source, bytes) => {
      const lines = (open + Buffer.from(bytes).toString('latin1')).replaceAll('\r', '').split('\n');
      open = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('@ ')) marks.push(line.slice(2));
        if (line === '@ eject') partition.sendToDevice(VMBUS_INPUT, encodePlugging({ isIn: false, name: 'vpci' }));
        if (line === '@ restore') partition.sendToDevice(VMBUS_INPUT, encodePlugging({ isIn: true, name: 'vpci' }));
      }
    });
    while (partition.icount < MOST_INSTRUCTIONS) if (partition.run({ instructions: 1_000_000 }).kind === 'ended') break;
    const told = (name: string) =>
      marks.flatMap((mark) => (mark.startsWith(`${name} `) ? [mark.slice(name.length + 1)] : [])).join('\n');
    /** Interrupts of each vCPU, told so. */
    const counts = (when: string) => told(when).split(' ').map(Number);
    expect(told('function')).toBe('9a01:00:00.0 0x1af4 0x1044 virtio-pci');
    expect(told('bus')).toBe(`${BUS} hv_pci`);
    expect(told('interrupt')).toMatch(/^Hyper-V PCIe MSI \d+-edge virtio0-input$/);
    expect(told('drawn')).toMatch(/^[\da-f]{32}$/);
    expect(told('drawn')).not.toBe('d41d8cd98f00b204e9800998ecf8427e');
    for (const round of [0, 1, 2]) {
      const vcpu = round % 2;
      const [before, after] = [counts(`before ${round}`), counts(`after ${round}`)];
      const grown = [0, 1].map((index) => (after[index] ?? 0) - (before[index] ?? 0));
      expect(grown[vcpu]).toBeGreaterThan(0);
      expect(grown[1 - vcpu]).toBe(0);
    }
    const calls = partition.journal
      .latest(100_000)
      .flatMap(({ request, result }) => (request?.includes('HvCallRetargetDeviceInterrupt') ? [{ request, result }] : []));
    // One for each of two interrupts, and one for each move.
    expect(calls.length).toBeGreaterThanOrEqual(5);
    expect(calls.every(({ result }) => result === 'HV_STATUS_SUCCESS')).toBe(true);
    expect(calls[0]?.request).toMatch(/device 0x9a014e20, entrySource 1, entryAddress 0xfee000\d0,/);
    // To vCPU 1 by a set of one bank.
    expect(calls.some(({ request }) => request.endsWith('targetFlags 2, processorMask 0, variable 1 2)'))).toBe(true);
    expect(told('left')).toBe('0 none');
    expect(told('again')).toMatch(/^9a01:00:00\.0 [\da-f]{32}$/);
    expect(marks.at(-1)).toBe('ready');
  },
);

import { expect, test } from 'vitest';
import { encodePlugging, VMBUS_INPUT } from '../../src/platforms/hyperv/vmbus/plugging.ts';
import { BootedGuest, hypervGuest } from '../linux/hyperv-guest.ts';

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
/** Of a million instructions. */
const MOST_SLICES = 6000;
const BUS = '6b1a7d35-9a01-4e20-b0c6-3f5d12a98e47';

test.for(['intel', 'amd'] as const)(
  "Debian's pci-hyperv on %s: random bytes of an assigned device, whose interrupts go to one vCPU after the other",
  (vendor, context) => {
    const guest = hypervGuest({ init: 'hyperv-vpci-init.sh', modules: MODULES });
    if ('reason' in guest) return context.skip(guest.reason);
    const linux = new BootedGuest(guest, { vendor, vcpus: 2, assign: ['rng'], exitsKept: 100_000 });
    const { partition } = linux;
    linux.onMark = (mark) => {
      if (mark === 'eject') partition.sendToDevice(VMBUS_INPUT, encodePlugging({ isIn: false, name: 'vpci' }));
      if (mark === 'restore') partition.sendToDevice(VMBUS_INPUT, encodePlugging({ isIn: true, name: 'vpci' }));
    };
    linux.until(() => partition.end !== undefined, MOST_SLICES);
    const { marks } = linux;
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

import { describe, expect, test } from 'vitest';
import { vmbusOf, vmbusView } from '../../src/debugger/inspection/vmbus.ts';
import { encodePlugging, VMBUS_INPUT } from '../../src/platforms/hyperv/vmbus/plugging.ts';
import { SHUTDOWN_INPUT } from '../../src/platforms/hyperv/vsps/integration-inputs.ts';
import { networkPlan } from '../../src/platforms/network.ts';
import { BootedGuest, HYPERV_COMMAND_LINE, hypervGuest } from '../linux/hyperv-guest.ts';

/** Linux's driver of SCSI controllers can't let go of one: its last command, to write its cache, is never taken. */
const SERVICES = ['netvsp', 'heartbeat'] as const;

const prepared = hypervGuest();
const reason = 'reason' in prepared ? prepared.reason : undefined;
if (reason) console.log(`skipped: ${reason}`);
const guest = 'kernel' in prepared ? prepared : { kernel: '', initrd: new Uint8Array(0) };

/** Debian's kernel with two vCPUs and a network card. */
function boot() {
  const commandLine = `${HYPERV_COMMAND_LINE} quiet role=boot`;
  const linux = new BootedGuest(guest, { vcpus: 2, commandLine, network: networkPlan({ net: 'user' }) });
  const { partition } = linux;
  const bus = vmbusOf(partition);
  if (bus === undefined) throw new Error('the guest has no VMBus');
  const statesOf = (service: string) =>
    vmbusView(bus).channels.flatMap(({ name, state }) => (name.startsWith(service) ? [`${name} ${state}`] : []));
  const plug = (isIn: boolean, name: string) => partition.sendToDevice(VMBUS_INPUT, encodePlugging({ isIn, name }));
  return { linux, bus, statesOf, plug };
}

describe.skipIf(reason)("Debian's kernel on the VMBus", () => {
  test('has devices taken away and given back while it runs, subchannels and all', () => {
    const { linux, bus, statesOf, plug } = boot();
    const { partition } = linux;
    const until = (holds: () => boolean) => linux.until(holds);
    expect(linux.untilReady()).toBe(true);
    expect(until(() => statesOf('netvsp').length === 2)).toBe(true);
    const before = new Map(SERVICES.map((service) => [service, statesOf(service)]));
    expect(before.get('netvsp')).toEqual(['netvsp open', 'netvsp subchannel 1 open']);
    for (const service of SERVICES) {
      const memory = bus.gpadls.size;
      plug(false, service);
      expect([service, until(() => statesOf(service).length === 0)]).toEqual([service, true]);
      plug(true, service);
      expect([service, until(() => statesOf(service).join() === before.get(service)?.join())]).toEqual([service, true]);
      expect([service, bus.gpadls.size]).toEqual([service, memory]);
    }
    expect(bus.notes.latest).toBeUndefined();
    expect(linux.text).not.toMatch(/BUG|Call Trace|WARNING: CPU/);
    partition.sendToDevice(SHUTDOWN_INPUT, Uint8Array.of(0));
    until(() => partition.end !== undefined);
    expect(partition.end?.kind).toBe('power-off');
  });
});

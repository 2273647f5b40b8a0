import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { vmbusOf, vmbusView } from '../../src/debugger/inspection/vmbus.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { encodePlugging, VMBUS_INPUT } from '../../src/platforms/hyperv/vmbus/plugging.ts';
import { SHUTDOWN_INPUT } from '../../src/platforms/hyperv/vsps/integration-inputs.ts';
import { networkPlan } from '../../src/platforms/network.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { HYPERV_COMMAND_LINE, hypervGuest } from '../linux/hyperv-guest.ts';

const SLICE = 1_000_000;
/** Linux's driver of SCSI controllers can't let go of one: its last command, to write its cache, is never taken. */
const SERVICES = ['netvsp', 'heartbeat'] as const;

const prepared = hypervGuest();
const reason = 'reason' in prepared ? prepared.reason : undefined;
if (reason) console.log(`skipped: ${reason}`);
const guest = 'kernel' in prepared ? prepared : { kernel: '', initrd: new Uint8Array(0) };

/** Debian's kernel with two vCPUs and a network card, booted to its user space. */
function boot() {
  const program = loadProgram(nodeFiles.read(guest.kernel), guest.kernel, {}, nodeFiles);
  const partition = createPartition(
    {
      platform: 'hyperv',
      vendor: 'intel',
      memory: 192 << 20,
      vcpus: 2,
      commandLine: `${HYPERV_COMMAND_LINE} quiet role=boot`,
      initrd: guest.initrd,
      network: networkPlan({ net: 'user' }),
    },
    program,
  );
  let text = '';
  partition.onConsole((_source, bytes) => {
    text += Buffer.from(bytes).toString('latin1');
  });
  const bus = vmbusOf(partition);
  if (bus === undefined) throw new Error('the guest has no VMBus');
  /** Runs until something holds; false where it doesn't in so many slices. */
  const until = (holds: () => boolean, slices = 4000): boolean => {
    for (let slice = 0; slice < slices && partition.end === undefined && !holds(); slice++)
      partition.run({ instructions: SLICE });
    return holds();
  };
  const statesOf = (service: string) =>
    vmbusView(bus).channels.flatMap(({ name, state }) => (name.startsWith(service) ? [`${name} ${state}`] : []));
  const plug = (isIn: boolean, name: string) => partition.sendToDevice(VMBUS_INPUT, encodePlugging({ isIn, name }));
  return { partition, bus, until, statesOf, plug, text: () => text };
}

describe.skipIf(reason)("Debian's kernel on the VMBus", () => {
  test('has devices taken away and given back while it runs, subchannels and all', () => {
    const { partition, bus, until, statesOf, plug, text } = boot();
    expect(until(() => text().includes('@ ready'))).toBe(true);
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
    expect(text()).not.toMatch(/BUG|Call Trace|WARNING: CPU/);
    partition.sendToDevice(SHUTDOWN_INPUT, Uint8Array.of(0));
    until(() => partition.end !== undefined);
    expect(partition.end?.kind).toBe('power-off');
  });
});

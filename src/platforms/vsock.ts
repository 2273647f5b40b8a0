import { VSOCK_INPUT } from '../devices/virtio/inputs.ts';
import type { VirtioConfiguration } from '../devices/virtio/machine-devices.ts';
import type { GuestPartition } from '../hypervisor/partition/guest-partition.ts';
import { encodeEvent, NOWHERE, type OpenOutside } from '../network/outside.ts';
import { LoopbackVsockHost, type VsockPorts } from '../network/vsock-host.ts';

/** What the sockets of a partition lead to, and who opens the way there; nothing is there without. */
export interface VsockPlan extends VsockPorts {
  readonly openOutside?: OpenOutside;
}

/** Says how the host of a partition's sockets is made. `partition`: that partition, which is asked for later. */
export function vsockHostOf(plan: VsockPlan, partition: () => GuestPartition): NonNullable<VirtioConfiguration['vsockHost']> {
  return (happened) => {
    const outside = plan.openOutside?.({
      forwards: plan.forwards.map(({ hostPort }) => ({ kind: 'tcp', hostPort })),
      happened: (event) => partition().sendToDevice(VSOCK_INPUT, encodeEvent(event)),
    });
    return new LoopbackVsockHost(plan, outside ?? NOWHERE, happened);
  };
}

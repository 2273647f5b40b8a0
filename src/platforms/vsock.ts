import { VSOCK_INPUT } from '../devices/virtio/inputs.ts';
import type { VirtioConfiguration } from '../devices/virtio/machine-devices.ts';
import type { GuestPartition } from '../hypervisor/partition/guest-partition.ts';
import { encodeEvent, NOWHERE, type OpenOutside } from '../network/outside.ts';
import { LoopbackVsockHost } from '../network/vsock-host.ts';
import type { VsockPorts } from '../network/vsock-ports.ts';

/** What the sockets of a partition lead to, and who opens the way there; nothing is there without. */
export interface VsockPlan extends VsockPorts {
  readonly openOutside?: OpenOutside;
}

/** Why the sockets of a guest can't lead to these ports, as a sentence; undefined where they can. */
export function whyNoPorts({ forwards }: VsockPorts, cid: number | undefined): string | undefined {
  if (cid === undefined) return 'Ports of sockets lead nowhere without virtio-vsock; give the guest a context for it, such as 3.';
  const ports = forwards.map(({ hostPort }) => hostPort);
  const twice = ports.find((port, index) => ports.indexOf(port) !== index);
  return twice === undefined ? undefined : `The TCP port ${twice} of this machine is forwarded twice; each leads to one place.`;
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

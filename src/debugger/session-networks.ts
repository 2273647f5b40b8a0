import type { OpenOutside } from '../network/outside.ts';
import type { Capture } from '../network/partition-network.ts';
import type { VirtualSwitch } from '../network/switch/virtual-switch.ts';
import { vsockPortsOf } from '../network/vsock-ports.ts';
import { makeSwitch, networkPlan, type PartitionNetworkPlan, withServedFiles } from '../platforms/network.ts';
import type { VsockPlan } from '../platforms/vsock.ts';
import type { FileAccess } from '../programs/program.ts';
import { LaunchError, type PartitionLaunch } from './configuration/launch-configuration.ts';

/** What networks have of the world outside, given by who has sockets and files. */
export interface NetworkWorld {
  /** Nothing is outside when missing. */
  readonly openOutside?: OpenOutside;
  /** Begins a file of frames. Throws LaunchError. */
  readonly openCapture?: (path: string) => Capture;
}

/** The networks of the partitions of one session, with the switch between them. */
export class SessionNetworks {
  private readonly bridge: VirtualSwitch | undefined;

  /** Throws LaunchError for networks that can't be beside each other. */
  constructor(
    members: readonly PartitionLaunch[],
    private readonly world: NetworkWorld,
    private readonly files: FileAccess,
  ) {
    this.bridge = members.length > 1 ? makeSwitch() : undefined;
    const [first, second] = members.filter(({ net }) => net === 'switch+user');
    if (first && second)
      throw new LaunchError(
        `"${first.name}" and "${second.name}" both bring a user network to the switch, which can have one; give the others the network "switch".`,
      );
    const twice = (name: 'mac' | 'pcap') => {
      const values = members.flatMap((member) => member[name] ?? []);
      return values.some((value, index) => values.indexOf(value) !== index);
    };
    if (twice('mac')) throw new LaunchError('Two partitions have the same "mac"; give each one of its own, or leave it out.');
    if (twice('pcap')) throw new LaunchError('Two partitions have the same "pcap"; give each a file of its own.');
  }

  /** What a partition's sockets lead to; undefined where nothing is said of it. */
  vsockPlanOf({ vsockForward, vsockGuestForward }: PartitionLaunch): VsockPlan | undefined {
    const ports = vsockPortsOf(vsockForward, vsockGuestForward);
    return ports && { ...ports, openOutside: this.world.openOutside };
  }

  /** The network that a partition wants; undefined for none. Throws ConfigurationError or LaunchError. */
  planOf(member: PartitionLaunch): PartitionNetworkPlan | undefined {
    const plan = networkPlan(member);
    const { openOutside, openCapture } = this.world;
    if (member.pcap !== undefined && plan === undefined)
      throw new LaunchError('"pcap" has nothing to write without a network card; give the partition a "net".');
    if (member.pcap !== undefined && !openCapture)
      throw new LaunchError('This debug adapter has no files to write: leave "pcap" out.');
    const capture = member.pcap === undefined ? undefined : openCapture?.(member.pcap);
    return plan && { ...withServedFiles(plan, this.files), switch: this.bridge, openOutside, capture };
  }
}

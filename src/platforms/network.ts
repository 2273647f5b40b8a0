import { NETWORK_INPUT } from '../devices/pc/pc.ts';

import { type Host, TURN } from '../hypervisor/host/host.ts';
import type { GuestPartition } from '../hypervisor/partition/guest-partition.ts';
import type { NetworkConfiguration } from '../hypervisor/partition/wire-devices.ts';
import { encodeEvent, type OpenOutside, type OutsideEvent, openMovable } from '../network/outside.ts';
import { type Capture, PartitionNetwork } from '../network/partition-network.ts';
import { VirtualSwitch } from '../network/switch/virtual-switch.ts';
import type { Forward, GuestForward, UserNetworkOptions } from '../network/user/options.ts';
import type { FileAccess } from '../programs/program.ts';
import { ConfigurationError } from './configuration.ts';

/** What a network card can be plugged into; `switch+user`: a user network that the others at the switch reach, too. */
export const NETWORK_NAMES = ['none', 'user', 'switch', 'switch+user'] as const;
export type NetworkName = (typeof NETWORK_NAMES)[number];

/** The network of a partition: what the user wants, and what others give for it. */
export interface PartitionNetworkPlan {
  readonly kind: Exclude<NetworkName, 'none'>;
  /** The card's address; one of the partition's number when missing. */
  readonly mac?: number;
  readonly user: UserNetworkOptions;
  /** Files that the user network's gateway is to serve, by their paths; {@link withServedFiles} reads them. */
  readonly serve?: readonly string[];
  /** The switch of the session; needed where the kind names one. */
  readonly switch?: VirtualSwitch;
  /** Opens the way outside; nothing is there when missing. */
  readonly openOutside?: OpenOutside;
  readonly capture?: Capture;
}

/** What a user says of a network, each as it is understood; undefined where nothing is said. */
export interface NetworkWishes {
  readonly net?: NetworkName;
  readonly mac?: number;
  readonly forward?: readonly Forward[];
  readonly guestForward?: readonly GuestForward[];
  readonly hosts?: readonly (readonly [name: string, ip: number])[];
  readonly serve?: readonly string[];
}

/** The network that a user wants; whoever forwards something and names none wants a user network. Throws ConfigurationError. */
export function networkPlan(wishes: NetworkWishes): Pick<PartitionNetworkPlan, 'kind' | 'mac' | 'user' | 'serve'> | undefined {
  const { net, mac, forward = [], guestForward = [], hosts = [], serve = [] } = wishes;
  const isUsers = forward.length + guestForward.length + hosts.length + serve.length > 0;
  const kind = net ?? (isUsers ? 'user' : 'none');
  if (kind !== 'none')
    return { kind, mac, serve, user: { forwards: forward, guestForwards: guestForward, hosts: new Map(hosts) } };
  if (isUsers)
    throw new ConfigurationError(
      'Forwards, names and served files belong to a user network, but the network is none; use the network user.',
    );
  return undefined;
}

/** A plan with the files that its gateway serves, each by the last part of its path. Throws ConfigurationError or ProgramError. */
export function withServedFiles<Plan extends Pick<PartitionNetworkPlan, 'user' | 'serve'>>(plan: Plan, files: FileAccess): Plan {
  const served = new Map<string, Uint8Array>();
  for (const path of plan.serve ?? []) {
    const name = path.split(/[\\/]/).at(-1) ?? path;
    if (served.has(name))
      throw new ConfigurationError(`Two files that are served have the name ${name}; the guest couldn't tell them apart.`);
    served.set(name, files.read(path));
  }
  return { ...plan, user: { ...plan.user, files: served } };
}

/** The address of the first partition's card, as QEMU's first one has it; the others follow. */
const FIRST_MAC = 0x5254_0012_3456;

/** A switch between partitions of a host: no two of them are further apart than its frames take. */
export function makeSwitch(): VirtualSwitch {
  return new VirtualSwitch(TURN);
}

/** Says how a partition that is being made gets its network. `partition`: that partition, which is asked for later. */
export function networkOf(
  plan: PartitionNetworkPlan,
  host: Host,
  id: number,
  partition: () => GuestPartition,
): NetworkConfiguration {
  const { kind, capture } = plan;
  const time = {
    hostTime: () => host.timeOf(partition()),
    localTime: (when: bigint) => host.localTime(partition(), when),
    wake: () => partition().wake(),
  };
  return {
    mac: plan.mac ?? FIRST_MAC + id - 1,
    make: (clock) => {
      const user = kind === 'switch' ? undefined : plan.user;
      const door = (event: OutsideEvent) => {
        partition().sendToDevice(NETWORK_INPUT, encodeEvent(event));
      };
      const outside = user && plan.openOutside && openMovable(plan.openOutside, { forwards: user.forwards, happened: door });
      const plugged = kind === 'user' || plan.switch === undefined ? undefined : { to: plan.switch, time };
      return new PartitionNetwork(clock, { user, outside, door, switch: plugged, capture }, `partition ${id}`);
    },
  };
}

/** Throws ConfigurationError for a network that can't be. */
export function checkNetwork(plan: PartitionNetworkPlan, platform: string): void {
  if (platform === 'bare')
    throw new ConfigurationError(
      'A network card is a device of a hypervisor, which platform bare has not; use platform kvm or hyperv, or leave it out.',
    );
  const { forwards, guestForwards, hosts, files } = plan.user;
  const served = files?.size ?? 0;
  if (plan.kind === 'switch' && forwards.length + guestForwards.length + hosts.size + served > 0)
    throw new ConfigurationError(
      'Forwards, names and served files belong to a user network; use the network user or switch+user.',
    );
  if (plan.kind !== 'user' && plan.switch === undefined)
    throw new ConfigurationError('A switch is between the partitions of a session, and this one is alone; use the network user.');
  const ports = [...forwards.map(({ kind, hostPort }) => `${kind} port ${hostPort} of this machine`)];
  ports.push(...guestForwards.map(({ kind, port }) => `${kind} port ${port} of the gateway`));
  if (served > 0) ports.push('tcp port 80 of the gateway');
  const twice = ports.find((port, index) => ports.indexOf(port) !== index);
  if (twice !== undefined) throw new ConfigurationError(`The ${twice} is forwarded twice; each leads to one place.`);
}

import { Host } from '../hypervisor/host/host.ts';
import type { GuestPartition } from '../hypervisor/partition/guest-partition.ts';
import { ConfigurationError, type PartitionDisk, whyNoWriteBack } from '../platforms/configuration.ts';
import { createPartition, vendorOf } from '../platforms/create-partition.ts';
import { openDisk } from '../platforms/open-disk.ts';
import { openShare } from '../platforms/open-share.ts';
import { loadProgram } from '../programs/load-program.ts';
import type { FileAccess, Program } from '../programs/program.ts';
import { LinuxSymbols } from '../symbols/linux/linux-symbols.ts';
import { openSymbols } from '../symbols/open-symbols.ts';
import { parseAddress } from '../x86/address.ts';
import {
  type LaunchConfiguration,
  LaunchError,
  type PartitionLaunch,
  parseLaunchConfiguration,
  sizeInBytes,
  translatorBytes,
} from './configuration/launch-configuration.ts';
import { DebugSession } from './debug-session.ts';
import { GuestGroup } from './guest-group.ts';
import { SymbolFile } from './linux/symbol-files.ts';
import { type NetworkWorld, SessionNetworks } from './session-networks.ts';

/** A launched guest: its configuration, program, partition and debug session. */
export interface Guest {
  /** Among the guests of its session, from 0. */
  readonly index: number;
  readonly configuration: PartitionLaunch;
  readonly program: Program;
  readonly partition: GuestPartition;
  readonly session: DebugSession;
  /** The guest that has made it by itself. */
  readonly maker?: Guest;
  readonly disks: readonly PartitionDisk[];
}

/** Told before a program is read, which is all that can take long, with its path and its size in bytes. */
export type OnLoad = (path: string, size: number) => void;

/**
 * Makes the guests of a session from what a client sent, on a host of their own or on the one that those of the run before leave.
 * Throws LaunchError, ProgramError or ConfigurationError, each with one sentence.
 */
export function launchGuests(
  raw: unknown,
  files: FileAccess,
  onLoad: OnLoad = () => {},
  before: GuestGroup | undefined = undefined,
  outside: NetworkWorld = {},
): GuestGroup {
  const configuration = parseLaunchConfiguration(raw);
  const host = before?.host.successor() ?? new Host();
  const networks = new SessionNetworks(configuration.partitions, outside, files);
  const guests: Guest[] = [];
  for (const [index, member] of configuration.partitions.entries())
    try {
      guests.push(makeGuest(index, member, configuration, host, files, onLoad, networks));
    } catch (error) {
      // What the others have begun outside ends with them.
      for (const { partition } of guests) partition.destroy();
      if (!(error instanceof ConfigurationError) || configuration.partitions.length === 1) throw error;
      throw new ConfigurationError(`Partition "${member.name}" can't be made: ${error.message}`);
    }
  const group = new GuestGroup(host, guests, configuration);
  const problem = whyNoWriteBack(guests.flatMap(({ disks }) => disks));
  if (problem === undefined) return group;
  for (const { partition } of guests) partition.destroy();
  throw new ConfigurationError(problem);
}

/** Makes a guest that is alone. Throws as {@link launchGuests} does. */
export function launchGuest(raw: unknown, files: FileAccess): Guest {
  return launchGuests(raw, files).first;
}

function makeGuest(
  index: number,
  member: PartitionLaunch,
  { interruptsWhileStepping = false }: LaunchConfiguration,
  host: Host,
  files: FileAccess,
  onLoad: OnLoad,
  networks: SessionNetworks,
): Guest {
  if (member.processor === 'kvm')
    throw new LaunchError('The processor "kvm" comes with a later version; leave "processor" out to use the emulated one.');
  const bytes = files.read(member.program);
  onLoad(member.program, bytes.length);
  const loadAddress = member.loadAddress === undefined ? undefined : parseAddress(member.loadAddress);
  const program = loadProgram(bytes, member.program, { loadAddress, mode: member.mode }, files);
  const disks = (member.disk ?? []).map((disk) => openDisk(disk, files));
  const partition = createPartition(
    {
      platform: member.platform ?? 'kvm',
      vendor: member.vendor ?? vendorOf(member.cpu) ?? 'intel',
      cpu: member.cpu,
      memory: member.memory === undefined ? undefined : sizeInBytes(member.memory),
      machine: member.machine,
      vcpus: member.vcpus ?? 1,
      privileges: member.privileges,
      limits: { ports: member.ports, timeShare: member.timeShare },
      translator: translatorBytes(member.translator),
      exitsKept: member.exitsKept,
      commandLine: member.append,
      testDevice: member.testDevice,
      ioeventfd: member.ioeventfd,
      intercepts: member.intercepts,
      initrd: member.initrd === undefined ? undefined : files.read(member.initrd),
      virtio: {
        channels: member.channels,
        balloon: member.balloon,
        vsock: member.vsock,
        shares: member.shares?.map((share) => openShare(share, files)),
      },
      disks,
      screen: member.screen,
      assign: member.assign,
      network: networks.planOf(member),
      vsockPorts: networks.vsockPlanOf(member),
    },
    program,
    host,
  );
  const symbols = openSymbols(program);
  const session = new DebugSession(partition, mayBeLinux(program) ? new LinuxSymbols(symbols) : symbols);
  session.findLinux(
    program.segments,
    (member.symbols ?? []).map((path) => SymbolFile.read(path, files)),
  );
  session.interruptsWhileStepping = interruptsWhileStepping;
  return { index, configuration: member, program, partition, session, disks };
}

/** No kernel is smaller, in bytes, and none is an assembled program. */
const SMALLEST_KERNEL = 2 << 20;

/** Whether a program may turn out to be Linux, or to start it. */
export function mayBeLinux({ segments, sourceLines }: Program): boolean {
  return sourceLines === undefined && segments.reduce((sum, { size }) => sum + size, 0) >= SMALLEST_KERNEL;
}

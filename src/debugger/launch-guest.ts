import type { Partition } from '../hypervisor/partition/partition.ts';
import { createPartition, vendorOf } from '../platforms/create-partition.ts';
import { loadProgram } from '../programs/load-program.ts';
import type { FileAccess, Program } from '../programs/program.ts';
import { openSymbols } from '../symbols/open-symbols.ts';
import { parseAddress } from '../x86/address.ts';
import {
  type LaunchConfiguration,
  LaunchError,
  parseLaunchConfiguration,
  sizeInBytes,
  translatorBytes,
} from './configuration/launch-configuration.ts';
import { DebugSession } from './debug-session.ts';

/** A launched guest: its configuration, program, partition and debug session. */
export interface Guest {
  readonly configuration: LaunchConfiguration;
  readonly program: Program;
  readonly partition: Partition;
  readonly session: DebugSession;
}

/** Told before a program is read, which is all that can take long, with its path and its size in bytes. */
export type OnLoad = (path: string, size: number) => void;

/** Makes a guest from what a client sent. Throws LaunchError, ProgramError or ConfigurationError, each with one sentence. */
export function launchGuest(raw: unknown, files: FileAccess, onLoad: OnLoad = () => {}): Guest {
  const configuration = parseLaunchConfiguration(raw);
  if (configuration.processor === 'kvm')
    throw new LaunchError('The processor "kvm" comes with a later version; leave "processor" out to use the emulated one.');
  const bytes = files.read(configuration.program);
  onLoad(configuration.program, bytes.length);
  const program = loadProgram(
    bytes,
    configuration.program,
    {
      loadAddress: configuration.loadAddress === undefined ? undefined : parseAddress(configuration.loadAddress),
      mode: configuration.mode,
    },
    files,
  );
  const partition = createPartition(
    {
      platform: configuration.platform ?? 'kvm',
      vendor: configuration.vendor ?? vendorOf(configuration.cpu) ?? 'intel',
      cpu: configuration.cpu,
      memory: sizeInBytes(configuration.memory ?? '64M'),
      vcpus: configuration.vcpus ?? 1,
      translator: translatorBytes(configuration.translator),
      exitsKept: configuration.exitsKept,
      commandLine: configuration.append,
      initrd: configuration.initrd === undefined ? undefined : files.read(configuration.initrd),
    },
    program,
  );
  const session = new DebugSession(partition, openSymbols(program));
  session.interruptsWhileStepping = configuration.interruptsWhileStepping ?? false;
  return { configuration, program, partition, session };
}

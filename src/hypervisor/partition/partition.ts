import type { Clock } from '../../devices/device.ts';
import type { InspectNode } from '../../devices/inspect.ts';
import type { VirtioDevice } from '../../devices/virtio/virtio-device.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { PartitionMemory } from '../../processor/memory/partition-memory.ts';
import type { Processor } from '../../processor/processor.ts';
import type { ExitActivity } from '../exits/exit-activity.ts';
import type { InterceptSettings } from '../intercepts/settings.ts';
import type { ExitJournal } from '../journal/exit-journal.ts';
import type { PartitionGrant } from '../privileges/privileges.ts';
import type { DirtyLog } from '../second-level/dirty-log.ts';
import type { SecondLevelMap } from '../second-level/second-level-map.ts';
import type { TableWalk } from '../second-level/table-walk.ts';
import type { IdlePace } from './idle-pace.ts';
import type { Platform } from './platform.ts';
import type { DebugHooks, PartitionEnd, RunRequest, RunStop } from './run.ts';

/** A vCPU as the hypervisor sees it. */
export interface VirtualCpu {
  readonly index: number;
  readonly processor: Processor;
  /** The exit whose handler is in progress; undefined while the vCPU is in the guest. */
  readonly activity: ExitActivity | undefined;
  readonly lastExit: VmExit | undefined;
  /** What makes it leave the guest; undefined where there is no hypervisor. */
  readonly settings: InterceptSettings | undefined;
  /** Somebody keeps it from running until it was served. */
  readonly suspended: boolean;
  /** It is there: a partition that a guest has made has those that its parent created. */
  readonly isPresent: boolean;
}

/** Where console output came from. */
export type ConsoleSource = 'serial' | 'debug-console' | `channel ${string}`;

/** The unit of isolation: memory, vCPUs, devices, and the platform that serves their exits. */
export interface Partition {
  readonly id: number;
  readonly name: string;
  /** `bare`, `kvm` … */
  readonly platform: string;
  /** What serves its exits, for who looks into it. */
  readonly server: Platform;
  readonly vendor: 'intel' | 'amd';
  readonly vcpus: readonly VirtualCpu[];
  readonly memory: PartitionMemory;
  /** Second-level translation: what its guest physical memory is. */
  readonly secondLevel: SecondLevelMap;
  readonly dirtyLog: DirtyLog;
  readonly clock: Clock;
  readonly journal: ExitJournal;
  readonly virtioDevices: readonly VirtioDevice[];
  /** What it may ask of the hypervisor. */
  readonly grant: PartitionGrant;
  /** Retired instructions of all vCPUs. */
  readonly icount: bigint;
  /** Set once the partition can't run any more. */
  readonly end: PartitionEnd | undefined;

  /** Runs for one slice. Never blocks; a handler in progress is continued first. */
  run(request: RunRequest): RunStop;
  requestStop(): void;
  setDebugHooks(hooks: DebugHooks | undefined): void;
  /** What the guest prints, in order, as raw bytes. */
  onConsole(listener: (source: ConsoleSource, bytes: Uint8Array) => void): void;
  /** The door for input from outside: bytes for the serial console, stamped with the instruction count. */
  sendConsole(bytes: Uint8Array): void;
  /** How time passes while the guest is idle and listens for input; undefined: it is skipped. */
  idlePace: IdlePace | undefined;
  /** The same door for a device that takes input by a name of its own (devices/virtio/inputs.ts); false where none has it. */
  sendToDevice(to: string, bytes: Uint8Array): boolean;
  /** Told when something came from outside for a partition that may have had nothing to do. */
  onWake(listener: () => void): void;
  /** Back to the state before the first instruction: same program, same configuration. */
  reset(): void;
  /** Devices, memory map, vCPUs as live trees. */
  inspect(): InspectNode;
  /** Name of the hypervisor's page of code that a vCPU's linear address lies in, through which its guest calls it; undefined elsewhere. */
  gatewayAt(vcpu: number, linear: bigint): string | undefined;
  /** How second-level tables translate a guest physical address, where the partition has such tables. */
  walkSecondLevel(gpa: bigint): TableWalk | undefined;
  /** 64-bit hash of all vCPUs' state and of RAM, as 16 hexadecimal digits. */
  stateHash(): string;
}

/** A partition that a host can give turns to, and take its memory back from. */
export interface HostedPartition extends Partition {
  /** Guest time in ticks of 1 ns. */
  now(): bigint;
  /** Hundredths of each slot of the host's time in which it may run. */
  readonly timeShare: number;
  /** Grows with each stretch of guest code, each exit and each skip of idle time: what a host can bound its calls by. */
  readonly workDone: number;
  /** Time passes while it waits for input from outside. */
  passTime(until: bigint): void;
  /** Ends it for good: it is never run again, and its memory belongs to the host. */
  destroy(): void;
}

import type { Clock } from '../../devices/device.ts';
import type { InspectNode } from '../../devices/inspect.ts';
import type { PcDevices } from '../../devices/pc/pc.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { Processor } from '../../processor/processor.ts';
import type { ExitServer } from '../exits/exit-activity.ts';
import type { InterceptSettings } from '../intercepts/settings.ts';
import type { RequestDoor } from '../privileges/request-door.ts';
import type { DirtyLog } from '../second-level/dirty-log.ts';
import type { SecondLevelMap } from '../second-level/second-level-map.ts';
import type { GuestBuses } from './guest-buses.ts';
import type { PartitionEnd } from './run.ts';

/** What a platform may do with the machine it runs on. */
export interface Machine {
  readonly processors: readonly Processor[];
  readonly devices: PcDevices;
  readonly secondLevel: SecondLevelMap;
  readonly dirtyLog: DirtyLog;
  /** The devices as the guest reaches them. */
  readonly buses: GuestBuses;
  /** Where the guest's requests are granted or refused. */
  readonly door: RequestDoor;
  /** Guest time. */
  now(): bigint;
  readonly clock: Clock;
  /** Takes over what makes a vCPU leave its guest. Without it nothing does but accesses to devices. */
  intercept(vcpu: number, settings: InterceptSettings): void;
  /** What was asked for of a vCPU last. */
  settingsOf(vcpu: number): InterceptSettings | undefined;
  /** Ends the partition's life once the handler in progress is done. The first call wins. */
  finish(end: PartitionEnd): void;
  /** Ticks that a vCPU was ready to run while another ran. */
  stolenTicks(vcpu: number): bigint;
  /** What the hypervisor has just done for the vCPU that left took long: time passes for it, and a host's call of `run` ends the sooner. */
  tookLong(): void;
  /** Something came for the partition from outside of it: it is to have its turn, although it had nothing to do. */
  wake(): void;
  /** Keeps a vCPU from running from its next entry on, or lets it go on. What came for it meanwhile waits. */
  suspend(vcpu: number, isSuspended: boolean): void;
  /** Says whether a vCPU is there for anybody who looks: one that is not must be suspended. */
  setPresent(vcpu: number, isPresent: boolean): void;
  /** Ends the turn of the vCPU that runs: it only waits for another one. `to`: who is to run next, if it can. */
  yieldTurn(to?: number): void;
  /** Has a vCPU wait, from its next entry on, until any interrupt comes for it: also one that its guest has off. */
  waitForInterrupt(vcpu: number): void;
}

/** A kind of hypervisor: what a guest sees of it, and how it serves exits. */
export interface Platform extends ExitServer {
  /** `bare`, `kvm` … */
  readonly name: string;
  /** Called for each vCPU after reset: sets intercepts and what the platform keeps of the vCPU. */
  setUpVcpu(processor: Processor): void;
  /** Serves what is no VM exit on this machine (an I/O access of a bare one). False: it is a VM exit. */
  serveDirectly?(processor: Processor, exit: VmExit): boolean;
  /**
   * An exit as this hypervisor knows it: an access to the APIC page is an MMIO exit to the processor, and some exits have
   * other numbers than usual (`ExitPlace.special`).
   */
  classify?(processor: Processor, exit: VmExit): VmExit;
  /** A vCPU is about to enter the guest: the place to inject an interrupt. Called before each stretch of guest code. */
  prepareEntry?(processor: Processor): void;
  /** Why a vCPU can't enter its guest with the registers that the platform has given it, as an entry finds out; asked before each one. */
  stateProblem?(processor: Processor): string | undefined;
  /** A vCPU is about to run after it hadn't for a while. */
  beforeEntry?(processor: Processor): void;
  /** Another partition may wake this one, or let it go on: it has not halted for good where nothing of its own can wake it. */
  awaitsOthers?(): boolean;
  /** What takes input from outside by a name, besides the devices. */
  readonly inputs?: ReadonlyMap<string, (bytes: Uint8Array) => void>;
  /**
   * Name of the page of the hypervisor's own code that a guest physical address lies in: a call into it goes on into the hypervisor.
   * Undefined for everything else.
   */
  gatewayAt?(gpa: bigint): string | undefined;
  /** The partition has ended or is about to be destroyed: what hangs on it ends, too. */
  ended?(): void;
  inspect(): InspectNode;
}

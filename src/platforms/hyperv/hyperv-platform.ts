import type { InspectNode } from '../../devices/inspect.ts';
import type { LocalApic } from '../../devices/local-apic/device.ts';
import type { ExitContext } from '../../hypervisor/exits/exit-context.ts';
import type { Host } from '../../hypervisor/host/host.ts';
import type { InterceptSettings } from '../../hypervisor/intercepts/settings.ts';
import type { Machine, Platform } from '../../hypervisor/partition/platform.ts';
import { DeviceMemory } from '../../hypervisor/second-level/device-memory.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { PartitionMemory } from '../../processor/memory/partition-memory.ts';
import type { Processor } from '../../processor/processor.ts';
import { type Handler, type HandlerFrame, inFrame } from '../../stages/stage.ts';
import { hex } from '../../x86/address.ts';
import { changedIntercepts } from '../intercepts.ts';
import { type Injection, injectInterrupt, VirtualInterrupts } from '../interrupt-injection.ts';
import type { PageRange } from '../zeroed-memory.ts';
import { privilegeNames, privilegesOf } from './abi/privileges.ts';
import { serve as serveAtOnce } from './generated/serve.ts';
import { serve } from './handlers/serve.ts';
import { problemOfState } from './hypercalls/state-registers.ts';
import { type GuestParent, type Hyperv, hypervisorFrame } from './hyperv.ts';
import { DeviceInterrupts } from './interrupts/device-interrupts.ts';
import { type UsualMsrs, usualMsrs } from './msrs/msr-groups.ts';
import { PartitionMsrs } from './msrs/partition-msrs.ts';
import type { DebuggerLine } from './msrs/synthetic-debugger.ts';
import { Overlays } from './overlay/overlays.ts';
import { ChildPartitions, type MakeRunning } from './partitions/children.ts';
import { withIntercepts } from './partitions/derived-intercepts.ts';
import { VpSuspension } from './partitions/suspension.ts';
import { Connections } from './synic/connections.ts';
import { Doorbells } from './synic/doorbells.ts';
import { PartitionSynic } from './synic/partition-synic.ts';
import { Ports } from './synic/ports.ts';
import { HypervTestDevice } from './test-device.ts';
import { VmbusServer } from './vmbus/server.ts';
import type { Vsp } from './vmbus/vsp.ts';
import { IntegrationServices } from './vsps/integration-services.ts';
import { KeyboardVsp } from './vsps/keyboard.ts';

/** What may be otherwise with a partition. */
export interface HypervOptions {
  /** Number of the partition among those of the hypervisor. */
  readonly partitionId: bigint;
  readonly startSeconds: bigint;
  /** Pages in which nothing was when the guest started; none are known when missing. */
  readonly zeroedAtStart?: () => readonly PageRange[];
  /** What a user wants intercepted otherwise. */
  readonly intercepts?: readonly string[];
  /** A mask of abi/privileges.ts; what the partition's grant gives when missing. */
  readonly privileges?: bigint;
  /** The machine has the device for guests that test the SynIC. */
  readonly testDevice?: boolean;
  /** Makes the services of the parent partition whose devices the guest is offered over the VMBus. */
  readonly vsps?: (machine: Machine, interrupts: DeviceInterrupts) => readonly Vsp[];
  /** The guest that has made it by hypercalls. */
  readonly parent?: GuestParent;
  /** How it makes partitions itself; it can't when missing. */
  readonly makesChildren?: ChildMaking;
}

/** Where partitions come from that a guest makes. */
export interface ChildMaking {
  readonly host: Host;
  readonly make: MakeRunning;
}

const MAKES_NONE: MakeRunning = () => {
  throw new Error('a partition was to be made by one that can make none');
};

/** Hyper-V as one partition has it: the hypervisor, and the parent partition's virtualization stack that serves it. */
export class HypervPlatform implements Platform, Hyperv {
  readonly name = 'hyperv';
  readonly hasApicv: boolean;
  readonly partitionId: bigint;
  readonly zeroedAtStart: () => readonly PageRange[];
  readonly privileges: bigint;
  readonly startSeconds: bigint;
  readonly msrs: PartitionMsrs;
  readonly overlays: Overlays;
  private readonly own: UsualMsrs;
  readonly synic: PartitionSynic;
  readonly connections = new Connections();
  readonly doorbells: Doorbells;
  readonly ports = new Ports();
  readonly deviceInterrupts: DeviceInterrupts;
  /** The parent partition's end of the bus that its devices are on. */
  readonly vmbus: VmbusServer;
  private readonly integration: IntegrationServices;
  private readonly testDevice: HypervTestDevice | undefined;
  readonly parent: GuestParent | undefined;
  readonly children: ChildPartitions;
  readonly suspension: VpSuspension;
  readonly writtenVps = new Set<number>();
  private readonly keyboard = new KeyboardVsp();
  private readonly injection: Injection;
  private readonly changes: readonly string[];
  /** The exit of each vCPU that was served last, until its next entry. */
  private readonly lastServed: (ExitContext | undefined)[] = [];
  private readonly frame: HandlerFrame;

  constructor(
    readonly machine: Machine,
    readonly vendor: 'intel' | 'amd',
    options: HypervOptions,
  ) {
    const { partitionId, startSeconds, intercepts = [], privileges, parent, makesChildren, vsps, testDevice = false } = options;
    this.parent = parent;
    this.doorbells = new Doorbells(parent?.child.pages);
    this.partitionId = partitionId;
    this.startSeconds = startSeconds;
    this.zeroedAtStart = options.zeroedAtStart ?? (() => []);
    this.privileges = privileges ?? privilegesOf(machine.door.grant.privileges);
    this.changes = intercepts;
    this.hasApicv = vendor === 'intel' && this.intercepts().on.has('virtual-interrupts');
    this.injection = { vendor, hasApicv: this.hasApicv, hasIrqchip: true };
    this.deviceInterrupts = new DeviceInterrupts(() => machine.devices.localApics);
    this.overlays = new Overlays(machine.secondLevel);
    const { host, make = MAKES_NONE } = makesChildren ?? {};
    this.children = new ChildPartitions(this, host, make);
    this.suspension = new VpSuspension(machine);
    this.synic = new PartitionSynic(this);
    this.own = usualMsrs(this);
    this.msrs = new PartitionMsrs(this, [...this.own.groups, ...this.synic.msrGroups]);
    this.integration = new IntegrationServices({ clock: machine.clock, startSeconds });
    this.vmbus = new VmbusServer(
      {
        dma: new DeviceMemory(machine.secondLevel),
        clock: machine.clock,
        synic: this.synic,
        connections: this.connections,
        vcpus: machine.processors.length,
      },
      [...this.integration.vsps, this.keyboard, ...(vsps?.(machine, this.deviceInterrupts) ?? [])],
    );
    this.testDevice = testDevice ? new HypervTestDevice(this) : undefined;
    if (this.testDevice) machine.devices.ports.attach(this.testDevice);
    this.frame = hypervisorFrame(this, 'VM exit');
  }

  get inputs(): ReadonlyMap<string, (bytes: Uint8Array) => void> {
    return new Map([...this.integration.inputs, ...this.keyboard.inputs, ...this.vmbus.inputs]);
  }

  private intercepts(): InterceptSettings {
    const settings = changedIntercepts(this.vendor, this.changes);
    return this.parent ? withIntercepts(settings, this.parent.child.intercepts) : settings;
  }

  interceptsChanged(): void {
    for (const { index } of this.machine.processors) this.machine.intercept(index, this.intercepts());
  }

  apic(index: number): LocalApic {
    const apic = this.machine.devices.localApics[index];
    if (apic === undefined) throw new Error(`vCPU ${index} has no local APIC: the machine is wired wrongly.`);
    return apic;
  }

  referenceTime(): bigint {
    return this.own.time.now();
  }
  tscMoved(): void {
    this.own.time.tscMoved();
  }
  get showsInvariantTsc(): boolean {
    return this.own.time.showsInvariantTsc;
  }
  get debugger(): DebuggerLine {
    return this.own.debugger;
  }
  get guestOsId(): bigint {
    return this.own.hypercallPage.guestOsId;
  }
  get hypercallsEnabled(): boolean {
    return this.own.hypercallPage.isEnabled;
  }

  served(index: number): ExitContext | undefined {
    return this.lastServed[index];
  }

  setUpVcpu(processor: Processor): void {
    const { index } = processor;
    processor.setInterruptSource(new VirtualInterrupts(this.injection, this.apic(index), processor));
    this.lastServed[index] = undefined;
    this.machine.intercept(index, this.intercepts());
    this.suspension.reset(index);
    this.writtenVps.delete(index);
    // The boot processor is the first one after a reset.
    if (index === 0) {
      this.overlays.reset();
      this.connections.clear();
      this.deviceInterrupts.reset();
      // Who is a guest's child, or the root, has its devices from nobody here.
      if (!this.parent && !this.children.canBe) this.vmbus.reset();
      this.children.forgetAll();
      this.ports.clear();
      this.testDevice?.reset();
    }
    this.msrs.reset(index);
  }

  awaitsOthers(): boolean {
    return this.parent !== undefined || this.children.mayWakeParent;
  }

  ended(): void {
    for (const child of this.children.all) this.children.finalize(child);
  }

  /** What the guest has lent to a child is in the child's memory: it doesn't notice. */
  serveDirectly(processor: Processor, exit: VmExit): boolean {
    if (exit.reason !== 'mmio' || exit.fetch === true) return false;
    const { memory } = this.machine.secondLevel;
    if (memory.lentAt(exit.gpa) === undefined) return false;
    processor.completeAccess(exit.write ? writeLent(memory, exit) : readLent(memory, exit));
    return true;
  }

  classify({ index }: Processor, exit: VmExit): VmExit {
    if (exit.reason !== 'mmio' || exit.fetch || !this.apic(index).answersAt(exit.gpa)) return exit;
    const { rip, instructionLength, icount, gpa, gva, size, write, value } = exit;
    return { rip, instructionLength, icount, reason: 'apic', gpa, gva, size, write, value };
  }

  handle(context: ExitContext): Handler {
    this.take(context);
    return inFrame(this.frame, serve(this, context));
  }

  handleAtOnce(context: ExitContext): void {
    this.take(context);
    serveAtOnce(this, context);
  }

  private take(context: ExitContext): void {
    context.served(`${this.frame.component} ${context.exit.reason}`, 'hypervisor');
    this.lastServed[context.vcpu] = context;
    this.own.assists.takeSkippedEoi(context.vcpu);
  }

  stateProblem(processor: Processor): string | undefined {
    if (this.writtenVps.size === 0 || !this.writtenVps.has(processor.index)) return undefined;
    const problem = problemOfState(processor);
    if (problem === undefined) this.writtenVps.delete(processor.index);
    return problem;
  }

  prepareEntry(processor: Processor): void {
    const { index } = processor;
    const apic = this.apic(index);
    // Where a run is cut into slices must make no difference: only an interrupt that waits needs to know.
    if (this.own.assists.isOffered(index) && apic.highestRequest >= 0) this.own.assists.takeSkippedEoi(index);
    this.own.unhaltedTimers.beforeEntry(processor);
    const served = this.lastServed[index];
    this.lastServed[index] = undefined;
    injectInterrupt(this.injection, apic, processor, served);
    this.own.assists.offerSkippedEoi(index);
  }

  gatewayAt(gpa: bigint): string | undefined {
    return this.own.hypercallPage.isAt(gpa) ? 'hypercall page' : undefined;
  }

  inspect(): InspectNode {
    return {
      name: 'platform',
      value: 'hyperv',
      detail: `partition ${this.partitionId}`,
      children: [
        {
          name: 'privileges',
          value: hex(this.privileges),
          children: privilegeNames(this.privileges).map((name) => ({ name, value: 'yes' })),
        },
        this.overlays.inspect(),
        this.ports.inspect(),
        ...(this.doorbells.canBe ? [this.doorbells.inspect()] : []),
        this.deviceInterrupts.inspect(),
        ...(this.testDevice ? [this.testDevice.inspect()] : []),
        this.integration.inspect(),
        this.children.inspect(),
        ...this.msrs.inspect(),
        this.vmbus.inspect(),
      ],
    };
  }
}

type MmioExit = Extract<VmExit, { readonly reason: 'mmio' }>;

function writeLent(memory: PartitionMemory, { gpa, size, value }: MmioExit): bigint {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  memory.write(gpa, bytes.subarray(0, size));
  return 0n;
}

function readLent(memory: PartitionMemory, { gpa, size }: MmioExit): bigint {
  const bytes = new Uint8Array(8);
  bytes.set(memory.read(gpa, size));
  return new DataView(bytes.buffer).getBigUint64(0, true);
}

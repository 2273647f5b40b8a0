import type { Clock } from '../../devices/device.ts';
import type { InspectNode } from '../../devices/inspect.ts';
import type { PcDevices } from '../../devices/pc/pc.ts';
import type { VirtioDevice } from '../../devices/virtio/virtio-device.ts';
import type { VmExit } from '../../processor/exit.ts';
import { isVmExit } from '../../processor/intercepts.ts';
import type { PartitionMemory } from '../../processor/memory/partition-memory.ts';
import type { Processor } from '../../processor/processor.ts';
import { entryProblem } from '../events/entry-checks.ts';
import { ExitActivity } from '../exits/exit-activity.ts';
import { ExitContext } from '../exits/exit-context.ts';
import { passesThrough } from '../exits/pass-through.ts';
import { applyIntercepts } from '../intercepts/derive.ts';
import type { InterceptSettings } from '../intercepts/settings.ts';
import { ExitEntry } from '../journal/exit-entry.ts';
import type { ExitOrder } from '../journal/exit-order.ts';
import { RingJournal } from '../journal/ring-journal.ts';
import { type PartitionGrant, USUAL_GRANT } from '../privileges/privileges.ts';
import { type Refusal, RequestDoor } from '../privileges/request-door.ts';
import { balloonOf } from '../second-level/balloon.ts';
import { DeviceMemory } from '../second-level/device-memory.ts';
import { DirtyLog } from '../second-level/dirty-log.ts';
import { eptWalk } from '../second-level/ept.ts';
import { hostPlace } from '../second-level/host-place.ts';
import { nptWalk } from '../second-level/npt.ts';
import { SecondLevelMap } from '../second-level/second-level-map.ts';
import type { TableWalk } from '../second-level/table-walk.ts';
import { PartitionClock } from './clock.ts';
import { ConsoleBuffer } from './console-buffer.ts';
import { haltedEnd, internalErrorEnd, tripleFaultEnd } from './ends.ts';
import { GuestBuses } from './guest-buses.ts';
import type { IdlePace } from './idle-pace.ts';
import { InputDoor } from './input-door.ts';
import { inspectMachine } from './inspect-machine.ts';
import { PAGE_OUT, pageOut } from './page-out.ts';
import type { ConsoleSource, HostedPartition } from './partition.ts';
import type { Machine, Platform } from './platform.ts';
import type { DebugHooks, PartitionEnd, RunRequest, RunStop } from './run.ts';
import { stateHash } from './state-hash.ts';
import { Vcpu } from './vcpu.ts';
import { VcpuTurns } from './vcpu-turns.ts';
import { type DeviceConfiguration, wireDevices } from './wire-devices.ts';

/** How often one call of `run` may skip idle time or serve an exit before it comes back, so that it ends soon. */
const ROUNDS_PER_CALL = 2000;
/** What counts as work that took long, in rounds and in ticks. */
const LONG_WORK = 1000;
const LONG_TIME = 100_000n;
/**
 * What a PAUSE takes that ends its vCPU's turn: about as long as on processors since Skylake, up to 140 cycles (Intel's optimization manual,
 * "Pause Latency in Skylake Client Microarchitecture").
 */
const PAUSE_TIME = 40n;
/** The processor's limit of one run. */
const LONGEST_RUN = 0x7fff_ffffn;

/** What a partition is made of. */
export interface PartitionParts extends DeviceConfiguration {
  readonly id: number;
  readonly name: string;
  readonly vendor: 'intel' | 'amd';
  readonly memory: PartitionMemory;
  readonly processors: readonly Processor[];
  readonly platform: (machine: Machine) => Platform;
  /** Records that the exit journal keeps in memory. */
  readonly exitsKept?: number;
  /** Of the exits of all partitions of its host. */
  readonly exitOrder?: ExitOrder;
  /** What it may do; the usual when missing. */
  readonly grant?: PartitionGrant;
  /** Told of what was refused to a vCPU. */
  readonly onRefusal?: (vcpu: number, refusal: Refusal) => void;
  /** Puts the program into the zeroed memory and the boot vCPU into its state at entry. */
  readonly load: (devices: PcDevices) => void;
  /** Explains a halt that is not the guest's own end, such as one in a handler that the boot protocol put there. */
  readonly explainHalt?: (processors: readonly Processor[]) => PartitionEnd | undefined;
}

/**
 * A partition as the hypervisor runs it. vCPUs take turns on one line of guest time: while one runs, time passes for all.
 * Everything that happens is a function of the program, the configuration and the stamped inputs; where a call of `run`
 * stops changes nothing.
 */
export class GuestPartition implements HostedPartition, Machine {
  readonly id: number;
  readonly name: string;
  readonly vendor: 'intel' | 'amd';
  readonly memory: PartitionMemory;
  readonly processors: readonly Processor[];
  readonly vcpus: readonly Vcpu[];
  readonly journal: RingJournal;
  readonly devices: PcDevices;
  readonly input: InputDoor;
  readonly secondLevel: SecondLevelMap;
  readonly dirtyLog: DirtyLog;
  readonly door: RequestDoor;
  readonly buses: GuestBuses;
  workDone = 0;
  idlePace: IdlePace | undefined;

  private readonly timers = new PartitionClock(() => this.ticks);
  private readonly output = new ConsoleBuffer();
  readonly server: Platform;
  private readonly load: (devices: PcDevices) => void;
  private readonly explainHalt: PartitionParts['explainHalt'];
  private hooks: DebugHooks | undefined;
  private ended: PartitionEnd | undefined;
  private stopWanted = false;
  /** Instructions of one that was destroyed. */
  private lastIcount = 0n;
  private readonly wakeListeners: (() => void)[] = [];
  /** Something may stand in memory. */
  private used = false;
  private readonly turns = new VcpuTurns();
  /** Number of the vCPU that runs, or whose exit is served. */
  private active = 0;
  /** Guest time: the ticks of the vCPU that runs or ran last. */
  private ticks = 0n;

  constructor(parts: PartitionParts) {
    this.id = parts.id;
    this.name = parts.name;
    this.vendor = parts.vendor;
    this.memory = parts.memory;
    this.secondLevel = new SecondLevelMap(parts.memory, hostPlace(parts.id - 1), { vendor: parts.vendor });
    this.dirtyLog = new DirtyLog(this.secondLevel);
    this.journal = new RingJournal(parts.exitsKept, parts.exitOrder);
    this.processors = parts.processors;
    this.load = parts.load;
    this.explainHalt = parts.explainHalt;
    this.door = new RequestDoor(parts.grant ?? USUAL_GRANT, (refusal) => this.noteRefusal(refusal, parts.onRefusal));
    this.devices = wireDevices(parts, {
      clock: this.timers,
      memory: new DeviceMemory(this.secondLevel),
      balloon: balloonOf(this.secondLevel),
      processors: parts.processors,
      output: this.output,
      door: this.door,
      signal: (index, raise) => this.signal(index, raise),
      finish: (end) => this.finish(end),
    });
    this.buses = new GuestBuses(this.devices, this.door);
    this.secondLevel.onMissing = (gpa, access) => this.buses.refuseMissing(this.active, gpa, access);
    this.vcpus = parts.processors.map((processor, index) => {
      const apic = this.devices.localApics[index];
      if (apic === undefined) throw new Error(`vCPU ${index} has no local APIC: the machine is wired wrongly.`);
      processor.setInterruptSource(apic);
      processor.givesWay = parts.processors.length > 1;
      return new Vcpu(index, processor, apic);
    });
    this.input = new InputDoor((bytes, to) => {
      const taker = to === undefined ? undefined : this.server.inputs?.get(to);
      if (taker) taker(bytes);
      else if (to === PAGE_OUT) pageOut(this.secondLevel, bytes);
      else this.devices.receive(bytes, to);
    });
    this.server = parts.platform(this);
    this.reset();
  }

  /** A message into a processor core may wake it. */
  private signal(index: number, raise: () => void): void {
    raise();
    const vcpu = this.vcpus[index];
    if (vcpu) vcpu.parked = false;
  }

  /** The record of the exit in progress says that its request was refused, and so does the host's journal. */
  private noteRefusal(refusal: Refusal, tell: PartitionParts['onRefusal']): void {
    const record = this.vcpus[this.active]?.activity?.context.record;
    if (record) record.refused = `refused: ${refusal.why}`;
    tell?.(this.active, refusal);
  }

  get platform(): string {
    return this.server.name;
  }
  get grant(): PartitionGrant {
    return this.door.grant;
  }
  get virtioDevices(): readonly VirtioDevice[] {
    return this.devices.virtioDevices;
  }
  get clock(): Clock {
    return this.timers;
  }
  get end(): PartitionEnd | undefined {
    return this.ended;
  }
  /** Retired instructions of all vCPUs. */
  get icount(): bigint {
    if (this.isDestroyed) return this.lastIcount;
    const { processors } = this;
    let sum = processors[0]?.icount ?? 0n;
    for (let index = 1; index < processors.length; index++) sum += processors[index]?.icount ?? 0n;
    return sum;
  }

  // --- as the machine that devices and the platform see ---------------------------------------------------------------

  now(): bigint {
    return this.ticks;
  }
  finish(end: PartitionEnd): void {
    if (this.ended) return;
    this.ended = end;
    this.server.ended?.();
    this.devices.guestEnded();
  }
  intercept(vcpu: number, settings: InterceptSettings): void {
    const target = this.vcpus[vcpu];
    if (target === undefined) return;
    target.settings = settings;
    applyIntercepts(target.processor, settings, this.vendor, 'virtual');
  }
  settingsOf(vcpu: number): InterceptSettings | undefined {
    return this.vcpus[vcpu]?.settings;
  }
  tookLong(): void {
    this.workDone += LONG_WORK;
    this.vcpus[this.active]?.processor.skipTime(LONG_TIME);
  }
  suspend(vcpu: number, isSuspended: boolean): void {
    const target = this.vcpus[vcpu];
    if (target === undefined || target.suspended === isSuspended) return;
    target.suspended = isSuspended;
    if (!isSuspended) this.wake();
  }
  setPresent(vcpu: number, isPresent: boolean): void {
    const target = this.vcpus[vcpu];
    if (target) target.isPresent = isPresent;
  }
  stolenTicks(vcpu: number): bigint {
    return this.vcpus[vcpu]?.stolen ?? 0n;
  }

  yieldTurn(to?: number): void {
    this.turns.giveWay(this.ticks, to);
  }

  waitForInterrupt(vcpu: number): void {
    this.vcpus[vcpu]?.waitForInterrupt();
  }

  // --- running ---------------------------------------------------------------------------------------------------------

  run(request: RunRequest): RunStop {
    this.stopWanted = false;
    const stop = this.runUntilStop(request);
    this.output.flush();
    return stop;
  }

  private runUntilStop(request: RunRequest): RunStop {
    const lastInstruction = this.icount + BigInt(request.instructions);
    for (let rounds = 0; ; rounds++) {
      this.workDone++;
      const busy = this.busyVcpu(request);
      if (busy !== undefined) {
        const stop = this.continueHandler(busy, request);
        if (stop !== undefined) return stop;
        continue;
      }
      if (this.ended) return { kind: 'ended', end: this.ended };
      if (this.stopWanted) return { kind: 'stop-requested' };
      const icount = this.icount;
      const budget = lastInstruction - icount;
      if (request.until !== undefined && this.ticks >= request.until) return { kind: 'time' };
      if (budget <= 0n || rounds >= ROUNDS_PER_CALL) return { kind: 'budget' };
      this.timers.fireDue();
      this.input.deliverDue(icount, this.ticks);
      const vcpu = this.turns.next(this.vcpus, this.ticks, request);
      const stop = vcpu === undefined ? this.skipIdleTime(request) : this.runVcpu(vcpu, budget, icount, request);
      if (stop !== undefined) return stop;
    }
  }

  /** The first vCPU whose exit is being served and that may go on. */
  private busyVcpu({ held }: RunRequest): Vcpu | undefined {
    for (const vcpu of this.vcpus) if (vcpu.activity !== undefined && held?.has(vcpu.index) !== true) return vcpu;
    return undefined;
  }

  private runVcpu(vcpu: Vcpu, budget: bigint, icount: bigint, request: RunRequest): RunStop | undefined {
    const { processor } = vcpu;
    const { until } = request;
    this.active = vcpu.index;
    const turnEnds = this.turns.endOf(vcpu, this.ticks);
    let limit = budget < LONGEST_RUN ? budget : LONGEST_RUN;
    if (this.vcpus.length > 1) limit = smaller(limit, turnEnds - this.ticks);
    if (until !== undefined) limit = smaller(limit, until - this.ticks);
    if (this.input.next !== undefined && this.input.next.icount > icount) limit = smaller(limit, this.input.next.icount - icount);
    this.enter(vcpu);
    vcpu.endWait();
    this.dirtyLog.vcpu = vcpu.index;
    this.server.prepareEntry?.(processor);
    // The platform may have set one for this vCPU.
    if (this.timers.next !== undefined) limit = smaller(limit, this.timers.next - this.ticks);
    const failure = this.failedEntry(vcpu);
    if (failure) return this.leave(vcpu, failure, request);
    const result = processor.run(Number(limit < 1n ? 1n : limit));
    this.ticks = processor.ticks;
    // A vCPU that has nothing to do doesn't take the turn, so that asking it makes no difference.
    vcpu.parked = result.kind === 'halted';
    if (vcpu.parked) this.setAlarm(vcpu);
    if (vcpu.parked && this.icount === icount) return undefined;
    this.turns.took(vcpu, turnEnds);
    if (processor.gaveWay) this.passPause(processor);
    switch (result.kind) {
      case 'budget':
      case 'halted':
        return undefined;
      case 'stop-requested':
        this.stopWanted = true;
        return undefined;
      case 'breakpoint':
        return { kind: 'breakpoint', vcpu: vcpu.index };
      case 'watch':
        return { kind: 'watch', vcpu: vcpu.index, hit: result.hit };
      case 'shutdown':
        this.finish(tripleFaultEnd(vcpu.index, []));
        return undefined;
      case 'exit':
        return this.leave(vcpu, result.exit, request);
    }
  }

  /** A vCPU waits for another one: time passes, though not past the next timer, and the others have their turns. */
  private passPause(processor: Processor): void {
    const { next } = this.timers;
    const left = next === undefined ? PAUSE_TIME : smaller(PAUSE_TIME, next - this.ticks);
    if (left > 0n) processor.skipTime(left);
    this.ticks = processor.ticks;
    this.yieldTurn();
  }

  /** A vCPU that halts in its guest leaves it when its preemption timer has counted down. */
  private setAlarm(vcpu: Vcpu): void {
    const { preemptionDeadline } = vcpu.processor;
    if (preemptionDeadline === undefined || preemptionDeadline === vcpu.alarm) return;
    vcpu.alarm = preemptionDeadline;
    this.timers.schedule(preemptionDeadline, () => {
      vcpu.parked = false;
    });
  }

  /** Brings a vCPU's time up to the partition's before it runs. */
  private enter(vcpu: Vcpu): void {
    const behind = this.ticks - vcpu.processor.ticks;
    if (behind <= 0n) return;
    if (vcpu.runnable && !vcpu.processor.halted) vcpu.stolen += behind;
    vcpu.processor.skipTime(behind);
    this.server.beforeEntry?.(vcpu.processor);
  }

  /** Nobody can run: time passes until the next timer, or for ever. */
  private skipIdleTime(request: RunRequest): RunStop | undefined {
    const { onlyVcpu, held } = request;
    const isPart = onlyVcpu !== undefined || (held !== undefined && held.size > 0);
    const watched = isPart
      ? this.vcpus.filter(({ index }) => (onlyVcpu === undefined || index === onlyVcpu) && held?.has(index) !== true)
      : this.vcpus;
    const nmis = this.devices.ioApic.sendsNmis;
    const awaits = this.server.awaitsOthers?.() === true;
    if (!awaits && !watched.some((vcpu) => vcpu.wakes(nmis))) {
      // A vCPU that stands still may wake the others once it goes on.
      if (isPart) return { kind: 'idle' };
      this.finish(this.explainHalt?.(this.processors) ?? haltedEnd(this.processors));
      return undefined;
    }
    const replayed = this.input.next?.ticks;
    const timer = this.timers.next;
    const next = timer === undefined ? replayed : replayed === undefined ? timer : smaller(timer, replayed);
    if (next !== undefined) {
      const until = request.until === undefined ? next : smaller(next, request.until);
      if (until <= this.ticks) return undefined;
      if (this.idlePace === undefined || isPart || !this.devices.listensForInput) this.ticks = until;
      else {
        this.ticks += this.idlePace.take(until - this.ticks);
        if (this.ticks < until) return { kind: 'waiting' };
      }
      return undefined;
    }
    if (this.devices.listensForInput || isPart || awaits) return { kind: 'idle' };
    this.finish(this.explainHalt?.(this.processors) ?? haltedEnd(this.processors));
    return undefined;
  }

  /** What the hypervisor asks for may be nothing that a processor enters a guest with. */
  private failedEntry({ processor, settings }: Vcpu): VmExit | undefined {
    const { injected, state, icount } = processor;
    const problem = settings && entryProblem(processor, injected, settings, this.vendor);
    const stateProblem = problem === undefined ? this.server.stateProblem?.(processor) : undefined;
    if (problem === undefined && stateProblem === undefined) return undefined;
    const { cause, text } = problem ?? { cause: 'guest-state', text: stateProblem ?? '' };
    return { reason: 'vm-entry-failure', cause, problem: text, rip: state.rip, instructionLength: 0, icount };
  }

  // --- exits -----------------------------------------------------------------------------------------------------------

  private leave(vcpu: Vcpu, raw: VmExit, request: RunRequest): RunStop | undefined {
    const { processor } = vcpu;
    if (raw.reason === 'exception' && !isVmExit(processor.intercepts, raw))
      return { kind: 'exception', vcpu: vcpu.index, exit: raw };
    const exit = this.server.classify?.(processor, raw) ?? raw;
    if (this.server.serveDirectly?.(processor, exit)) {
      this.afterExit(vcpu, exit);
      if (exit.reason !== 'triple-fault') return undefined;
      // The end of a guest is for a debugger to see, also where it is no VM exit.
      vcpu.lastExit = exit;
      return this.hooks?.stopAtExit(vcpu.index, exit) ? { kind: 'exit', vcpu: vcpu.index, exit } : undefined;
    }
    if (vcpu.settings && passesThrough(processor, this.buses, exit)) {
      this.afterExit(vcpu, exit);
      return undefined;
    }
    vcpu.lastExit = exit;
    vcpu.activity = new ExitActivity(new ExitContext(vcpu.index, processor, exit, this.newRecord(vcpu, exit)), this.server);
    if (this.hooks?.stopAtExit(vcpu.index, exit)) return { kind: 'exit', vcpu: vcpu.index, exit };
    return this.continueHandler(vcpu, request);
  }

  private newRecord({ index, processor }: Vcpu, exit: VmExit): ExitEntry {
    const rax = exit.reason === 'hypercall' ? processor.state.gpr(0) : 0n;
    return new ExitEntry(this.journal.nextSeq(), this.id, index, this.vendor, exit, rax, processor.mode);
  }

  private continueHandler(vcpu: Vcpu, request: RunRequest): RunStop | undefined {
    const { activity } = vcpu;
    if (activity === undefined) return undefined;
    this.active = vcpu.index;
    try {
      if (request.stopAtStage && activity.advance()) return { kind: 'stage', vcpu: vcpu.index };
      activity.finish();
    } catch (error) {
      this.finish(internalErrorEnd(error));
    }
    vcpu.activity = undefined;
    this.journal.enter(activity.context.record);
    vcpu.processor.intercepts.spin?.enter();
    this.afterExit(vcpu, activity.exit);
    if (this.ended) return undefined;
    return request.stopAtEntry ? { kind: 'entry', vcpu: vcpu.index } : undefined;
  }

  private afterExit(vcpu: Vcpu, exit: VmExit): void {
    const { processor } = vcpu;
    this.ticks = processor.ticks;
    if (processor.gaveWay) this.yieldTurn();
    // An instruction whose access was completed runs again: a breakpoint on it has been passed already. One that couldn't be fetched, or an
    // event that couldn't be delivered, has no length: nothing was passed.
    const isAccess = (exit.reason === 'io' || 'gpa' in exit) && exit.instructionLength > 0;
    // One that somebody else serves may go on anywhere.
    if (isAccess && processor.state.rip === exit.rip && !vcpu.suspended) processor.resumePast('watch');
  }

  passTime(until: bigint): void {
    if (until > this.ticks) this.ticks = until;
  }

  get timeShare(): number {
    return this.grant.limits.timeShare ?? 100;
  }

  destroy(): void {
    this.devices.disconnect();
    this.server.ended?.();
    // Its memory is about to go, and with it what handlers and counts are read from.
    this.lastIcount = this.icount;
    for (const vcpu of this.vcpus) {
      vcpu.activity = undefined;
      vcpu.isPresent = false;
    }
    this.ended = { kind: 'destroyed', status: 0, message: `Partition ${this.id} was destroyed.` };
  }

  /** Nothing of its own makes any of its vCPUs go on: each is suspended, or waits for what only others can send. */
  get isStuck(): boolean {
    if (this.ended) return true;
    const nmis = this.devices.ioApic.sendsNmis;
    const hasTimer = this.timers.next !== undefined;
    return !this.vcpus.some((vcpu) => vcpu.activity !== undefined || vcpu.runnable || (hasTimer && vcpu.wakes(nmis)));
  }

  private get isDestroyed(): boolean {
    return this.ended?.kind === 'destroyed';
  }

  requestStop(): void {
    this.stopWanted = true;
    for (const processor of this.processors) processor.requestStop();
  }
  setDebugHooks(hooks: DebugHooks | undefined): void {
    this.hooks = hooks;
  }
  onConsole(listener: (source: ConsoleSource, bytes: Uint8Array) => void): void {
    this.output.onOutput(listener);
  }
  sendConsole(bytes: Uint8Array): void {
    this.input.enter(this.icount, this.ticks, bytes);
    this.wake();
  }
  sendToDevice(to: string, bytes: Uint8Array): boolean {
    const isOfPlatform = this.server.inputs?.has(to) === true;
    const isKnown = isOfPlatform || (to === PAGE_OUT ? this.platform !== 'bare' : this.devices.inputs.includes(to));
    if (!isKnown) return false;
    this.input.enter(this.icount, this.ticks, bytes, to);
    this.wake();
    return true;
  }

  onWake(listener: () => void): void {
    this.wakeListeners.push(listener);
  }
  wake(): void {
    for (const listener of this.wakeListeners) listener();
  }

  reset(): void {
    this.ended = undefined;
    this.turns.reset();
    this.ticks = 0n;
    this.timers.clear();
    this.input.clear();
    this.journal.clear();
    this.dirtyLog.forget();
    this.secondLevel.reset();
    this.clearMemory();
    for (const processor of this.processors) processor.reset();
    for (const vcpu of this.vcpus) vcpu.reset();
    this.devices.reset();
    this.load(this.devices);
    for (const processor of this.processors) this.server.setUpVcpu(processor);
  }

  private clearMemory(): void {
    // New memory is zero already; writing to all of it would make the system provide it.
    if (this.used)
      for (const region of this.memory.regions) {
        this.memory.bytes.fill(0, region.offset, region.offset + region.length);
        this.memory.notifyWrite(region.gpa, region.length);
      }
    this.used = true;
  }

  gatewayAt(vcpu: number, linear: bigint): string | undefined {
    const gpa = this.server.gatewayAt && this.processors[vcpu]?.translate(linear);
    return gpa === undefined ? undefined : this.server.gatewayAt?.(gpa);
  }
  walkSecondLevel(gpa: bigint): TableWalk | undefined {
    if (this.platform === 'bare') return undefined;
    return this.vendor === 'amd' ? nptWalk(this.secondLevel, gpa) : eptWalk(this.secondLevel, gpa);
  }
  inspect(): InspectNode {
    if (this.isDestroyed) return { name: this.name, value: 'destroyed' };
    return inspectMachine(this, this.server);
  }
  stateHash(): string {
    if (this.isDestroyed) return '0'.repeat(16);
    return stateHash(this.processors, this.memory, this.devices.contents());
  }
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

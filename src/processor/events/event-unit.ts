import type { CpuCore } from '../cpu-core.ts';
import type { RunResult } from '../exit.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { interceptsException } from '../intercepts.ts';
import type { EventInjection } from '../processor.ts';
import { type CpuState, Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import { resetState } from '../state/reset.ts';
import { AccessExit } from '../system/context.ts';
import { deliverEvent, type FailedDelivery, type GuestEvent, type InterruptedDelivery } from './deliver.ts';
import { guestEvent, isSoftwareEvent } from './injection.ts';
import { PreemptionTimer } from './preemption-timer.ts';
import { passesTpr, WINDOW_INTERRUPT } from './virtual-interrupt.ts';

/** Bits of the interruptibility state: the shadows of STI and MOV SS, and NMIs blocked until IRET. */
export const SHADOW = 3;
export const MOV_SS_SHADOW = 2;
const NMI_BLOCKED = 8;
export const Activity = { ACTIVE: 0, HALTED: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;

/** Of IA32_APIC_BASE: this vCPU starts at its reset vector, the others wait for a start-up IPI. */
const BOOTSTRAP = 1n << 8n;
/** CR0.CD and CR0.NW. */
const CACHE_BITS = 0x6000_0000n;
/** What INIT leaves alone, from and to (Intel SDM vol. 3, table 10-1): time, XCR0, MSRs without DEBUGCTL, x87, MMX and SSE registers. */
const KEPT_BY_INIT: readonly (readonly [from: number, to: number])[] = [
  [L.ICOUNT, L.TSC_OFFSET + 8],
  [L.XCR0, L.MSR_DEBUGCTL],
  [L.MSR_TSC_ADJUST, L.PDPTE],
  [L.FPU, L.FPU_ARCHITECTURAL_END],
];

/** An event whose delivery was refused, with RIP as the handler returns to it. */
interface UnfinishedDelivery {
  readonly event: GuestEvent;
  readonly faultRip: bigint | undefined;
  readonly rip: bigint;
  readonly left: InterruptedDelivery | undefined;
  /** The shadow of STI or MOV SS that it came in: a delivery that fails for good leaves it. */
  readonly shadow: number;
}

/** A run ends at the boundary; an event was delivered and the boundary is to be looked at again; or the next instruction runs. */
export type Boundary = RunResult | 'delivered' | undefined;

/** Events of one vCPU: which of those that wait is taken between two instructions, and how faults and events are delivered. */
export class EventUnit {
  private readonly state: CpuState;
  /** Interrupts stay pending: the debugger steps. */
  holdInterrupts = false;
  /** Exceptions that the debugger wants to see, a bit a vector. */
  debugExceptions = 0;
  injected: EventInjection | undefined;
  nmiPending = false;
  smiPending = false;
  private initPending = false;
  private sipiVector: number | undefined;
  /** DR6 bits of a debug trap that waits for the next boundary. */
  pendingDebug = 0n;
  /** An event whose delivery left for a task switch. */
  interrupted: GuestEvent | undefined;
  /** An event whose delivery the second level of translation refused: it is delivered anew before anything else happens. */
  private unfinished: UnfinishedDelivery | undefined;
  /** A triple fault that nobody has been told of. */
  private unreported: FailedDelivery | undefined;
  /** Events delivered since an instruction retired. */
  deliveries = 0;
  /** A monitor trap waits for the next boundary (Intel SDM vol. 3, 26.5.2). */
  private monitorTrap = false;
  readonly preemptionTimer = new PreemptionTimer();

  constructor(
    private readonly core: CpuCore,
    /** Called behind a reset by INIT and a start by SIPI. */
    private readonly stateChanged: () => void,
  ) {
    this.state = core.state;
  }

  reset(): void {
    this.injected = undefined;
    this.nmiPending = this.smiPending = this.initPending = false;
    this.sipiVector = undefined;
    this.pendingDebug = 0n;
    this.unreported = undefined;
    this.unfinished = undefined;
    this.deliveries = 0;
    this.monitorTrap = false;
    this.preemptionTimer.leave(false, 0n);
    this.preemptionTimer.value = 0;
    this.core.virtualInterrupt = this.core.behind = undefined;
    this.core.virtualNmi = false;
    this.core.ownTpr = 0;
  }

  /** The vCPU enters the guest, or goes on in it after a run that ended with no exit. */
  enter(): void {
    this.preemptionTimer.enter(this.core.wanted.preemptionTimer, this.state.ticks);
  }

  /** Instructions that may run before the preemption timer expires. */
  get room(): number {
    const { deadline } = this.preemptionTimer;
    return deadline === undefined ? Number.POSITIVE_INFINITY : Number(deadline - this.state.ticks);
  }

  /** See {@link Processor.injectMonitorTrap}. */
  injectMonitorTrap(): void {
    this.monitorTrap = true;
  }

  /** The vCPU leaves the guest: a monitor trap that another exit is in front of is lost. */
  leave(): void {
    this.monitorTrap = false;
    this.preemptionTimer.leave(this.core.wanted.savesPreemptionTimer, this.state.ticks);
  }

  /** An instruction of the guest has ended, or an event was delivered. */
  trapBehind(): void {
    if (this.core.intercepts.monitorTrap) this.monitorTrap = true;
  }

  get halted(): boolean {
    return this.state.get32(L.ACTIVITY) === Activity.HALTED;
  }

  /** Forgets a start-up IPI that came before it. */
  raiseInit(): void {
    this.initPending = true;
    this.sipiVector = undefined;
  }

  /** Accepted only while INIT is pending or the vCPU waits for it. The first one starts it, so the next has no effect. */
  raiseSipi(vector: number): void {
    if (this.initPending || this.state.get32(L.ACTIVITY) === Activity.WAIT_FOR_SIPI) this.sipiVector ??= vector & 0xff;
  }

  /** What besides the registers belongs to the vCPU's state. */
  get hashed(): readonly number[] {
    const waiting = [
      (this.nmiPending ? 1 : 0) |
        (this.monitorTrap ? 2 : 0) |
        (this.smiPending ? 4 : 0) |
        (this.core.behind ? 8 : 0) |
        (this.core.virtualNmi ? 16 : 0),
      this.initPending ? 1 : 0,
      Number(this.pendingDebug),
      this.sipiVector ?? -1,
    ];
    if (this.unfinished) waiting.push((this.unfinished.left?.event ?? this.unfinished.event).vector);
    const { virtualInterrupt } = this.core;
    if (virtualInterrupt) waiting.push(virtualInterrupt.vector, virtualInterrupt.priority, virtualInterrupt.ignoresTpr ? 1 : 0);
    if (this.core.ownTpr !== 0) waiting.push(this.core.ownTpr);
    const { value, deadline } = this.preemptionTimer;
    if (value !== 0) waiting.push(value);
    if (deadline !== undefined) waiting.push(Number(deadline - this.state.ticks));
    return waiting;
  }

  /**
   * What comes next between two instructions: injected events, INIT, debug traps, NMI, interrupts, waking from HLT. Behind an event that
   * was delivered there may be another one, before the first instruction of its handler.
   */
  boundary(): Boundary {
    const { state, core } = this;
    // In the middle of an instruction that is run again nothing comes between.
    if (core.access.completed.length > 0) return undefined;
    if (core.behind) {
      const detail = core.behind;
      core.behind = undefined;
      return core.exit(detail, 0);
    }
    if (this.unfinished) {
      const { event, faultRip, rip, left, shadow } = this.unfinished;
      state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) | shadow);
      this.unfinished = undefined;
      if (faultRip !== undefined && state.rip === faultRip) state.rip = rip;
      return this.deliver(event, faultRip, left) ?? 'delivered';
    }
    const activity = state.get32(L.ACTIVITY);
    // It is part of the entry: whatever waits comes behind it.
    if (this.injected && activity !== Activity.WAIT_FOR_SIPI) return this.deliverInjected(this.injected) ?? 'delivered';
    if (this.isBelowThreshold(activity)) return core.exit({ reason: 'tpr' }, 0);
    if (this.smiPending) {
      this.smiPending = false;
      if (core.wanted.smi) return core.exit({ reason: 'smi' }, 0);
    }
    if (this.initPending) return this.initialize() ?? 'delivered';
    if (activity === Activity.WAIT_FOR_SIPI) return this.waitForSipi();
    // Of what can come in a shutdown it is the only thing that leaves.
    if (activity === Activity.SHUTDOWN) return this.room <= 0 ? this.expired() : this.shutDown();
    if (this.monitorTrap) return core.exit({ reason: 'monitor-trap' }, 0);
    const shadow = state.get32(L.INTERRUPTIBILITY) & SHADOW;
    if (this.pendingDebug !== 0n && !(shadow & MOV_SS_SHADOW)) {
      const dr6 = this.pendingDebug;
      this.pendingDebug = 0n;
      // A step over HLT, or a watched port or place of its own, ends the halt at once.
      this.wake();
      return this.deliverFault(new GuestFault(Vector.DB, undefined, undefined, dr6), true) ?? 'delivered';
    }
    if (this.room <= 0) return this.expired();
    const held = this.holdInterrupts && !this.halted;
    if (!held && !shadow) {
      const result = this.takeInterrupts();
      if (result !== undefined) return result;
    }
    return this.halted ? { kind: 'halted' } : undefined;
  }

  private expired(): RunResult {
    return this.core.exit({ reason: 'preemption-timer' }, 0);
  }

  /** NMIs of the machine's, then those of the hypervisor's (AMD APM vol. 2, 15.21.10). */
  private takeNmi(): Boundary {
    const { state, core } = this;
    const { wanted } = core;
    const blocked = (state.get32(L.INTERRUPTIBILITY) & NMI_BLOCKED) !== 0;
    if (wanted.nmiWindow && !blocked) return core.exit({ reason: 'nmi-window' }, 0);
    if (this.nmiPending && (!blocked || (wanted.nmi && wanted.virtualNmis))) {
      this.nmiPending = false;
      return wanted.nmi ? core.exit({ reason: 'nmi' }, 0) : this.deliverNmi();
    }
    if (!core.virtualNmi || !wanted.virtualNmis || blocked) return undefined;
    core.virtualNmi = false;
    return this.deliverNmi();
  }

  private deliverNmi(): Boundary {
    const { state } = this;
    this.wake();
    const delivered = this.deliver({ vector: Vector.NMI, kind: 'nmi' });
    state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) | NMI_BLOCKED);
    return delivered ?? 'delivered';
  }

  private takeInterrupts(): Boundary {
    const { state, core } = this;
    const { wanted } = core;
    const nmi = this.takeNmi();
    if (nmi !== undefined) return nmi;
    const enabled = (state.get32(L.EFLAGS) & Flag.IF) !== 0;
    const isSvm = core.model.vendor === 'amd';
    if (wanted.interruptWindow && enabled && !isSvm) return core.exit({ reason: 'interrupt-window' }, 0);
    if (enabled || (wanted.ignoresIf && (wanted.externalInterrupt || isSvm))) {
      const result = this.takeExternalInterrupt();
      if (result !== undefined) return result;
    }
    return enabled && isSvm ? this.takeVirtualInterrupt() : undefined;
  }

  private takeExternalInterrupt(): Boundary {
    const { interruptSource: source, wanted } = this.core;
    if (!source?.hasInterrupt()) return undefined;
    if (wanted.externalInterrupt) {
      const vector = wanted.acknowledges ? source.acknowledge() : undefined;
      return this.core.exit({ reason: 'external-interrupt', vector }, 0);
    }
    this.wake();
    return this.deliver({ vector: source.acknowledge(), kind: 'external' }) ?? 'delivered';
  }

  /** Behind those of the machine (AMD APM vol. 2, 15.21.4). One that is intercepted goes on waiting. */
  private takeVirtualInterrupt(): Boundary {
    const { core } = this;
    const { interruptWindow } = core.wanted;
    const interrupt = core.virtualInterrupt ?? (interruptWindow ? WINDOW_INTERRUPT : undefined);
    if (interrupt === undefined || !passesTpr(interrupt, core.virtualTpr)) return undefined;
    if (interruptWindow) return core.exit({ reason: 'interrupt-window' }, 0);
    core.virtualInterrupt = undefined;
    this.wake();
    return this.deliver({ vector: interrupt.vector, kind: 'external' }) ?? 'delivered';
  }

  /** Behind a MOV to CR8, or an entry with a threshold above what the guest has (Intel SDM vol. 3, 27.7.7 and 30.1.2). */
  private isBelowThreshold(activity: number): boolean {
    const { tprThreshold } = this.core.wanted;
    if (tprThreshold === 0 || this.core.virtualTpr >= tprThreshold) return false;
    return activity === Activity.ACTIVE || activity === Activity.HALTED;
  }

  private wake(): void {
    if (this.halted) this.state.set32(L.ACTIVITY, Activity.ACTIVE);
  }

  private initialize(): RunResult | undefined {
    const { state, core } = this;
    this.initPending = false;
    if (core.wanted.init) return core.exit({ reason: 'init' }, 0);
    const kept = KEPT_BY_INIT.map(([from, to]) => state.u64.slice(from >> 3, to >> 3));
    const caching = state.get64(L.CR0) & CACHE_BITS;
    resetState(state, core.model, core.index);
    KEPT_BY_INIT.forEach(([from], index) => {
      state.u64.set(kept[index] ?? [], from >> 3);
    });
    state.set64(L.CR0, (state.get64(L.CR0) & ~CACHE_BITS) | caching);
    if (!(state.get64(L.MSR_APIC_BASE) & BOOTSTRAP)) state.set32(L.ACTIVITY, Activity.WAIT_FOR_SIPI);
    this.stateChanged();
    return undefined;
  }

  private waitForSipi(): RunResult | undefined {
    if (this.sipiVector === undefined) return { kind: 'halted' };
    const vector = this.sipiVector;
    this.sipiVector = undefined;
    if (this.core.wanted.sipi) return this.core.exit({ reason: 'sipi', vector }, 0);
    this.state.setSegment(L.Segment.CS, { selector: vector << 8, base: BigInt(vector << 12), limit: 0xffff, rights: 0x93 });
    this.state.rip = 0n;
    this.state.set32(L.ACTIVITY, Activity.ACTIVE);
    this.stateChanged();
    return undefined;
  }

  /** On Intel's processors IRET ends the blocking of NMIs also where it faults (Intel SDM vol. 3, 28.2.3). */
  faultOfIret(fault: GuestFault): void {
    const { core, state } = this;
    const blocking = state.get32(L.INTERRUPTIBILITY);
    if (core.model.vendor !== 'intel' || (blocking & NMI_BLOCKED) === 0 || core.intercepts.keepsNmisBlocked) return;
    state.set32(L.INTERRUPTIBILITY, blocking & ~NMI_BLOCKED);
    fault.unblockedNmis = true;
  }

  /** Takes the bits of a debug trap that MOV SS has held back: they come with the debug exception at hand. */
  takePendingDebug(): bigint {
    const bits = this.pendingDebug;
    this.pendingDebug = 0n;
    return bits;
  }

  deliverFault(fault: GuestFault, isTrap: boolean): RunResult | undefined {
    const { core } = this;
    const { vector, errorCode, during } = fault;
    const wanted = interceptsException(core.intercepts, vector, errorCode);
    if (wanted || (this.debugExceptions & (1 << vector) && !core.passesExceptions)) {
      if (isTrap && !wanted) this.pendingDebug = fault.dr6 ?? 0n;
      const payload = fault.linearAddress ?? fault.dr6;
      const length = isTrap ? 0 : during ? (during.length ?? 0) : core.currentLength();
      const unblockedNmis = fault.unblockedNmis ? true : undefined;
      return core.exit({ reason: 'exception', vector, errorCode, payload, type: 3 }, length, during, unblockedNmis);
    }
    core.passing = 0;
    return this.deliver({
      vector: fault.vector,
      kind: 'exception',
      errorCode: fault.errorCode,
      linearAddress: fault.linearAddress,
      dr6: fault.dr6,
    });
  }

  /** `faultRip`: of the instruction whose software event it is. `left`: where its delivery was left before. */
  deliver(event: GuestEvent, faultRip?: bigint, left?: InterruptedDelivery): RunResult | undefined {
    this.deliveries++;
    const { core, state } = this;
    try {
      const outcome = core.undivided(() => deliverEvent(core, event, faultRip, left));
      if (outcome !== 'delivered') return this.tripleFault(outcome);
      this.trapBehind();
      return undefined;
    } catch (error) {
      // A task switch through a gate, or a fault that is intercepted: a hypervisor sees to it and injects the event again, or has it
      // delivered by `performNatively`. What the second level refused is delivered anew.
      if (!(error instanceof AccessExit || error instanceof GuestFault)) throw error;
      const shadow = state.get32(L.INTERRUPTIBILITY) & SHADOW;
      // What an event does besides changing the flow has been done (Intel SDM vol. 3, 28.1).
      state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) & ~SHADOW);
      const isRefused = error instanceof AccessExit && error.detail.reason !== 'task-switch';
      if (isRefused) {
        this.unfinished = { event, faultRip, rip: state.rip, left: error.delivery, shadow };
        // It counts when it is delivered, so that endless faults are cut at the same place whatever was refused.
        this.deliveries--;
      } else this.interrupted = event;
      if (error instanceof GuestFault) return this.deliverFault(error, false);
      if (faultRip !== undefined) state.rip = faultRip;
      const during = (isRefused ? error.delivery?.event : undefined) ?? event;
      return core.exit(error.detail, during.length ?? 0, during);
    }
  }

  tripleFault({ chain, cr2 }: FailedDelivery): RunResult {
    const { core } = this;
    this.state.set32(L.ACTIVITY, Activity.SHUTDOWN);
    // Whoever has an instruction done natively doesn't see its outcome: the next run leaves.
    if (core.native) this.unreported = { chain, cr2 };
    if (core.wanted.tripleFault) return core.exit({ reason: 'triple-fault', chain, cr2 }, 0);
    return { kind: 'shutdown' };
  }

  private shutDown(): RunResult {
    const failed = this.unreported;
    this.unreported = undefined;
    return failed ? this.tripleFault(failed) : { kind: 'shutdown' };
  }

  private deliverInjected(event: EventInjection): RunResult | undefined {
    this.injected = undefined;
    const { state } = this;
    // Also out of a shutdown: with an NMI or a machine check.
    state.set32(L.ACTIVITY, Activity.ACTIVE);
    const { rip } = state;
    const isSoftware = isSoftwareEvent(event);
    if (isSoftware) state.rip = this.core.advance(rip, event.instructionLength ?? 0);
    // A debug trap that waits is lost (Intel SDM vol. 3, 27.7.3).
    if (!isSoftware || (state.get32(L.INTERRUPTIBILITY) & MOV_SS_SHADOW) === 0) this.pendingDebug = 0n;
    const result = this.deliver(guestEvent(event), isSoftware ? rip : undefined);
    if (event.type === 'nmi') state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) | NMI_BLOCKED);
    return result;
  }
}

import { Delivery } from '../../../devices/local-apic/registers.ts';
import { STIMER_COUNT } from '../abi/msrs.ts';
import { HvStatus } from '../abi/status.ts';
import { ANY_VP, BUFFERS_PER_PORT, EVENT_FLAGS, LONGEST_PAYLOAD, SOURCES } from '../abi/synic.ts';
import type { Hyperv } from '../hyperv.ts';
import type { MsrGroup } from '../msrs/msr-group.ts';
import { inspectSynic } from './inspect.ts';
import { MessageBuffers } from './message-queue.ts';
import type { Synic, SynicMessage } from './synic.ts';
import { SynicMsrs } from './synic-msrs.ts';
import { SyntheticTimer } from './synthetic-timer.ts';
import { timerClock } from './timer-clock.ts';
import { TimerMsrs } from './timer-msrs.ts';
import { VpSynic } from './vp-synic.ts';

/** The synthetic interrupt controllers of a partition. */
export class PartitionSynic implements Synic {
  /** Its MSRs, and those of the synthetic timers. */
  readonly msrGroups: readonly MsrGroup[];
  private readonly vps: readonly VpSynic[];
  /** Buffers of senders without a port, for each source of each vCPU. */
  private readonly ownBuffers: readonly (readonly MessageBuffers[])[];
  private readonly roomListeners: ((vcpu: number, source: number) => void)[] = [];

  constructor(hyperv: Pick<Hyperv, 'machine' | 'vendor' | 'partitionId' | 'overlays' | 'referenceTime'>) {
    const { machine, overlays } = hyperv;
    const { localApics } = machine.devices;
    this.vps = localApics.map(
      (apic, vcpu) =>
        new VpSynic({
          messages: overlays.make(`message page of vCPU ${vcpu}`, { writable: true }),
          events: overlays.make(`event flags page of vCPU ${vcpu}`, { writable: true }),
          rings: overlays.make(`event ring page of vCPU ${vcpu}`, { writable: true }),
          partitionId: hyperv.partitionId,
          interrupt: (vector) => {
            apic.accept(Delivery.FIXED, vector, false);
            // It may come from another partition.
            machine.wake();
          },
        }),
    );
    const clock = timerClock(machine);
    const timers = this.vps.map((vp, vcpu) =>
      Array.from(
        { length: STIMER_COUNT },
        (_, index) =>
          new SyntheticTimer(index, {
            clock,
            referenceTime: () => hyperv.referenceTime(),
            enqueue: (source, message) => vp.enqueue(source, message),
            withdraw: (buffers) => vp.withdraw(buffers),
            interrupt: (vector) => localApics[vcpu]?.accept(Delivery.FIXED, vector, false),
          }),
      ),
    );
    // Timers first: what is queued of them goes with them.
    const look = () => this.vps.map((vp, vcpu) => inspectSynic(vcpu, vp, timers[vcpu] ?? [], hyperv.referenceTime()));
    this.msrGroups = [new TimerMsrs(timers), new SynicMsrs(hyperv, this.vps, look)];
    this.ownBuffers = this.vps.map((_, vcpu) =>
      Array.from({ length: SOURCES }, (_none, source) => new MessageBuffers(BUFFERS_PER_PORT, () => this.hasRoom(vcpu, source))),
    );
    localApics.forEach((apic, index) => {
      const vp = this.vps[index];
      if (!vp) return;
      apic.hypervisor = {
        endsByItself: (vector) => vp.endsByItself(vector),
        waitsFor: (vector) => vp.waitsFor(vector),
        ended: (vector) => vp.endOfInterrupt(vector),
      };
    });
  }

  withdraw(buffers: MessageBuffers): void {
    for (const vp of this.vps) vp.withdraw(buffers);
  }

  post(vcpu: number, source: number, message: SynicMessage, buffers?: MessageBuffers): number {
    if (source >= SOURCES || message.payload.length > LONGEST_PAYLOAD) return HvStatus.INVALID_PARAMETER;
    const index = vcpu === ANY_VP ? this.vps.findIndex(({ takesMessages }) => takesMessages) : vcpu;
    const vp = this.vps[index];
    const own = this.ownBuffers[index]?.[source];
    if (!vp || !own) return HvStatus.INVALID_VP_INDEX;
    return vp.post(source, message, buffers ?? own);
  }

  signal(vcpu: number, source: number, flag: number): number {
    if (source >= SOURCES || flag >= EVENT_FLAGS) return HvStatus.INVALID_PARAMETER;
    const index = vcpu === ANY_VP ? this.vps.findIndex((vp) => vp.takesEvents && !vp.isMasked(source)) : vcpu;
    const vp = this.vps[index];
    return vp ? vp.signal(source, flag) : HvStatus.INVALID_VP_INDEX;
  }

  tell(vcpu: number, source: number, port: number): number {
    if (source >= SOURCES) return HvStatus.INVALID_PARAMETER;
    if (vcpu !== ANY_VP) return this.vps[vcpu]?.tell(source, port) ?? HvStatus.INVALID_VP_INDEX;
    const vp = this.vps.find((each) => each.takesPorts && !each.isMasked(source));
    return vp ? vp.tell(source, port) : HvStatus.INVALID_SYNIC_STATE;
  }
  ringEmptied(vcpu: number, source: number): number {
    if (source >= SOURCES) return HvStatus.INVALID_PARAMETER;
    return this.vps[vcpu]?.ringEmptied(source) ?? HvStatus.INVALID_VP_INDEX;
  }
  waitsForRing(vcpu: number, source: number): number {
    return this.vps[vcpu]?.ring(source)?.waits ?? 0;
  }
  forgetPort(port: number): void {
    for (const vp of this.vps) vp.forgetPort(port);
  }

  /** Interrupts as a source says, with neither a message nor an event. */
  raise(vcpu: number, source: number): void {
    this.vps[vcpu]?.interrupt(source);
  }

  onRoom(listener: (vcpu: number, source: number) => void): void {
    this.roomListeners.push(listener);
  }
  private hasRoom(vcpu: number, source: number): void {
    for (const listener of this.roomListeners) listener(vcpu, source);
  }
}

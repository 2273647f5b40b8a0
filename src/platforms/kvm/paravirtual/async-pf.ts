import { Delivery } from '../../../devices/local-apic/registers.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import type { Processor } from '../../../processor/processor.ts';
import { Flag } from '../../../processor/state/cpu-state.ts';
import { INTERRUPTIBILITY } from '../../../processor/state/layout.ts';
import { isRam, readWord, writeBytes } from '../../guest-memory.ts';
import { AsyncPf, AsyncPfArea, PAGE_NOT_PRESENT } from '../abi/msrs.ts';
import type { Kvm } from '../kvm.ts';

/** Guest time in which the host's disk gives a page. */
export const PAGE_READ_TICKS = 100_000n;

/** STI and MOV SS shadows. */
const SHADOW = 3;
const CR0_PG = 1n << 31n;
const TOKEN_SHIFT = 12;
/** Wakes all that wait: the guest has just enabled the interface. */
const EVERYBODY = 0xffff_ffff;

/** What KVM keeps of a vCPU's asynchronous page faults (Linux arch/x86/kvm/x86.c, `vcpu->arch.apf`). */
export interface AsyncPageFaults {
  /** MSR_KVM_ASYNC_PF_EN as the guest wrote it. */
  enable: bigint;
  /** MSR_KVM_ASYNC_PF_INT. */
  vector: bigint;
  /** Faults that the guest was told of. */
  count: number;
  /** It hasn't acknowledged the last page that is ready. */
  isUnacknowledged: boolean;
  /** It couldn't be told so far, because its local APIC was off. */
  awaitsApic: boolean;
  /** Tokens of pages that are ready, which it hasn't been told of. */
  ready: readonly number[];
}

export function freshAsyncPageFaults(): AsyncPageFaults {
  return { enable: 0n, vector: 0n, count: 0, isUnacknowledged: false, awaitsApic: false, ready: [] };
}

/** Where the guest's structure is; undefined while it wants no asynchronous page faults. */
function areaOf({ enable }: AsyncPageFaults): bigint | undefined {
  const wanted = AsyncPf.ENABLED | AsyncPf.BY_INTERRUPT;
  return (enable & wanted) === wanted ? enable & ~0x3fn : undefined;
}

/** A write to MSR_KVM_ASYNC_PF_EN; false for what it can't have. */
export function enableAsyncPageFaults(kvm: Kvm, processor: Processor, value: bigint): boolean {
  const state = kvm.vcpu(processor.index).asyncPageFaults;
  const known = AsyncPf.ENABLED | AsyncPf.SEND_ALWAYS | AsyncPf.BY_INTERRUPT;
  if (value & 0x3fn & ~known) return false;
  const area = areaOf({ ...state, enable: value });
  if (area !== undefined && !isRam(processor, area, AsyncPfArea.SIZE)) return false;
  state.enable = value;
  state.ready = area === undefined ? [] : [EVERYBODY];
  state.isUnacknowledged = false;
  deliverReady(kvm, processor);
  return true;
}

/** A write to MSR_KVM_ASYNC_PF_ACK. */
export function acknowledgeReady(kvm: Kvm, processor: Processor, value: bigint): void {
  if (!(value & 1n)) return;
  kvm.vcpu(processor.index).asyncPageFaults.isUnacknowledged = false;
  deliverReady(kvm, processor);
}

/** Whether the guest can go on with something else than what needs the page (`kvm_can_do_async_pf`, `kvm_can_deliver_async_pf`). */
export function canFaultAsynchronously(kvm: Kvm, context: ExitContext<ExitOf<'second-level-violation'>>): boolean {
  const { processor, exit } = context;
  const { state } = processor;
  const { asyncPageFaults } = kvm.vcpu(processor.index);
  if (areaOf(asyncPageFaults) === undefined || !kvm.vm.hasIrqchip) return false;
  if (processor.cpl === 0 && !(asyncPageFaults.enable & AsyncPf.SEND_ALWAYS)) return false;
  if (exit.duringWalk || exit.during !== undefined || processor.injected !== undefined) return false;
  const isOpen = (state.rflags & Flag.IF) !== 0 && (state.get32(INTERRUPTIBILITY) & SHADOW) === 0;
  return isOpen && (state.cr0 & CR0_PG) !== 0n;
}

/** The vCPU waits until the page is there, as any process of the host would. */
export function waitForPage(kvm: Kvm, processor: Processor, gpa: bigint): void {
  processor.skipTime(PAGE_READ_TICKS);
  kvm.machine.secondLevel.pageIn(gpa);
}

/**
 * Has the page read, and a page fault injected that says "not present" with a token (`kvm_arch_async_page_not_present`). Gives the token.
 */
export function faultAsynchronously(kvm: Kvm, processor: Processor, gpa: bigint): number {
  const { asyncPageFaults } = kvm.vcpu(processor.index);
  const token = ((asyncPageFaults.count << TOKEN_SHIFT) | processor.index) >>> 0;
  asyncPageFaults.count++;
  const area = areaOf(asyncPageFaults) ?? 0n;
  writeWord(processor, area + BigInt(AsyncPfArea.FLAGS), PAGE_NOT_PRESENT);
  processor.inject({ vector: Vector.PF, type: 'exception', errorCode: 0, payload: BigInt(token) });
  kvm.machine.clock.schedule(kvm.machine.now() + PAGE_READ_TICKS, () => {
    kvm.machine.secondLevel.pageIn(gpa);
    if (areaOf(asyncPageFaults) === undefined) return;
    asyncPageFaults.ready = [...asyncPageFaults.ready, token];
    deliverReady(kvm, processor);
  });
  return token;
}

/** Before an entry: the guest may have switched its local APIC on. */
export function tellOfReadyPages(kvm: Kvm, processor: Processor): void {
  if (kvm.vcpu(processor.index).asyncPageFaults.awaitsApic) deliverReady(kvm, processor);
}

/** Tells the guest of the next page that is ready, once it has taken note of the last (`kvm_check_async_pf_completion`). */
function deliverReady(kvm: Kvm, processor: Processor): void {
  const { asyncPageFaults } = kvm.vcpu(processor.index);
  const area = areaOf(asyncPageFaults);
  const [token, ...later] = asyncPageFaults.ready;
  if (area === undefined || token === undefined || asyncPageFaults.isUnacknowledged) return;
  asyncPageFaults.awaitsApic = !kvm.apic(processor.index).softwareEnabled;
  if (asyncPageFaults.awaitsApic) return;
  const place = area + BigInt(AsyncPfArea.TOKEN);
  if (readWord(processor, place) !== 0) return;
  writeWord(processor, place, token);
  asyncPageFaults.ready = later;
  asyncPageFaults.isUnacknowledged = true;
  kvm.apic(processor.index).accept(Delivery.FIXED, Number(asyncPageFaults.vector & 0xffn), false);
}

function writeWord(processor: Processor, gpa: bigint, value: number): void {
  writeBytes(processor, gpa, new Uint8Array(Uint32Array.of(value).buffer));
}

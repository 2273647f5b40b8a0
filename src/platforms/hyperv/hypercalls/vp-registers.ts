import type { EventInjection, Processor } from '../../../processor/processor.ts';
import * as L from '../../../processor/state/layout.ts';
import { writeLocalApicMsr } from '../../local-apic-msrs.ts';
import { HvRegister, SYNTHETIC_MSRS } from '../abi/registers.ts';
import { HvStatus } from '../abi/status.ts';
import { type WideValue, wide } from '../abi/vp-values.ts';
import { hypervisorLeaf } from '../cpuid.ts';
import type { Hyperv } from '../hyperv.ts';
import { stateRegister } from './state-registers.ts';

const R = HvRegister;
const UPPER = 32n;
const VERSION_LEAF = 0x4000_0002;
const FIRST_FEATURE_LEAF = 0x4000_0003;
const APIC_BASE = 0xfee0_0000n;
const X2APIC_FIRST = 0x800;

/** Reads a register of a virtual processor; undefined where there is none of that number. */
export function readVpRegister(hyperv: Hyperv, processor: Processor, register: number): WideValue | undefined {
  const { state, index } = processor;
  const known = stateRegister(register);
  if (known) return known.read(processor);
  const msr = SYNTHETIC_MSRS.get(register);
  if (msr !== undefined) {
    const value = hyperv.msrs.read(processor, msr);
    return value === undefined ? undefined : wide(value);
  }
  if (register === R.HYPERVISOR_VERSION) return wideLeaf(hyperv, VERSION_LEAF);
  if (register >= R.PRIVILEGES_AND_FEATURES && register <= R.LAST_FEATURES)
    return wideLeaf(hyperv, FIRST_FEATURE_LEAF + register - R.PRIVILEGES_AND_FEATURES);
  if (isApicRegister(register)) return wide(hyperv.apic(index).readMmio(apicAddress(register), 4));
  switch (register) {
    case R.EXPLICIT_SUSPEND:
      return wide(hyperv.suspension.isSuspended(index, 'explicit') ? 1n : 0n);
    case R.INTERCEPT_SUSPEND:
      return wide(hyperv.suspension.isSuspended(index, 'intercept') ? 1n : 0n);
    case R.CR8:
      return wide(BigInt(hyperv.apic(index).getTpr() >> 4));
    case R.INTERNAL_ACTIVITY:
      return wide(activityOf(state.get32(L.ACTIVITY)));
    case R.PENDING_INTERRUPTION:
      return wide(pendingInterruption(processor.injected));
    case R.INTERRUPT_STATE:
      return wide(interruptState(state.get32(L.INTERRUPTIBILITY)));
    case R.PENDING_DEBUG_EXCEPTION:
      return wide(processor.pendingDebug);
    case R.PENDING_EVENT0:
    case R.PENDING_EVENT1:
      return wide(0n);
    default:
      return undefined;
  }
}

/** Writes a register of a virtual processor; gives a status. `Processor.stateChanged` is for who has written the last one. */
export function writeVpRegister(hyperv: Hyperv, processor: Processor, register: number, value: WideValue): number {
  const known = stateRegister(register);
  if (known) {
    const base = processor.state.get64(L.MSR_APIC_BASE);
    if (!known.write(processor, value)) return HvStatus.INVALID_REGISTER_VALUE;
    if (register === R.APIC_BASE) hyperv.apic(processor.index).baseChanged(base);
    if (register === R.TSC) hyperv.apic(processor.index).timer.rearm();
    return HvStatus.SUCCESS;
  }
  const msr = SYNTHETIC_MSRS.get(register);
  if (msr !== undefined) return hyperv.msrs.write(processor, msr, value.low) ? HvStatus.SUCCESS : HvStatus.INVALID_REGISTER_VALUE;
  const { low } = value;
  switch (register) {
    case R.EXPLICIT_SUSPEND:
    case R.INTERCEPT_SUSPEND:
      if (low > 1n) return HvStatus.INVALID_REGISTER_VALUE;
      hyperv.suspension.set(processor.index, register === R.EXPLICIT_SUSPEND ? 'explicit' : 'intercept', low === 1n);
      return HvStatus.SUCCESS;
    case R.CR8:
      if (low > 15n) return HvStatus.INVALID_REGISTER_VALUE;
      hyperv.apic(processor.index).setTpr(Number(low) << 4);
      return HvStatus.SUCCESS;
    case R.INTERNAL_ACTIVITY:
      return writeActivity(processor, low);
    case R.PENDING_INTERRUPTION:
      return writePendingInterruption(processor, low);
    case R.INTERRUPT_STATE:
      if (low & ~3n) return HvStatus.INVALID_REGISTER_VALUE;
      processor.state.set32(L.INTERRUPTIBILITY, (low & 1n ? STI_SHADOW : 0) | (low & 2n ? NMI_BLOCKED : 0));
      return HvStatus.SUCCESS;
    case R.PENDING_DEBUG_EXCEPTION:
      if (low & ~DEBUG_DEFINED) return HvStatus.INVALID_REGISTER_VALUE;
      processor.pendingDebug = low;
      return HvStatus.SUCCESS;
    case R.PENDING_EVENT0:
    case R.PENDING_EVENT1:
      // Nothing of what they have is there: none can be pending.
      return low === 0n ? HvStatus.SUCCESS : HvStatus.INVALID_REGISTER_VALUE;
    default:
      if (!isApicRegister(register)) return HvStatus.INVALID_PARAMETER;
      return writeLocalApicMsr(hyperv.apic(processor.index), apicMsr(register), low)
        ? HvStatus.SUCCESS
        : HvStatus.INVALID_REGISTER_VALUE;
  }
}

function wideLeaf(hyperv: Hyperv, leaf: number): WideValue | undefined {
  const values = hypervisorLeaf(hyperv, leaf);
  if (!values) return undefined;
  const pair = (low: number, high: number) => BigInt(low >>> 0) | (BigInt(high >>> 0) << UPPER);
  return wide(pair(values.eax, values.ebx), pair(values.ecx, values.edx));
}

function isApicRegister(register: number): boolean {
  return register >= R.APIC_ID && register <= R.APIC_LAST;
}
function apicMsr(register: number): number {
  return X2APIC_FIRST + (register & 0xff);
}
function apicAddress(register: number): bigint {
  return APIC_BASE | (BigInt(register & 0xff) << 4n);
}

// --- events and activity -------------------------------------------------------------------------------------------------

const STI_SHADOW = 1;
const MOV_SS_SHADOW = 2;
const NMI_BLOCKED = 8;
/** DR6 bits B0 to B3 and BS. */
const DEBUG_DEFINED = 0x400fn;
const Activity = { ACTIVE: 0, HALTED: 1, WAIT_FOR_SIPI: 3 } as const;
/** HV_INTERNAL_ACTIVITY_REGISTER. */
const STARTUP_SUSPEND = 1n;
const HALT_SUSPEND = 2n;

function activityOf(activity: number): bigint {
  if (activity === Activity.WAIT_FOR_SIPI) return STARTUP_SUSPEND;
  return activity === Activity.HALTED ? HALT_SUSPEND : 0n;
}

function writeActivity({ state }: Processor, value: bigint): number {
  if (value & ~(STARTUP_SUSPEND | HALT_SUSPEND)) return HvStatus.INVALID_REGISTER_VALUE;
  const halted = value & HALT_SUSPEND ? Activity.HALTED : Activity.ACTIVE;
  state.set32(L.ACTIVITY, value & STARTUP_SUSPEND ? Activity.WAIT_FOR_SIPI : halted);
  return HvStatus.SUCCESS;
}

function interruptState(interruptibility: number): bigint {
  return (interruptibility & (STI_SHADOW | MOV_SS_SHADOW) ? 1n : 0n) | (interruptibility & NMI_BLOCKED ? 2n : 0n);
}

/** Types of an interruption by their numbers in HV_X64_PENDING_INTERRUPTION_REGISTER, which are VMX's. */
const TYPES: Readonly<Record<number, EventInjection['type']>> = {
  0: 'external-interrupt',
  2: 'nmi',
  3: 'exception',
  4: 'software-interrupt',
  5: 'privileged-software-exception',
  6: 'software-exception',
};
const HAS_ERROR_CODE = 16n;
const LAST_EXCEPTION = 31;
const NMI_VECTOR = 2;

function pendingInterruption(event: EventInjection | undefined): bigint {
  if (!event) return 0n;
  const type = Number(Object.keys(TYPES).find((key) => TYPES[Number(key)] === event.type) ?? 0);
  const code = event.errorCode === undefined ? 0n : HAS_ERROR_CODE | (BigInt(event.errorCode >>> 0) << UPPER);
  return 1n | (BigInt(type) << 1n) | (BigInt(event.instructionLength ?? 0) << 5n) | (BigInt(event.vector) << 16n) | code;
}

function writePendingInterruption(processor: Processor, value: bigint): number {
  if (!(value & 1n)) return processor.injected ? HvStatus.INVALID_REGISTER_VALUE : HvStatus.SUCCESS;
  const type = TYPES[Number((value >> 1n) & 7n)];
  const vector = Number((value >> 16n) & 0xffffn);
  const isWrong =
    type === undefined ||
    vector > 255 ||
    (type === 'nmi' && vector !== NMI_VECTOR) ||
    (type === 'exception' && (vector > LAST_EXCEPTION || vector === NMI_VECTOR));
  if (isWrong) return HvStatus.INVALID_REGISTER_VALUE;
  processor.inject({
    vector,
    type,
    errorCode: value & HAS_ERROR_CODE ? Number((value >> UPPER) & 0xffff_ffffn) : undefined,
    instructionLength: Number((value >> 5n) & 15n),
  });
  return HvStatus.SUCCESS;
}

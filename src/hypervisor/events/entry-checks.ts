import { pushesErrorCode, Vector } from '../../processor/faults/guest-fault.ts';
import type { EventInjection, Processor } from '../../processor/processor.ts';
import { Flag } from '../../processor/state/cpu-state.ts';
import * as L from '../../processor/state/layout.ts';
import type { VmxPlace } from '../intercepts/places.ts';
import type { InterceptSettings } from '../intercepts/settings.ts';
import { SETTINGS, type SettingName } from '../intercepts/table.ts';
import { toSvmEvent, toVmxEvent, type VmxEvent } from './event-fields.ts';

/** Why a VM entry fails. VMX tells a wrong control (VM-instruction error 7) from a wrong state of the guest (exit reason 33). */
export interface EntryProblem {
  readonly cause: 'control' | 'guest-state';
  /** A sentence. */
  readonly text: string;
}

const VALID = 0x8000_0000;
const HAS_ERROR_CODE = 1 << 11;
const RESERVED = 0x7fff_f000;
const HARDWARE_EXCEPTION = 3;
const LAST_EXCEPTION = 31;
const OTHER_EVENT = 7;
const LONGEST_INSTRUCTION = 15;

const Blocking = { STI: 1, MOV_SS: 2, NMI: 8 } as const;
const Activity = { ACTIVE: 0, HLT: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;
const DEBUGCTL_BTF = 2n;
const DR6_BS = 1n << 14n;

/** Whether the entry fields are right in themselves (Intel SDM vol. 3, 27.2.1.3). The problem as a sentence. */
export function entryFieldsProblem(fields: VmxEvent, protectedMode: boolean): string | undefined {
  const { information, errorCode, instructionLength } = fields;
  if ((information & VALID) === 0) return undefined;
  const vector = information & 0xff;
  const type = (information >>> 8) & 7;
  if (type === 1) return 'interruption type 1 is reserved';
  if (type === OTHER_EVENT && vector !== 0) return `a monitor trap has vector 0, not ${vector}`;
  if (type === 2 && vector !== Vector.NMI) return `an NMI has vector 2, not ${vector}`;
  if (type === HARDWARE_EXCEPTION && vector > LAST_EXCEPTION) return `vector ${vector} is no exception`;
  const hasCode = (information & HAS_ERROR_CODE) !== 0;
  const needsCode = type === HARDWARE_EXCEPTION && protectedMode && isVmxErrorCodeVector(vector);
  if (hasCode && !needsCode) return `vector ${vector} of type ${type} has no error code here`;
  if (needsCode && !hasCode) return `exception ${vector} lacks its error code`;
  if (information & RESERVED) return 'reserved bits of the interruption information are set';
  if (hasCode && errorCode >>> 16 !== 0) return 'bits 31:16 of the error code are set';
  if (type > HARDWARE_EXCEPTION && type !== OTHER_EVENT && instructionLength > LONGEST_INSTRUCTION)
    return `an instruction has no ${instructionLength} bytes`;
  return undefined;
}

/** VMX knows the vectors of Intel's exceptions. */
function isVmxErrorCodeVector(vector: number): boolean {
  return vector <= Vector.CP && pushesErrorCode(vector);
}

/** Whether SVM refuses EVENTINJ (AMD APM vol. 2, 15.20): VMEXIT_INVALID. */
export function eventInjProblem(eventInj: bigint): string | undefined {
  const low = Number(eventInj & 0xffff_ffffn);
  if ((low & VALID) === 0) return undefined;
  const vector = low & 0xff;
  const type = (low >>> 8) & 7;
  if (type === 1 || type > 4) return `event type ${type} is reserved`;
  if (type === HARDWARE_EXCEPTION && (vector === Vector.NMI || vector > LAST_EXCEPTION))
    return `vector ${vector} is no exception`;
  return undefined;
}

const HIGHEST_TPR = 15;

/** Settings of VMX that need another one (Intel SDM vol. 3, 27.2.1.1 and 27.2.1.2). */
const NEEDS: readonly (readonly [SettingName, needed: SettingName])[] = [
  ['virtual-nmis', 'nmi'],
  ['nmi-window', 'virtual-nmis'],
  ['virtual-x2apic', 'tpr-shadow'],
  ['apic-registers', 'tpr-shadow'],
  ['virtual-interrupts', 'tpr-shadow'],
  ['virtual-interrupts', 'external-interrupt'],
  ['posted-interrupts', 'virtual-interrupts'],
  ['posted-interrupts', 'acknowledge-interrupt'],
  ['unrestricted-guest', 'second-level-translation'],
  ['page-modification-log', 'second-level-translation'],
  ['exit-save-timer', 'preemption-timer'],
];
/** What was found out of settings, which never change: there is an entry behind each exit. */
const found = new WeakMap<InterceptSettings, { readonly problem: string | undefined }>();

function settingsProblem(settings: InterceptSettings): string | undefined {
  const known = found.get(settings);
  if (known) return known.problem;
  const { on, tprThreshold } = settings;
  const [wrong] = NEEDS.filter(([name, needed]) => on.has(name) && !on.has(needed));
  let problem = wrong && `"${vmxName(wrong[0])}" needs "${vmxName(wrong[1])}"`;
  if (hasThreshold(settings) && tprThreshold > HIGHEST_TPR)
    problem ??= `a TPR threshold of ${tprThreshold} is above ${HIGHEST_TPR}`;
  found.set(settings, { problem });
  return problem;
}

function vmxName(name: SettingName): string {
  const place: VmxPlace = SETTINGS[name].vmx;
  return typeof place === 'object' ? place.name : name;
}

/** The threshold is compared with what the guest has: it isn't zero, and no virtual interrupts are delivered instead. */
function hasThreshold({ on, tprThreshold }: InterceptSettings): boolean {
  return tprThreshold > 0 && on.has('tpr-shadow') && !on.has('virtual-interrupts');
}

/** Controls that don't go together, or not with the task priority. */
function controlsProblem(processor: Processor, settings: InterceptSettings): string | undefined {
  const problem = settingsProblem(settings);
  if (problem !== undefined || !hasThreshold(settings)) return problem;
  const { on, tprThreshold } = settings;
  const { virtualTpr } = processor;
  if (tprThreshold > virtualTpr && !on.has('apic-access-page'))
    return `the TPR threshold ${tprThreshold} is above the guest's task priority ${virtualTpr}, and APIC accesses aren't virtualized`;
  return undefined;
}

/** A guest with NMIs of its own can't take the machine's (AMD APM vol. 2, 15.21.10). */
function virtualNmisProblem({ on }: InterceptSettings): string | undefined {
  return on.has('virtual-nmis') && !on.has('nmi') ? 'NMIs are virtual, but not intercepted' : undefined;
}

/** Why an entry would fail on a vendor's processor; undefined when it wouldn't. `event`: what it injects. */
export function entryProblem(
  processor: Processor,
  event: EventInjection | undefined,
  settings: InterceptSettings,
  vendor: 'intel' | 'amd',
): EntryProblem | undefined {
  if (vendor === 'amd') return problem('control', virtualNmisProblem(settings) ?? (event && eventInjProblem(toSvmEvent(event))));
  const controls = problem('control', controlsProblem(processor, settings));
  if (controls !== undefined || event === undefined) return controls;
  const protectedMode = (processor.state.cr0 & 1n) !== 0n;
  return (
    problem('control', entryFieldsProblem(toVmxEvent(event), protectedMode)) ??
    problem('guest-state', guestStateProblem(processor, event, settings.on.has('virtual-nmis')))
  );
}

function problem(cause: EntryProblem['cause'], text: string | undefined): EntryProblem | undefined {
  return text === undefined ? undefined : { cause, text };
}

/** Activity, interruptibility and pending debug exceptions with an event that is injected (Intel SDM vol. 3, 27.3.1.4 and 27.3.1.5). */
function guestStateProblem({ state, pendingDebug }: Processor, event: EventInjection, virtualNmis: boolean): string | undefined {
  const { type, vector } = event;
  const enabled = (state.get32(L.EFLAGS) & Flag.IF) !== 0;
  const blocking = state.get32(L.INTERRUPTIBILITY);
  const activity = state.get32(L.ACTIVITY);
  const shadow = blocking & (Blocking.STI | Blocking.MOV_SS);
  if (type === 'external-interrupt' && !enabled) return 'an external interrupt is injected with RFLAGS.IF clear';
  if (type === 'external-interrupt' && shadow !== 0)
    return `an external interrupt is injected with blocking by ${shadow & Blocking.STI ? 'STI' : 'MOV SS'}`;
  if (type === 'nmi' && blocking & Blocking.MOV_SS) return 'an NMI is injected with blocking by MOV SS';
  if (type === 'nmi' && virtualNmis && blocking & Blocking.NMI) return 'an NMI is injected with virtual-NMI blocking';
  if (shadow === (Blocking.STI | Blocking.MOV_SS)) return 'both STI and MOV SS block';
  if (shadow & Blocking.STI && !enabled) return 'STI blocks with RFLAGS.IF clear';
  if (shadow !== 0 && activity !== Activity.ACTIVE) return 'STI or MOV SS blocks a vCPU that is not active';
  if (!mayInject(activity, type, vector)) return `this event can't be injected in activity state ${activity}`;
  if (shadow === 0 && activity !== Activity.HLT) return undefined;
  const singleSteps = (state.get32(L.EFLAGS) & Flag.TF) !== 0 && (state.get64(L.MSR_DEBUGCTL) & DEBUGCTL_BTF) === 0n;
  return singleSteps === ((pendingDebug & DR6_BS) !== 0n)
    ? undefined
    : 'the pending debug exceptions and RFLAGS.TF disagree on BS';
}

/** What wakes a vCPU that isn't active. */
function mayInject(activity: number, type: EventInjection['type'], vector: number): boolean {
  if (activity === Activity.ACTIVE) return true;
  const machineCheck = type === 'exception' && vector === Vector.MC;
  if (activity === Activity.SHUTDOWN) return type === 'nmi' || machineCheck;
  if (activity === Activity.WAIT_FOR_SIPI) return false;
  return type === 'external-interrupt' || type === 'nmi' || machineCheck || (type === 'exception' && vector === Vector.DB);
}

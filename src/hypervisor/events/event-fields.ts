import { isSoftwareEvent } from '../../processor/events/injection.ts';
import type { EventInjection } from '../../processor/processor.ts';

/**
 * An event in VMX's form: VM-entry interruption information, exit interruption information and IDT-vectoring information have one
 * layout (Intel SDM vol. 3, 25.8.3, 25.9.2 and 25.9.3).
 */
export interface VmxEvent {
  /** Vector, type in [10:8], error code valid in 11, valid in 31. */
  readonly information: number;
  readonly errorCode: number;
  /** Bytes of the instruction whose event it is; 0 for others. */
  readonly instructionLength: number;
}

const VALID = 0x8000_0000;
const HAS_ERROR_CODE = 1 << 11;
const OTHER_EVENT = 7;
const NO_EVENT: VmxEvent = { information: 0, errorCode: 0, instructionLength: 0 };

const VMX_TYPES = {
  'external-interrupt': 0,
  nmi: 2,
  exception: 3,
  'software-interrupt': 4,
  'privileged-software-exception': 5,
  'software-exception': 6,
} as const satisfies Readonly<Record<EventInjection['type'], number>>;

/** SVM knows no software exceptions: theirs are exceptions (AMD APM vol. 2, 15.20). */
const SVM_TYPES = {
  'external-interrupt': 0,
  nmi: 2,
  exception: 3,
  'software-interrupt': 4,
  'privileged-software-exception': 3,
  'software-exception': 3,
} as const satisfies Readonly<Record<EventInjection['type'], number>>;

function typeOf<Type extends string>(types: Readonly<Record<Type, number>>, number: number): Type | undefined {
  return (Object.entries(types) as [Type, number][]).find(([, value]) => value === number)?.[0];
}

/** Undefined: no event, whose valid bit is clear. */
export function toVmxEvent(event: EventInjection | undefined): VmxEvent {
  if (event === undefined) return NO_EVENT;
  const { vector, type, errorCode, instructionLength = 0 } = event;
  const code = errorCode === undefined ? 0 : HAS_ERROR_CODE;
  return {
    information: (VALID | code | (VMX_TYPES[type] << 8) | vector) >>> 0,
    errorCode: errorCode ?? 0,
    instructionLength: isSoftwareEvent(event) ? instructionLength : 0,
  };
}

/** The event that the fields of an entry inject. Undefined: none, or one of a type that is reserved (`entryFieldsProblem`). */
export function fromVmxEvent({ information, errorCode, instructionLength }: VmxEvent): EventInjection | undefined {
  const type = typeOf(VMX_TYPES, (information >>> 8) & 7);
  if ((information & VALID) === 0 || type === undefined) return undefined;
  const event: EventInjection = {
    vector: information & 0xff,
    type,
    errorCode: information & HAS_ERROR_CODE ? errorCode : undefined,
  };
  return isSoftwareEvent(event) ? { ...event, instructionLength } : event;
}

/** Whether the fields of an entry make a monitor trap wait (type 7, "other event"; Intel SDM vol. 3, 27.6.2). */
export function injectsMonitorTrap({ information }: VmxEvent): boolean {
  return information === VALID + (OTHER_EVENT << 8);
}

/**
 * An event in SVM's form, EVENTINJ and EXITINTINFO (AMD APM vol. 2, 15.7.2 and 15.20): as in VMX, with the error code in [63:32]. 0
 * for none.
 */
export function toSvmEvent(event: EventInjection | undefined): bigint {
  if (event === undefined) return 0n;
  const { vector, type, errorCode } = event;
  const code = errorCode === undefined ? 0 : HAS_ERROR_CODE;
  return BigInt((VALID | code | (SVM_TYPES[type] << 8) | vector) >>> 0) | (BigInt((errorCode ?? 0) >>> 0) << 32n);
}

/** The event that EVENTINJ injects; for a software interrupt `instructionLength` is what lies between RIP and the next RIP. */
export function fromSvmEvent(eventInj: bigint, instructionLength = 0): EventInjection | undefined {
  const low = Number(eventInj & 0xffff_ffffn);
  const type = typeOf(SVM_TYPES, (low >>> 8) & 7);
  if ((low & VALID) === 0 || type === undefined) return undefined;
  const errorCode = low & HAS_ERROR_CODE ? Number(eventInj >> 32n) : undefined;
  const event: EventInjection = { vector: low & 0xff, type, errorCode };
  return type === 'software-interrupt' ? { ...event, instructionLength } : event;
}

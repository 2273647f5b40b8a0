import { Vector } from '../faults/guest-fault.ts';
import type { EventInjection } from '../processor.ts';
import type { GuestEvent } from './deliver.ts';

const KINDS = {
  'external-interrupt': 'external',
  nmi: 'nmi',
  exception: 'exception',
  'software-interrupt': 'software',
  'privileged-software-exception': 'int1',
  'software-exception': 'int3',
} as const satisfies Readonly<Record<EventInjection['type'], GuestEvent['kind']>>;

const TYPES = Object.fromEntries(Object.entries(KINDS).map(([type, kind]) => [kind, type])) as Readonly<
  Record<GuestEvent['kind'], EventInjection['type']>
>;

/** Whether an event is an instruction's own doing: INT n, INT1, INT3, INTO. Its handler returns behind that instruction. */
export function isSoftwareEvent({ type }: EventInjection): boolean {
  return type === 'software-interrupt' || type === 'software-exception' || type === 'privileged-software-exception';
}

/** An injected event as it is delivered. */
export function guestEvent(event: EventInjection): GuestEvent {
  const { vector, type, errorCode, payload, instructionLength } = event;
  return {
    vector,
    kind: KINDS[type],
    errorCode,
    linearAddress: vector === Vector.PF ? payload : undefined,
    dr6: vector === Vector.DB ? payload : undefined,
    length: isSoftwareEvent(event) ? instructionLength : undefined,
  };
}

/** What must be injected for an event to be delivered anew. */
export function injectionOf({ vector, kind, errorCode, linearAddress, dr6, length }: GuestEvent): EventInjection {
  return { vector, type: TYPES[kind], errorCode, payload: linearAddress ?? dr6, instructionLength: length };
}

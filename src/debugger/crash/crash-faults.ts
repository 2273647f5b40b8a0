import { describeFault } from '../../hypervisor/exits/describe.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { Processor } from '../../processor/processor.ts';
import { hex } from '../../x86/address.ts';
import { decodeErrorCode } from '../inspection/error-code.ts';
import { pageFaultCause } from '../inspection/exception-details.ts';
import { deliveryFailure } from './delivery-failure.ts';

const PAGE_FAULT = 14;

/** One fault, decoded. */
interface DecodedFault {
  /** `#PF(0x2)`. */
  readonly name: string;
  readonly vector: number;
  readonly errorCode?: string;
  /** What the bits of the error code mean. */
  readonly bits: readonly string[];
  /** What a page fault was about: what CR2 gets. */
  readonly address?: string;
  /** Why the page tables forbid the access. */
  readonly cause?: string;
}

/** A fault of the chain, and why its handler could not be entered. */
export interface CrashFault extends DecodedFault {
  /** `external interrupt`, `NMI` … for what is no exception. */
  readonly kind?: string;
  /** The fault that its delivery raised. */
  readonly raised?: DecodedFault;
  /** Why its delivery failed, as a sentence. */
  readonly why?: string;
  /** The walk that failed in its delivery. */
  readonly walk?: readonly string[];
}

const KINDS: Readonly<Record<string, string>> = {
  external: 'external interrupt',
  nmi: 'NMI',
  software: 'software interrupt',
  int1: 'INT1',
  int3: 'INT3 or INTO',
};

interface Fault {
  readonly vector: number;
  readonly errorCode?: number;
  readonly payload?: bigint;
}

function decode(processor: Processor, { vector, errorCode, payload }: Fault): DecodedFault {
  const isPageFault = vector === PAGE_FAULT && payload !== undefined;
  return {
    name: describeFault(vector, errorCode),
    vector,
    errorCode: errorCode === undefined ? undefined : hex(errorCode),
    bits: decodeErrorCode(vector, errorCode),
    address: isPageFault ? hex(payload) : undefined,
    cause: isPageFault ? pageFaultCause(errorCode ?? 0, processor.walk(payload), processor.state.cr4) : undefined,
  };
}

/** The faults that an exit tells of, decoded on the state before them. */
export function crashFaults(processor: Processor, exit: VmExit | undefined): CrashFault[] {
  if (exit?.reason === 'exception') return [decode(processor, exit)];
  if (exit?.reason !== 'triple-fault') return [];
  return exit.chain.map((link) => {
    const failure = deliveryFailure(processor, link);
    return {
      ...decode(processor, link),
      kind: link.kind && KINDS[link.kind],
      raised: link.raised && decode(processor, link.raised),
      why: failure?.reason,
      walk: failure && failure.walk.length > 0 ? failure.walk : undefined,
    };
  });
}

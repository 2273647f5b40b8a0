import { describeFault, describeRequest } from '../../hypervisor/exits/describe.ts';
import { msrNamesOn } from '../../platforms/msr-names.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { Processor, WalkResult } from '../../processor/processor.ts';
import { hex } from '../../x86/address.ts';
import { describeSelectorCode, PAGE_FAULT, SELECTOR_FAULTS } from './error-code.ts';

/** Error code of a page fault (Intel SDM vol. 3, 4.7). */
const PageFault = { PRESENT: 1, WRITE: 2, USER: 4, RESERVED: 8, FETCH: 16 } as const;
const CR4_SMEP = 1n << 20n;
const CR4_SMAP = 1n << 21n;

/** What the user sees of an exit or of a guest exception: the request, then its details. `platform`: whose MSRs it names. */
export function exitDetails(exit: VmExit, processor: Processor, platform: string): string[] {
  // A guest exception's request is its name, which the editor shows as the title.
  const lines = exit.reason === 'exception' ? [] : [describeRequest(exit, processor.state.gpr(0), msrNamesOn(platform))];
  if (exit.reason === 'exception') lines.push(...faultDetails(exit.vector, exit.errorCode, exit.payload, processor));
  if (exit.reason === 'triple-fault') {
    lines.push('The chain of faults:');
    for (const { vector, errorCode, payload } of exit.chain) {
      lines.push(`  ${describeFault(vector, errorCode)}${payload === undefined ? '' : ` at ${hex(payload)}`}`);
      lines.push(...faultDetails(vector, errorCode, payload, processor).map((line) => `    ${line}`));
    }
  }
  return lines;
}

function faultDetails(
  vector: number,
  errorCode: number | undefined,
  payload: bigint | undefined,
  processor: Processor,
): string[] {
  if (vector === PAGE_FAULT && payload !== undefined) return pageFaultDetails(errorCode ?? 0, payload, processor);
  if (SELECTOR_FAULTS.has(vector) && errorCode) return [describeSelectorCode(errorCode)];
  return [];
}

/** The access that faulted, the walk of its address, and why the walk forbids the access. */
function pageFaultDetails(errorCode: number, address: bigint, processor: Processor): string[] {
  const walk = processor.walk(address);
  const access = errorCode & PageFault.FETCH ? 'fetch from' : errorCode & PageFault.WRITE ? 'write to' : 'read of';
  const who = errorCode & PageFault.USER ? 'user' : 'supervisor';
  return [
    `A ${who} ${access} ${hex(address)}.`,
    `Page walk of ${hex(address)}:`,
    ...walkLines(walk).map((line) => `  ${line}`),
    pageFaultCause(errorCode, walk, processor.state.cr4),
  ];
}

/** The entries of a page walk, in columns. */
export function walkLines({ steps }: WalkResult): string[] {
  return steps.map(({ level, entryGpa, entry, flags }) =>
    `${level.padEnd(5)} entry at gpa ${hex(entryGpa, 8)}: ${hex(entry, 16)}  ${flags}`.trimEnd(),
  );
}

/** Why the tables forbid an access. A guest that changed them since sees what they say now. */
export function pageFaultCause(errorCode: number, walk: WalkResult, cr4: bigint): string {
  const isUser = (errorCode & PageFault.USER) !== 0;
  if (walk.problem !== undefined) return walk.problem;
  if (!(errorCode & PageFault.PRESENT)) return 'The page is there now; it was not when the access was made.';
  if (errorCode & PageFault.RESERVED) return 'A reserved bit was set in an entry.';
  if (isUser && !walk.user) return "The page is the supervisor's alone (U/S is 0).";
  if (errorCode & PageFault.FETCH) {
    if (!walk.executable) return 'The page is not executable (XD is 1).';
    if (!isUser && walk.user && (cr4 & CR4_SMEP) !== 0n) return 'CR4.SMEP keeps the supervisor from executing a user page.';
  }
  if (errorCode & PageFault.WRITE && !walk.writable)
    return isUser
      ? 'The page is read-only (R/W is 0).'
      : 'The page is read-only (R/W is 0), and CR0.WP makes that hold for the supervisor.';
  if (!isUser && walk.user && (cr4 & CR4_SMAP) !== 0n)
    return 'CR4.SMAP keeps the supervisor from using a user page (EFLAGS.AC is 0).';
  return 'The page allows this access now; it did not when the access was made.';
}

import { describeFault, describeRequest } from '../../hypervisor/exits/describe.ts';
import { type ExitRecord, plainRecord } from '../../hypervisor/journal/exit-journal.ts';
import type { PartitionEnd } from '../../hypervisor/partition/run.ts';
import { foreignAccess } from '../../platforms/foreign-access.ts';
import { msrNamesOn } from '../../platforms/msr-names.ts';
import type { VmExit } from '../../processor/exit.ts';
import { hex } from '../../x86/address.ts';
import { callStack } from '../inspection/call-stack.ts';
import { walkLines } from '../inspection/exception-details.ts';
import type { RunControl } from '../run-control/control.ts';
import { type CrashFault, crashFaults } from './crash-faults.ts';
import { type CrashPlace, describePlace, placeOf } from './crash-place.ts';
import { haltReasons } from './halt-reasons.ts';
import {
  type CodeLine,
  type CrashInstruction,
  codeAround,
  currentInstruction,
  type RegisterLine,
  registerLines,
  type StackWord,
  stackTop,
} from './machine-state.ts';

export type CrashKind =
  | 'triple-fault'
  | 'unhandled-exception'
  | 'exception'
  | 'kernel-panic'
  | 'halted'
  | 'internal-error'
  | 'crash';

/** A crash as plain data: all numbers that may be wide are `0x…` strings, so that it is JSON as it stands. */
export interface CrashReport {
  readonly kind: CrashKind;
  /** One sentence: who, what, where. */
  readonly title: string;
  readonly vcpu: number;
  readonly place: CrashPlace;
  /** The chain of faults, first one first; empty for a halt or a defect. */
  readonly faults: readonly CrashFault[];
  /** What else is to be known, a sentence each: why nothing wakes a guest that halted, what to send with a defect. */
  readonly notes: readonly string[];
  /** What the guest itself has reported, line by line; empty for one that reports nothing. */
  readonly reported: readonly string[];
  readonly instruction: CrashInstruction;
  /** Before the first fault. */
  readonly registers: readonly RegisterLine[];
  readonly callStack: readonly CrashPlace[];
  readonly code: readonly CodeLine[];
  readonly stack: readonly StackWord[];
  /** Walks of the addresses that the chain is about, and of RIP where its code can't be read. */
  readonly walks: readonly { readonly address: string; readonly lines: readonly string[]; readonly result: string }[];
  /** The last exits before it, oldest first. */
  readonly exits: readonly ExitRecord[];
  readonly configuration: {
    readonly platform: string;
    readonly vendor: string;
    readonly cpu: string;
    readonly memory: string;
    readonly vcpus: number;
  };
  /** What the same run has again: retired instructions by vCPU, guest time in ns, hash of vCPUs and RAM. */
  readonly run: { readonly instructions: readonly string[]; readonly time: string; readonly stateHash: string };
}

export type CrashSession = Pick<RunControl, 'partition' | 'symbols' | 'vcpu'>;

/** What a report is about: a stop at a triple fault or at an exception, or the end of a guest. */
export interface CrashCause {
  readonly vcpu: number;
  readonly exit?: VmExit;
  readonly end?: PartitionEnd;
  /** The guest has no handler of its own for the exception. */
  readonly unhandled?: boolean;
  /** What the guest's kernel says as it gives up. */
  readonly panic?: string;
}

/** A guest that goes on from here ends. */
export function isCrash({ exit, unhandled }: CrashCause): boolean {
  return unhandled === true || exit?.reason === 'triple-fault';
}

const EXITS = 16;
const FRAMES = 32;
const MIB = 1024 * 1024;

/** The report in one sentence: cheap enough for every stop. */
export function crashTitle(session: CrashSession, cause: CrashCause): string {
  const { exit, end, panic } = cause;
  if (panic !== undefined) return panic;
  const where = describePlace(placeOf(session, cause.vcpu, kindOf(cause) === 'halted'));
  const who = `vCPU ${cause.vcpu}`;
  if (exit?.reason === 'triple-fault') {
    const names = exit.chain.map(({ vector, errorCode }) => describeFault(vector, errorCode)).join(', then ');
    return `${who} met a triple fault at ${where}: ${names}, and no handler could take it.`;
  }
  if (exit?.reason === 'exception') {
    const address = exit.vector === 14 && exit.payload !== undefined ? `, address ${hex(exit.payload)}` : '';
    const rest = cause.unhandled ? ', and has no handler for it' : '';
    return `${who} met ${describeFault(exit.vector, exit.errorCode)} at ${where}${address}${rest}.`;
  }
  if (end?.kind === 'halted') return `The guest halted for good at ${where}: nothing can wake it any more.`;
  return end?.message ?? `${who} stands at ${where}.`;
}

function kindOf({ exit, end, unhandled, panic }: CrashCause): CrashKind {
  if (panic !== undefined) return 'kernel-panic';
  if (exit?.reason === 'triple-fault') return 'triple-fault';
  if (exit?.reason === 'exception') return unhandled ? 'unhandled-exception' : 'exception';
  return end?.kind === 'halted' || end?.kind === 'internal-error' || end?.kind === 'triple-fault' ? end.kind : 'crash';
}

/**
 * Puts a report together from the guest as it stands, which must be as it was before the first fault. Two runs of the same
 * guest give the same report. The hash of all RAM takes a tenth of a second or more.
 */
export function crashReport(session: CrashSession, cause: CrashCause): CrashReport {
  const { partition, symbols } = session;
  const { processor } = session.vcpu(cause.vcpu);
  const kind = kindOf(cause);
  const { exit } = cause;
  const faults = crashFaults(processor, exit);
  const cr2 = exit?.reason === 'triple-fault' ? exit.cr2 : undefined;
  const place = placeOf(session, cause.vcpu, kind === 'halted');
  const code = codeAround(processor, symbols, BigInt(place.address));
  const bytes = partition.memory.regions.reduce((sum, { length }) => sum + length, 0);
  const addresses = new Set(faults.flatMap(({ address, raised }) => [address, raised?.address]).filter((at) => at !== undefined));
  if (processor.walk(BigInt(place.address)).gpa === undefined) addresses.add(place.address);
  return {
    kind,
    title: crashTitle(session, cause),
    vcpu: cause.vcpu,
    place,
    faults,
    notes: crashNotes(session, cause),
    reported: cause.end?.details ?? [],
    instruction: currentInstruction(processor, BigInt(place.address)),
    registers: registerLines(processor, cr2),
    callStack: callStack(session, cause.vcpu)
      .filter((frame) => frame.kind === 'guest')
      .slice(0, FRAMES)
      .map(({ name, address = 0n, source }) => ({
        address: hex(address),
        symbol: name,
        file: source && fileName(source.path),
        line: source?.line,
      })),
    code,
    stack: stackTop(processor, symbols),
    walks: [...addresses].map((address) => {
      const walk = processor.walk(BigInt(address));
      const result = walk.gpa === undefined ? (walk.problem ?? 'Not mapped.') : `gpa ${hex(walk.gpa)}`;
      return { address, lines: walkLines(walk), result };
    }),
    // The chain says more than the record of the exit that it ended with.
    exits: partition.journal.latest(EXITS, ({ reason }) => reason !== 'triple-fault').map(plainRecord),
    configuration: {
      platform: partition.platform,
      vendor: partition.vendor,
      cpu: processor.model.name,
      // The hole below 1 MiB is no RAM.
      memory: `${Math.ceil(bytes / MIB)} MiB`,
      vcpus: partition.vcpus.length,
    },
    run: {
      instructions: partition.vcpus.map((vcpu) => vcpu.processor.icount.toString()),
      time: partition.clock.now().toString(),
      stateHash: partition.stateHash(),
    },
  };
}

/** What else is to be known of a crash, a sentence each. */
export function crashNotes(session: CrashSession, cause: CrashCause): string[] {
  const { processor, lastExit } = session.vcpu(cause.vcpu);
  const served =
    lastExit &&
    `${lastExit.reason} (${describeRequest(lastExit, processor.state.gpr(0), msrNamesOn(session.partition.platform))}) at RIP ${hex(lastExit.rip)}`;
  const strange = isCrash(cause) ? foreignAccess(processor, processor.linearRip, session.partition.platform) : undefined;
  return [...(strange === undefined ? [] : [strange]), ...notesOf(session, kindOf(cause), served)];
}

function notesOf(session: CrashSession, kind: CrashKind, served: string | undefined): string[] {
  switch (kind) {
    case 'triple-fault':
      return ['The vCPU has shut down, and with it the guest ends: Continue ends the session, Restart begins the run again.'];
    case 'unhandled-exception':
      return [
        'The IDT is the one that a 64-bit guest starts with; its handlers only halt. Load an IDT of your own (lidt) to handle exceptions.',
        'Continue ends the session, Restart begins the run again.',
      ];
    case 'halted':
      return haltReasons(session);
    case 'internal-error':
      return [
        ...(served === undefined ? [] : [`The VM exit that was served: ${served}.`]),
        'This is a defect of Hyperscope, not of the guest. Please report it with this text, the program and its launch configuration: the run can be repeated to the instruction.',
      ];
    default:
      return [];
  }
}

function fileName(path: string): string {
  return path.split(/[\\/]/).at(-1) ?? path;
}

import type { ActiveFrame } from '../../hypervisor/exits/exit-activity.ts';
import { exitNumbers } from '../../hypervisor/exits/reasons.ts';
import { stagePosition } from '../../hypervisor/exits/stage-position.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { FrameContext, FrameRegisters } from '../../symbols/symbol-source.ts';
import { hex } from '../../x86/address.ts';
import type { DebugSession } from '../debug-session.ts';

/** A frame of the call stack that goes from the hypervisor down into the guest, newest first. */
export interface StackEntry {
  readonly kind: 'handler' | 'label' | 'guest';
  readonly name: string;
  /** Path in the workspace (guest) or from the project's folder (handler). */
  readonly source?: { readonly path: string; readonly line: number; readonly column?: number; readonly shipped: boolean };
  /** Where a guest frame is. */
  readonly address?: bigint;
  readonly handler?: ActiveFrame;
  readonly context?: FrameContext;
}

const MAX_FRAMES = 256;
/** DWARF register numbers of the general registers in encoding order. */
const DWARF = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];

/** `VM exit: VMCALL, reason 18`, or the SVM code on AMD. */
export function exitLabel(vendor: 'intel' | 'amd', exit: VmExit): string {
  const { vmx, svm } = exitNumbers(exit);
  const name = exit.reason === 'hypercall' ? exit.instruction.toUpperCase() : exit.reason.toUpperCase().replaceAll('-', ' ');
  return `── VM exit: ${name}, ${vendor === 'intel' ? `reason ${vmx}` : `code ${hex(svm)}`} ──`;
}

/** Registers of the newest guest frame. */
function currentRegisters(session: DebugSession, vcpu: number): FrameRegisters {
  const { processor } = session.vcpu(vcpu);
  return {
    get: (number) => (number === 16 ? processor.linearRip : number < 16 ? processor.state.gpr(DWARF.indexOf(number)) : undefined),
  };
}

/** The context in which variables and expressions of the newest guest frame are read. */
export function guestContext(session: DebugSession, vcpu: number): FrameContext {
  const { processor } = session.vcpu(vcpu);
  return {
    pc: processor.linearRip,
    registers: currentRegisters(session, vcpu),
    pointerSize: processor.mode / 8,
    memory: (address, length) => {
      const bytes = processor.readMemory('gva', address, length);
      return bytes.length === length ? bytes : undefined;
    },
  };
}

export function callStack(session: DebugSession, index: number): StackEntry[] {
  const vcpu = session.vcpu(index);
  const entries: StackEntry[] = [];
  const { activity } = vcpu;
  if (activity) {
    for (const frame of [...activity.frames].reverse()) entries.push(handlerEntry(frame));
    entries.push({ kind: 'label', name: exitLabel(session.partition.vendor, activity.exit) });
  }
  let context: FrameContext | undefined = guestContext(session, index);
  const seen = new Set<string>();
  while (context && entries.length < MAX_FRAMES) {
    entries.push(
      guestEntry(
        session,
        context,
        entries.some(({ kind }) => kind === 'guest'),
      ),
    );
    const caller = session.symbols.unwind(context);
    const pc = caller?.get(16);
    const sp = caller?.get(7);
    if (!caller || pc === undefined || pc === 0n) break;
    // A stack that leads back to itself is no stack.
    const key = `${pc}:${sp}`;
    if (seen.has(key)) break;
    seen.add(key);
    context = { ...context, pc, registers: caller };
  }
  return entries;
}

function handlerEntry(frame: ActiveFrame): StackEntry {
  const position = frame.stage ? stagePosition(frame.stage.id) : undefined;
  return {
    kind: 'handler',
    name: `${frame.frame.component}: ${frame.frame.name}`,
    source: position && { path: position.path, line: position.line, shipped: true },
    handler: frame,
  };
}

function guestEntry(session: DebugSession, context: FrameContext, isCaller: boolean): StackEntry {
  // A return address may lie behind the last instruction of its line.
  const place = isCaller ? context.pc - 1n : context.pc;
  const line = session.symbols.lineAt(place);
  const name = session.symbols.functionAt(place)?.name ?? session.symbols.describe(place) ?? hex(context.pc);
  return {
    kind: 'guest',
    name,
    address: context.pc,
    context,
    source: line && { path: line.position.path, line: line.position.line, column: line.position.column, shipped: false },
  };
}

import type { ActiveFrame } from '../../hypervisor/exits/exit-activity.ts';
import { exitNumbers } from '../../hypervisor/exits/reasons.ts';
import { stagePosition } from '../../hypervisor/exits/stage-position.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { Processor } from '../../processor/processor.ts';
import { Segment } from '../../processor/state/layout.ts';
import type { FrameContext, FrameRegisters } from '../../symbols/symbol-source.ts';
import { hex } from '../../x86/address.ts';
import type { RunControl } from '../run-control/control.ts';
import { findRegister, type NamedRegister } from './registers.ts';

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

type Inspected = Pick<RunControl, 'partition' | 'symbols' | 'vcpu'>;

const MAX_FRAMES = 256;
/** DWARF register numbers of the general registers in encoding order. */
const DWARF = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];
const DWARF_NAMES: readonly string[] = [
  ...'rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15'.split(' '),
  // The return address.
  '',
  ...Array.from({ length: 16 }, (_, index) => `xmm${index}`),
  ...Array.from({ length: 8 }, (_, index) => `st${index}`),
];

/** A register that holds a variable, by its DWARF number; undefined for one that isn't known. */
export function dwarfRegister(processor: Processor, number: number): NamedRegister | undefined {
  return findRegister(processor, DWARF_NAMES[number] ?? '');
}

/** `VM exit: VMCALL, reason 18`, or the SVM code on AMD. */
export function exitLabel(vendor: 'intel' | 'amd', exit: VmExit): string {
  const { vmx, svm } = exitNumbers(exit);
  const name = exit.reason === 'hypercall' ? exit.instruction.toUpperCase() : exit.reason.toUpperCase().replaceAll('-', ' ');
  return `── VM exit: ${name}, ${vendor === 'intel' ? `reason ${vmx}` : `code ${hex(svm)}`} ──`;
}

/** Registers of the newest guest frame. */
function currentRegisters(session: Inspected, vcpu: number): FrameRegisters {
  const { processor } = session.vcpu(vcpu);
  return {
    get: (number) => {
      if (number === 16) return processor.linearRip;
      return number < 16 ? processor.state.gpr(DWARF.indexOf(number)) : dwarfRegister(processor, number)?.get();
    },
  };
}

/** The context in which variables and expressions of the newest guest frame are read. */
export function guestContext(session: Inspected, vcpu: number): FrameContext {
  const { processor } = session.vcpu(vcpu);
  session.symbols.lookFrom?.(vcpu);
  return {
    pc: processor.linearRip,
    registers: currentRegisters(session, vcpu),
    pointerSize: processor.mode / 8,
    stackBase: processor.state.segment(Segment.SS).base,
    codeBase: processor.state.segment(Segment.CS).base,
    namedRegister: (name) => findRegister(processor, name)?.get(),
    memory: (address, length) => {
      const bytes = processor.readMemory('gva', address, length);
      return bytes.length === length ? bytes : undefined;
    },
  };
}

export function callStack(session: Inspected, index: number): StackEntry[] {
  const vcpu = session.vcpu(index);
  const entries: StackEntry[] = [];
  const { activity } = vcpu;
  if (activity) {
    for (const frame of [...activity.frames].reverse()) entries.push(handlerEntry(frame));
    entries.push({ kind: 'label', name: exitLabel(session.partition.vendor, activity.exit) });
  }
  let context: FrameContext = guestContext(session, index);
  const seen = new Set<string>();
  while (entries.length < MAX_FRAMES) {
    entries.push(...guestEntries(session, index, context));
    const caller = session.symbols.unwind(context);
    const pc = caller?.get(16);
    const sp = caller?.get(7);
    if (!caller) {
      const reason = session.symbols.whyNoCaller?.(context);
      if (reason !== undefined) entries.push({ kind: 'label', name: `── the stack ends here: ${reason} ──` });
    }
    if (!caller || pc === undefined || pc === 0n) break;
    // A stack that leads back to itself is no stack.
    const key = `${pc}:${sp}`;
    if (seen.has(key)) break;
    seen.add(key);
    context = { ...context, pc, registers: caller, isCaller: caller.isInterrupted !== true, isOuter: true };
  }
  return entries;
}

function handlerEntry(frame: ActiveFrame): StackEntry {
  const position = frame.stage ? stagePosition(frame.stage.id) : undefined;
  return {
    kind: 'handler',
    name: frame.frame.component === undefined ? frame.frame.name : `${frame.frame.component}: ${frame.frame.name}`,
    source: position && { path: position.path, line: position.line, shipped: true },
    handler: frame,
  };
}

/** The frames at one place of the guest's stack, innermost first: the calls that were inlined there, then the function. */
function guestEntries(session: Inspected, vcpu: number, context: FrameContext): StackEntry[] {
  const { symbols, partition } = session;
  // A return address may lie behind the last instruction of its line.
  const place = context.isCaller ? context.pc - 1n : context.pc;
  const inlined = symbols.inlineFramesAt(place);
  const gateway = partition.gatewayAt(vcpu, context.pc);
  const functionName = gateway ?? symbols.functionAt(place)?.name ?? symbols.describe(place) ?? hex(context.pc);
  const line = symbols.lineAt(place)?.position;
  const names = [...inlined.map(({ name }) => name), functionName];
  const positions = [line, ...inlined.map(({ callSite }) => callSite)];
  return names.map((name, level) => {
    const position = positions[level];
    return {
      kind: 'guest',
      name: level < inlined.length ? `${name} (inlined)` : context.registers.isGuessed ? `${name} (by the frame pointer)` : name,
      address: context.pc,
      context,
      source: position && { path: position.path, line: position.line, column: position.column, shipped: false },
    };
  });
}

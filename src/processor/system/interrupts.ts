import type { DecodedInstruction } from '../../x86/instruction.ts';
import { deliverEvent, type GuestEvent } from '../events/deliver.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { interceptsException } from '../intercepts.ts';
import { isVirtual8086 } from '../segmentation/descriptor.ts';
import { type CpuState, Flag } from '../state/cpu-state.ts';
import { AccessExit, type SystemContext, type SystemHelper } from './context.ts';
import { iopl } from './flag-rules.ts';
import { nextRip } from './operands.ts';

/**
 * Delivers a software event: the handler returns behind the instruction. When delivery fails, the faults are those of the
 * instruction itself, so RIP goes back before they are raised.
 */
function softwareEvent(
  context: SystemContext,
  instruction: DecodedInstruction,
  { vector, kind }: Pick<GuestEvent, 'vector' | 'kind'>,
): ReturnType<SystemHelper> {
  const event: GuestEvent = { vector, kind, length: instruction.length };
  const { state } = context;
  const { rip } = state;
  const { svm } = context.intercepts;
  if (kind === 'software' && svm.has('int-n')) return { reason: 'svm', instruction: 'int', vector };
  if (kind === 'int1' && svm.has('icebp')) return { reason: 'svm', instruction: 'icebp' };
  if (kind !== 'software' && interceptsException(context.intercepts, vector))
    return { reason: 'exception', vector, type: kind === 'int1' ? 5 : 6 };
  state.rip = nextRip(context, instruction);
  let outcome: ReturnType<typeof deliverEvent>;
  try {
    outcome = context.undivided(() => deliverEvent(context, event, rip));
  } catch (error) {
    // A task switch that a hypervisor does: the instruction is still to come.
    state.rip = rip;
    if (error instanceof AccessExit) error.during ??= event;
    throw error;
  }
  if (outcome === 'delivered') return 'jumped';
  state.rip = rip;
  return { reason: 'triple-fault', ...outcome };
}

export const intN: SystemHelper = (context, instruction) => {
  if (isVirtual8086(context) && iopl(context) < 3) throw new GuestFault(Vector.GP, 0);
  return softwareEvent(context, instruction, { vector: Number(instruction.immediate & 0xffn), kind: 'software' });
};

export const int3: SystemHelper = (context, instruction) =>
  softwareEvent(context, instruction, { vector: Vector.BP, kind: 'int3' });

export const int1: SystemHelper = (context, instruction) =>
  softwareEvent(context, instruction, { vector: Vector.DB, kind: 'int1' });

export const into: SystemHelper = (context, instruction) =>
  context.state.rflags & Flag.OF ? softwareEvent(context, instruction, { vector: Vector.OF, kind: 'int3' }) : 'next';

const EVENT_HELPERS: ReadonlySet<string> = new Set(['int_n', 'int3', 'int1', 'into']);

/**
 * Whether a single-step trap follows an instruction done by a helper. `before` says that TF was set when it began. A software
 * interrupt that was delivered takes the trap's place; SYSCALL and SYSRET look at the TF that they have set.
 */
export function trapsAfter(helper: string, before: boolean, state: CpuState): boolean {
  if (helper === 'syscall' || helper === 'sysret') return (state.rflags & Flag.TF) !== 0;
  // INTO without overflow was no interrupt: TF is still set then.
  return before && (!EVENT_HELPERS.has(helper) || (state.rflags & Flag.TF) !== 0);
}

/** The exception that INT3, INT1 or INTO is about to raise. */
export function softwareException(helper: string, state: CpuState): number | undefined {
  if (helper === 'int3') return Vector.BP;
  if (helper === 'int1') return Vector.DB;
  return helper === 'into' && (state.rflags & Flag.OF) !== 0 ? Vector.OF : undefined;
}

/** BOUND: #BR when a signed index lies outside its pair of bounds. */
export const bound: SystemHelper = (context, instruction) => {
  const bits = instruction.operandSize;
  const bytes = bits === 16 ? 2 : 4;
  const at = context.effectiveAddress(instruction);
  const read = (offset: number) =>
    BigInt.asIntN(
      bits,
      context.readVirtual(instruction.segment, BigInt.asUintN(instruction.addressSize, at + BigInt(offset)), bytes),
    );
  const index = BigInt.asIntN(bits, context.state.gpr(instruction.modrm?.reg ?? 0));
  // Both bounds are read, whatever the first one says.
  const [lower, upper] = [read(0), read(bytes)];
  if (index < lower || index > upper) throw new GuestFault(Vector.BR);
  return 'next';
};

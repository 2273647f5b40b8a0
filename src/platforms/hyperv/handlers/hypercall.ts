import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { hypercallName } from '../abi/hypercalls.ts';
import { HvStatus, statusName } from '../abi/status.ts';
import type { HypercallCall } from '../hypercalls/call.ts';
import { type ControlWord, controlWordOf, resultWord, withRepStart } from '../hypercalls/control-word.ts';
import { giveOutput, prepareCall, ROUND_TICKS } from '../hypercalls/convention.ts';
import { bareRequest, callRequest, namedArguments } from '../hypercalls/describe.ts';
import { perform } from '../hypercalls/handlers/perform.ts';
import { type CallRegisters, callRegisters, giveControl, giveResult, mayCall } from '../hypercalls/registers.ts';
import { type Hyperv, hypervisorFrame, parentFrame } from '../hyperv.ts';
import { tellOfParameters } from './guest-parent.ts';

type HypercallContext = ExitContext<ExitOf<'hypercall'>>;

const NATIVE = { intel: 'vmcall', amd: 'vmmcall' } as const;

/** VMCALL (VMX reason 18) and VMMCALL (SVM 0x81), from the hypercall page or from anywhere else. */
export function* handleHypercall(hyperv: Hyperv, context: HypercallContext): Handler {
  const { exit, processor } = context;
  yield stage('hyperv-hypercall.exit', { instruction: exit.instruction, cpl: processor.cpl, partition: hyperv.partitionId });
  const problem = problemOfCaller(hyperv, context);
  if (problem !== undefined) {
    yield* inFrame(hypervisorFrame(hyperv, 'inject #UD'), refuse(context, problem));
    return;
  }
  yield* inFrame(hypervisorFrame(hyperv, 'hypercall'), dispatch(hyperv, context));
}

/** Why a caller has no hypercalls at all; undefined for one that has. */
function problemOfCaller(hyperv: Hyperv, { exit, processor }: HypercallContext): string | undefined {
  if (exit.instruction !== NATIVE[hyperv.vendor]) return `${exit.instruction} is the other vendor's instruction`;
  if (!mayCall(processor)) return 'a hypercall is made at CPL 0, in protected or long mode';
  return hyperv.hypercallsEnabled ? undefined : 'the hypercall page is not enabled';
}

function* refuse(context: HypercallContext, why: string): Handler {
  yield stage('hyperv-hypercall.undefined', { why, becomes: '#UD' });
  context.injectFault(Vector.UD);
  context.result(`#UD: ${why}`);
}

function* dispatch(hyperv: Hyperv, context: HypercallContext): Handler {
  const { processor, exit } = context;
  const registers = callRegisters(processor);
  const word = controlWordOf(registers.control);
  context.asked(bareRequest(exit.instruction, word));
  yield stage('hyperv-hypercall.control', {
    control: registers.control,
    name: hypercallName(word.code),
    fast: word.isFast,
    repCount: word.repCount,
    repStart: word.repStart,
    caller: registers.isWide ? '64-bit' : '32-bit',
  });
  const prepared = prepareCall(hyperv, processor, registers, word);
  if (prepared.kind === 'undefined') {
    yield* inFrame(hypervisorFrame(hyperv, 'inject #UD'), refuse(context, `${prepared.why} was not offered`));
    return;
  }
  if (prepared.kind === 'unreachable' && hyperv.parent) {
    const isWrite = prepared.access === 'write';
    yield* inFrame(
      hypervisorFrame(hyperv, 'GPA intercept'),
      tellOfParameters(hyperv, hyperv.parent, context, prepared.gpa, isWrite),
    );
    return;
  }
  if (prepared.kind === 'unreachable') {
    yield* inFrame(
      parentFrame('vmwp.exe', 'stop the virtual machine'),
      unreachable(hyperv, context, prepared.gpa, prepared.access),
    );
    return;
  }
  if (prepared.kind === 'refused') {
    yield stage('hyperv-hypercall.refused', { status: statusName(prepared.status), why: prepared.why });
    complete(context, registers, prepared.status, word.repStart, prepared.why);
    return;
  }
  yield* inFrame(hypervisorFrame(hyperv, hypercallName(word.code)), run(hyperv, context, registers, word, prepared.call));
}

function* run(
  hyperv: Hyperv,
  context: HypercallContext,
  registers: CallRegisters,
  word: ControlWord,
  call: HypercallCall,
): Handler {
  context.asked(callRequest(context.exit.instruction, call));
  yield stage('hyperv-hypercall.arguments', namedArguments(call));
  const status = yield* perform(hyperv, call);
  if (call.server !== undefined) context.served(call.server, 'parent');
  if (status === HvStatus.SUCCESS || call.row.isRep) giveOutput(hyperv, call, registers);
  if (status === HvStatus.SUCCESS && call.repsCompleted > call.repStart && call.repsCompleted < word.repCount) {
    yield* inFrame(hypervisorFrame(hyperv, 'hypercall continuation'), goOnLater(hyperv, context, registers, call));
    return;
  }
  yield stage('hyperv-hypercall.complete', { status: statusName(status), repsCompleted: call.repsCompleted });
  complete(context, registers, status, call.repsCompleted, call.problem);
}

/** The time of this round is over: interrupts and other vCPUs have their turn, then the instruction is run again. */
function* goOnLater(hyperv: Hyperv, context: HypercallContext, registers: CallRegisters, call: HypercallCall): Handler {
  const { processor } = context;
  yield stage('hyperv-hypercall.continue', {
    repsCompleted: call.repsCompleted,
    repCount: call.repCount,
    rip: processor.state.rip,
  });
  giveControl(processor, registers, withRepStart(registers.control, call.repsCompleted));
  processor.skipTime(ROUND_TICKS);
  hyperv.machine.yieldTurn();
  context.result(`continued behind ${call.repsCompleted} of ${call.repCount}`);
}

function complete(
  context: HypercallContext,
  registers: CallRegisters,
  status: number,
  repsCompleted: number,
  why: string | undefined,
): void {
  giveResult(context.processor, registers, resultWord(status, repsCompleted));
  context.skip();
  const done = repsCompleted > 0 ? `, ${repsCompleted} done` : '';
  context.result(`${statusName(status)}${done}${why === undefined ? '' : `: ${why}`}`);
}

/** Parameters where the guest has no memory are a memory intercept. The parent of this guest can't do anything about it. */
function* unreachable(hyperv: Hyperv, context: HypercallContext, gpa: bigint, access: 'read' | 'write'): Handler {
  const { vcpu, exit } = context;
  const what = access === 'read' ? 'read its input' : 'write its output';
  const message = `vCPU ${vcpu} at RIP ${hex(exit.rip)} made a hypercall (${context.record.request}), but the hypervisor can't ${what} at guest physical address ${hex(gpa)}: there is no memory.`;
  context.record.to = 'parent';
  context.result(`no memory at ${hex(gpa)}`);
  yield stage('hyperv-hypercall.unreachable', { gpa, access, why: message });
  hyperv.machine.finish({ kind: 'crash', status: 126, message });
}

import { Delivery } from '../../../devices/local-apic/registers.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ResultFormat } from '../../../hypervisor/journal/exit-entry.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import type { Processor } from '../../../processor/processor.ts';
import { ACTIVITY } from '../../../processor/state/layout.ts';
import { type Handler, inFrame, type StageValue, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { writeBytes } from '../../guest-memory.ts';
import {
  CLOCK_PAIRING_WALLCLOCK,
  ClockPairing,
  Hypercall,
  hypercallRequest,
  hypercallRow,
  plainNumber,
  ReturnCode,
  returnCodeName,
} from '../abi/hypercalls.ts';
import { KvmExit } from '../abi/kvm-run.ts';
import { type Kvm, kernelFrame, vmmFrame } from '../kvm.ts';
import { guestTsc } from '../paravirtual/clock.ts';
import type { UserSpace } from '../vm/virtual-machine.ts';

type HypercallContext = ExitContext<ExitOf<'hypercall'>>;

const NOT_THERE = 'no vCPU of the partition is named by that';
const SECOND = 1_000_000_000n;
const NATIVE = { intel: 'vmcall', amd: 'vmmcall' } as const;
const EMULATE = kernelFrame('kvm_emulate_hypercall');
const REGISTERS = ['rbx', 'rcx', 'rdx', 'rsi'] as const;
const OPCODES = { intel: [0x0f, 0x01, 0xc1], amd: [0x0f, 0x01, 0xd9] } as const;

/** VMCALL (VMX reason 18) and VMMCALL (SVM 0x81): number in RAX, arguments in RBX, RCX, RDX and RSI, result in RAX. */
export function* handleHypercall(kvm: Kvm, context: HypercallContext): Handler {
  const { exit, processor } = context;
  yield stage('kvm-hypercall.exit', { instruction: exit.instruction, rax: processor.state.gpr(0), cpl: processor.cpl });
  if (exit.instruction !== NATIVE[kvm.vendor]) {
    yield* inFrame(kernelFrame('emulator_fix_hypercall'), fixInstruction(kvm, context));
    return;
  }
  yield* inFrame(EMULATE, emulateHypercall(kvm, context));
}

/** The other vendor's instruction: KVM writes this one's over it, and the guest runs that. */
function* fixInstruction(kvm: Kvm, context: HypercallContext): Handler {
  const { processor } = context;
  yield stage('kvm-hypercall.fix', { found: context.exit.instruction, becomes: NATIVE[kvm.vendor], at: processor.linearRip });
  processor.writeMemory('gva', processor.linearRip, Uint8Array.from(OPCODES[kvm.vendor]));
  context.result(`patched to ${NATIVE[kvm.vendor]}`);
}

function* emulateHypercall(kvm: Kvm, context: HypercallContext): Handler {
  const { processor } = context;
  const { state } = processor;
  // Outside 64-bit mode numbers, arguments and results have 32 bits.
  const isWide = processor.mode === 64;
  const argument = (register: number) => (isWide ? state.gpr(register) : BigInt.asUintN(32, state.gpr(register)));
  const number = argument(0);
  const values = [argument(3), argument(1), argument(2), argument(6)] as const;
  context.asked(hypercallRequest(context.exit.instruction, number));
  yield stage('kvm-hypercall.decode', decoded(number, values));
  const plain = plainNumber(number);
  const allowed = processor.cpl === 0 && kvm.machine.door.ask('hypercalls', () => `to make ${context.record.request}`);
  yield stage('kvm-hypercall.check', { cpl: processor.cpl, allowed });
  if (allowed && plain !== undefined && kvm.vm.userSpace && (kvm.vm.hypercallExits >> BigInt(plain)) & 1n) {
    yield* inFrame(vmmFrame('KVM_EXIT_HYPERCALL'), leaveToVmm(kvm.vm.userSpace, context, number, values));
    return;
  }
  const result = allowed ? yield* perform(kvm, processor, number, values) : ReturnCode.EPERM;
  state.setGpr(0, isWide ? BigInt.asUintN(64, result) : BigInt.asUintN(32, result));
  context.skip();
  context.resultOf(returnCode, BigInt.asUintN(64, result));
  yield stage('kvm-hypercall.complete', { rax: state.gpr(0), result: returnCodeName(result) });
}

/** What the VMM serves: it gives the result. */
function* leaveToVmm(userSpace: UserSpace, context: HypercallContext, number: bigint, values: readonly bigint[]): Handler {
  context.record.to = 'device';
  context.result('KVM_EXIT_HYPERCALL');
  yield stage('kvm-hypercall.user-space', { exit_reason: KvmExit.HYPERCALL, nr: number });
  userSpace.leave(context, { reason: KvmExit.HYPERCALL, number, arguments: [...values], result: 0n });
}

const returnCode: ResultFormat = (value) => returnCodeName(BigInt.asIntN(64, value));

/** A hypercall with its arguments by their names. */
function decoded(number: bigint, values: readonly bigint[]): Record<string, StageValue> {
  const known = hypercallRow(number);
  const names = known?.arguments ?? REGISTERS;
  const named = names.map((name, index) => [name, values[index] ?? 0n] as const);
  return { number, name: known?.name ?? 'unknown', ...Object.fromEntries(named) };
}

function* perform(
  kvm: Kvm,
  processor: Processor,
  number: bigint,
  [first, second, third, fourth]: readonly [bigint, bigint, bigint, bigint],
): Handler<bigint> {
  switch (plainNumber(number)) {
    case Hypercall.VAPIC_POLL_IRQ:
      return ReturnCode.OK;
    case Hypercall.KICK_CPU:
      return yield* inFrame(kernelFrame('kvm_pv_kick_cpu_op'), kickCpu(kvm, second));
    case Hypercall.CLOCK_PAIRING:
      return yield* inFrame(kernelFrame('kvm_pv_clock_pairing'), pairClocks(kvm, processor, first, second));
    case Hypercall.SEND_IPI:
      return yield* inFrame(kernelFrame('kvm_pv_send_ipi'), sendIpis(kvm, processor, first, second, third, fourth));
    case Hypercall.SCHED_YIELD:
      return yield* inFrame(kernelFrame('kvm_sched_yield'), schedYield(kvm, first));
    default:
      // MAP_GPA_RANGE too: it needs a VMM that asked for it, as one with confidential guests does.
      return ReturnCode.ENOSYS;
  }
}

function* kickCpu(kvm: Kvm, apicId: bigint): Handler<bigint> {
  const target = processorOf(kvm, BigInt.asUintN(16, apicId), 'to wake');
  yield stage('kvm-kick-cpu.wake', { apicid: apicId, found: target !== undefined, halted: target?.halted ?? false });
  const isHalted = target?.state.get32(ACTIVITY) === 1;
  if (target && isHalted) {
    target.state.set32(ACTIVITY, 0);
    target.stateChanged();
  }
  return ReturnCode.OK;
}

/** The processor with an APIC id. A guest that names another one is refused. */
function processorOf(kvm: Kvm, apicId: bigint, verb: string): Processor | undefined {
  const { processors, door } = kvm.machine;
  const found = processors.find(({ index }) => BigInt(index) === apicId);
  if (!found) door.refuse('vcpus', () => `${verb} APIC id ${hex(apicId)}`, NOT_THERE);
  return found;
}

/** struct kvm_clock_pairing: the host's wall clock and the guest's TSC of one moment. */
function* pairClocks(kvm: Kvm, processor: Processor, gpa: bigint, type: bigint): Handler<bigint> {
  yield stage('kvm-clock-pairing.check', { gpa, type });
  if (type !== CLOCK_PAIRING_WALLCLOCK) return ReturnCode.EOPNOTSUPP;
  const bytes = new Uint8Array(ClockPairing.SIZE);
  const view = new DataView(bytes.buffer);
  const seconds = kvm.startSeconds + processor.ticks / SECOND;
  view.setBigInt64(ClockPairing.SECONDS, seconds, true);
  view.setBigInt64(ClockPairing.NANOSECONDS, processor.ticks % SECOND, true);
  view.setBigUint64(ClockPairing.TSC, guestTsc(processor), true);
  const written = writeBytes(processor, gpa, bytes);
  yield stage('kvm-clock-pairing.write', { sec: seconds, nsec: processor.ticks % SECOND, tsc: guestTsc(processor), written });
  return written ? ReturnCode.OK : ReturnCode.EFAULT;
}

/** A bitmap of 64 or 2 × 32 APIC ids from `min` on; returns how many got the interrupt. */
function* sendIpis(kvm: Kvm, processor: Processor, low: bigint, high: bigint, min: bigint, icr: bigint): Handler<bigint> {
  const bits = processor.mode === 64 ? 64n : 32n;
  const mode = Number((icr >> 8n) & 7n);
  const vector = Number(icr & 0xffn);
  yield stage('kvm-send-ipi.decode', { vector, mode, min, low, high });
  // Destination fields and shorthands make no sense beside a bitmap.
  if (icr & 0xc0800n) return ReturnCode.EINVAL;
  if (mode !== Delivery.FIXED && mode !== Delivery.NMI) return ReturnCode.EINVAL;
  const bitmap = BigInt.asUintN(Number(bits), low) | (BigInt.asUintN(Number(bits), high) << bits);
  if (!kvm.machine.door.ask('send-ipis', () => `an interrupt, vector ${hex(vector)}, to a set of APIC ids`))
    return ReturnCode.EPERM;
  let delivered = 0n;
  let missing = bitmap;
  for (const apic of kvm.machine.devices.localApics) {
    const position = BigInt(apic.id) - BigInt.asUintN(32, min);
    if (position < 0n || position >= 2n * bits || !((bitmap >> position) & 1n)) continue;
    apic.accept(mode, vector, false);
    missing &= ~(1n << position);
    delivered++;
  }
  const first = BigInt.asUintN(32, min);
  if (missing)
    kvm.machine.door.refuse(
      'vcpus',
      () => `an interrupt, vector ${hex(vector)}, to APIC ids ${hex(missing)} from ${hex(first)} on`,
      NOT_THERE,
    );
  yield stage('kvm-send-ipi.delivered', { count: delivered });
  return delivered;
}

/** The rest of this vCPU's turn goes to the one that it waits for. */
function* schedYield(kvm: Kvm, apicId: bigint): Handler<bigint> {
  const target = processorOf(kvm, BigInt.asUintN(32, apicId), 'to yield to');
  yield stage('kvm-sched-yield.yield', { apicid: apicId, found: target !== undefined });
  if (target) kvm.machine.yieldTurn(target.index);
  return ReturnCode.OK;
}

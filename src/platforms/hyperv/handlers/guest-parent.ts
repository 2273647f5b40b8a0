import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf, VmExit } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { Access, InterceptMessageType, interceptMessageName } from '../abi/intercepts.ts';
import { HvStatus, statusName } from '../abi/status.ts';
import { hypervisorLeaf, LEAF_1_ECX, type LeafValues } from '../cpuid.ts';
import { type GuestParent, type Hyperv, hypervisorFrame } from '../hyperv.ts';
import {
  cpuidMessage,
  exceptionMessage,
  hypercallMessage,
  type InterceptMessage,
  ioPortMessage,
  memoryMessage,
  msrMessage,
  plainMessage,
} from '../partitions/intercept-messages.ts';
import { handleCpuid } from './cpuid.ts';
import { nameRequest } from './msr.ts';

/** Intercepts arrive at this interrupt source of the root's first virtual processor. */
const INTERCEPT_SINT = 0;
const INTERCEPT_VP = 0;
/** Ticks until an intercept is told again that its parent had no room for. */
const RETRY = 10_000n;

/** The handler of an exit that is for the guest that has made the partition (`concernsParent`). */
export function tellParent(hyperv: Hyperv, parent: GuestParent, context: ExitContext): Handler {
  const { exit } = context;
  /** The same context, known to be for an exit of this reason. */
  const of = <Exit extends VmExit>(_narrow: Exit) => context as ExitContext<Exit>;
  switch (exit.reason) {
    case 'io':
      return handlePortIntercept(hyperv, parent, of(exit));
    case 'mmio':
    case 'second-level-violation':
    case 'second-level-misconfiguration':
      return handleMemoryIntercept(hyperv, parent, of(exit));
    case 'cpuid':
      return handleChildCpuid(hyperv, parent, of(exit));
    case 'msr-read':
    case 'msr-write':
      return handleMsrIntercept(hyperv, parent, of(exit));
    case 'exception':
      return handleExceptionIntercept(hyperv, parent, of(exit));
    case 'hypercall':
      return handleHypercallIntercept(hyperv, parent, context);
    case 'hlt':
      return handleHaltIntercept(hyperv, parent, context);
    case 'vm-entry-failure':
      return handleInvalidRegister(hyperv, parent, of(exit));
    default:
      return handleUnrecoverable(hyperv, parent, context);
  }
}

/** An access to a port: for its parent where that wants to know of it. Nobody else has any. */
export function* handlePortIntercept(hyperv: Hyperv, parent: GuestParent, context: ExitContext<ExitOf<'io'>>): Handler {
  const { port, size, write, string, rep } = context.exit;
  const isIntercepted = parent.child.intercepts.ofPort(port, write);
  yield stage('hyperv-guest-parent.port', {
    port,
    size,
    direction: write ? 'out' : 'in',
    string,
    rep,
    intercepted: isIntercepted,
  });
  if (isIntercepted) {
    const message = ioPortMessage(context.processor, context.exit);
    yield* inFrame(hypervisorFrame(hyperv, 'I/O port intercept'), tell(hyperv, parent, context, message));
    return;
  }
  hyperv.machine.door.refuse(
    'ports',
    () => `to ${write ? 'write' : 'read'} port ${hex(port)}`,
    'its parent has no intercept on it',
  );
  context.processor.completeAccess(write ? 0n : BigInt(0xffff_ffff >>> (32 - size * 8)));
  context.result(write ? 'dropped' : 'all ones');
  yield stage('hyperv-guest-parent.unclaimed', { port, note: write ? 'no intercept: dropped' : 'no intercept: all ones' });
}

type MemoryContext = ExitContext<ExitOf<'mmio'> | ExitOf<'second-level-violation'> | ExitOf<'second-level-misconfiguration'>>;

/** An access to guest physical memory that isn't mapped, or that the map flags don't allow. */
export function* handleMemoryIntercept(hyperv: Hyperv, parent: GuestParent, context: MemoryContext): Handler {
  const { exit } = context;
  const access = accessOf(exit);
  const isMapped = hyperv.machine.secondLevel.stateAt(exit.gpa) === 'present';
  yield stage('hyperv-guest-parent.memory', {
    gpa: exit.gpa,
    gva: exit.gva ?? 'none',
    access: ACCESS_NAMES[access],
    mapped: isMapped,
  });
  const message = memoryMessage(context.processor, exit, { gpa: exit.gpa, gva: exit.gva, access, isMapped });
  yield* inFrame(hypervisorFrame(hyperv, 'GPA intercept'), tell(hyperv, parent, context, message));
}

const ACCESS_NAMES = { [Access.READ]: 'read', [Access.WRITE]: 'write', [Access.EXECUTE]: 'execute' } as const;

function accessOf(exit: MemoryContext['exit']): keyof typeof ACCESS_NAMES {
  if (exit.reason === 'mmio') return exit.fetch === true ? Access.EXECUTE : exit.write ? Access.WRITE : Access.READ;
  if (exit.access === 'execute') return Access.EXECUTE;
  return exit.access === 'read' ? Access.READ : Access.WRITE;
}

/** CPUID: an intercept, or what the hypervisor and the parent have said of the leaf. */
export function* handleChildCpuid(hyperv: Hyperv, parent: GuestParent, context: ExitContext<ExitOf<'cpuid'>>): Handler {
  const { leaf, subleaf } = context.exit;
  const { intercepts } = parent.child;
  const isIntercepted = intercepts.ofCpuid(leaf);
  yield stage('hyperv-guest-parent.cpuid', { leaf: leaf >>> 0, subleaf: subleaf >>> 0, intercepted: isIntercepted });
  if (isIntercepted) {
    const message = cpuidMessage(context.processor, context.exit, usualLeaf(hyperv, context));
    yield* inFrame(hypervisorFrame(hyperv, 'CPUID intercept'), tell(hyperv, parent, context, message));
    return;
  }
  yield* handleCpuid(hyperv, context);
  const result = intercepts.cpuidResult(leaf, subleaf);
  if (result) {
    const { state } = context.processor;
    [0, 3, 1, 2].forEach((register, index) => {
      const mask = result.masks[index] ?? 0;
      state.setGpr32(register, (state.gpr32(register) & ~mask) | ((result.values[index] ?? 0) & mask));
    });
    context.result(`as its parent has registered: ${[0, 3, 1, 2].map((register) => hex(state.gpr32(register) >>> 0)).join(' ')}`);
  }
}

/** What a leaf gives where the parent says nothing of it. */
function usualLeaf(hyperv: Hyperv, { exit, processor }: ExitContext<ExitOf<'cpuid'>>): LeafValues {
  const leaf = exit.leaf >>> 0;
  const { eax, ebx, ecx, edx } = hypervisorLeaf(hyperv, leaf) ?? processor.model.cpuid(leaf, exit.subleaf >>> 0);
  return { eax, ebx, ecx: leaf === 1 ? ecx | LEAF_1_ECX : ecx, edx };
}

/** An MSR that its parent wants to know of. */
export function* handleMsrIntercept(
  hyperv: Hyperv,
  parent: GuestParent,
  context: ExitContext<ExitOf<'msr-read'> | ExitOf<'msr-write'>>,
): Handler {
  const { exit } = context;
  context.asked(nameRequest);
  yield stage('hyperv-guest-parent.msr', { msr: exit.msr >>> 0, access: exit.reason === 'msr-write' ? 'write' : 'read' });
  const message = msrMessage(context.processor, exit);
  yield* inFrame(hypervisorFrame(hyperv, 'MSR intercept'), tell(hyperv, parent, context, message));
}

/** An exception that its parent wants to know of before it is delivered. */
export function* handleExceptionIntercept(
  hyperv: Hyperv,
  parent: GuestParent,
  context: ExitContext<ExitOf<'exception'>>,
): Handler {
  const { vector, errorCode } = context.exit;
  yield stage('hyperv-guest-parent.exception', { vector, 'error code': errorCode ?? 'none' });
  const message = exceptionMessage(context.processor, context.exit);
  yield* inFrame(hypervisorFrame(hyperv, 'exception intercept'), tell(hyperv, parent, context, message));
}

/** A hypercall of a partition whose parent serves them all. */
export function* handleHypercallIntercept(hyperv: Hyperv, parent: GuestParent, context: ExitContext): Handler {
  const { state } = context.processor;
  yield stage('hyperv-guest-parent.hypercall', { rax: state.gpr(0), rcx: state.gpr(1), rdx: state.gpr(2), r8: state.gpr(8) });
  const message = hypercallMessage(context.processor, context.exit);
  yield* inFrame(hypervisorFrame(hyperv, 'hypercall intercept'), tell(hyperv, parent, context, message));
}

/** HLT of a partition that its parent manages whole. */
export function* handleHaltIntercept(hyperv: Hyperv, parent: GuestParent, context: ExitContext): Handler {
  yield stage('hyperv-guest-parent.halt', { rip: context.exit.rip });
  const message = plainMessage(context.processor, context.exit, InterceptMessageType.HALT);
  yield* inFrame(hypervisorFrame(hyperv, 'halt intercept'), tell(hyperv, parent, context, message));
}

/** The parent has given a virtual processor registers that no processor can have. */
export function* handleInvalidRegister(
  hyperv: Hyperv,
  parent: GuestParent,
  context: ExitContext<ExitOf<'vm-entry-failure'>>,
): Handler {
  yield stage('hyperv-guest-parent.invalid-register', { problem: context.exit.problem });
  const message = plainMessage(context.processor, context.exit, InterceptMessageType.INVALID_VP_REGISTER);
  yield* inFrame(hypervisorFrame(hyperv, 'invalid virtual processor register'), tell(hyperv, parent, context, message));
  context.result(`${context.record.result ?? ''}: ${context.exit.problem}`);
}

/** A triple fault: the virtual processor can't go on as it is. */
export function* handleUnrecoverable(hyperv: Hyperv, parent: GuestParent, context: ExitContext): Handler {
  yield stage('hyperv-guest-parent.unrecoverable', { rip: context.exit.rip });
  const message = plainMessage(context.processor, context.exit, InterceptMessageType.UNRECOVERABLE_EXCEPTION);
  yield* inFrame(hypervisorFrame(hyperv, 'unrecoverable exception'), tell(hyperv, parent, context, message));
}

/** The parameters of a hypercall are where the partition has no memory. */
export function* tellOfParameters(
  hyperv: Hyperv,
  parent: GuestParent,
  context: ExitContext,
  gpa: bigint,
  isWrite: boolean,
): Handler {
  const access = isWrite ? Access.WRITE : Access.READ;
  const isMapped = hyperv.machine.secondLevel.stateAt(gpa) === 'present';
  yield stage('hyperv-guest-parent.parameters', { gpa, access: ACCESS_NAMES[access], mapped: isMapped });
  const message = memoryMessage(context.processor, context.exit, { gpa, gva: undefined, access, isMapped });
  yield* tell(hyperv, parent, context, message);
}

/** Makes an exit a message to the parent, and lets the virtual processor wait until the parent has served it. */
function* tell(hyperv: Hyperv, parent: GuestParent, context: ExitContext, message: InterceptMessage): Handler {
  const name = interceptMessageName(message.type);
  yield stage('hyperv-guest-parent.compose', { message: name, vp: context.vcpu, rip: context.exit.rip });
  context.record.to = 'parent';
  yield* inFrame(
    hypervisorFrame(hyperv, `post to partition ${parent.hyperv.partitionId}`),
    post(hyperv, parent, context, message),
  );
}

function* post(hyperv: Hyperv, { hyperv: parent, child }: GuestParent, context: ExitContext, message: InterceptMessage): Handler {
  const { vcpu } = context;
  yield stage('hyperv-guest-parent.post', {
    partition: parent.partitionId,
    vp: INTERCEPT_VP,
    sint: INTERCEPT_SINT,
    sender: child.id,
    bytes: message.payload.length,
  });
  const status = parent.synic.post(INTERCEPT_VP, INTERCEPT_SINT, { ...message, sender: child.id });
  if (status === HvStatus.SUCCESS) {
    hyperv.suspension.set(vcpu, 'intercept', true);
    context.result(`${interceptMessageName(message.type)} to partition ${parent.partitionId}`);
  } else {
    // The instruction runs again, and leaves again.
    hyperv.suspension.set(vcpu, 'message', true);
    hyperv.machine.clock.schedule(hyperv.machine.now() + RETRY, () => hyperv.suspension.set(vcpu, 'message', false));
    context.result(`${interceptMessageName(message.type)} waits: ${statusName(status)}`);
  }
  yield stage('hyperv-guest-parent.suspend', { status: statusName(status), result: context.record.result ?? '' });
}

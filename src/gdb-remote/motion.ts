import type { DebugSession } from '../debugger/debug-session.ts';

/** Linear addresses, `end` not included, in which a vCPU steps on without telling. */
export interface StepRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** What one vCPU, or every vCPU that no action before names, is to do (GDB manual, "Packets", `vCont`). */
interface Action {
  readonly kind: 'continue' | 'step';
  readonly range?: StepRange;
  /** Undefined: every other one. */
  readonly vcpu: number | undefined;
}

/** A motion of a partition, as a client orders it. */
export interface Motion {
  /** vCPUs that go on; never empty. */
  readonly moving: readonly number[];
  /** The one of them that steps by an instruction. */
  readonly stepper?: number;
  readonly range?: StepRange;
  /** Linear address at which the first vCPU goes on. */
  readonly from?: bigint;
}

const ACTION = /^(?:([cs])|([CS])[0-9a-f]{2}|r([0-9a-f]{1,16}),([0-9a-f]{1,16}))(?::(-?[0-9a-f]{1,8}))?$/i;

/** The actions of `vCont;…` among `count` vCPUs, of which one is current. Undefined for what isn't well formed or moves nothing. */
export function parseActions(text: string, count: number, current: number): Motion | undefined {
  const actions: Action[] = [];
  for (const part of text.split(';')) {
    const action = parseAction(part, current);
    if (!action) return undefined;
    actions.push(action);
  }
  const plan = Array.from({ length: count }, (_, vcpu) =>
    actions.find((action) => action.vcpu === undefined || action.vcpu === vcpu),
  );
  const moving = plan.flatMap((action, vcpu) => (action ? [vcpu] : []));
  if (moving.length === 0) return undefined;
  const steps = moving.filter((vcpu) => plan[vcpu]?.kind === 'step');
  const stepper = steps.includes(current) ? current : steps[0];
  return { moving, stepper, range: stepper === undefined ? undefined : plan[stepper]?.range };
}

function parseAction(text: string, current: number): Action | undefined {
  const [, plain, signalled, start, end, thread = '-1'] = ACTION.exec(text) ?? [];
  // Threads count from 1; 0 is any of them, -1 all.
  const id = Number.parseInt(thread, 16);
  const vcpu = id < 0 ? undefined : id === 0 ? current : id - 1;
  if (start !== undefined && end !== undefined)
    return { kind: 'step', range: { start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }, vcpu };
  const letter = (plain ?? signalled)?.toLowerCase();
  return letter === undefined ? undefined : { kind: letter === 's' ? 'step' : 'continue', vcpu };
}

/** The older `c`, `s`, `C` and `S`: `text` is what follows the letter. They move all vCPUs, and step the one that is given. */
export function parsePlain(letter: string, text: string, count: number, stepper: number): Motion | undefined {
  const [whole, address] =
    (/[CS]/.test(letter) ? /^[0-9a-f]{2}(?:;([0-9a-f]{1,16}))?$/i : /^([0-9a-f]{1,16})?$/i).exec(text) ?? [];
  if (whole === undefined) return undefined;
  return {
    moving: Array.from({ length: count }, (_, vcpu) => vcpu),
    stepper: letter.toLowerCase() === 's' ? stepper : undefined,
    from: address === undefined ? undefined : BigInt(`0x${address}`),
  };
}

/** Sets a partition moving. Throws ExpressionError for a vCPU that can't be stepped; nothing moves then. */
export function begin(session: DebugSession, { moving, stepper, from }: Motion): void {
  // Those that aren't named stand still; a client that locks its scheduler wants that.
  session.alone = moving.length < session.partition.vcpus.length;
  if (stepper !== undefined) session.current = stepper;
  if (from !== undefined) session.jumpTo(from);
  if (stepper !== undefined) session.stepInstruction();
  else if (!session.alone) session.continue();
  else
    for (const vcpu of moving) {
      session.current = vcpu;
      session.continue();
    }
}

/** Stops every vCPU: in all-stop mode none moves while the client looks. */
export function halt(session: DebugSession): void {
  session.halt();
  session.alone = false;
}

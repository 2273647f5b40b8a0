/**
 * Exit handlers as staged generators. A handler is a generator function; each `yield stage(…)` names a place where a
 * debugger can stop and the values that matter there. Nothing else is needed to make a hypervisor steppable: the source
 * that the user sees is the handler's own.
 *
 * Where nobody steps, the same source is run without its stages (tools/generate/unstaged-handlers.mjs): each is a statement of its
 * own, and its values have no effects.
 */

/** Who runs the code of a frame, as the journal's `to` and the call stack show it. */
export const SERVED_BY = ['hypervisor', 'device', 'parent', 'card', 'guest'] as const;
export type ServedBy = (typeof SERVED_BY)[number];

/** What a stage shows. Bigints are shown as hexadecimal, numbers as both. */
export type StageValue = string | number | bigint | boolean;

/** One function of the hypervisor (or of what serves it) on the call stack. */
export interface HandlerFrame {
  /** Name as an engineer of that platform knows it: `handle_cpuid`, `kvm_emulate_hypercall`, `serial8250 write`. */
  readonly name: string;
  /** The component it belongs to: `kvm-intel`, `kvm.ko`, `VMM process`. Missing: that of the frame which entered it. */
  readonly component?: string;
  readonly servedBy: ServedBy;
}

export type HandlerStep =
  | { readonly kind: 'enter'; readonly frame: HandlerFrame }
  | { readonly kind: 'leave' }
  | {
      readonly kind: 'stage';
      /** Unique in the project, `file-topic.stage`: the build finds `stage('…'` in the source and records its place. */
      readonly id: string;
      readonly values: Readonly<Record<string, StageValue>>;
    };

/** A handler in progress; what it returns is up to who started it. */
export type Handler<Result = void> = Generator<HandlerStep, Result, void>;

/** Names a stage of the running frame. Use as `yield stage('kvm-cpuid.lookup', { leaf })`. */
export function stage(id: string, values: Readonly<Record<string, StageValue>> = {}): HandlerStep {
  return { kind: 'stage', id, values };
}

/** A frame of a device model, which doesn't know who runs it. */
export function modelFrame(name: string): HandlerFrame {
  return { name, servedBy: 'device' };
}

/** Runs `body` as a frame of its own on the call stack. Use as `yield* inFrame(FRAME, body)`. */
export function* inFrame<Result>(frame: HandlerFrame, body: Handler<Result>): Handler<Result> {
  yield { kind: 'enter', frame };
  const result = yield* body;
  yield { kind: 'leave' };
  return result;
}

import type { VmExit } from '../../processor/exit.ts';
import type { Handler, HandlerFrame, StageValue } from './stage.ts';

/** A frame of a running exit handler, and the stage that it is at. */
export interface ActiveFrame {
  readonly frame: HandlerFrame;
  stage?: { readonly id: string; readonly values: Readonly<Record<string, StageValue>> };
}

/** One VM exit on its way through its handler: what the call stack shows above the guest's frames. */
export class ExitActivity {
  /** Innermost frame last. */
  readonly frames: ActiveFrame[] = [];
  finished = false;
  /** Id of the first stage that it came to: where its handler begins. */
  entry: string | undefined;

  constructor(
    /** Number of the journal entry that records this exit. */
    readonly seq: number,
    readonly exit: VmExit,
    private readonly handler: Handler,
  ) {}

  /** Runs to the next stage (true) or to the end of the handler (false). */
  advance(): boolean {
    while (!this.finished) {
      const next = this.handler.next();
      if (next.done) {
        this.finished = true;
        this.frames.length = 0;
        return false;
      }
      const step = next.value;
      if (step.kind === 'enter') this.frames.push({ frame: step.frame });
      else if (step.kind === 'leave') this.frames.pop();
      else {
        const top = this.frames.at(-1);
        if (top) top.stage = step;
        this.entry ??= step.id;
        return true;
      }
    }
    return false;
  }

  /** Runs the handler to its end without stopping: nobody looks at its frames any more. */
  finish(): void {
    this.frames.length = 0;
    while (!this.finished) {
      const next = this.handler.next();
      if (next.done) this.finished = true;
      else if (this.entry === undefined && next.value.kind === 'stage') this.entry = next.value.id;
    }
  }
}

import type { VmExit } from '../../processor/exit.ts';
import type { Handler, HandlerFrame, StageValue } from '../../stages/stage.ts';
import type { ExitContext } from './exit-context.ts';

/** A frame of a running exit handler, and the stage that it is at. */
export interface ActiveFrame {
  readonly frame: HandlerFrame;
  stage?: { readonly id: string; readonly values: Readonly<Record<string, StageValue>> };
}

/** Who serves VM exits. */
export interface ExitServer {
  /** Serves one in stages. */
  handle(context: ExitContext): Handler;
  /**
   * Serves one at once, exactly as its handler does, and says in the record which stage that begins with. Where it is missing, handlers
   * are run to their ends.
   */
  handleAtOnce?(context: ExitContext): void;
}

/** One VM exit on its way through its handler: what the call stack shows above the guest's frames. */
export class ExitActivity {
  /** Innermost frame last. */
  readonly frames: ActiveFrame[] = [];
  finished = false;
  /** What serves it in stages, once it has been stepped into. */
  private handler: Handler | undefined;

  constructor(
    readonly context: ExitContext,
    private readonly server: ExitServer,
  ) {}

  /** Number of the journal entry that records this exit. */
  get seq(): number {
    return this.context.record.seq;
  }
  get exit(): VmExit {
    return this.context.exit;
  }

  /** Runs to the next stage (true) or to the end of the handler (false). */
  advance(): boolean {
    const { record } = this.context;
    this.handler ??= this.server.handle(this.context);
    while (!this.finished) {
      const next = this.handler.next();
      if (next.done) {
        this.finished = true;
        this.frames.length = 0;
        return false;
      }
      const step = next.value;
      if (step.kind === 'enter') this.enter(step.frame);
      else if (step.kind === 'leave') this.frames.pop();
      else {
        const top = this.frames.at(-1);
        if (top) top.stage = step;
        record.stage ??= step.id;
        return true;
      }
    }
    return false;
  }

  private enter(frame: HandlerFrame): void {
    const component = frame.component ?? this.frames.at(-1)?.frame.component;
    this.frames.push({ frame: { ...frame, component } });
  }

  /** Serves the exit to its end without stopping: nobody looks at its frames any more. */
  finish(): void {
    const { context, server } = this;
    if (this.handler === undefined && server.handleAtOnce) {
      server.handleAtOnce(context);
      this.finished = true;
      return;
    }
    while (this.advance());
  }
}

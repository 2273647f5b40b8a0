import { Event, type Message, Response } from '@vscode/debugadapter/lib/messages.js';
import { LaunchError } from '../debugger/configuration/launch-configuration.ts';
import { crashMarkdown } from '../debugger/crash/markdown.ts';
import { ExpressionError } from '../debugger/expressions/evaluator.ts';
import type { GuestEvent, GuestGroup } from '../debugger/guest-group.ts';
import type { StackEntry } from '../debugger/inspection/call-stack.ts';
import type { ShownVariable } from '../debugger/inspection/shown.ts';
import { type Guest, launchGuests } from '../debugger/launch-guest.ts';
import type { StopEvent } from '../debugger/run-control/events.ts';
import type { HostEvent } from '../hypervisor/host/host-journal.ts';
import type { IdlePace } from '../hypervisor/partition/idle-pace.ts';
import type { PartitionEnd } from '../hypervisor/partition/run.ts';
import { grantedBy } from '../hypervisor/privileges/request-door.ts';
import type { OpenOutside } from '../network/outside.ts';
import type { Capture } from '../network/partition-network.ts';
import { ConfigurationError } from '../platforms/configuration.ts';
import { type FileAccess, ProgramError } from '../programs/program.ts';
import { EvaluationError } from '../symbols/symbol-source.ts';
import { BreakpointBook } from './breakpoints/breakpoint-book.ts';
import { Dialect } from './dialect.ts';
import { errors, RequestError } from './errors.ts';
import { ExitJournalFile, type OpenJournal } from './exit-journal-file.ts';
import { GuestConsole } from './guest-console.ts';
import { type MemoryRange, MemoryViews } from './memory-views.ts';
import { MessageQueue } from './message-queue.ts';
import { ModuleBook } from './module-book.ts';
import { MotionProgress } from './motion-progress.ts';
import { Handles } from './references.ts';
import { profilesOf } from './requests/exit-profile.ts';
import type { Parameters } from './requests/handler.ts';
import { requestHandlers } from './requests/index.ts';
import { still, type Thread, threadId, threadsOf } from './threads.ts';

export interface AdapterOptions {
  readonly files: FileAccess;
  /** Folder that the shipped handler sources are in, for their paths in stack frames. */
  readonly sourceRoot: string;
  readonly openJournal?: OpenJournal;
  /** Writes a file that the user named in the Debug Console. Throws ExpressionError. */
  readonly writeFile?: (path: string, text: string) => void;
  /** How time passes for an idle guest that somebody may type to, one for each; skipped when missing. */
  readonly pace?: () => IdlePace;
  /** Opens ways outside for networks; `tell` gets a sentence when one can't be had. Nothing is outside when missing. */
  readonly openOutside?: (tell: (sentence: string) => void) => OpenOutside;
  /** Begins a file of the frames of a network card. Throws LaunchError. */
  readonly openCapture?: (path: string) => Capture;
}

/** Bytes of assembly that take about half a second. */
const LARGE_PROGRAM = 256 * 1024;
/** Sent only to a client that says at `initialize` that it takes them. */
const OPTIONAL_EVENTS: ReadonlySet<string> = new Set(['memory', 'invalidated']);

/** Where a client's numbers lead to while the guest stands still. */
export interface FrameHandle extends Thread {
  readonly entry: StackEntry;
}

/** Variables that a client may ask for. */
export interface VariablesHandle extends Thread {
  readonly get: () => readonly ShownVariable[];
}

/** A place in the code of a guest. */
export interface CodePlace {
  readonly guest: Guest;
  readonly address: bigint;
}

/**
 * The Debug Adapter Protocol as a state machine without I/O: a message in (`handle`), messages out (`onMessage`), and a
 * call that runs the guest for one slice. Transports stand outside.
 */
export class AdapterSession {
  readonly frames = new Handles<FrameHandle>();
  readonly variables = new Handles<VariablesHandle>();
  readonly gotoTargets = new Handles<CodePlace>();
  readonly stepTargets = new Handles<bigint>();
  /** Places in code that values lead to. */
  readonly locations = new Handles<CodePlace>();
  group: GuestGroup | undefined;
  /** How many times guests were launched: a restart is one time more. */
  run = 0;
  dialect = Dialect.of({});
  readonly breakpoints = new BreakpointBook();
  readonly modules = new ModuleBook();
  readonly progress = new MotionProgress((event, body) => this.event(event, body));
  /** What the client shows of the guest's memory. */
  readonly memoryViews = new MemoryViews();
  /** Events that not every client knows, and that this one does. */
  readonly optionalEvents = new Set<string>();
  private readonly queue = new MessageQueue();
  private listener: (message: Message) => void = () => {};
  private workListener: () => void = () => {};
  private seq = 1;
  private configured = false;
  private terminated = false;
  /** The exit status so far: that of the first guest which has one. */
  private status = 0;
  private launchArguments: Parameters = {};
  /** Run without debugging: nothing stops the guest. */
  private free = false;
  /** Threads that the client has heard of. */
  private toldThreads: ReadonlySet<number> = new Set();
  private readonly journal: ExitJournalFile;
  private readonly console = new GuestConsole(
    (text, data) => this.event('output', { category: 'stdout', output: text, data }),
    (output) => this.event('hyperscope/console', output),
  );
  private looked: Guest | undefined;

  constructor(readonly options: AdapterOptions) {
    this.journal = new ExitJournalFile(options.openJournal, (sentence) => this.output(`${sentence}\n`, 'important'));
  }

  onMessage(listener: (message: unknown) => void): void {
    this.listener = listener;
  }

  /** Told when there is more to do than the last slice said: something came for a guest from outside. */
  onWork(listener: () => void): void {
    this.workListener = listener;
  }

  /** Takes a message of the client, to be handled by one of the next slices. */
  receive(message: unknown): void {
    this.queue.push(message);
  }

  /** Handles one message of the client. Whatever it is, nothing is thrown. */
  handle(message: unknown): void {
    if (typeof message !== 'object' || message === null || !('type' in message) || message.type !== 'request') return;
    const command = 'command' in message && typeof message.command === 'string' ? message.command : '';
    const requestSeq = 'seq' in message && typeof message.seq === 'number' ? message.seq : 0;
    const raw = 'arguments' in message ? message.arguments : undefined;
    const parameters = typeof raw === 'object' && raw !== null ? { ...raw } : {};
    try {
      const handler = Object.hasOwn(requestHandlers, command) ? requestHandlers[command] : undefined;
      if (!handler) throw errors.unknownRequest(command);
      const result = handler(this, parameters);
      this.respond(requestSeq, command, result.body);
      result.after?.();
    } catch (error) {
      this.fail(requestSeq, command, error);
    }
  }

  private respond(requestSeq: number, command: string, body: object | undefined): void {
    this.send(Object.assign(response(requestSeq, command), { body }));
  }

  private fail(requestSeq: number, command: string, error: unknown): void {
    const text = describeError(error);
    const id = error instanceof RequestError ? error.id : 1000;
    const showUser = command === 'launch' || command === 'restart';
    const body = { error: { id, format: text.replaceAll('{', '(').replaceAll('}', ')'), showUser } };
    this.send(Object.assign(response(requestSeq, command, text), { body }));
  }

  private send(message: Message): void {
    message.seq = this.seq++;
    this.listener(message);
  }

  event(event: string, body: object = {}): void {
    if (OPTIONAL_EVENTS.has(event) && !this.optionalEvents.has(event)) return;
    this.send(new Event(event, body));
  }

  /** Cancels a request that waits for its turn, or the motion whose progress is shown. What is over already stays as it is. */
  cancel(requestId: unknown, progressId: unknown): void {
    const request = this.queue.take(requestId);
    if (request) this.send(response(request.seq, request.command, 'cancelled'));
    if (this.progress.isShown(progressId)) this.launched.pause(this.focus);
  }

  /**
   * Tells which parts of the memory that the client shows have changed, for its views to follow. What was just written, under each name
   * that it has, comes last: a client that puts events together may keep only the last one.
   */
  tellChangedMemory(written: readonly MemoryRange[] = []): void {
    if (!this.optionalEvents.has('memory')) return;
    const { guests } = this.launched;
    const processorOf = (index: number) => {
      const guest = guests[index];
      return guest?.partition.end?.kind === 'destroyed' ? undefined : guest?.session.vcpu().processor;
    };
    const changes = this.memoryViews.changes(processorOf, written);
    for (const range of [...changes, ...written]) this.event('memory', range);
  }

  output(text: string, category: 'stdout' | 'console' | 'stderr' | 'important' = 'console'): void {
    this.event('output', { category, output: text });
  }

  // --- the guest's life --------------------------------------------------------------------------------------------------

  /** The launched guests. Throws RequestError when there are none. */
  get launched(): GuestGroup {
    if (!this.group) throw errors.notLaunched();
    return this.group;
  }

  /** The vCPU that requests are about which name none: that of the last stop of the guest that the user looks at. */
  get focus(): Thread {
    const { first } = this.launched;
    const { looked } = this;
    const guest = looked && looked.partition.end?.kind !== 'destroyed' ? looked : first;
    return { guest, vcpu: guest.session.current };
  }
  lookAt(guest: Guest): void {
    this.looked = guest;
  }

  /** The guest that the user looks at, standing still. Throws RequestError when it moves. */
  get still(): Guest {
    return still(this.focus).guest;
  }

  threadId(thread: Thread): number {
    return threadId(this.launched.guests, thread);
  }

  /** Loads the guests, or others in their place when they are started anew. Throws what `launchGuests` does. */
  launch(raw: Parameters): void {
    const before = this.group;
    // The new run begins with what the one before has left on its disks.
    this.writeBack();
    const group = this.load(raw, before);
    this.journal.begin(group);
    // From here on nothing fails any more: the run before is over.
    if (!this.terminated) this.tellProfile();
    // Counted from the first exit on, for whoever asks later.
    for (const { partition } of group.guests) partition.journal.startProfile();
    this.group = group;
    this.run++;
    if (before) {
      this.forgetShown();
      group.replace(before);
    }
    this.looked = undefined;
    this.launchArguments = raw;
    this.free = raw.noDebug === true;
    this.console.listen(group.guests, group.configuration.console);
    group.onMade((guest) => this.join(guest));
    group.host.journal.onRefusal((refusal) => this.tellRefusal(group, refusal));
  }

  /** A guest has made a partition while the session runs: it has what the others have. */
  private join(guest: Guest): void {
    const { partition, session } = guest;
    partition.idlePace = this.options.pace?.();
    partition.onWake(() => this.workListener());
    partition.journal.startProfile();
    this.journal.add(guest);
    if (this.free) session.forgetStops();
    else
      for (const breakpoint of this.breakpoints.include(this.launched.guests))
        this.event('breakpoint', { reason: 'changed', breakpoint });
  }

  /** Threads come and go with the partitions that guests make, and with their virtual processors. */
  private tellThreads(): void {
    const { guests } = this.launched;
    if (guests.every(({ maker }) => maker === undefined)) return;
    const now = new Set(guests.flatMap(threadsOf).map((thread) => this.threadId(thread)));
    for (const threadId of now) if (!this.toldThreads.has(threadId)) this.event('thread', { reason: 'started', threadId });
    for (const threadId of this.toldThreads) if (!now.has(threadId)) this.event('thread', { reason: 'exited', threadId });
    this.toldThreads = now;
  }

  /** A guest that asks for what it may not have goes on as if it had it: its user should know why nothing came of it. */
  private tellRefusal({ guests }: GuestGroup, { partition: id, subject, text }: HostEvent): void {
    const guest = guests.find(({ partition }) => partition.id === id);
    const attribute = grantedBy(subject);
    const where = attribute === undefined ? '' : ` The launch attribute "${attribute}" says what it may do.`;
    const who = guest && guests.length > 1 ? `${guest.configuration.name}: ` : '';
    this.output(`${who}${text}${where} More of this kind is only counted: \`privileges\` shows it.\n`, 'stderr');
  }

  /** A program so large that its user would wonder is loaded under the eyes of its progress. It is loaded in one go. */
  private load(raw: Parameters, before: GuestGroup | undefined): GuestGroup {
    const progressId = `launch-${this.seq}`;
    let isShown = false;
    try {
      const onLoad = (path: string, size: number) => {
        if (size < LARGE_PROGRAM || !this.progress.supported) return;
        isShown = true;
        const title = `Loading ${path.split(/[\\/]/).at(-1)}`;
        this.event('progressStart', { progressId, title, cancellable: false, message: `${Math.round(size / 1024)} KiB` });
      };
      const { openCapture, files } = this.options;
      const openOutside = this.options.openOutside?.((sentence) => this.output(`${sentence}\n`, 'important'));
      const group = launchGuests(raw, files, onLoad, before, { openOutside, openCapture });
      for (const { partition } of group.guests) {
        partition.idlePace = this.options.pace?.();
        partition.onWake(() => this.workListener());
      }
      return group;
    } finally {
      if (isShown) this.event('progressEnd', { progressId });
    }
  }

  /** The client was told that the session is over; it may restart it. */
  get isOver(): boolean {
    return this.terminated;
  }

  /** Breakpoints are set: the guests may go. They go once, however often a client says so. */
  start(): void {
    const group = this.launched;
    if (this.configured) return;
    this.configured = true;
    const name = group.guests.map(({ configuration }) => configuration.program).join(', ');
    this.event('process', { name, isLocalProcess: false, startMethod: 'launch' });
    this.toldThreads = new Set(group.guests.flatMap(threadsOf).map((thread) => this.threadId(thread)));
    for (const threadId of this.toldThreads) this.event('thread', { reason: 'started', threadId });
    this.begin(group);
  }

  /** What was shown of guests that move is over. */
  moving(): void {
    // What stands still while others move is looked at further on.
    if (this.launched.scope !== 'all' && this.launched.guests.flatMap(threadsOf).some(isStill)) return;
    this.forgetShown();
  }

  private forgetShown(): void {
    this.frames.clear();
    this.variables.clear();
    this.gotoTargets.clear();
    this.stepTargets.clear();
    this.locations.clear();
  }

  /** Handles a message that waits, or runs the guest for a few milliseconds; true when there is more to do. */
  slice(): boolean {
    if (!this.queue.isEmpty) {
      this.handle(this.queue.next());
      return !this.queue.isEmpty || this.hasWork;
    }
    const { group } = this;
    if (!group || !this.hasWork) return false;
    try {
      const happened = group.slice();
      this.tellThreads();
      if (happened) this.report(happened);
      else this.progress.tick(this.focus.guest.session.vcpu().processor.icount);
    } catch (error) {
      this.output(`The debugger met an error of its own: ${describeError(error)}\n`, 'stderr');
      this.terminate();
    }
    return this.hasWork;
  }

  /** Another slice has nothing to do in the next milliseconds, unless a message comes. */
  get isWaiting(): boolean {
    return this.queue.isEmpty && this.group?.isWaiting === true;
  }

  private get hasWork(): boolean {
    return this.configured && !this.terminated && this.group?.hasWork === true;
  }

  private report({ guest, event }: GuestEvent): void {
    if (event.kind === 'log') this.output(`${event.text}\n`);
    else if (event.kind === 'stopped') this.reportStop(guest, event.stop);
    else if (event.kind === 'symbols') this.tellSymbols();
    else if (event.kind === 'ended') this.reportEnd(guest, event.end);
  }

  /** A guest has other symbols than before: functions that breakpoints wait for, modules. */
  private tellSymbols(): void {
    for (const breakpoint of this.breakpoints.refresh(this.launched.guests))
      this.event('breakpoint', { reason: 'changed', breakpoint });
    for (const change of this.modules.changes(this.launched.guests)) this.event('module', change);
  }

  private reportEnd(guest: Guest, { message, status }: PartitionEnd): void {
    const { guests, isOver } = this.launched;
    this.output(`${guests.length > 1 ? `${guest.configuration.name}: ` : ''}${message}\n`, 'console');
    this.crashed(guest);
    this.status ||= status;
    if (!isOver) {
      for (const thread of threadsOf(guest)) this.event('thread', { reason: 'exited', threadId: this.threadId(thread) });
      return;
    }
    this.event('exited', { exitCode: this.status });
    this.terminate();
  }

  /** Tells a client that can save crash reports of one, while there still is a session to ask. */
  private crashed({ session: { crash } }: Guest): void {
    if (crash) this.event('hyperscope/crash', { kind: crash.kind, title: crash.title, markdown: crashMarkdown(crash) });
  }

  reportStop(guest: Guest, stop: StopEvent): void {
    this.moving();
    this.lookAt(guest);
    this.progress.end();
    this.journal.flush();
    if (stop.text !== undefined && stop.reason === 'breakpoint') this.output(`${stop.text}\n`, 'important');
    const { scope, guests } = this.launched;
    const allThreadsStopped = !guests.flatMap(threadsOf).some((thread) => !isStill(thread));
    const { reason, description, text, hitBreakpoints: hitBreakpointIds } = stop;
    const first = this.threadId({ guest, vcpu: stop.vcpu });
    this.event('stopped', { reason, description, text, threadId: first, allThreadsStopped, hitBreakpointIds });
    this.tellChangedMemory();
    // The other vCPUs of the partition have stopped with it.
    if (scope !== 'partition' || allThreadsStopped) return;
    for (const thread of threadsOf(guest)) {
      const id = this.threadId(thread);
      if (id !== first)
        this.event('stopped', { reason: 'pause', threadId: id, preserveFocusHint: true, allThreadsStopped: false });
    }
  }

  /** A run is over: views that compare it with others keep what it was. */
  private tellProfile(): void {
    if (this.group && this.configured) this.event('hyperscope/exitProfile', profilesOf(this.group));
  }

  /** Writes what the guests wrote to disks into the images that are to keep it; when the session is over, that was done. */
  writeBack(): void {
    if (this.terminated) return;
    for (const problem of this.group?.writeBack(this.options.files) ?? []) this.output(`${problem}\n`, 'important');
  }

  /** Ends the session. `isKept`: what is on the disks was written back already. */
  terminate(isKept = false): void {
    if (!isKept) this.writeBack();
    if (this.terminated) return;
    this.terminated = true;
    this.progress.end();
    this.journal.close();
    for (const { session, partition } of this.group?.guests ?? []) {
      session.halt();
      partition.devices.network?.disconnect();
    }
    this.tellProfile();
    this.event('terminated');
  }

  /**
   * Starts the guest anew from its program as it is now, with the breakpoints of before. When it can't be loaded the old one
   * stays as it is.
   */
  restart(raw: Parameters | undefined): void {
    this.launched;
    this.launch(raw ?? this.launchArguments);
  }

  /** What follows a restart's response. */
  restarted(): void {
    const group = this.launched;
    this.terminated = false;
    this.status = 0;
    this.renewBreakpoints();
    this.moving();
    // The client may show the old guest's stop; without one on entry it would do so until the next.
    this.event('continued', { threadId: 1, allThreadsContinued: true });
    this.begin(group);
  }

  /** Gives new guests what the client has asked for so far, and tells what has become of it. */
  renewBreakpoints(): void {
    for (const breakpoint of this.breakpoints.renew(this.launched.guests))
      this.event('breakpoint', { reason: 'changed', breakpoint });
  }

  private begin(group: GuestGroup): void {
    const { guests, first, configuration } = group;
    if (this.free) for (const { session } of guests) session.forgetStops();
    if (!this.free && (configuration.stopOnEntry ?? true)) {
      const stops = guests.map(({ session }) => session.stopAtEntry());
      if (stops[0]) this.reportStop(first, stops[0]);
    } else group.start();
  }
}

const isStill = ({ guest, vcpu }: Thread): boolean => !guest.session.moves(vcpu);

function response(seq: number, command: string, problem?: string): Response {
  return new Response({ seq, type: 'request', command }, problem);
}

/** One sentence for the user. */
function describeError(error: unknown): string {
  if (error instanceof ProgramError) {
    const place = error.line === undefined ? '' : `${error.path}:${error.line}:${error.column ?? 1}: `;
    return `${place}${error.message}${error.hint === undefined ? '' : ` ${error.hint}`}`;
  }
  if (
    error instanceof RequestError ||
    error instanceof LaunchError ||
    error instanceof ConfigurationError ||
    error instanceof ExpressionError ||
    error instanceof EvaluationError
  )
    return error.message;
  return error instanceof Error ? `${error.message} (an error of the debugger itself)` : String(error);
}

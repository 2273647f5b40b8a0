import { crashMarkdown } from '../debugger/crash/markdown.ts';
import { DebugSession } from '../debugger/debug-session.ts';
import { mayBeLinux } from '../debugger/launch-guest.ts';
import { Host } from '../hypervisor/host/host.ts';
import type { GuestPartition } from '../hypervisor/partition/guest-partition.ts';
import type { HostedPartition } from '../hypervisor/partition/partition.ts';
import type { PartitionEnd, RunStop } from '../hypervisor/partition/run.ts';
import { createPartition } from '../platforms/create-partition.ts';
import { foreignAccess } from '../platforms/foreign-access.ts';
import { withServedFiles } from '../platforms/network.ts';
import { openDisk } from '../platforms/open-disk.ts';
import { openShare } from '../platforms/open-share.ts';
import { writeBack } from '../platforms/write-back.ts';
import { loadProgram } from '../programs/load-program.ts';
import { openSymbols } from '../symbols/open-symbols.ts';
import { captureFile } from './capture-file.ts';
import { JournalFile, writeAll } from './journal-file.ts';
import { loopbackSockets } from './loopback-sockets.ts';
import { nodeFiles, openForWriting, writeText } from './node-files.ts';
import { parseRunOptions, type RunOptions } from './options.ts';
import { RawTerminal } from './raw-terminal.ts';
import { RealTime, soon, WAIT } from './real-time.ts';
import { tellRefusals } from './refusals.ts';
import { ShutdownRequests } from './shutdown-requests.ts';
import { onSignals } from './signals.ts';
import { UsageError } from './usage.ts';

/** Milliseconds between two looks at the clock, at stdin and at what the guest prints; and the instructions that this may be. */
const SLICE_TIME = 4;
const SHORTEST_SLICE = 10_000;
const LONGEST_SLICE = 1_000_000;
const STDOUT = 1;
const STDERR = 2;

/** Why a run stopped although the guest could go on. */
const TIMEOUT_STATUS = 124;
/** As shells have it for a program that Ctrl+C ended. */
const INTERRUPTED_STATUS = 130;

interface Outcome {
  readonly status: number;
  readonly message: string;
  readonly end?: PartitionEnd;
}

/** `hyperscope run`: resolves with the exit status. */
export async function runCommand(args: readonly string[]): Promise<number> {
  const options = parseRunOptions(args);
  const program = loadProgram(
    nodeFiles.read(options.program),
    options.program,
    { loadAddress: options.loadAddress, mode: options.mode },
    nodeFiles,
  );
  const initrd = options.initrd === undefined ? undefined : nodeFiles.read(options.initrd);
  const disks = options.disks.map((disk) => openDisk(disk, nodeFiles));
  const host = new Host();
  tellRefusals(host);
  const shares = options.shares.map((share) => openShare(share, nodeFiles));
  const virtio = { ...options.configuration.virtio, shares };
  let problem: string | undefined;
  const openOutside = loopbackSockets((sentence) => {
    problem ??= sentence;
  });
  const capture = options.pcap === undefined ? undefined : captureFile(options.pcap);
  const network = options.network && { ...withServedFiles(options.network, nodeFiles), openOutside, capture };
  const vsockPorts = options.vsockPorts && { ...options.vsockPorts, openOutside };
  const partition = createPartition({ ...options.configuration, initrd, disks, network, virtio, vsockPorts }, program, host);
  const journal = options.exits === undefined ? undefined : new JournalFile(options.exits);
  const { exitsFilter = () => true } = options;
  const keepExits = (of: Pick<HostedPartition, 'journal'>) => {
    if (journal) of.journal.onRecord((record) => exitsFilter(record) && journal.write(record));
  };
  keepExits(partition);
  // Those that the guest makes.
  host.onAdd(keepExits);
  // Straight to the descriptor: what the guest printed must be out even when the process is killed.
  const channels = new Map(
    [...options.channelFiles].map(([name, file]) => [`channel ${name}`, openForWriting(file, '--channel')]),
  );
  partition.onConsole((source, bytes) => writeAll(channels.get(source) ?? (source === 'serial' ? STDOUT : STDERR), bytes));
  const started = performance.now();
  // Sees crashes before they change anything.
  const session = options.crashReport === undefined ? undefined : new DebugSession(partition, openSymbols(program));
  session?.continue();
  // A run that a signal ends keeps what its guest has written, too.
  const keeps = disks.some(({ writesBack }) => writesBack);
  const input = new StandardInput(partition, mayBeLinux(program), keeps);
  const signals = keeps ? onSignals((name) => input.end(name)) : undefined;
  const outcome = await runToEnd(host, partition, options, started, session, input, () => problem).finally(() => {
    signals?.forget();
    partition.devices.disconnect();
    for (const sentence of writeBack({ devices: partition.devices, disks }, nodeFiles))
      process.stderr.write(`hyperscope: ${sentence}\n`);
  });
  journal?.close();
  const seconds = (performance.now() - started) / 1000;
  report(partition, options, outcome, seconds);
  if (session?.crash && options.crashReport !== undefined) {
    writeText(options.crashReport, crashMarkdown(session.crash), '--crash-report');
    process.stderr.write(`hyperscope: the crash report is in ${options.crashReport}\n`);
  }
  return outcome.status;
}

/** `problem`: why the run can't go on, once something outside has failed. */
async function runToEnd(
  host: Host,
  partition: GuestPartition,
  options: RunOptions,
  started: number,
  session: DebugSession | undefined,
  input: StandardInput,
  problem: () => string | undefined,
): Promise<Outcome> {
  let slice = SHORTEST_SLICE;
  let begin = started;
  try {
    for (;;) {
      const left = options.maxInstructions === undefined ? undefined : options.maxInstructions - partition.icount;
      if (left !== undefined && left <= 0n)
        return { status: TIMEOUT_STATUS, message: `The guest ran ${options.maxInstructions} instructions (--max-instructions).` };
      const stop = runSlice(host, partition, left === undefined || left > slice ? slice : Number(left));
      if (session?.after(stop)?.kind === 'stopped') session.continue();
      const now = performance.now();
      // Guests that leave often are slow: the next slice is shorter or longer, whatever this one took.
      slice = Math.min(LONGEST_SLICE, Math.max(SHORTEST_SLICE, now - begin < SLICE_TIME ? slice * 2 : Math.floor(slice / 2)));
      begin = now;
      if (stop.kind === 'ended') return { status: stop.end.status, message: stop.end.message, end: stop.end };
      if (options.timeout !== undefined && now - started >= options.timeout * 1000)
        return { status: TIMEOUT_STATUS, message: `The guest still ran after ${options.timeout} seconds (--timeout).` };
      if (stop.kind === 'waiting') begin += WAIT;
      if (stop.kind !== 'idle') await input.turn(stop.kind === 'waiting');
      else if (!(await input.wait(options.timeout === undefined ? undefined : started + options.timeout * 1000)))
        return { status: 0, message: 'The guest waits for input, and no more can come.' };
      if (input.wantsEnd !== undefined)
        return { status: INTERRUPTED_STATUS, message: `The guest was ended by ${input.wantsEnd}.` };
      const failure = problem();
      if (failure !== undefined) throw new UsageError(failure);
    }
  } finally {
    input.close();
  }
}

/** A guest that may make partitions shares its host with those. What becomes of them is its own business. */
function runSlice(host: Host, partition: GuestPartition, instructions: number): RunStop {
  if (!partition.grant.privileges.has('create-partitions')) return partition.run({ instructions });
  let came = host.run({ instructions });
  // Who waits for another one has to hear that this one waits, too.
  if (came.stop.kind === 'idle') came = host.run({ instructions });
  return came.partition === undefined || came.partition === partition ? came.stop : { kind: 'budget' };
}

/** Hands what comes on stdin to the guest's serial console; from a terminal each key at once, where `isRaw` says so. */
class StandardInput {
  /** How the user has ended the guest. */
  wantsEnd: string | undefined;
  private ended = false;
  private wake: (() => void) | undefined;
  private readonly onData: (chunk: Buffer) => void;
  private readonly onEnd: () => void;
  private readonly terminal: RawTerminal | undefined;
  private readonly asks: ShutdownRequests;

  constructor(
    private readonly partition: GuestPartition,
    isRaw: boolean,
    /** A signal ends the run, and not this process at once. */
    endsBySignal: boolean,
  ) {
    const ask = () => void this.asks.ask();
    this.asks = new ShutdownRequests(partition, endsBySignal ? () => this.end('SIGTERM') : undefined);
    this.terminal = isRaw ? RawTerminal.open(partition, { end: () => this.end('Ctrl+A X'), ask }) : undefined;
    this.onData = (chunk) => {
      const keys = this.terminal?.keys.take(chunk) ?? chunk;
      if (keys.length > 0) partition.sendConsole(keys);
    };
    partition.onWake(() => this.wake?.());
    const pace = new RealTime();
    // Where nothing can come any more, time in which nothing runs is skipped.
    partition.idlePace = { take: (wanted) => (this.canCome ? pace.take(wanted) : wanted) };
    this.onEnd = () => {
      this.ended = true;
      this.wake?.();
    };
    process.stdin.on('data', this.onData);
    process.stdin.on('end', this.onEnd);
    process.stdin.on('error', this.onEnd);
  }

  /** Has the guest end soon. */
  end(how: string): void {
    this.wantsEnd = how;
    this.wake?.();
  }

  /** Somebody may type, or the network leads somewhere. */
  private get canCome(): boolean {
    return !this.ended || this.partition.devices.isOpen;
  }

  /** Lets events of this process happen. */
  turn(isWaiting: boolean): Promise<void> {
    return new Promise((resolve) => soon(isWaiting, resolve));
  }

  /** Waits for input, at most until `deadline`; false when none can come any more. */
  async wait(deadline: number | undefined): Promise<boolean> {
    if (!this.canCome) return false;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (deadline !== undefined) timer = setTimeout(resolve, Math.max(0, deadline - performance.now()));
    });
    clearTimeout(timer);
    this.wake = undefined;
    return this.canCome || deadline !== undefined;
  }

  close(): void {
    this.terminal?.close();
    this.asks.close();
    process.stdin.off('data', this.onData);
    process.stdin.off('end', this.onEnd);
    process.stdin.off('error', this.onEnd);
    process.stdin.pause();
    process.stdin.unref?.();
  }
}

/** What other platform would have served the instruction at which a guest shut down, if one would. */
function strangeAccesses({ vcpus, platform }: GuestPartition, { end }: Outcome): string[] {
  if (end?.kind !== 'triple-fault') return [];
  return vcpus.flatMap(({ processor }) => foreignAccess(processor, processor.linearRip, platform) ?? []);
}

function report(partition: GuestPartition, options: RunOptions, outcome: Outcome, seconds: number): void {
  const quiet = outcome.end?.kind === 'power-off' || outcome.end?.kind === 'halted' || outcome.end?.kind === 'debug-exit';
  if (!quiet) process.stderr.write(`hyperscope: ${[outcome.message, ...strangeAccesses(partition, outcome)].join(' ')}\n`);
  if (options.stateHash) process.stderr.write(`${partition.stateHash()}\n`);
  if (!options.stats) return;
  const instructions = partition.icount;
  const stats = {
    instructions: Number(instructions),
    exits: partition.journal.total,
    exitsByReason: Object.fromEntries(partition.journal.countByReason),
    seconds: Number(seconds.toFixed(6)),
    mips: Number((Number(instructions) / seconds / 1e6).toFixed(3)),
    translated: partition.vcpus.reduce((sum, { processor }) => sum + processor.translations.made, 0),
    longestTranslation: Number(Math.max(...partition.vcpus.map(({ processor }) => processor.translations.longest)).toFixed(3)),
    end: outcome.end?.kind ?? 'stopped',
    status: outcome.status,
  };
  process.stderr.write(`${JSON.stringify(stats)}\n`);
}

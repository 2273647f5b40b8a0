import { createServer, type Socket } from 'node:net';
import { type Guest, launchGuests } from '../debugger/launch-guest.ts';
import { GdbSession } from '../gdb-remote/gdb-session.ts';
import { portsText } from '../hypervisor/privileges/parse-grant.ts';
import { writeBack } from '../platforms/write-back.ts';
import { captureFile } from './capture-file.ts';
import { writeAll } from './journal-file.ts';
import { loopbackSockets } from './loopback-sockets.ts';
import { nodeFiles } from './node-files.ts';
import { parseRunOptions } from './options.ts';
import { RealTime, soon } from './real-time.ts';
import { tellRefusals } from './refusals.ts';
import { onSignals } from './signals.ts';
import { UsageError } from './usage.ts';

const DEFAULT_PORT = 1234;
/** How long a second client is kept waiting for the first to go, in milliseconds. */
const LONGEST_WAIT = 1000;
/** As shells have it for a program that Ctrl+C ended. */
const INTERRUPTED_STATUS = 130;
const STDOUT = 1;
const STDERR = 2;

/** Takes `--port N` out of the arguments; the others are those of `run`. */
function takePort(args: readonly string[]): { readonly port: number; readonly rest: readonly string[] } {
  const at = args.findIndex((argument) => argument === '--port' || argument.startsWith('--port='));
  if (at < 0) return { port: DEFAULT_PORT, rest: args };
  const isSplit = args[at] === '--port';
  const text = isSplit ? args[at + 1] : args[at]?.slice('--port='.length);
  const port = Number(text);
  if (!text || !Number.isInteger(port) || port < 0 || port > 65_535)
    throw new UsageError(`--port takes a TCP port from 0 to 65535, not "${text ?? ''}".`);
  return { port, rest: args.filter((_, index) => index !== at && !(isSplit && index === at + 1)) };
}

/** `hyperscope gdbserver`: resolves with the exit status when the client has ended the guest, or the guest itself has ended. */
export async function gdbserverCommand(args: readonly string[]): Promise<number> {
  const { port, rest } = takePort(args);
  const options = parseRunOptions(rest, 'gdbserver');
  const {
    platform,
    vendor,
    cpu,
    machine,
    memory,
    vcpus,
    privileges,
    limits,
    translator,
    commandLine,
    exitsKept,
    testDevice,
    ioeventfd,
    intercepts,
    virtio = {},
  } = options.configuration;
  if (platform === 'hyperv' && privileges?.includes('create-partitions'))
    throw new UsageError(
      'gdb looks at one partition, and those that the guest makes would stand still: leave the privilege create-partitions out, or debug it in an editor.',
    );
  const { first: guest, host } = launchGuests(
    {
      program: options.program,
      platform,
      vendor,
      cpu,
      memory: memory === undefined ? undefined : String(memory),
      machine,
      vcpus,
      privileges,
      ports: limits?.ports?.map(portsText),
      translator: translator === undefined ? undefined : String(translator),
      append: commandLine,
      exitsKept,
      testDevice,
      ioeventfd,
      intercepts,
      initrd: options.initrd,
      disk: options.disks,
      channels: virtio.channels,
      balloon: virtio.balloon,
      screen: options.configuration.screen,
      assign: options.configuration.assign,
      vsock: virtio.vsock,
      shares: options.shares,
      loadAddress: options.loadAddress === undefined ? undefined : `0x${options.loadAddress.toString(16)}`,
      mode: options.mode,
      ...options.networkAttributes,
    },
    nodeFiles,
    undefined,
    undefined,
    { openOutside: loopbackSockets((sentence) => process.stderr.write(`hyperscope: ${sentence}\n`)), openCapture: captureFile },
  );
  tellRefusals(host);
  guest.session.stopAtEntry();
  guest.partition.idlePace = new RealTime();
  guest.partition.onConsole((source, bytes) => writeAll(source === 'serial' ? STDOUT : STDERR, bytes));
  return new GdbServer(guest).listen(port);
}

/** Serves one client at a time, moves bytes, and runs the guest in slices between them, whether a client is there or has detached. */
class GdbServer {
  private client: { readonly socket: Socket; readonly session: GdbSession } | undefined;
  private readonly waiting = new Map<Socket, NodeJS.Timeout>();
  private scheduled = false;
  private readonly server = createServer((socket) => this.accept(socket));
  private finish: (status: number) => void = () => {};

  constructor(private readonly guest: Guest) {
    guest.partition.onWake(() => this.schedule());
  }

  /** Resolves with the exit status when a client has killed the guest, or the guest has ended and nobody looks at it any more. */
  listen(port: number): Promise<number> {
    const { server } = this;
    const keeps = this.guest.disks.some(({ writesBack }) => writesBack);
    const signals = keeps ? onSignals(() => this.interrupted()) : undefined;
    return new Promise((resolve, reject) => {
      this.finish = (status) => {
        const { partition, disks } = this.guest;
        partition.devices.network?.disconnect();
        signals?.forget();
        for (const sentence of writeBack({ devices: partition.devices, disks }, nodeFiles))
          process.stderr.write(`hyperscope: ${sentence}\n`);
        server.close();
        for (const socket of this.waiting.keys()) socket.destroy();
        resolve(status);
      };
      server.on('error', (error) => reject(new UsageError(`Port ${port} can't be opened: ${error.message}.`)));
      server.listen(port, '127.0.0.1', () => {
        const address = server.address();
        const actual = typeof address === 'object' && address !== null ? address.port : port;
        process.stderr.write(`hyperscope: waiting for gdb: target remote 127.0.0.1:${actual}\n`);
      });
    });
  }

  private accept(socket: Socket): void {
    if (this.client) {
      this.keepWaiting(socket);
      return;
    }
    socket.setNoDelay(true);
    const session = new GdbSession(this.guest, (text) => socket.write(text, 'latin1'));
    this.client = { socket, session };
    socket.on('data', (chunk) => {
      // What was under way when the client left is nobody's.
      if (this.client?.session !== session) return;
      session.receive(chunk);
      if (session.end === 'killed') this.leave(socket, 0);
      else if (session.end === 'detached') this.detach(socket);
      this.schedule();
    });
    const gone = () => this.client?.session === session && this.lost(session);
    socket.on('close', gone);
    socket.on('error', gone);
  }

  /** A client that comes back at once can be here before it is heard that it had gone. */
  private keepWaiting(socket: Socket): void {
    const drop = () => {
      clearTimeout(timer);
      this.waiting.delete(socket);
      socket.destroy();
    };
    const timer = setTimeout(drop, LONGEST_WAIT);
    this.waiting.set(socket, timer);
    socket.on('error', drop);
  }

  private acceptNext(): void {
    for (const [socket, timer] of this.waiting) {
      clearTimeout(timer);
      this.waiting.delete(socket);
      this.accept(socket);
      return;
    }
  }

  /** The guest goes on without a debugger; another client may come. */
  private detach(socket: Socket): void {
    const { session, partition } = this.guest;
    session.forgetStops();
    if (!partition.end && !session.running) session.continue();
    this.leave(socket, partition.end?.status);
  }

  private leave(socket: Socket, status: number | undefined): void {
    this.client = undefined;
    socket.end();
    if (status === undefined) this.acceptNext();
    else this.finish(status);
  }

  /** A client that goes without a word leaves a guest that waits for the next one. */
  private lost({ extendedMode }: GdbSession): void {
    const { session, partition } = this.guest;
    this.client = undefined;
    session.halt();
    if (partition.end && !extendedMode) this.finish(partition.end.status);
    else this.acceptNext();
  }

  private interrupted(): void {
    this.client?.socket.destroy();
    this.finish(INTERRUPTED_STATUS);
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    soon(this.guest.session.isWaiting, () => {
      this.scheduled = false;
      const { session, partition } = this.guest;
      if (this.client) {
        if (this.client.session.slice()) this.schedule();
        return;
      }
      if (session.hasWork) session.slice();
      if (partition.end) this.finish(partition.end.status);
      else if (session.hasWork) this.schedule();
    });
  }
}

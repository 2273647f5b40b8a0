import { createServer, type Socket } from 'node:net';
import { launchGuests } from '../debugger/launch-guest.ts';
import { GdbSession } from '../gdb-remote/gdb-session.ts';
import { portsText } from '../hypervisor/privileges/parse-grant.ts';
import { writeAll } from './journal-file.ts';
import { nodeFiles } from './node-files.ts';
import { parseRunOptions } from './options.ts';
import { RealTime, soon } from './real-time.ts';
import { tellRefusals } from './refusals.ts';
import { UsageError } from './usage.ts';

const DEFAULT_PORT = 1234;
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
    intercepts,
    virtio = {},
  } = options.configuration;
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
      intercepts,
      initrd: options.initrd,
      disk: options.disks,
      channels: virtio.channels,
      balloon: virtio.balloon,
      loadAddress: options.loadAddress === undefined ? undefined : `0x${options.loadAddress.toString(16)}`,
      mode: options.mode,
    },
    nodeFiles,
  );
  tellRefusals(host);
  guest.session.stopAtEntry();
  guest.partition.idlePace = new RealTime();
  guest.partition.onConsole((source, bytes) => writeAll(source === 'serial' ? STDOUT : STDERR, bytes));
  return listen(port, (socket) => new GdbSession(guest, (text) => socket.write(text, 'latin1')));
}

/** Serves one client at a time; another may come when one has gone without a word. */
function listen(port: number, open: (socket: Socket) => GdbSession): Promise<number> {
  return new Promise((resolve, reject) => {
    let busy = false;
    const server = createServer((socket) => {
      if (busy) {
        socket.destroy();
        return;
      }
      busy = true;
      socket.setNoDelay(true);
      void serve(socket, open(socket)).then((status) => {
        busy = false;
        socket.end();
        if (status === undefined) return;
        server.close();
        resolve(status);
      });
    });
    server.on('error', (error) => reject(new UsageError(`Port ${port} can't be opened: ${error.message}.`)));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      const actual = typeof address === 'object' && address !== null ? address.port : port;
      process.stderr.write(`hyperscope: waiting for gdb: target remote 127.0.0.1:${actual}\n`);
    });
  });
}

/** Moves bytes, and runs the guest in slices between them. Undefined when the client has gone and the guest waits. */
function serve(socket: Socket, session: GdbSession): Promise<number | undefined> {
  return new Promise((resolve) => {
    const { guest } = session;
    let scheduled = false;
    let closed = false;
    const finish = (status: number | undefined) => {
      closed = true;
      resolve(status);
    };
    const schedule = () => {
      if (scheduled || closed) return;
      scheduled = true;
      soon(session.isWaiting, () => {
        scheduled = false;
        if (closed) return;
        if (session.slice()) schedule();
        else if (guest.partition.end && session.end === 'detached') finish(guest.partition.end.status);
      });
    };
    socket.on('data', (chunk) => {
      session.receive(chunk);
      if (session.end === 'killed') finish(0);
      else if (session.end === 'detached') {
        guest.session.forgetStops();
        if (!guest.session.running) guest.session.continue();
      }
      schedule();
    });
    const gone = () => {
      if (session.end === 'detached' && !guest.partition.end) return schedule();
      if (guest.partition.end) return finish(guest.partition.end.status);
      guest.session.pause();
      if (!closed) finish(undefined);
    };
    socket.on('close', gone);
    socket.on('error', gone);
  });
}

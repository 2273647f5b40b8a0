import { type ParseArgsConfig, parseArgs } from 'node:util';
import { ASSIGNABLE_NAMES } from '../devices/virtio/assignable.ts';
import { type ExitFilter, ExitFilterError, parseExitFilter } from '../hypervisor/journal/exit-filter.ts';
import { GrantError, parsePorts, parsePrivileges } from '../hypervisor/privileges/parse-grant.ts';
import { parseMac } from '../network/packets/addresses.ts';
import { NetworkOptionError, parseForward, parseGuestForward, parseHost } from '../network/user/options.ts';
import { parseVsockForward, parseVsockGuestForward, type VsockPorts, vsockPortsOf } from '../network/vsock-ports.ts';
import { MACHINE_NAMES, type PartitionConfiguration, PLATFORM_NAMES, type PlatformName } from '../platforms/configuration.ts';
import { vendorOf } from '../platforms/create-partition.ts';
import { NETWORK_NAMES, networkPlan } from '../platforms/network.ts';
import type { DiskRequest } from '../platforms/open-disk.ts';
import type { ShareRequest } from '../platforms/open-share.ts';
import { parseAddress } from '../x86/address.ts';
import { UsageError } from './usage.ts';

/** The command line of `run`, checked. */
export interface RunOptions {
  readonly program: string;
  readonly configuration: Omit<PartitionConfiguration, 'initrd' | 'disks'>;
  readonly initrd?: string;
  /** Files, by their names or with more. */
  readonly disks: readonly (string | DiskRequest)[];
  /** Files that get what the guest writes to channels, by the channel's name. */
  readonly channelFiles: ReadonlyMap<string, string>;
  /** What the guest's sockets lead to. */
  readonly vsockPorts?: VsockPorts;
  /** Folders for the guest. */
  readonly shares: readonly ShareRequest[];
  readonly loadAddress?: bigint;
  readonly mode?: 16 | 32 | 64;
  readonly exits?: string;
  /** The same, as a launch configuration has it. */
  readonly networkAttributes: Readonly<Record<string, unknown>>;
  /** The network of the machine; none when missing. */
  readonly network?: ReturnType<typeof networkPlan>;
  /** File that gets each frame of the network card. */
  readonly pcap?: string;
  /** Which exits are written to that file. */
  readonly exitsFilter?: ExitFilter;
  /** File that gets a crash report. */
  readonly crashReport?: string;
  readonly stats: boolean;
  readonly stateHash: boolean;
  readonly maxInstructions?: bigint;
  /** Seconds. */
  readonly timeout?: number;
}

const SIZES: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };
/** Options of the contract that a later version brings. */
const LATER: Readonly<Record<string, string>> = {
  instance: 'Nitro instances',
};

type ParsedArguments<Options extends NonNullable<ParseArgsConfig['options']>> = ReturnType<
  typeof parseArgs<{ args: string[]; options: Options; allowPositionals: true; strict: true }>
>;

/** Parses arguments strictly; node's own messages become one sentence. */
export function parse<Options extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: Options,
  command: string,
): ParsedArguments<Options> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const dashed = /use '(--[\w-]+)=-XYZ'/.exec(message)?.[1];
    if (dashed !== undefined)
      throw new UsageError(`A value of ${dashed} that begins with "-" needs an equals sign: ${dashed}=-…`);
    const text = message.split('. ')[0] ?? message;
    throw new UsageError(`${text.replace(/\.$/, '')}; see \`hyperscope help ${command}\`.`);
  }
}

/** `64M`, `1G`, `4096` … as bytes. */
export function parseSize(text: string): number {
  const size = sizeOf(text);
  if (size === undefined) throw new UsageError(`--memory takes a size such as 64M or 1G, not "${text}".`);
  return size;
}

function sizeOf(text: string): number | undefined {
  const match = /^(\d{1,12})([KMG]?)(?:i?B)?$/i.exec(text.trim());
  return match ? Number.parseInt(match[1] ?? '', 10) * (SIZES[(match[2] ?? '').toUpperCase()] ?? 1) : undefined;
}

function parseTranslator(text: string): number {
  const size = text === 'off' ? 0 : sizeOf(text);
  if (size === undefined) throw new UsageError(`--translator takes a size such as 16M, or off, not "${text}".`);
  return size;
}

function parseCount(text: string, option: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw new UsageError(`--${option} takes a whole number, not "${text}".`);
  return BigInt(text);
}

function oneOf<Value extends string>(text: string, option: string, values: readonly Value[]): Value {
  const value = values.find((candidate) => candidate === text);
  if (value === undefined) throw new UsageError(`--${option} takes ${values.join(', ')}, not "${text}".`);
  return value;
}

/** `FILE`, `FILE,ro`, `FILE,write=on`, `FILE,serial=ABC,queues=2`. Throws UsageError. */
function parseDisk(text: string): string | DiskRequest {
  const request: { file: string; serial?: string; readOnly?: boolean; write?: boolean; queues?: number } = { file: text };
  // From the end, so that a file's name may have commas, too.
  for (;;) {
    const [, file, word, value] = /^(.+),(?:ro|(\w+)=([^,]*))$/.exec(request.file) ?? [];
    if (file === undefined) break;
    if (word === undefined) request.readOnly = true;
    else if (word === 'serial') request.serial = value;
    else if (word === 'write') request.write = oneOf(value ?? '', 'disk write', ['on', 'off']) === 'on';
    else if (word === 'queues') request.queues = Number(parseCount(value ?? '', 'disk queues'));
    else
      throw new UsageError(
        `--disk takes a file and behind it ro, write=on, serial=TEXT or queues=N with commas, not "${word}=".`,
      );
    request.file = file;
  }
  return request.file === text ? text : request;
}

/** `TAG=FOLDER` or `TAG=FOLDER,ro`. Throws UsageError. */
function parseShare(text: string): ShareRequest {
  const [, tag, folder, readOnly] = /^([^=]+)=(.+?)(,ro)?$/.exec(text) ?? [];
  if (tag === undefined || folder === undefined)
    throw new UsageError(`--share takes a tag and a folder, such as work=., and behind it ,ro; not "${text}".`);
  return readOnly === undefined ? { tag, folder } : { tag, folder, readOnly: true };
}

/** Reads an option that is a list with commas; undefined where it isn't given. Throws UsageError. */
function parseList<Value>(text: string | undefined, option: string, read: (words: string[]) => Value): Value | undefined {
  if (text === undefined) return undefined;
  try {
    return read(text.split(',').map((word) => word.trim()));
  } catch (error) {
    if (!(error instanceof GrantError)) throw error;
    throw new UsageError(`--${option} ${error.message}${error.message.endsWith('?') ? '' : '.'}`);
  }
}

/** Reads each of an option's values. Throws UsageError. */
function parseEach<Value>(texts: readonly string[] | undefined, option: string, read: (text: string) => Value): readonly Value[] {
  try {
    return (texts ?? []).map(read);
  } catch (error) {
    throw error instanceof NetworkOptionError ? new UsageError(`--${option} ${error.message}.`) : error;
  }
}

function parseMacOption(text: string): number {
  const mac = parseMac(text);
  if (mac === undefined) throw new UsageError(`--mac takes an address of one station, such as 52:54:00:12:34:56, not "${text}".`);
  return mac;
}

/** A filter of exits that an option has; undefined where it isn't given. Throws UsageError. */
export function exitFilter(text: string | undefined, option: string): ExitFilter | undefined {
  try {
    return text === undefined ? undefined : parseExitFilter(text);
  } catch (error) {
    throw error instanceof ExitFilterError ? new UsageError(`--${option}: ${error.message}`) : error;
  }
}

/** Checks the arguments of `run`, or of a command that takes the same ones. Throws UsageError. */
export function parseRunOptions(args: readonly string[], command = 'run'): RunOptions {
  const end = args.indexOf('--');
  const own = end < 0 ? args : args.slice(0, end);
  const guestArguments = end < 0 ? [] : args.slice(end + 1);
  const { values, positionals } = parse(
    own,
    {
      platform: { type: 'string', default: 'kvm' },
      instance: { type: 'string' },
      processor: { type: 'string', default: 'emulated' },
      vendor: { type: 'string' },
      cpu: { type: 'string' },
      machine: { type: 'string' },
      memory: { type: 'string' },
      vcpus: { type: 'string', default: '1' },
      privileges: { type: 'string' },
      ports: { type: 'string' },
      translator: { type: 'string' },
      initrd: { type: 'string' },
      append: { type: 'string' },
      disk: { type: 'string', multiple: true },
      channel: { type: 'string', multiple: true },
      balloon: { type: 'boolean', default: false },
      screen: { type: 'boolean', default: false },
      assign: { type: 'string', multiple: true },
      vsock: { type: 'string' },
      'vsock-forward': { type: 'string', multiple: true },
      'vsock-guest-forward': { type: 'string', multiple: true },
      share: { type: 'string', multiple: true },
      net: { type: 'string' },
      mac: { type: 'string' },
      forward: { type: 'string', multiple: true },
      'guest-forward': { type: 'string', multiple: true },
      serve: { type: 'string', multiple: true },
      host: { type: 'string', multiple: true },
      pcap: { type: 'string' },
      'load-address': { type: 'string' },
      mode: { type: 'string' },
      exits: { type: 'string' },
      'exits-filter': { type: 'string' },
      'exits-kept': { type: 'string' },
      'test-device': { type: 'boolean', default: false },
      ioeventfd: { type: 'boolean', default: false },
      intercept: { type: 'string', multiple: true },
      'crash-report': { type: 'string' },
      stats: { type: 'boolean', default: false },
      'max-instructions': { type: 'string' },
      timeout: { type: 'string' },
      'state-hash': { type: 'boolean', default: false },
    },
    command,
  );
  const [program, ...rest] = positionals;
  if (program === undefined) throw new UsageError(`${command} needs the path of a program, such as samples/hello/hello.asm.`);
  if (rest.length > 0)
    throw new UsageError(`${command} takes one program; "${rest[0]}" is too many (arguments for the guest go behind --).`);
  for (const [option, what] of Object.entries(LATER)) {
    const given = values[option as keyof typeof values];
    if (given !== undefined && given !== 'none')
      throw new UsageError(`--${option}: ${what} come with a later version; leave it out.`);
  }
  if (values.processor === 'kvm')
    throw new UsageError('--processor kvm: running on the hardware comes with a later version; use --processor emulated.');
  oneOf(values.processor, 'processor', ['emulated']);
  const timeout = values.timeout === undefined ? undefined : Number(values.timeout);
  if (timeout !== undefined && !(timeout > 0 && timeout < 1e9))
    throw new UsageError(`--timeout takes a number of seconds above 0, not "${values.timeout}".`);
  const loadAddress = values['load-address'] === undefined ? undefined : parseAddress(values['load-address']);
  if (values['load-address'] !== undefined && loadAddress === undefined)
    throw new UsageError(`--load-address takes an address such as 0x100000, not "${values['load-address']}".`);
  const mode = values.mode === undefined ? undefined : oneOf(values.mode, 'mode', ['16', '32', '64']);
  const commandLine = [values.append, ...guestArguments].filter((part) => part !== undefined).join(' ');
  // NAME or NAME=FILE.
  const channels = (values.channel ?? []).map((text): [string, string] => {
    const at = text.indexOf('=');
    return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
  });
  const platform: PlatformName = oneOf(values.platform, 'platform', PLATFORM_NAMES);
  return {
    program,
    configuration: {
      platform,
      vendor: oneOf(values.vendor ?? vendorOf(values.cpu) ?? 'intel', 'vendor', ['intel', 'amd']),
      cpu: values.cpu,
      memory: values.memory === undefined ? undefined : parseSize(values.memory),
      machine: values.machine === undefined ? undefined : oneOf(values.machine, 'machine', MACHINE_NAMES),
      vcpus: Number(parseCount(values.vcpus, 'vcpus')),
      privileges: parseList(values.privileges, 'privileges', parsePrivileges),
      limits: { ports: parseList(values.ports, 'ports', parsePorts) },
      translator: values.translator === undefined ? undefined : parseTranslator(values.translator),
      commandLine: commandLine === '' ? undefined : commandLine,
      exitsKept: values['exits-kept'] === undefined ? undefined : Number(parseCount(values['exits-kept'], 'exits-kept')),
      testDevice: values['test-device'],
      ioeventfd: values.ioeventfd,
      screen: values.screen,
      assign: values.assign?.map((name) => oneOf(name, 'assign', ASSIGNABLE_NAMES)),
      intercepts: values.intercept,
      virtio: {
        channels: channels.map(([name]) => name),
        balloon: values.balloon,
        vsock: values.vsock === undefined ? undefined : Number(parseCount(values.vsock, 'vsock')),
      },
    },
    network: networkPlan({
      net: values.net === undefined ? undefined : oneOf(values.net, 'net', NETWORK_NAMES),
      mac: values.mac === undefined ? undefined : parseMacOption(values.mac),
      forward: parseEach(values.forward, 'forward', parseForward),
      guestForward: parseEach(values['guest-forward'], 'guest-forward', parseGuestForward),
      hosts: parseEach(values.host, 'host', parseHost),
      serve: values.serve,
    }),
    networkAttributes: {
      net: values.net,
      mac: values.mac,
      forward: values.forward,
      guestForward: values['guest-forward'],
      hosts: values.host,
      serve: values.serve,
      pcap: values.pcap,
      vsockForward: values['vsock-forward'],
      vsockGuestForward: values['vsock-guest-forward'],
    },
    vsockPorts: vsockPortsOf(
      parseEach(values['vsock-forward'], 'vsock-forward', parseVsockForward),
      parseEach(values['vsock-guest-forward'], 'vsock-guest-forward', parseVsockGuestForward),
    ),
    pcap: values.pcap,
    initrd: values.initrd,
    disks: values.disk?.map(parseDisk) ?? [],
    shares: values.share?.map(parseShare) ?? [],
    channelFiles: new Map(channels.filter(([, file]) => file !== '')),
    loadAddress,
    mode: mode === undefined ? undefined : mode === '16' ? 16 : mode === '32' ? 32 : 64,
    exits: values.exits,
    exitsFilter: exitFilter(values['exits-filter'], 'exits-filter'),
    crashReport: values['crash-report'],
    stats: values.stats,
    stateHash: values['state-hash'],
    maxInstructions:
      values['max-instructions'] === undefined ? undefined : parseCount(values['max-instructions'], 'max-instructions'),
    timeout,
  };
}

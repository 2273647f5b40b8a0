import type { InspectNode } from '../../devices/inspect.ts';
import { parseMac } from '../../network/packets/addresses.ts';
import { ShutdownFlag } from '../../platforms/hyperv/abi/integration.ts';
import type { BackupRequest } from '../../platforms/hyperv/vsps/backup.ts';
import {
  BACKUP_INPUT,
  encodeBackupRequest,
  encodeKvpRequest,
  KVP_INPUT,
  SHUTDOWN_INPUT,
  TIME_INPUT,
} from '../../platforms/hyperv/vsps/integration-inputs.ts';
import type { KvpRequest } from '../../platforms/hyperv/vsps/kvp.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import { type ConsoleCommand, type ConsoleSession, columns, expectNothing } from './command.ts';

/** Through the input door, so that a repeated run gets it at the same instruction. */
function send(session: ConsoleSession, to: string, bytes: Uint8Array, service: string): void {
  if (session.inputTo(to, bytes)) return;
  const { platform } = session.partition;
  throw new ExpressionError(
    platform === 'hyperv'
      ? `The guest has no driver for Hyper-V's ${service} that is ready; Linux's is hv_utils.`
      : `Only a guest of platform hyperv can be asked; this one runs on ${platform}.`,
  );
}

/** The integration components as they are now. */
function componentsOf({ partition }: ConsoleSession): readonly InspectNode[] {
  const platform = partition.inspect().children?.find(({ name }) => name === 'platform');
  return platform?.children?.find(({ name }) => name === 'integration')?.children ?? [];
}

const SHUTDOWN_USAGE = 'shutdown [restart|force]';
const SHUTDOWNS: Readonly<Record<string, number>> = { '': 0, restart: ShutdownFlag.RESTART, force: ShutdownFlag.FORCE };

function shutdown(session: ConsoleSession, rest: string): string {
  const flags = SHUTDOWNS[rest];
  if (flags === undefined) throw new ExpressionError(`"${rest}" is no way to shut down; the command is ${SHUTDOWN_USAGE}.`);
  send(session, SHUTDOWN_INPUT, Uint8Array.of(flags), 'shutdown requests');
  return '';
}

function timesync(session: ConsoleSession, rest: string): string {
  expectNothing('timesync', rest);
  send(session, TIME_INPUT, new Uint8Array(0), 'time synchronization');
  return '';
}

const BACKUP_USAGE = 'backup [freeze|thaw]';
const BACKUPS: Readonly<Record<string, BackupRequest>> = { '': 'once', freeze: 'freeze', thaw: 'thaw' };

function backup(session: ConsoleSession, rest: string): string {
  const request = BACKUPS[rest];
  if (request === undefined)
    throw new ExpressionError(`"${rest}" is nothing to do for a backup; the command is ${BACKUP_USAGE}.`);
  send(session, BACKUP_INPUT, encodeBackupRequest(request), 'backups');
  return '';
}

const KVP_USAGE = 'kvp [read|get KEY|set KEY VALUE|delete KEY|addresses MAC]';

function kvp(session: ConsoleSession, rest: string): string {
  if (rest === '') return rows(componentsOf(session).find(({ name }) => name === 'kvp'));
  send(session, KVP_INPUT, encodeKvpRequest(kvpRequest(rest)), 'key-value pairs');
  return '';
}

function kvpRequest(text: string): KvpRequest {
  const [, operation, key = '', value = ''] = /^(\w+)(?:\s+(\S+)(?:\s+(.+))?)?$/s.exec(text) ?? [];
  if (operation === 'read' && key === '') return { operation };
  if ((operation === 'get' || operation === 'delete') && key !== '' && value === '') return { operation, key };
  if (operation === 'set' && value !== '') return { operation, key, value };
  if (operation === 'addresses' && parseMac(key) !== undefined && value === '') return { operation, key };
  throw new ExpressionError(`"${text}" is nothing to do to key-value pairs; the command is ${KVP_USAGE}.`);
}

function rows(node: InspectNode | undefined): string {
  if (node?.value !== 'ready') return '';
  const pools = (node.children ?? []).filter(({ children }) => children !== undefined);
  return columns(pools.flatMap((pool) => (pool.children ?? []).map(({ name, value = '' }) => [pool.name, name, value]))).join(
    '\n',
  );
}

function components(session: ConsoleSession, rest: string): string {
  expectNothing('integration', rest);
  const nodes = componentsOf(session);
  if (nodes.length === 0) throw new ExpressionError('Only a guest of platform hyperv has integration components.');
  return columns(
    nodes.flatMap(({ name, value = '', detail = '', children = [] }) => [
      [name, value, detail],
      ...children
        .filter((child) => child.children === undefined)
        .map((child) => [`  ${child.name}`, child.value ?? '', child.detail ?? '']),
    ]),
  ).join('\n');
}

/** Commands for what the parent partition of Hyper-V asks its child. */
export const integrationCommands: readonly ConsoleCommand[] = [
  {
    name: 'integration',
    usage: 'integration',
    summary: "shows Hyper-V's integration components: versions, the guest's heartbeat, requests",
    details: [],
    whileRunning: true,
    run: components,
  },
  {
    name: 'shutdown',
    usage: SHUTDOWN_USAGE,
    summary: 'asks a guest of Hyper-V to shut down, or to start anew',
    details: ['The guest answers and goes down by itself, as Stop-VM has it. With force it closes programs that do not answer.'],
    whileRunning: true,
    run: shutdown,
  },
  {
    name: 'timesync',
    usage: 'timesync',
    summary: "has a guest of Hyper-V set its clock to the host's",
    details: [],
    whileRunning: true,
    run: timesync,
  },
  {
    name: 'kvp',
    usage: KVP_USAGE,
    summary: 'shows the key-value pairs of a guest of Hyper-V, or changes those that the host gives it',
    details: [
      'The guest needs the service that keeps them (Debian: hyperv-daemons). With read they are asked for again; the next call shows them.',
      'With addresses it is asked what the network card of that Ethernet address has.',
      'For example: kvp, kvp set role web, kvp addresses 52:54:00:12:34:56',
    ],
    whileRunning: true,
    run: kvp,
  },
  {
    name: 'backup',
    usage: BACKUP_USAGE,
    summary: 'has a guest of Hyper-V bring its file systems into a state to back up',
    details: [
      'They write out what they have, stand still and go on: with freeze until thaw. integration shows what the guest answers.',
      'The guest needs the service that does it (Debian: hyperv-daemons, hv_vss_daemon).',
    ],
    whileRunning: true,
    run: backup,
  },
];

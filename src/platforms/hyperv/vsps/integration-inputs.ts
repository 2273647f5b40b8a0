import { BACKUP_REQUESTS, type BackupRequest } from './backup.ts';
import type { KvpRequest } from './kvp.ts';

/** Names of inputs from outside for the integration components, and what is in them: the input door knows bytes. */

/** One byte: flags of the shutdown (abi/integration.ts). */
export const SHUTDOWN_INPUT = 'hyperv shutdown';
/** Nothing: the guest is to set its clock. */
export const TIME_INPUT = 'hyperv time';
export const KVP_INPUT = 'hyperv kvp';
/** One byte: the number of the request among those that there are. */
export const BACKUP_INPUT = 'hyperv backup';

export function encodeBackupRequest(request: BackupRequest): Uint8Array {
  return Uint8Array.of(BACKUP_REQUESTS.indexOf(request));
}

export function decodeBackupRequest(bytes: Uint8Array): BackupRequest | undefined {
  return BACKUP_REQUESTS[bytes[0] ?? BACKUP_REQUESTS.length];
}

const OPERATIONS = ['read', 'set', 'get', 'delete', 'addresses'] as const;
const SEPARATOR = '\0';

/** Its operation, key and value, with NULs between them. */
export function encodeKvpRequest(request: KvpRequest): Uint8Array {
  const key = 'key' in request ? request.key : '';
  const value = 'value' in request ? request.value : '';
  return new TextEncoder().encode([request.operation, key, value].join(SEPARATOR));
}

export function decodeKvpRequest(bytes: Uint8Array): KvpRequest | undefined {
  const [name, key = '', value = ''] = new TextDecoder().decode(bytes).split(SEPARATOR);
  const operation = OPERATIONS.find((known) => known === name);
  if (operation === undefined) return undefined;
  return operation === 'read' ? { operation } : operation === 'set' ? { operation, key, value } : { operation, key };
}

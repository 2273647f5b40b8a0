import { hex } from '../../../x86/address.ts';
import { HvStatus } from '../abi/status.ts';
import type { ConnectionTarget } from '../synic/connections.ts';
import type { HypercallCall } from './call.ts';

/** The partition has no such connection. */
export function noConnection(call: HypercallCall, connection: number): number {
  return call.fail(HvStatus.INVALID_CONNECTION_ID, `the partition has no connection ${hex(connection)}`);
}

/** It leads to a port of another kind. */
export function wrongPort(call: HypercallCall, connection: number, { kind }: ConnectionTarget, wanted: string): number {
  return call.fail(HvStatus.INVALID_PORT_ID, `connection ${hex(connection)} leads to a port for ${kind}s, not for ${wanted}`);
}

import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import { ID_BITS } from '../../abi/synic.ts';
import type { Hyperv } from '../../hyperv.ts';
import { targetPartition } from '../../partitions/target.ts';
import { describeMatch, doorbellMatch } from '../../synic/connection-information.ts';
import type { ConnectionTarget } from '../../synic/connections.ts';
import { Doorbell } from '../../synic/doorbells.ts';
import { problemOfMonitor } from '../../synic/port-information.ts';
import type { DoorbellPort, MonitorPort, Port } from '../../synic/ports.ts';
import type { HypercallCall } from '../call.ts';
import { nameOf, noPort } from '../port-problems.ts';

/** HvCallConnectPort (0x96): from the caller's own partition or a child, to a port of either. */
export function* connectPort(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const from = targetPartition(hyperv, call.value('connectionPartition'));
  const to = targetPartition(hyperv, call.value('portPartition'));
  const id = call.number('connection');
  const port = 'status' in to ? undefined : to.ports.get(call.number('port'));
  yield stage('hyperv-connect-port.check', {
    from: nameOf(from),
    connection: id,
    to: nameOf(to),
    port: port?.kind ?? 'no such port',
  });
  if ('status' in from) return call.fail(from.status, from.why);
  if ('status' in to) return call.fail(to.status, to.why);
  if (call.number('connectionVtl') !== 0) return call.fail(HvStatus.INVALID_VTL_STATE, 'there are no trust levels above 0');
  if (!port) return noPort(call, to, call.number('port'));
  const { connectionPartition } = port;
  if (connectionPartition !== 0n && connectionPartition !== from.partitionId)
    return call.fail(HvStatus.ACCESS_DENIED, `port ${port.id} is for partition ${connectionPartition}, not ${from.partitionId}`);
  const status = connect(call, from, id, port);
  yield stage('hyperv-connect-port.connected', { from: from.partitionId, connection: id, port: port.id, status });
  return status;
}

/** What a port's kind is called in what a caller says of its connection (HV_CONNECTION_INFO). */
const KINDS = ['none', 'message', 'event', 'monitor', 'doorbell'] as const;

function connect(call: HypercallCall, from: Hyperv, id: number, port: Port): number {
  const kind = KINDS[call.number('connectionType')];
  if (kind !== port.kind)
    return call.fail(
      HvStatus.INVALID_PARAMETER,
      `port ${port.id} is for ${port.kind}s, the connection for ${kind ?? 'something unknown'}s`,
    );
  if (id >> ID_BITS !== 0)
    return call.fail(HvStatus.INVALID_CONNECTION_ID, `${hex(id)} is no number of a connection: it has more than 24 bits`);
  if (from.connections.get(id)) return call.fail(HvStatus.INVALID_CONNECTION_ID, `connection ${id} exists already`);
  if (port.isConnected) return call.fail(HvStatus.INVALID_PORT_ID, `port ${port.id} is connected already`);
  if (from.connections.isFull) return call.fail(HvStatus.INSUFFICIENT_MEMORY, 'the partition has too many connections');
  const target = targetOf(call, from, port);
  if (typeof target === 'number') return target;
  from.connections.connect(id, target);
  port.isConnected = true;
  return HvStatus.SUCCESS;
}

/** What the connection leads to; a status where there can be none. */
function targetOf(call: HypercallCall, from: Hyperv, port: Port): ConnectionTarget | number {
  switch (port.kind) {
    case 'doorbell':
      return doorbellTo(call, from, port);
    case 'monitor':
      return monitorOf(call, from, port);
    default:
      return port;
  }
}

function doorbellTo(call: HypercallCall, from: Hyperv, port: DoorbellPort): Doorbell | number {
  const match = doorbellMatch(call.block('connectionInformation'));
  if (typeof match === 'string') return call.fail(HvStatus.INVALID_PARAMETER, match);
  if (!from.doorbells.canBe)
    return call.fail(HvStatus.INVALID_PARTITION_ID, `partition ${from.partitionId} is no child: it has no doorbells to ring`);
  const page = from.overlays.at(match.gpa);
  if (page) return call.fail(HvStatus.INVALID_PARAMETER, `the ${page.name} of the partition lies at ${hex(match.gpa)}`);
  const rival = from.doorbells.rivalOf(match);
  if (rival)
    return call.fail(HvStatus.INVALID_PARAMETER, `port ${rival.port.id} has a doorbell there for ${describeMatch(rival.match)}`);
  const doorbell = new Doorbell(port, match, from.doorbells);
  from.doorbells.add(doorbell);
  return doorbell;
}

function monitorOf(call: HypercallCall, from: Hyperv, port: MonitorPort): ConnectionTarget | number {
  const gpa = call.block('connectionInformation').getBigUint64(0, true);
  if (from.partitionId === port.owner.partitionId)
    return call.fail(HvStatus.INVALID_PARTITION_ID, 'a monitor page is one that two partitions have in common');
  const problem = problemOfMonitor(gpa);
  if (problem) return call.fail(problem.status, problem.why);
  return (
    port.connect(from, gpa) ??
    call.fail(HvStatus.INVALID_PARAMETER, `partition ${from.partitionId} can have no overlay page at ${hex(gpa)}`)
  );
}

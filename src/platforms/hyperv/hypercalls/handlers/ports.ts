import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import { ID_BITS, PortProperty } from '../../abi/synic.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { Refused } from '../../partitions/refused.ts';
import { SELF, targetPartition } from '../../partitions/target.ts';
import { hasTarget, portInformation } from '../../synic/port-information.ts';
import { MessagePort, makePort, PassivePort, type Port } from '../../synic/ports.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallCreatePort, HvCallDeletePort, HvCallConnectPort, HvCallDisconnectPort and HvCallGetPortProperty. */
export function performOnPorts(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  switch (call.code) {
    case 0x95:
      return createPort(hyperv, call);
    case 0x58:
      return deletePort(hyperv, call);
    case 0x96:
      return connectPort(hyperv, call);
    case 0x5b:
      return disconnectPort(hyperv, call);
    default:
      return getPortProperty(hyperv, call);
  }
}

/** HvCallCreatePort (0x95): a port of the caller's own partition or of a child. */
function* createPort(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const owner = targetPartition(hyperv, call.value('portPartition'));
  const id = call.number('port');
  const information = portInformation(call.number('portType'), call.block('portInformation'));
  yield stage('hyperv-create-port.check', {
    owner: nameOf(owner),
    port: id,
    kind: typeof information === 'string' ? information : information.kind,
  });
  if ('status' in owner) return call.fail(owner.status, owner.why);
  if (call.number('portVtl') !== 0 || call.number('minimumConnectionVtl') !== 0)
    return call.fail(HvStatus.INVALID_VTL_STATE, 'there are no trust levels above 0');
  if (typeof information === 'string') return call.fail(HvStatus.INVALID_PARAMETER, information);
  if (!hasTarget(information, owner.machine.processors.length))
    return call.fail(HvStatus.INVALID_VP_INDEX, `partition ${owner.partitionId} has no such vCPU`);
  if (id >> ID_BITS !== 0)
    return call.fail(HvStatus.INVALID_PORT_ID, `${hex(id)} is no number of a port: it has more than 24 bits`);
  if (owner.ports.get(id)) return call.fail(HvStatus.INVALID_PORT_ID, `port ${id} exists already`);
  if (owner.ports.isFull) return call.fail(HvStatus.INSUFFICIENT_MEMORY, 'the partition has too many ports');
  const mayConnect = call.value('connectionPartition');
  owner.ports.add(makePort(owner, id, information, mayConnect === SELF ? hyperv.partitionId : mayConnect));
  yield stage('hyperv-create-port.created', { owner: owner.partitionId, port: id, kind: information.kind });
  return HvStatus.SUCCESS;
}

/** HvCallDeletePort (0x58). What is queued of its messages goes with it. */
function* deletePort(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const owner = targetPartition(hyperv, call.value('partition'));
  const id = call.number('port');
  yield stage('hyperv-delete-port.check', { owner: nameOf(owner), port: id });
  if ('status' in owner) return call.fail(owner.status, owner.why);
  return owner.ports.delete(id) ? HvStatus.SUCCESS : noPort(call, owner, id);
}

/** HvCallConnectPort (0x96): from the caller's own partition or a child, to a port of either. */
function* connectPort(hyperv: Hyperv, call: HypercallCall): Handler<number> {
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
  if (port instanceof PassivePort)
    return call.fail(HvStatus.FEATURE_UNAVAILABLE, `connections to ports for ${port.kind}s are not served here`);
  if (id >> ID_BITS !== 0)
    return call.fail(HvStatus.INVALID_CONNECTION_ID, `${hex(id)} is no number of a connection: it has more than 24 bits`);
  if (from.connections.isFull) return call.fail(HvStatus.INSUFFICIENT_MEMORY, 'the partition has too many connections');
  if (!from.connections.connect(id, port)) return call.fail(HvStatus.INVALID_CONNECTION_ID, `connection ${id} exists already`);
  return HvStatus.SUCCESS;
}

/** HvCallDisconnectPort (0x5B). Messages that were posted before still arrive. */
function* disconnectPort(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const from = targetPartition(hyperv, call.value('partition'));
  const id = call.number('connection');
  yield stage('hyperv-disconnect-port.check', { from: nameOf(from), connection: id });
  if ('status' in from) return call.fail(from.status, from.why);
  if (from.connections.disconnect(id)) return HvStatus.SUCCESS;
  return call.fail(HvStatus.INVALID_CONNECTION_ID, `partition ${from.partitionId} has no connection ${id}`);
}

/** HvCallGetPortProperty (0x5A). */
function* getPortProperty(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const owner = targetPartition(hyperv, call.value('partition'));
  const property = call.number('property');
  const port = 'status' in owner ? undefined : owner.ports.get(call.number('port'));
  yield stage('hyperv-get-port-property.check', {
    owner: nameOf(owner),
    port: port?.place ?? 'no such port',
    property,
  });
  if ('status' in owner) return call.fail(owner.status, owner.why);
  if (!port) return noPort(call, owner, call.number('port'));
  const value = propertyOf(port, property);
  if (value === undefined) return call.fail(HvStatus.UNKNOWN_PROPERTY, `a port for ${port.kind}s has no property ${property}`);
  call.give('value', value);
  return HvStatus.SUCCESS;
}

function propertyOf(port: Port, property: number): bigint | undefined {
  const { information } = port;
  switch (property) {
    case PortProperty.POST_COUNT:
      return port instanceof MessagePort ? port.posts : undefined;
    case PortProperty.PREFERRED_TARGET_VP:
    case PortProperty.TARGET_VP:
      return information.kind === 'monitor' ? undefined : BigInt(information.vp);
    case PortProperty.MONITOR_ADDRESS:
      return information.kind === 'monitor' ? information.gpa : undefined;
    default:
      return undefined;
  }
}

/** A partition that a call names, as it is shown. */
function nameOf(partition: Hyperv | Refused): bigint | string {
  return 'status' in partition ? partition.why : partition.partitionId;
}

function noPort(call: HypercallCall, { partitionId }: Hyperv, id: number): number {
  return call.fail(HvStatus.INVALID_PORT_ID, `partition ${partitionId} has no port ${id}`);
}

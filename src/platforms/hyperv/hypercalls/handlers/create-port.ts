import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import { ID_BITS } from '../../abi/synic.ts';
import type { Hyperv } from '../../hyperv.ts';
import { SELF, targetPartition } from '../../partitions/target.ts';
import { hasTarget, portInformation } from '../../synic/port-information.ts';
import { makePort } from '../../synic/ports.ts';
import type { HypercallCall } from '../call.ts';
import { nameOf } from '../port-problems.ts';

/** HvCallCreatePort (0x95): a port of the caller's own partition or of a child. */
export function* createPort(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const owner = targetPartition(hyperv, call.value('portPartition'));
  const id = call.number('port');
  const information = portInformation(call.number('portType'), call.block('portInformation'));
  yield stage('hyperv-create-port.check', {
    owner: nameOf(owner),
    port: id,
    kind: 'status' in information ? information.why : information.kind,
  });
  if ('status' in owner) return call.fail(owner.status, owner.why);
  if (call.number('portVtl') !== 0 || call.number('minimumConnectionVtl') !== 0)
    return call.fail(HvStatus.INVALID_VTL_STATE, 'there are no trust levels above 0');
  if ('status' in information) return call.fail(information.status, information.why);
  if (information.kind === 'doorbell') {
    if (!owner.children.canBe)
      return call.fail(HvStatus.ACCESS_DENIED, 'only a partition that can make others has ports for doorbells');
    if (id === 0) return call.fail(HvStatus.INVALID_PORT_ID, 'port 0 could not be told of: 0 is an empty entry of an event ring');
  }
  if (!hasTarget(information, owner.machine.processors.length))
    return call.fail(HvStatus.INVALID_VP_INDEX, `partition ${owner.partitionId} has no such vCPU`);
  if (id >> ID_BITS !== 0)
    return call.fail(HvStatus.INVALID_PORT_ID, `${hex(id)} is no number of a port: it has more than 24 bits`);
  if (owner.ports.get(id)) return call.fail(HvStatus.INVALID_PORT_ID, `port ${id} exists already`);
  if (owner.ports.isFull) return call.fail(HvStatus.INSUFFICIENT_MEMORY, 'the partition has too many ports');
  const mayConnect = call.value('connectionPartition');
  const port = makePort(owner, id, information, mayConnect === SELF ? hyperv.partitionId : mayConnect);
  if (port.kind === 'monitor') {
    if (owner.ports.hasTooManyMonitors) return call.fail(HvStatus.NO_RESOURCES, 'the partition has too many monitor pages');
    if (!port.lay())
      return call.fail(HvStatus.INVALID_PARAMETER, `partition ${owner.partitionId} can have no overlay page ${port.place}`);
  }
  owner.ports.add(port);
  yield stage('hyperv-create-port.created', { owner: owner.partitionId, port: id, kind: information.kind });
  return HvStatus.SUCCESS;
}

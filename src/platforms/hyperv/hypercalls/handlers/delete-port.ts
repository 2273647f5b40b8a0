import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { targetPartition } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';
import { nameOf, noPort } from '../port-problems.ts';

/** HvCallDeletePort (0x58). What is queued of its messages goes with it. */
export function* deletePort(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const owner = targetPartition(hyperv, call.value('partition'));
  const id = call.number('port');
  yield stage('hyperv-delete-port.check', { owner: nameOf(owner), port: id });
  if ('status' in owner) return call.fail(owner.status, owner.why);
  return owner.ports.delete(id) ? HvStatus.SUCCESS : noPort(call, owner, id);
}

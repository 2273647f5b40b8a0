import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { setProperty } from '../../partitions/properties.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallSetPartitionProperty (0x45). */
export function* setPartitionProperty(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const code = call.number('property');
  const value = call.value('value');
  yield stage('hyperv-set-partition-property.write', { partition: child.id, property: code, value, state: child.state });
  const refused = setProperty(hyperv, child, code, value);
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}

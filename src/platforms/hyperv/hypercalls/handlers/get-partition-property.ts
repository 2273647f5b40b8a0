import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { getProperty } from '../../partitions/properties.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallGetPartitionProperty (0x44). */
export function* getPartitionProperty(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const partition = call.value('partition');
  const code = call.number('property');
  yield stage('hyperv-get-partition-property.read', { partition, property: code });
  const value = getProperty(hyperv, partition, code);
  if (typeof value !== 'bigint') return call.fail(value.status, value.why);
  call.give('value', value);
  return HvStatus.SUCCESS;
}

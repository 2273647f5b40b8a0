import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { AccessResult, accessedPartition } from '../accessed-partition.ts';
import type { HypercallCall } from '../call.ts';
import { pageAccess, writePage } from '../guest-access.ts';

/** HvCallWriteGpa. */
export function* writeGpa(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const gpa = call.value('gpa');
  const count = call.number('byteCount');
  yield stage('hyperv-call-gpa.write', { gpa, count });
  const partition = accessedPartition(hyperv, call, gpa, count);
  if (typeof partition === 'number') return partition;
  const data = call.block('data');
  const isDone = writePage(partition, gpa, new Uint8Array(data.buffer, data.byteOffset, count).slice());
  const unmapped = pageAccess(partition, gpa, 'write') === 'unmapped';
  const result = isDone ? AccessResult.SUCCESS : unmapped ? AccessResult.UNMAPPED : AccessResult.WRITE_INTERCEPT;
  call.give('resultCode', result);
  yield stage('hyperv-call-gpa.write-done', { result });
  return HvStatus.SUCCESS;
}

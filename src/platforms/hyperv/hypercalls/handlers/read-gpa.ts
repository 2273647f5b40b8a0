import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { AccessResult, accessedPartition } from '../accessed-partition.ts';
import type { HypercallCall } from '../call.ts';
import { pageAccess, readPage } from '../guest-access.ts';

/** HvCallReadGpa: up to 16 bytes of guest physical memory, within a page. */
export function* readGpa(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const gpa = call.value('gpa');
  const count = call.number('byteCount');
  yield stage('hyperv-call-gpa.read', { gpa, count });
  const partition = accessedPartition(hyperv, call, gpa, count);
  if (typeof partition === 'number') return partition;
  const bytes = readPage(partition, gpa, count);
  const result = bytes
    ? AccessResult.SUCCESS
    : pageAccess(partition, gpa, 'read') === 'unmapped'
      ? AccessResult.UNMAPPED
      : AccessResult.READ_INTERCEPT;
  call.give('resultCode', result);
  const data = call.row.output.byName.get('data')?.offset ?? 0;
  bytes?.forEach((byte, at) => {
    call.output.setUint8(data + at, byte);
  });
  yield stage('hyperv-call-gpa.read-done', { result });
  return HvStatus.SUCCESS;
}

import { Privilege } from '../abi/privileges.ts';
import { HvStatus } from '../abi/status.ts';
import type { Hyperv } from '../hyperv.ts';
import type { HypercallCall } from './call.ts';
import { targetVp } from './target.ts';

/** HV_ACCESS_GPA_RESULT_CODE. */
export const AccessResult = { SUCCESS: 0, UNMAPPED: 1, READ_INTERCEPT: 2, WRITE_INTERCEPT: 3 } as const;

const MOST_BYTES = 16;

const PAGE = 0x1000;

/** The partition whose memory a call accesses; a number is the status that it ends with. */
export function accessedPartition(hyperv: Hyperv, call: HypercallCall, gpa: bigint, count: number): Hyperv | number {
  const target = targetVp(hyperv, call, Privilege.ACCESS_VP_REGISTERS);
  if ('status' in target) return target.status;
  if (count === 0 || count > MOST_BYTES) return call.fail(HvStatus.INVALID_PARAMETER, `${count} is not 1 to 16 bytes`);
  if (Number(gpa & 0xfffn) + count > PAGE) return call.fail(HvStatus.INVALID_PARAMETER, 'the bytes cross the end of a page');
  return target.found.partition;
}

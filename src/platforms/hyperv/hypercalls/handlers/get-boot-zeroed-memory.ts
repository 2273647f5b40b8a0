import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import { BOOT_ZEROED_RANGE, BOOT_ZEROED_RANGES, MOST_BOOT_ZEROED_RANGES } from '../../abi/structures.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvExtCallGetBootZeroedMemory (0x8002): which pages nobody has written before the guest started. The list may be incomplete. */
export function* getBootZeroedMemory(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const ranges = hyperv.zeroedAtStart().slice(0, MOST_BOOT_ZEROED_RANGES);
  yield stage('hyperv-call-extended.zeroed', { count: ranges.length, pages: ranges.reduce((sum, { count }) => sum + count, 0n) });
  call.give('count', ranges.length);
  ranges.forEach(({ page, count }, index) => {
    const at = BOOT_ZEROED_RANGES + index * BOOT_ZEROED_RANGE;
    call.output.setBigUint64(at, page, true);
    call.output.setBigUint64(at + 8, count, true);
  });
  return HvStatus.SUCCESS;
}

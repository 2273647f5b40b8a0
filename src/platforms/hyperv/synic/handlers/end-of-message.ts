import { type Handler, stage } from '../../../../stages/stage.ts';
import type { VpSynic } from '../vp-synic.ts';

/** A write to EOM: the guest has emptied message slots, and messages that wait for one may come. */
export function* endOfMessage(synic: VpSynic): Handler {
  const before = synic.waiting;
  yield stage('hyperv-synic.end-of-message', { waiting: before });
  synic.endOfMessage();
  yield stage('hyperv-synic.scanned', { delivered: before - synic.waiting, waiting: synic.waiting });
}

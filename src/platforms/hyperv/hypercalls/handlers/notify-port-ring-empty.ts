import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import { SOURCES } from '../../abi/synic.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallNotifyPortRingEmpty (0x8B): the calling vCPU has emptied an event ring that was full; ports that had no room go in. */
export function* notifyPortRingEmpty(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const source = call.number('source');
  const { index } = call.processor;
  yield stage('hyperv-notify-port-ring-empty.check', { vcpu: index, source, waiting: hyperv.synic.waitsForRing(index, source) });
  if (source >= SOURCES) return call.fail(HvStatus.INVALID_PARAMETER, `there is no interrupt source ${source}`);
  const status = hyperv.synic.ringEmptied(index, source);
  if (status !== HvStatus.SUCCESS) return call.fail(status, `the SynIC or the event ring page of vCPU ${index} is off`);
  yield stage('hyperv-notify-port-ring-empty.refilled', { source, waiting: hyperv.synic.waitsForRing(index, source) });
  return status;
}

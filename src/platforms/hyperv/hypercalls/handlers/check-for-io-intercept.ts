import { isVmExit } from '../../../../processor/intercepts.ts';
import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { targetVp } from '../target.ts';

/** HvCallCheckForIoIntercept: whether an access to a port would leave the vCPU. */
export function* checkForIoIntercept(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const port = call.number('port');
  const size = call.number('size');
  yield stage('hyperv-call-io-check.check', { port, size, write: call.number('isWrite') !== 0 });
  const target = targetVp(hyperv, call);
  if ('status' in target) return target.status;
  if (size !== 1 && size !== 2 && size !== 4) return call.fail(HvStatus.INVALID_PARAMETER, `no access has ${size} bytes`);
  const { processor } = target.found;
  const access = {
    reason: 'io',
    port,
    size,
    write: call.number('isWrite') !== 0,
    value: 0,
    string: false,
    rep: false,
    immediate: false,
  } as const;
  const place = { rip: processor.state.rip, instructionLength: 0, icount: processor.icount };
  const leaves = isVmExit(processor.intercepts, { ...access, ...place });
  call.give('intercepted', leaves ? 1 : 0);
  yield stage('hyperv-call-io-check.result', { port, leaves });
  return HvStatus.SUCCESS;
}

import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallCreatePartition (0x40). */
export function* createPartition(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const flags = call.value('flags');
  yield stage('hyperv-create-partition.check', { flags, compatibility: call.number('compatibilityVersion') });
  const made = hyperv.children.create(flags, call.number('compatibilityVersion'));
  if ('status' in made) return call.fail(made.status, made.why);
  call.give('partition', made.id);
  yield stage('hyperv-create-partition.done', { partition: made.id, state: made.state });
  return HvStatus.SUCCESS;
}

import { type Handler, inFrame, stage } from '../../../../stages/stage.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import { type Hyperv, hypervisorFrame } from '../../hyperv.ts';
import type { ChildPartition } from '../../partitions/child-partition.ts';
import { getProperty, setProperty } from '../../partitions/properties.ts';
import { childOf, SELF } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** The life cycle of partitions and their properties: HvCallCreatePartition to HvCallSetPartitionProperty, HvCallGetNextChildPartition. */
export function* performOnPartitions(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  switch (call.code) {
    case 0x40:
      return yield* inFrame(hypervisorFrame(hyperv, 'create partition'), create(hyperv, call));
    case 0x44:
      return yield* inFrame(hypervisorFrame(hyperv, 'get partition property'), readProperty(hyperv, call));
    case 0x45:
      return yield* inFrame(hypervisorFrame(hyperv, 'set partition property'), writeProperty(hyperv, call));
    case 0x47:
      return yield* inFrame(hypervisorFrame(hyperv, 'next child partition'), nextChild(hyperv, call));
    default:
      return yield* inFrame(hypervisorFrame(hyperv, 'change partition state'), changeState(hyperv, call));
  }
}

function* create(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const flags = call.value('flags');
  yield stage('hyperv-call-partitions.create', { flags, compatibility: call.number('compatibilityVersion') });
  const made = hyperv.children.create(flags, call.number('compatibilityVersion'));
  if ('status' in made) return call.fail(made.status, made.why);
  call.give('partition', made.id);
  yield stage('hyperv-call-partitions.created', { partition: made.id, state: made.state });
  return HvStatus.SUCCESS;
}

/** HvCallInitializePartition, HvCallFinalizePartition, HvCallDeletePartition. */
function* changeState(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  yield stage('hyperv-call-partitions.change', { partition: child.id, state: child.state, call: call.row.name });
  const refused = change(hyperv, child, call.code);
  // Memory is made and scrubbed at once: a guest that has it done again and again shall not keep who looks at it waiting.
  if (call.code !== 0x43) hyperv.machine.tookLong();
  yield stage('hyperv-call-partitions.changed', { state: child.state, status: statusName(refused?.status ?? HvStatus.SUCCESS) });
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}

function change({ children }: Hyperv, child: ChildPartition, code: number) {
  if (code === 0x41) return children.initialize(child);
  return code === 0x42 ? children.finalize(child) : children.delete(child);
}

function* nextChild(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const parent = call.value('parent');
  const previous = call.value('previous');
  yield stage('hyperv-call-partitions.next', { parent, previous });
  if (parent !== hyperv.partitionId && parent !== SELF)
    return call.fail(HvStatus.INVALID_PARTITION_ID, 'only children of the caller are told');
  call.give('next', hyperv.children.next(previous));
  return HvStatus.SUCCESS;
}

function* readProperty(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const partition = call.value('partition');
  const code = call.number('property');
  yield stage('hyperv-call-partitions.get-property', { partition, property: code });
  const value = getProperty(hyperv, partition, code);
  if (typeof value !== 'bigint') return call.fail(value.status, value.why);
  call.give('value', value);
  return HvStatus.SUCCESS;
}

function* writeProperty(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const code = call.number('property');
  const value = call.value('value');
  yield stage('hyperv-call-partitions.set-property', { partition: child.id, property: code, value, state: child.state });
  const refused = setProperty(hyperv, child, code, value);
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}

import type { Processor } from '../../../processor/processor.ts';
import { hex } from '../../../x86/address.ts';
import { PARTITION_ID_SELF, VP_INDEX_SELF } from '../abi/hypercalls.ts';
import { Privilege, privilegeName } from '../abi/privileges.ts';
import { HvStatus } from '../abi/status.ts';
import { type Hyperv, hasPrivilege } from '../hyperv.ts';
import type { HypercallCall } from './call.ts';

/** What a call names, or the status that it ends with. */
export type Found<Thing> = { readonly found: Thing } | { readonly status: number };

/**
 * The partition that a call's field `partition` names: the caller's own, if it has the privilege for that (a bit number), or a child of
 * the caller's.
 */
export function targetPartition(hyperv: Hyperv, call: HypercallCall, privilege?: number): Found<Hyperv> {
  const id = call.value('partition');
  if (id === PARTITION_ID_SELF || id === hyperv.partitionId) {
    if (privilege === undefined || hasPrivilege(hyperv, privilege)) return { found: hyperv };
    return { status: call.fail(HvStatus.ACCESS_DENIED, `it takes the privilege ${privilegeName(privilege)}`) };
  }
  if (!hasPrivilege(hyperv, Privilege.CREATE_PARTITIONS))
    return { status: call.fail(HvStatus.ACCESS_DENIED, `partition ${hex(id)} is none of the caller's`) };
  const child = hyperv.children.find(id);
  if (child?.running) {
    // Whatever the call does may make it go on.
    child.running.hyperv.machine.wake();
    return { found: child.running.hyperv };
  }
  if (child) return { status: call.fail(HvStatus.INVALID_PARTITION_STATE, `partition ${hex(id)} is ${child.state}, not active`) };
  return { status: call.fail(HvStatus.INVALID_PARTITION_ID, `the caller has no child ${hex(id)}`) };
}

/** The vCPU that a call's field `vp` names. */
export function targetProcessor(hyperv: Hyperv, target: Hyperv, call: HypercallCall): Found<Processor> {
  const index = call.number('vp');
  if (index === VP_INDEX_SELF && target === hyperv) return { found: call.processor };
  // A child has those that its parent has created.
  const exists = target.parent === undefined || target.parent.child.vps.has(index);
  const processor = exists ? target.machine.processors[index] : undefined;
  if (processor) return { found: processor };
  return { status: call.fail(HvStatus.INVALID_VP_INDEX, `the partition has no vCPU ${hex(index)}`) };
}

/** Both. */
export function targetVp(
  hyperv: Hyperv,
  call: HypercallCall,
  privilege?: number,
): Found<{ readonly partition: Hyperv; readonly processor: Processor }> {
  const partition = targetPartition(hyperv, call, privilege);
  if ('status' in partition) return partition;
  const processor = targetProcessor(hyperv, partition.found, call);
  if ('status' in processor) return processor;
  return { found: { partition: partition.found, processor: processor.found } };
}

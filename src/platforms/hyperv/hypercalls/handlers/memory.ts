import { type Handler, inFrame, stage } from '../../../../stages/stage.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import { type Hyperv, hypervisorFrame } from '../../hyperv.ts';
import type { Refused } from '../../partitions/refused.ts';
import { childOf, SELF } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallDepositMemory, HvCallWithdrawMemory, HvCallGetMemoryBalance, HvCallMapGpaPages, HvCallUnmapGpaPages and HvCallMapSparseGpaPages. */
export function* performOnMemory(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  switch (call.code) {
    case 0x48:
      return yield* inFrame(hypervisorFrame(hyperv, 'deposit memory'), deposit(hyperv, call));
    case 0x49:
      return yield* inFrame(hypervisorFrame(hyperv, 'withdraw memory'), withdraw(hyperv, call));
    case 0x4a:
      return yield* inFrame(hypervisorFrame(hyperv, 'memory balance'), balance(hyperv, call));
    case 0x4c:
      return yield* inFrame(hypervisorFrame(hyperv, 'unmap GPA pages'), unmap(hyperv, call));
    default:
      return yield* inFrame(hypervisorFrame(hyperv, 'map GPA pages'), map(hyperv, call));
  }
}

function poolOf(hyperv: Hyperv, call: HypercallCall) {
  const id = call.value('partition');
  return hyperv.children.poolOf(id === SELF ? hyperv.partitionId : id);
}

const NO_POOL = 'the caller has no child of this number';

function* deposit(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const pool = poolOf(hyperv, call);
  yield stage('hyperv-call-memory.deposit', { partition: call.value('partition'), pages: call.repCount, from: call.repStart });
  if (!pool) return call.fail(HvStatus.INVALID_PARTITION_ID, NO_POOL);
  const refused = eachElement(call, (index) => hyperv.children.deposit(pool, call.elementValue(index, 'page')));
  yield stage('hyperv-call-memory.deposited', { available: pool.available, 'in use': pool.inUse });
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}

function* withdraw(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const pool = poolOf(hyperv, call);
  yield stage('hyperv-call-memory.withdraw', { partition: call.value('partition'), pages: call.repCount, from: call.repStart });
  if (!pool) return call.fail(HvStatus.INVALID_PARTITION_ID, NO_POOL);
  const refused = eachElement(call, (index) => {
    const page = hyperv.children.withdraw(pool);
    if (page === undefined) return { status: HvStatus.NO_RESOURCES, why: `no more pages: ${pool.inUse} are in use` };
    call.giveElement(index, 'page', page);
    return undefined;
  });
  yield stage('hyperv-call-memory.withdrawn', { available: pool.available, 'in use': pool.inUse });
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}

function* balance(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const pool = poolOf(hyperv, call);
  yield stage('hyperv-call-memory.balance', { partition: call.value('partition'), available: pool?.available ?? 'none' });
  if (!pool) return call.fail(HvStatus.INVALID_PARTITION_ID, NO_POOL);
  call.give('available', pool.available);
  call.give('inUse', pool.inUse);
  return HvStatus.SUCCESS;
}

/** HvCallMapGpaPages, and HvCallMapSparseGpaPages, whose pages each have a place of their own. */
function* map(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const flags = call.number('mapFlags');
  const isSparse = call.code === 0x6e;
  const first = isSparse ? 0n : call.value('targetPage');
  yield stage('hyperv-call-memory.map', { partition: child.id, flags, pages: call.repCount, from: call.repStart });
  const refused = eachElement(call, (index) => {
    const target = isSparse ? call.elementValue(index, 'targetPage') : first + BigInt(index);
    return child.pages.map(target, call.elementValue(index, 'sourcePage'), flags);
  });
  yield stage('hyperv-call-memory.mapped', { done: call.repsCompleted, status: statusName(refused?.status ?? HvStatus.SUCCESS) });
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}

const LARGE_PAGES = 4;

function* unmap(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const first = call.value('targetPage');
  const flags = call.number('unmapFlags');
  yield stage('hyperv-call-memory.unmap', { partition: child.id, page: first, pages: call.repCount, from: call.repStart });
  if (child.state !== 'active') return call.fail(HvStatus.INVALID_PARTITION_STATE, `the partition is ${child.state}`);
  if ((flags & LARGE_PAGES) !== 0) return call.fail(HvStatus.INVALID_PARAMETER, 'pages of 2 MiB are not served here');
  eachElement(call, (index) => {
    child.pages.unmap(first + BigInt(index));
    return undefined;
  });
  return HvStatus.SUCCESS;
}

/** Does something with each element of this round, up to the first that is refused. */
function eachElement(call: HypercallCall, act: (index: number) => Refused | undefined): Refused | undefined {
  for (let index = call.repStart; index < call.repEnd; index++) {
    const refused = act(index);
    if (refused) return refused;
    call.repsCompleted++;
  }
  return undefined;
}

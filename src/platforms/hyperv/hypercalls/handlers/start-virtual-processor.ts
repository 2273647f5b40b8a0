import type { Processor } from '../../../../processor/processor.ts';
import * as L from '../../../../processor/state/layout.ts';
import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvRegister, registerName } from '../../abi/registers.ts';
import { HvStatus } from '../../abi/status.ts';
import { readWide, type WideValue, wide } from '../../abi/vp-values.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { problemOfState, stateRegister } from '../state-registers.ts';
import { targetVp } from '../target.ts';

const R = HvRegister;

const WAITS_FOR_SIPI = 3;

const PAT = 0x8_0004;

const RSP = R.RAX + 4;

/** Fields of HV_INITIAL_VP_CONTEXT and the registers that they are for. */
const FIELDS: readonly (readonly [name: string, register: number])[] = [
  ['rip', R.RIP],
  ['rsp', RSP],
  ['rflags', R.RFLAGS],
  ['es', R.ES],
  ['cs', R.ES + 1],
  ['ss', R.ES + 2],
  ['ds', R.ES + 3],
  ['fs', R.ES + 4],
  ['gs', R.ES + 5],
  ['ldtr', R.ES + 6],
  ['tr', R.TR],
  ['idtr', R.IDTR],
  ['gdtr', R.GDTR],
  ['efer', R.EFER],
  ['cr0', R.CR0],
  ['cr3', R.CR3],
  ['cr4', R.CR4],
  ['pat', PAT],
];

/** HvCallStartVirtualProcessor: a vCPU that waits to be started gets its registers and runs, without INIT and start-up messages. */
export function* startVirtualProcessor(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-start.check', { partition: call.value('partition'), vp: call.number('vp'), rip: call.value('rip') });
  const target = targetVp(hyperv, call);
  if ('status' in target) return target.status;
  const { partition, processor } = target.found;
  if (call.number('targetVtl') !== 0) return call.fail(HvStatus.INVALID_PARAMETER, 'there is no virtual trust level but 0');
  const { index, state } = processor;
  const activity = state.get32(L.ACTIVITY);
  yield stage('hyperv-call-start.state', { vp: index, waits: activity === WAITS_FOR_SIPI });
  if (activity !== WAITS_FOR_SIPI) return call.fail(HvStatus.INVALID_VP_STATE, `vCPU ${index} has been started`);
  if (!partition.machine.door.ask('start-vcpus', () => `to start vCPU ${index}`))
    return call.fail(HvStatus.ACCESS_DENIED, "the partition's grant has no starting of vCPUs");
  const problem = enter(processor, call);
  if (problem !== undefined) return call.fail(HvStatus.INVALID_REGISTER_VALUE, problem);
  yield stage('hyperv-call-start.started', { vp: index, rip: state.rip, rsp: state.gpr(4), cr3: state.cr3, efer: state.efer });
  return HvStatus.SUCCESS;
}

/** Gives a vCPU its initial context; a problem, and it is as it was. */
function enter(processor: Processor, call: HypercallCall): string | undefined {
  const before = FIELDS.map(([, register]) => stateRegister(register)?.read(processor) ?? wide(0n));
  const { cpl } = processor.state;
  const wrong = FIELDS.find(([name, register]) => !stateRegister(register)?.write(processor, contextValue(call, name)));
  const problem = wrong ? `${registerName(wrong[1])} can't be that` : problemOfState(processor);
  if (problem === undefined) processor.state.set32(L.ACTIVITY, 0);
  else {
    for (const [index, [, register]] of FIELDS.entries()) stateRegister(register)?.write(processor, before[index] ?? wide(0n));
    processor.state.cpl = cpl;
  }
  processor.stateChanged();
  return problem;
}

function contextValue(call: HypercallCall, name: string): WideValue {
  const { buffer, byteOffset, byteLength } = call.block(name);
  return byteLength === 16 ? readWide(new DataView(buffer, byteOffset, byteLength)) : wide(call.value(name));
}

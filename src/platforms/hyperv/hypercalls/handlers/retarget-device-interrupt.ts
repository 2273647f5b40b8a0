import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { type ProcessorSet, processorsOfMask, processorsOfSet } from '../processor-set.ts';
import { targetPartition } from '../target.ts';
import { FIRST_VECTOR, LAST_VECTOR } from '../vectors.ts';

const MSI = 1;

const Target = { MULTICAST: 1, SET: 2, ALL: 3 } as const;

/** HvCallRetargetDeviceInterrupt: an interrupt of a device on the virtual PCI bus goes to other vCPUs, or with another vector. */
export function* retargetDeviceInterrupt(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const vector = call.number('vector');
  const device = call.value('device');
  yield stage('hyperv-call-retarget.check', { device, vector, flags: call.number('targetFlags') });
  const target = targetPartition(hyperv, call);
  if ('status' in target) return target.status;
  if (call.number('entrySource') !== MSI) return call.fail(HvStatus.INVALID_PARAMETER, 'the entry is no message (MSI)');
  if (call.number('targetFlags') & ~Target.ALL) return call.fail(HvStatus.INVALID_PARAMETER, 'flags of the target mean nothing');
  if (vector < FIRST_VECTOR || vector > LAST_VECTOR)
    return call.fail(HvStatus.INVALID_PARAMETER, `${hex(vector)} is no vector from 0x10 to 0xff`);
  const set = retargetSet(target.found, call);
  if (typeof set === 'number') return set;
  const interrupts = target.found.deviceInterrupts;
  yield stage('hyperv-call-retarget.device', { device, vps: set.text, found: interrupts.has(device) });
  if (!interrupts.has(device))
    return call.fail(HvStatus.INVALID_DEVICE_ID, `the partition has no device ${hex(device)} with interrupts of its own`);
  if (set.vps.length === 0) return call.fail(HvStatus.INVALID_PARAMETER, 'the partition has none of the vCPUs that it names');
  const address = call.value('entryAddress');
  const data = call.number('entryData');
  const isMulticast = (call.number('targetFlags') & Target.MULTICAST) !== 0;
  yield stage('hyperv-call-retarget.entry', { address, data, vector, vps: set.text, multicast: isMulticast });
  if (!interrupts.retarget(device, { address, data }, { vector, vps: set.vps, isMulticast }))
    return call.fail(HvStatus.INVALID_PARAMETER, `device ${hex(device)} has no interrupt by ${hex(data)} to ${hex(address)}`);
  return HvStatus.SUCCESS;
}

/** A mask; or, by its flag, a set: its format where the mask would be, the mask of banks and the banks in the variable part. */
function retargetSet(target: Hyperv, call: HypercallCall): ProcessorSet | number {
  if (!(call.number('targetFlags') & Target.SET)) return processorsOfMask(target, call, call.value('processorMask'));
  const { variable } = call;
  if (variable.byteLength < 8) return call.fail(HvStatus.INVALID_HYPERCALL_INPUT, 'the variable part has no mask of banks');
  const banks = new DataView(variable.buffer, variable.byteOffset + 8, variable.byteLength - 8);
  return processorsOfSet(target, call, call.value('processorMask'), variable.getBigUint64(0, true), banks);
}

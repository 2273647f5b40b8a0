import type { LocalApic } from '../../../../devices/local-apic/device.ts';
import { Delivery } from '../../../../devices/local-apic/registers.ts';
import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { type ProcessorSet, processorsOfMask, processorsOfSet } from '../processor-set.ts';
import { targetPartition } from '../target.ts';

const FIRST_VECTOR = 0x10;
const LAST_VECTOR = 0xff;

/** HvCallSendSyntheticClusterIpi and -Ex: a fixed interrupt for each vCPU of a set. */
export function* sendClusterIpi(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const vector = call.number('vector');
  yield stage('hyperv-call-ipi.check', { vector, targetVtl: call.number('targetVtl') });
  if (vector < FIRST_VECTOR || vector > LAST_VECTOR)
    return call.fail(HvStatus.INVALID_PARAMETER, `${hex(vector)} is no vector from 0x10 to 0xff`);
  if (call.number('targetVtl') !== 0) return call.fail(HvStatus.INVALID_PARAMETER, 'there is no virtual trust level but 0');
  if (!hyperv.machine.door.ask('send-ipis', () => `an interrupt, vector ${hex(vector)}, to a set of vCPUs`))
    return call.fail(HvStatus.ACCESS_DENIED, "the partition's grant has no interrupts between vCPUs");
  const set = call.row.isVariable
    ? processorsOfSet(hyperv, call, call.value('setFormat'), call.value('validBanks'), call.variable)
    : processorsOfMask(hyperv, call, call.value('processorMask'));
  if (typeof set === 'number') return set;
  yield stage('hyperv-call-ipi.deliver', { vector, vps: set.text });
  for (const vp of set.vps) hyperv.apic(vp).accept(Delivery.FIXED, vector, false);
  return HvStatus.SUCCESS;
}

const MSI = 1;
const Target = { MULTICAST: 1, SET: 2, ALL: 3 } as const;

/** HvCallRetargetDeviceInterrupt: for devices of the virtual PCI bus, of which the parent offers none. */
export function* retargetInterrupt(hyperv: Hyperv, call: HypercallCall): Handler<number> {
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
  yield stage('hyperv-call-retarget.device', { device, vps: set.text, found: false });
  return call.fail(HvStatus.INVALID_DEVICE_ID, `the partition has no device ${hex(device)} with interrupts of its own`);
}

/** A mask; or, by its flag, a set: its format where the mask would be, the mask of banks and the banks in the variable part. */
function retargetSet(target: Hyperv, call: HypercallCall): ProcessorSet | number {
  if (!(call.number('targetFlags') & Target.SET)) return processorsOfMask(target, call, call.value('processorMask'));
  const { variable } = call;
  if (variable.byteLength < 8) return call.fail(HvStatus.INVALID_HYPERCALL_INPUT, 'the variable part has no mask of banks');
  const banks = new DataView(variable.buffer, variable.byteOffset + 8, variable.byteLength - 8);
  return processorsOfSet(target, call, call.value('processorMask'), variable.getBigUint64(0, true), banks);
}

/** Bits of the control flags: level triggered, logical destination. */
const Control = { LEVEL: 1, LOGICAL: 2, ALL: 3 } as const;

/** HvCallAssertVirtualInterrupt: what an interrupt controller of the parent's would send to local APICs of a partition. */
export function* assertInterrupt(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const mode = call.number('interruptType');
  const vector = call.number('vector');
  const destination = call.value('destination');
  yield stage('hyperv-call-assert.check', { mode, vector, destination, flags: call.number('controlFlags') });
  const target = targetPartition(hyperv, call);
  if ('status' in target) return target.status;
  const problem = problemOfInterrupt(call, mode, vector, destination);
  if (problem !== undefined) return call.fail(HvStatus.INVALID_PARAMETER, problem);
  const logical = (call.number('controlFlags') & Control.LOGICAL) !== 0;
  const named = target.found.machine.devices.localApics.filter((apic) => apic.matches(Number(destination), logical));
  const apics = mode === Delivery.LOWEST ? lowest(named) : named;
  yield stage('hyperv-call-assert.deliver', { mode, vector, count: apics.length });
  if (apics.length === 0) return call.fail(HvStatus.INVALID_PARAMETER, `nobody has APIC id ${hex(destination)}`);
  const level = (call.number('controlFlags') & Control.LEVEL) !== 0;
  for (const apic of apics) apic.accept(mode === Delivery.LOWEST ? Delivery.FIXED : mode, vector, level);
  return HvStatus.SUCCESS;
}

const MODES: ReadonlySet<number> = new Set([Delivery.FIXED, Delivery.LOWEST, Delivery.NMI, Delivery.INIT, Delivery.STARTUP]);

function problemOfInterrupt(call: HypercallCall, mode: number, vector: number, destination: bigint): string | undefined {
  if (!MODES.has(mode)) return `an interrupt of type ${hex(mode)} can't be asserted`;
  if (call.number('targetVtl') !== 0) return 'there is no virtual trust level but 0';
  if (call.number('controlFlags') & ~Control.ALL) return 'control flags mean nothing';
  if (destination >> 32n) return `${hex(destination)} is no APIC id`;
  const isVector = mode === Delivery.FIXED || mode === Delivery.LOWEST;
  if (vector > LAST_VECTOR || (isVector && vector < FIRST_VECTOR)) return `${hex(vector)} is no vector from 0x10 to 0xff`;
  return undefined;
}

/** The one with the lowest priority of those that are on. */
function lowest(apics: readonly LocalApic[]): readonly LocalApic[] {
  const [first, ...others] = apics.filter(({ softwareEnabled }) => softwareEnabled);
  if (!first) return [];
  return [others.reduce((best, apic) => (apic.ppr < best.ppr ? apic : best), first)];
}

/** HvCallClearVirtualInterrupt takes back an interrupt of the PIC's that was asserted; none of these can be. */
export function* clearInterrupt(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-assert.clear', { partition: call.value('partition') });
  const target = targetPartition(hyperv, call);
  if ('status' in target) return target.status;
  return call.fail(HvStatus.ACKNOWLEDGED, 'no interrupt of an external controller waits');
}

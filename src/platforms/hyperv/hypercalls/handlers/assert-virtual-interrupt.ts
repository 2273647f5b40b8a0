import { lowestPriority } from '../../../../devices/local-apic/lowest-priority.ts';
import { Delivery } from '../../../../devices/local-apic/registers.ts';
import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { targetPartition } from '../target.ts';
import { FIRST_VECTOR, LAST_VECTOR } from '../vectors.ts';

/** Bits of the control flags: level triggered, logical destination. */
const Control = { LEVEL: 1, LOGICAL: 2, ALL: 3 } as const;

/** HvCallAssertVirtualInterrupt: what an interrupt controller of the parent's would send to local APICs of a partition. */
export function* assertVirtualInterrupt(hyperv: Hyperv, call: HypercallCall): Handler<number> {
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
  const chosen = mode === Delivery.LOWEST ? lowestPriority(named) : undefined;
  const apics = mode !== Delivery.LOWEST ? named : chosen ? [chosen] : [];
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

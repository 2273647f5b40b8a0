import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import { PortProperty } from '../../abi/synic.ts';
import type { Hyperv } from '../../hyperv.ts';
import { targetPartition } from '../../partitions/target.ts';
import { MessagePort, type Port } from '../../synic/ports.ts';
import type { HypercallCall } from '../call.ts';
import { nameOf, noPort } from '../port-problems.ts';

/** HvCallGetPortProperty (0x5A). */
export function* getPortProperty(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const owner = targetPartition(hyperv, call.value('partition'));
  const property = call.number('property');
  const port = 'status' in owner ? undefined : owner.ports.get(call.number('port'));
  yield stage('hyperv-get-port-property.check', {
    owner: nameOf(owner),
    port: port?.place ?? 'no such port',
    property,
  });
  if ('status' in owner) return call.fail(owner.status, owner.why);
  if (!port) return noPort(call, owner, call.number('port'));
  const value = propertyOf(port, property);
  if (value === undefined) return call.fail(HvStatus.UNKNOWN_PROPERTY, `a port for ${port.kind}s has no property ${property}`);
  call.give('value', value);
  return HvStatus.SUCCESS;
}

function propertyOf(port: Port, property: number): bigint | undefined {
  const { information } = port;
  switch (property) {
    case PortProperty.POST_COUNT:
      return port instanceof MessagePort ? port.posts : undefined;
    case PortProperty.PREFERRED_TARGET_VP:
    case PortProperty.TARGET_VP:
      return information.kind === 'monitor' ? undefined : BigInt(information.vp);
    case PortProperty.MONITOR_ADDRESS:
      return information.kind === 'monitor' ? information.gpa : undefined;
    default:
      return undefined;
  }
}

import type { Handler } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { performOnConnections } from './connections.ts';
import { performOnIntercepts } from './intercepts.ts';
import { performOnMemory } from './memory.ts';
import { performOnPartitions } from './partitions.ts';
import { performOnPorts } from './ports.ts';
import { performOnVirtualProcessors } from './virtual-processors.ts';

/** Performs a hypercall that the calling convention has let through: its module does, by its code. Gives a status of abi/status.ts. */
export function* perform(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  switch (call.code) {
    case 0x40:
    case 0x41:
    case 0x42:
    case 0x43:
    case 0x44:
    case 0x45:
    case 0x47:
      return yield* performOnPartitions(hyperv, call);
    case 0x48:
    case 0x49:
    case 0x4a:
    case 0x4b:
    case 0x4c:
    case 0x6e:
      return yield* performOnMemory(hyperv, call);
    case 0x4d:
    case 0x91:
    case 0x92:
      return yield* performOnIntercepts(hyperv, call);
    case 0x4e:
    case 0x4f:
      return yield* performOnVirtualProcessors(hyperv, call);
    case 0x58:
    case 0x5a:
    case 0x5b:
    case 0x95:
    case 0x96:
      return yield* performOnPorts(hyperv, call);
    case 0x5c:
    case 0x5d:
      return yield* performOnConnections(hyperv, call);
    default:
      return HvStatus.INVALID_HYPERCALL_CODE;
  }
}

import type { Handler } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { readGpa, translateAddress, writeGpa } from './addresses.ts';
import { performOnConnections } from './connections.ts';
import { debugData, outputCharacter } from './debug.ts';
import { bootZeroedMemory, queryCapabilities } from './extended.ts';
import { flush, flushNested } from './flush.ts';
import { performOnIntercepts } from './intercepts.ts';
import { assertInterrupt, clearInterrupt, retargetInterrupt, sendClusterIpi } from './interrupts.ts';
import { performOnMemory } from './memory.ts';
import { checkIoIntercept, getCpuidValues, getPartitionId, notifySpin, switchAddressSpace } from './own-partition.ts';
import { performOnPartitions } from './partitions.ts';
import { performOnPorts } from './ports.ts';
import { indexFromApicId, startVp } from './start.ts';
import { performOnVirtualProcessors } from './virtual-processors.ts';
import { getRegisters, setRegisters } from './vp-registers.ts';

/** Performs a hypercall that the calling convention has let through: its module does, by its code. Gives a status of abi/status.ts. */
export function* perform(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  switch (call.code) {
    case 0x01:
      return yield* switchAddressSpace(hyperv, call);
    case 0x02:
    case 0x03:
    case 0x13:
    case 0x14:
      return yield* flush(hyperv, call);
    case 0x08:
      return yield* notifySpin(hyperv, call);
    case 0x0b:
    case 0x15:
      return yield* sendClusterIpi(hyperv, call);
    case 0x46:
      return yield* getPartitionId(hyperv, call);
    case 0x50:
      return yield* getRegisters(hyperv, call);
    case 0x51:
      return yield* setRegisters(hyperv, call);
    case 0x52:
    case 0xac:
      return yield* translateAddress(hyperv, call);
    case 0x53:
      return yield* readGpa(hyperv, call);
    case 0x54:
      return yield* writeGpa(hyperv, call);
    case 0x56:
      return yield* clearInterrupt(hyperv, call);
    case 0x69:
    case 0x6a:
    case 0x6b:
      return yield* debugData(hyperv, call);
    case 0x71:
      return yield* outputCharacter(hyperv, call);
    case 0x7e:
      return yield* retargetInterrupt(hyperv, call);
    case 0x94:
      return yield* assertInterrupt(hyperv, call);
    case 0x99:
      return yield* startVp(hyperv, call);
    case 0x9a:
      return yield* indexFromApicId(hyperv, call);
    case 0xad:
      return yield* checkIoIntercept(hyperv, call);
    case 0xaf:
    case 0xb0:
      return yield* flushNested(hyperv, call);
    case 0xf4:
      return yield* getCpuidValues(hyperv, call);
    case 0x8001:
      return yield* queryCapabilities(hyperv, call);
    case 0x8002:
      return yield* bootZeroedMemory(hyperv, call);
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

import type { Handler } from '../../../../stages/stage.ts';
import { CallCode } from '../../abi/call-codes.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { assertVirtualInterrupt } from './assert-virtual-interrupt.ts';
import { checkForIoIntercept } from './check-for-io-intercept.ts';
import { clearVirtualInterrupt } from './clear-virtual-interrupt.ts';
import { connectPort } from './connect-port.ts';
import { createPartition } from './create-partition.ts';
import { createPort } from './create-port.ts';
import { createVp } from './create-vp.ts';
import { debugData } from './debug-data.ts';
import { deletePartition } from './delete-partition.ts';
import { deletePort } from './delete-port.ts';
import { deleteVp } from './delete-vp.ts';
import { depositMemory } from './deposit-memory.ts';
import { disconnectPort } from './disconnect-port.ts';
import { finalizePartition } from './finalize-partition.ts';
import { flushGuestPhysicalAddressSpace } from './flush-guest-physical-address-space.ts';
import { flushVirtualAddressSpace } from './flush-virtual-address-space.ts';
import { getBootZeroedMemory } from './get-boot-zeroed-memory.ts';
import { getMemoryBalance } from './get-memory-balance.ts';
import { getNextChildPartition } from './get-next-child-partition.ts';
import { getPartitionId } from './get-partition-id.ts';
import { getPartitionProperty } from './get-partition-property.ts';
import { getPortProperty } from './get-port-property.ts';
import { getVpCpuidValues } from './get-vp-cpuid-values.ts';
import { getVpIndexFromApicId } from './get-vp-index-from-apic-id.ts';
import { getVpRegisters } from './get-vp-registers.ts';
import { initializePartition } from './initialize-partition.ts';
import { installIntercept } from './install-intercept.ts';
import { mapGpaPages } from './map-gpa-pages.ts';
import { notifyLongSpinWait } from './notify-long-spin-wait.ts';
import { notifyPortRingEmpty } from './notify-port-ring-empty.ts';
import { outputDebugCharacter } from './output-debug-character.ts';
import { postMessage } from './post-message.ts';
import { queryCapabilities } from './query-capabilities.ts';
import { readGpa } from './read-gpa.ts';
import { registerInterceptResult } from './register-intercept-result.ts';
import { retargetDeviceInterrupt } from './retarget-device-interrupt.ts';
import { sendSyntheticClusterIpi } from './send-synthetic-cluster-ipi.ts';
import { setPartitionProperty } from './set-partition-property.ts';
import { setVpRegisters } from './set-vp-registers.ts';
import { signalEvent } from './signal-event.ts';
import { startVirtualProcessor } from './start-virtual-processor.ts';
import { switchVirtualAddressSpace } from './switch-virtual-address-space.ts';
import { translateVirtualAddress } from './translate-virtual-address.ts';
import { unmapGpaPages } from './unmap-gpa-pages.ts';
import { withdrawMemory } from './withdraw-memory.ts';
import { writeGpa } from './write-gpa.ts';

/** Performs a hypercall that the calling convention has let through: its module does, by its code. Gives a status of abi/status.ts. */
export function* perform(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  switch (call.code) {
    case CallCode.SWITCH_VIRTUAL_ADDRESS_SPACE:
      return yield* switchVirtualAddressSpace(hyperv, call);
    case CallCode.FLUSH_VIRTUAL_ADDRESS_SPACE:
    case CallCode.FLUSH_VIRTUAL_ADDRESS_LIST:
    case CallCode.FLUSH_VIRTUAL_ADDRESS_SPACE_EX:
    case CallCode.FLUSH_VIRTUAL_ADDRESS_LIST_EX:
      return yield* flushVirtualAddressSpace(hyperv, call);
    case CallCode.NOTIFY_LONG_SPIN_WAIT:
      return yield* notifyLongSpinWait(hyperv, call);
    case CallCode.SEND_SYNTHETIC_CLUSTER_IPI:
    case CallCode.SEND_SYNTHETIC_CLUSTER_IPI_EX:
      return yield* sendSyntheticClusterIpi(hyperv, call);
    case CallCode.CREATE_PARTITION:
      return yield* createPartition(hyperv, call);
    case CallCode.INITIALIZE_PARTITION:
      return yield* initializePartition(hyperv, call);
    case CallCode.FINALIZE_PARTITION:
      return yield* finalizePartition(hyperv, call);
    case CallCode.DELETE_PARTITION:
      return yield* deletePartition(hyperv, call);
    case CallCode.GET_PARTITION_PROPERTY:
      return yield* getPartitionProperty(hyperv, call);
    case CallCode.SET_PARTITION_PROPERTY:
      return yield* setPartitionProperty(hyperv, call);
    case CallCode.GET_PARTITION_ID:
      return yield* getPartitionId(hyperv, call);
    case CallCode.GET_NEXT_CHILD_PARTITION:
      return yield* getNextChildPartition(hyperv, call);
    case CallCode.DEPOSIT_MEMORY:
      return yield* depositMemory(hyperv, call);
    case CallCode.WITHDRAW_MEMORY:
      return yield* withdrawMemory(hyperv, call);
    case CallCode.GET_MEMORY_BALANCE:
      return yield* getMemoryBalance(hyperv, call);
    case CallCode.MAP_GPA_PAGES:
    case CallCode.MAP_SPARSE_GPA_PAGES:
      return yield* mapGpaPages(hyperv, call);
    case CallCode.UNMAP_GPA_PAGES:
      return yield* unmapGpaPages(hyperv, call);
    case CallCode.INSTALL_INTERCEPT:
      return yield* installIntercept(hyperv, call);
    case CallCode.CREATE_VP:
      return yield* createVp(hyperv, call);
    case CallCode.DELETE_VP:
      return yield* deleteVp(hyperv, call);
    case CallCode.GET_VP_REGISTERS:
      return yield* getVpRegisters(hyperv, call);
    case CallCode.SET_VP_REGISTERS:
      return yield* setVpRegisters(hyperv, call);
    case CallCode.TRANSLATE_VIRTUAL_ADDRESS:
    case CallCode.TRANSLATE_VIRTUAL_ADDRESS_EX:
      return yield* translateVirtualAddress(hyperv, call);
    case CallCode.READ_GPA:
      return yield* readGpa(hyperv, call);
    case CallCode.WRITE_GPA:
      return yield* writeGpa(hyperv, call);
    case CallCode.CLEAR_VIRTUAL_INTERRUPT:
      return yield* clearVirtualInterrupt(hyperv, call);
    case CallCode.DELETE_PORT:
      return yield* deletePort(hyperv, call);
    case CallCode.GET_PORT_PROPERTY:
      return yield* getPortProperty(hyperv, call);
    case CallCode.DISCONNECT_PORT:
      return yield* disconnectPort(hyperv, call);
    case CallCode.POST_MESSAGE:
      return yield* postMessage(hyperv, call);
    case CallCode.SIGNAL_EVENT:
      return yield* signalEvent(hyperv, call);
    case CallCode.POST_DEBUG_DATA:
    case CallCode.RETRIEVE_DEBUG_DATA:
    case CallCode.RESET_DEBUG_SESSION:
      return yield* debugData(hyperv, call);
    case CallCode.OUTPUT_DEBUG_CHARACTER:
      return yield* outputDebugCharacter(hyperv, call);
    case CallCode.RETARGET_DEVICE_INTERRUPT:
      return yield* retargetDeviceInterrupt(hyperv, call);
    case CallCode.REGISTER_INTERCEPT_RESULT:
    case CallCode.UNREGISTER_INTERCEPT_RESULT:
      return yield* registerInterceptResult(hyperv, call);
    case CallCode.NOTIFY_PORT_RING_EMPTY:
      return yield* notifyPortRingEmpty(hyperv, call);
    case CallCode.ASSERT_VIRTUAL_INTERRUPT:
      return yield* assertVirtualInterrupt(hyperv, call);
    case CallCode.CREATE_PORT:
      return yield* createPort(hyperv, call);
    case CallCode.CONNECT_PORT:
      return yield* connectPort(hyperv, call);
    case CallCode.START_VIRTUAL_PROCESSOR:
      return yield* startVirtualProcessor(hyperv, call);
    case CallCode.GET_VP_INDEX_FROM_APIC_ID:
      return yield* getVpIndexFromApicId(hyperv, call);
    case CallCode.CHECK_FOR_IO_INTERCEPT:
      return yield* checkForIoIntercept(hyperv, call);
    case CallCode.FLUSH_GUEST_PHYSICAL_ADDRESS_SPACE:
    case CallCode.FLUSH_GUEST_PHYSICAL_ADDRESS_LIST:
      return yield* flushGuestPhysicalAddressSpace(hyperv, call);
    case CallCode.GET_VP_CPUID_VALUES:
      return yield* getVpCpuidValues(hyperv, call);
    case CallCode.QUERY_CAPABILITIES:
      return yield* queryCapabilities(hyperv, call);
    case CallCode.GET_BOOT_ZEROED_MEMORY:
      return yield* getBootZeroedMemory(hyperv, call);
    default:
      return HvStatus.INVALID_HYPERCALL_CODE;
  }
}

/** What is known of each hypercall before it is made: its code, what it takes and gives, who may make it (TLFS, "Hypercall reference"). */
import { type Layout, layoutOf } from './layout.ts';
import { Privilege } from './privileges.ts';

export interface HypercallRow {
  readonly code: number;
  /** `HvCallPostMessage`. */
  readonly name: string;
  readonly description: string;
  /** Works on a list, several elements a call, and may be continued. */
  readonly isRep: boolean;
  /** Takes a variable part behind its header, such as the banks of a set of vCPUs. */
  readonly isVariable: boolean;
  /** The bit of a privilege that each caller needs. Calls that name a partition ask for more, by whose it is. */
  readonly privilege: number | undefined;
  /** The fixed part of the input. */
  readonly input: Layout;
  /** An element of the input list; of size 0 when there is none. */
  readonly element: Layout;
  /** The output of a simple call. */
  readonly output: Layout;
  /** An element of the output list. */
  readonly outputElement: Layout;
  /** Nobody serves it here: its layout is not known, and all who may make it get HV_STATUS_INVALID_HYPERCALL_CODE. */
  readonly isUnserved: boolean;
}

interface RowOptions {
  readonly privilege?: number;
  readonly input?: string;
  readonly output?: string;
  /** A rep call's elements; `''` when there is no list, only a count. */
  readonly each?: string;
  readonly gives?: string;
  readonly variable?: boolean;
}

function row(code: number, name: string, description: string, options: RowOptions = {}): HypercallRow {
  const { privilege, input = '', output = '', each, gives, variable = false } = options;
  return {
    code,
    name: `HvCall${name}`,
    description,
    isRep: each !== undefined || gives !== undefined,
    isVariable: variable,
    privilege,
    input: layoutOf(input),
    element: layoutOf(each ?? ''),
    output: layoutOf(output),
    outputElement: layoutOf(gives ?? ''),
    isUnserved: false,
  };
}

/** A call that exists, which nobody serves here. */
function unserved(code: number, name: string, description: string, privilege?: number): HypercallRow {
  return { ...row(code, name, description, { privilege }), isUnserved: true };
}

const CREATE = Privilege.CREATE_PARTITIONS;
const POOL = Privilege.ACCESS_MEMORY_POOL;
const VSM = Privilege.ACCESS_VSM;
const CPUS = Privilege.CPU_MANAGEMENT;
const DEBUG = Privilege.DEBUGGING;
const EXTENDED = Privilege.ENABLE_EXTENDED_HYPERCALLS;

const FLUSH = 'addressSpace:8 flags:8';
const SET = 'setFormat:8 validBanks:8';
const OF_VP = 'partition:8 vp:4';
/** A segment register in memory (TLFS, HV_X64_SEGMENT_REGISTER): base, limit, selector, attributes. */
const SEGMENTS = ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'tr', 'ldtr'].map((name) => `${name}:16`).join(' ');
/** What a vCPU starts with (TLFS, HV_INITIAL_VP_CONTEXT), 224 bytes. */
const CONTEXT = `rip:8 rsp:8 rflags:8 ${SEGMENTS} idtr:16 gdtr:16 efer:8 cr0:8 cr3:8 cr4:8 pat:8`;
const PORT_INFORMATION = 'portType:4 :4 portInformation:16';

/** One row a call, by code. */
export const HYPERCALL_REFERENCE: readonly HypercallRow[] = [
  row(0x01, 'SwitchVirtualAddressSpace', 'loads CR3', { input: 'addressSpace:8' }),
  row(0x02, 'FlushVirtualAddressSpace', 'drops translations of whole address spaces', { input: `${FLUSH} processorMask:8` }),
  row(0x03, 'FlushVirtualAddressList', 'drops translations of ranges of virtual addresses', {
    input: `${FLUSH} processorMask:8`,
    each: 'gvaRange:8',
  }),
  unserved(0x04, 'GetLogicalProcessorRunTime', 'how long a logical processor has run', CPUS),
  row(0x08, 'NotifyLongSpinWait', 'says that this vCPU spins for another one', { input: 'spinCount:4 :4' }),
  row(0x0b, 'SendSyntheticClusterIpi', 'an interrupt to up to 64 vCPUs', {
    input: 'vector:4 targetVtl:1 :3 processorMask:8',
  }),
  unserved(0x0c, 'ModifyVtlProtectionMask', 'protects pages of a lower VTL', VSM),
  unserved(0x0d, 'EnablePartitionVtl', 'gives a partition another virtual trust level', VSM),
  unserved(0x0f, 'EnableVpVtl', 'gives a vCPU another virtual trust level', VSM),
  unserved(0x11, 'VtlCall', 'enters a higher virtual trust level', VSM),
  unserved(0x12, 'VtlReturn', 'returns to a lower virtual trust level', VSM),
  row(0x13, 'FlushVirtualAddressSpaceEx', 'the same for a set of vCPUs', { input: `${FLUSH} ${SET}`, variable: true }),
  row(0x14, 'FlushVirtualAddressListEx', 'ranges of virtual addresses, for a set of vCPUs', {
    input: `${FLUSH} ${SET}`,
    variable: true,
    each: 'gvaRange:8',
  }),
  row(0x15, 'SendSyntheticClusterIpiEx', 'an interrupt to a set of vCPUs', {
    input: `vector:4 targetVtl:1 :3 ${SET}`,
    variable: true,
  }),

  row(0x40, 'CreatePartition', 'makes a child partition', {
    privilege: CREATE,
    input:
      'flags:8 proximityDomain:4 proximityFlags:4 compatibilityVersion:4 :4 disabledFeatures0:8 disabledFeatures1:8 disabledXsave:8 isolation:8',
    output: 'partition:8',
  }),
  row(0x41, 'InitializePartition', 'makes a created partition ready to have memory and vCPUs', {
    privilege: CREATE,
    input: 'partition:8',
  }),
  row(0x42, 'FinalizePartition', 'ends a partition and lets go of what it has', { privilege: CREATE, input: 'partition:8' }),
  row(0x43, 'DeletePartition', 'deletes a finalized partition', { privilege: CREATE, input: 'partition:8' }),
  row(0x44, 'GetPartitionProperty', 'reads a property', { input: 'partition:8 property:4 :4', output: 'value:8' }),
  row(0x45, 'SetPartitionProperty', 'writes a property', { privilege: CREATE, input: 'partition:8 property:4 :4 value:8' }),
  row(0x46, 'GetPartitionId', 'number of the calling partition', {
    privilege: Privilege.ACCESS_PARTITION_ID,
    output: 'partition:8',
  }),
  row(0x47, 'GetNextChildPartition', 'the child behind another one', {
    privilege: CREATE,
    input: 'parent:8 previous:8',
    output: 'next:8',
  }),
  row(0x48, 'DepositMemory', 'gives the hypervisor pages for a partition', {
    privilege: POOL,
    input: 'partition:8',
    each: 'page:8',
  }),
  row(0x49, 'WithdrawMemory', 'takes pages back from the hypervisor', {
    privilege: POOL,
    input: 'partition:8 proximityDomain:4 proximityFlags:4',
    gives: 'page:8',
  }),
  row(0x4a, 'GetMemoryBalance', 'pages that the hypervisor has for a partition', {
    privilege: POOL,
    input: 'partition:8 proximityDomain:4 proximityFlags:4',
    output: 'available:8 inUse:8',
  }),
  row(0x4b, 'MapGpaPages', 'gives a partition pages of its parent', {
    privilege: CREATE,
    input: 'partition:8 targetPage:8 mapFlags:4 :4',
    each: 'sourcePage:8',
  }),
  row(0x4c, 'UnmapGpaPages', 'takes pages from a partition', {
    privilege: CREATE,
    input: 'partition:8 targetPage:8 unmapFlags:4 :4',
    each: '',
  }),
  row(0x4d, 'InstallIntercept', 'has the parent told of what a partition does', {
    privilege: CREATE,
    input: 'partition:8 accessMask:4 interceptType:4 parameter:8',
  }),
  row(0x4e, 'CreateVp', 'gives a partition a vCPU', {
    privilege: CREATE,
    input: `${OF_VP} :3 subnodeType:1 subnodeId:8 proximityDomain:4 proximityFlags:4 flags:8`,
  }),
  row(0x4f, 'DeleteVp', 'takes a vCPU from a partition', { privilege: CREATE, input: `${OF_VP} :4` }),
  row(0x50, 'GetVpRegisters', 'reads registers of a vCPU', {
    input: `${OF_VP} inputVtl:1 :3`,
    each: 'register:4',
    gives: 'low:8 high:8',
  }),
  row(0x51, 'SetVpRegisters', 'writes registers of a vCPU', {
    input: `${OF_VP} inputVtl:1 :3`,
    each: 'register:4 :12 low:8 high:8',
  }),
  row(0x52, 'TranslateVirtualAddress', 'walks the page tables of a vCPU', {
    input: `${OF_VP} :4 controlFlags:8 gvaPage:8`,
    output: 'resultCode:4 cacheType:1 overlay:1 :2 gpaPage:8',
  }),
  row(0x53, 'ReadGpa', 'reads up to 16 bytes of a partition', {
    input: `${OF_VP} byteCount:4 gpa:8 controlFlags:8`,
    output: 'resultCode:4 :4 data:16',
  }),
  row(0x54, 'WriteGpa', 'writes up to 16 bytes of a partition', {
    input: `${OF_VP} byteCount:4 gpa:8 controlFlags:8 data:16`,
    output: 'resultCode:4 :4',
  }),
  row(0x56, 'ClearVirtualInterrupt', 'takes a virtual interrupt back', { privilege: CREATE, input: 'partition:8' }),
  unserved(0x57, 'CreatePortOld', 'makes a port, before version 1607', Privilege.CREATE_PORT),
  row(0x58, 'DeletePort', 'deletes a port', { privilege: Privilege.CREATE_PORT, input: 'partition:8 port:4 :4' }),
  unserved(0x59, 'ConnectPortOld', 'connects to a port, before version 1607', Privilege.CONNECT_PORT),
  row(0x5a, 'GetPortProperty', 'reads a property of a port', {
    privilege: Privilege.CREATE_PORT,
    input: 'partition:8 port:4 :4 property:4 :4',
    output: 'value:8',
  }),
  row(0x5b, 'DisconnectPort', 'takes a connection from a partition', {
    privilege: Privilege.CONNECT_PORT,
    // Bit 0 of the flags: it leads to a doorbell (Linux, hv_input_disconnect_port).
    input: 'partition:8 connection:4 flags:4',
  }),
  row(0x5c, 'PostMessage', 'posts a message to a connection', {
    privilege: Privilege.POST_MESSAGES,
    input: 'connection:4 :4 messageType:4 payloadSize:4 payload:240',
  }),
  row(0x5d, 'SignalEvent', 'sets an event flag at the other end of a connection', {
    privilege: Privilege.SIGNAL_EVENTS,
    input: 'connection:4 flag:2 :2',
  }),
  unserved(0x5e, 'SavePartitionState', 'saves the state of a partition', CREATE),
  unserved(0x5f, 'RestorePartitionState', 'restores the state of a partition', CREATE),
  unserved(0x60, 'InitializeEventLogBufferGroup', 'event log of the hypervisor', CPUS),
  unserved(0x61, 'FinalizeEventLogBufferGroup', 'event log of the hypervisor', CPUS),
  unserved(0x62, 'CreateEventLogBuffer', 'event log of the hypervisor', CPUS),
  unserved(0x63, 'DeleteEventLogBuffer', 'event log of the hypervisor', CPUS),
  unserved(0x64, 'MapEventLogBuffer', 'event log of the hypervisor', CPUS),
  unserved(0x65, 'UnmapEventLogBuffer', 'event log of the hypervisor', CPUS),
  unserved(0x66, 'SetEventLogGroupSources', 'event log of the hypervisor', CPUS),
  unserved(0x67, 'ReleaseEventLogBuffer', 'event log of the hypervisor', CPUS),
  unserved(0x68, 'FlushEventLogBuffer', 'event log of the hypervisor', CPUS),
  row(0x69, 'PostDebugData', "sends to the hypervisor's debugger", {
    privilege: DEBUG,
    input: 'count:4 options:4 data:4088',
    output: 'pending:4',
  }),
  row(0x6a, 'RetrieveDebugData', "takes what the hypervisor's debugger sent", {
    privilege: DEBUG,
    input: 'count:4 options:4 timeout:8',
    output: 'retrieved:4 remaining:4',
  }),
  row(0x6b, 'ResetDebugSession', 'forgets data of the debugger that waits, and asks where it is', {
    privilege: DEBUG,
    input: 'options:4 :4',
    output: 'hostAddress:4 targetAddress:4 hostPort:2 targetPort:2 hostMac:6 targetMac:6',
  }),
  unserved(0x6c, 'MapStatsPage', 'shows statistics', Privilege.ACCESS_STATISTICS),
  unserved(0x6d, 'UnmapStatsPage', 'hides statistics', Privilege.ACCESS_STATISTICS),
  row(0x6e, 'MapSparseGpaPages', 'gives a partition pages of its parent, each to a place of its own', {
    privilege: CREATE,
    input: 'partition:8 mapFlags:4 :4',
    each: 'targetPage:8 sourcePage:8',
  }),
  row(0x71, 'OutputDebugCharacter', 'prints a character on the debug console', { input: 'character:2 :6' }),
  unserved(0x76, 'AddLogicalProcessor', 'starts a logical processor', CPUS),
  unserved(0x7b, 'GetSystemProperty', 'reads a property of the hypervisor', CPUS),
  unserved(0x7c, 'MapDeviceInterrupt', 'gives the root an interrupt of a device', CPUS),
  unserved(0x7d, 'UnmapDeviceInterrupt', 'takes it away', CPUS),
  row(0x7e, 'RetargetDeviceInterrupt', "moves a device's interrupt to other vCPUs", {
    input: 'partition:8 device:8 entrySource:4 :4 entryAddress:4 entryData:4 :8 vector:4 targetFlags:4 processorMask:8',
    variable: true,
  }),
  row(0x8b, 'NotifyPortRingEmpty', "says that the vCPU has emptied a source's event ring", {
    privilege: Privilege.CREATE_PORT,
    input: 'source:4 :4',
  }),
  unserved(0x8d, 'ScrubPartition', 'resets a partition for another use', CREATE),
  unserved(0x90, 'ModifySparseGpaPageHostVisibility', 'shares pages of an isolated partition', CREATE),
  row(0x91, 'RegisterInterceptResult', 'what an intercept gives from now on', {
    privilege: CREATE,
    input: `${OF_VP} interceptType:4 parameters:64`,
  }),
  row(0x92, 'UnregisterInterceptResult', 'forgets such a result', {
    privilege: CREATE,
    input: `${OF_VP} interceptType:4 parameters:16`,
  }),
  row(0x94, 'AssertVirtualInterrupt', 'an interrupt for a partition', {
    privilege: CREATE,
    input: 'partition:8 interruptType:4 controlFlags:4 destination:8 vector:4 targetVtl:1 :3',
  }),
  row(0x95, 'CreatePort', 'makes a port', {
    privilege: Privilege.CREATE_PORT,
    input: `portPartition:8 port:4 portVtl:1 minimumConnectionVtl:1 :2 connectionPartition:8 ${PORT_INFORMATION} proximityDomain:4 proximityFlags:4`,
  }),
  row(0x96, 'ConnectPort', 'makes a connection to a port', {
    privilege: Privilege.CONNECT_PORT,
    input:
      'connectionPartition:8 connection:4 connectionVtl:1 :3 portPartition:8 port:4 :4 connectionType:4 :4 connectionInformation:24 proximityDomain:4 proximityFlags:4',
  }),
  row(0x99, 'StartVirtualProcessor', 'starts a vCPU with registers of its own', {
    privilege: Privilege.START_VIRTUAL_PROCESSOR,
    input: `${OF_VP} targetVtl:1 :3 ${CONTEXT}`,
  }),
  row(0x9a, 'GetVpIndexFromApicId', 'numbers of the vCPUs that have these APIC ids', {
    input: 'partition:8 targetVtl:1 :7',
    each: 'apicId:4',
    gives: 'vp:4',
  }),
  row(0xac, 'TranslateVirtualAddressEx', 'walks the page tables of a vCPU, and says more', {
    input: `${OF_VP} :4 controlFlags:8 gvaPage:8`,
    output: 'resultCode:4 cacheType:1 overlay:1 :2 :8 eventInformation:32 gpaPage:8 :8',
  }),
  row(0xad, 'CheckForIoIntercept', 'whether an access to a port would leave the guest', {
    input: `${OF_VP} targetVtl:1 :1 port:2 size:1 isWrite:1 :6`,
    output: 'intercepted:1 :7',
  }),
  row(0xaf, 'FlushGuestPhysicalAddressSpace', 'drops translations of a nested guest', { input: 'addressSpace:8 flags:8' }),
  row(0xb0, 'FlushGuestPhysicalAddressList', 'drops translations of ranges of a nested guest', {
    input: 'addressSpace:8 flags:8',
    each: 'gpaRange:8',
  }),
  unserved(0xc0, 'SignalEventDirect', 'sets an event flag of a vCPU', CREATE),
  unserved(0xc1, 'PostMessageDirect', "puts a message into a vCPU's slot", CREATE),
  unserved(0xc2, 'DispatchVp', "runs a vCPU, with the root's scheduler", CPUS),
  unserved(0xc9, 'GetGpaPagesAccessStates', 'which pages were accessed', CREATE),
  unserved(0xe1, 'MapVpStatePage', "shows the parent a vCPU's state", CREATE),
  unserved(0xe2, 'UnmapVpStatePage', 'hides it again', CREATE),
  unserved(0xe3, 'GetVpState', 'reads the state of a vCPU', CREATE),
  unserved(0xe4, 'SetVpState', 'writes the state of a vCPU', CREATE),
  row(0xf4, 'GetVpCpuidValues', 'CPUID of a vCPU', {
    input: `${OF_VP} flags:4 :8`,
    each: 'leaf:4 subleaf:4 xfem:8 xss:8',
    gives: 'eax:4 ebx:4 ecx:4 edx:4',
  }),
  unserved(0x106, 'MemoryMappedIoRead', 'reads device memory', CPUS),
  unserved(0x107, 'MemoryMappedIoWrite', 'writes device memory', CPUS),
  unserved(0x10a, 'SetPartitionPropertyEx', 'writes a property of many bytes', CREATE),
  row(0x8001, 'ExtQueryCapabilities', 'which extended calls there are', { privilege: EXTENDED, output: 'capabilities:8' }),
  row(0x8002, 'ExtGetBootZeroedMemory', 'memory that was zero at the start', {
    privilege: EXTENDED,
    output: 'count:8 ranges:4080',
  }),
  unserved(0xc001, 'VbsVmReport', 'a report of an isolated partition', Privilege.ACCESS_VSM),
];

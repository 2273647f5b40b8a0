import type { CpuModel } from '../../../processor/models/cpu-model.ts';
import { cpuModel } from '../../../processor/models/cpu-models.ts';
import { API_VERSION, Cap, ManualProtect } from '../abi/capabilities.ts';
import { MOST_ROUTES, MsrExitReason } from '../abi/flags.ts';
import { Hypercall } from '../abi/hypercalls.ts';
import { VCPU_MMAP_SIZE } from '../abi/kvm-run.ts';
import { MSR_REFERENCE } from '../abi/msrs.ts';
import { KvmError } from '../api/errors.ts';
import type { KvmCpuidEntry } from '../api/registers.ts';
import type { KvmSystem } from '../api/system.ts';
import { MOST_SLOTS } from '../vm/memory-slots.ts';
import { EmulatedVm } from './emulated-vm.ts';
import { supportedCpuid } from './supported-cpuid.ts';

export interface EmulatedKvmOptions {
  readonly vendor: 'intel' | 'amd';
  /** vCPUs that each virtual machine can have. */
  readonly maxVcpus?: number;
  /** Bytes that the VMM of each can map, whole pages. */
  readonly userMemory?: number;
  /** What the wall clock shows, in seconds since 1970. */
  readonly startSeconds?: bigint;
  /** Instructions after which KVM_RUN comes back with EINTR. */
  readonly longestRun?: number;
}

const USUAL_MEMORY = 64 << 20;
const USUAL_RUN = 10_000_000;

/** KVM on the emulated processor: no file of the host is opened, and the same calls have the same results. */
export class EmulatedKvm implements KvmSystem {
  private readonly model: CpuModel;
  private readonly capabilities: ReadonlyMap<number, number>;
  private machines = 0;

  constructor(private readonly options: EmulatedKvmOptions) {
    this.model = cpuModel(options.vendor);
    this.capabilities = capabilities(this.maxVcpus);
  }

  private get maxVcpus(): number {
    return this.options.maxVcpus ?? 4;
  }

  getApiVersion(): number {
    return API_VERSION;
  }
  checkExtension(cap: number): number {
    return this.capabilities.get(cap) ?? 0;
  }
  getSupportedCpuid(room: number): readonly KvmCpuidEntry[] {
    const entries = supportedCpuid(this.model);
    if (entries.length > room) throw new KvmError('E2BIG', `CPUID has ${entries.length} entries`);
    return entries;
  }
  getMsrIndexList(room: number): readonly number[] {
    const indexes = [...this.model.msrs, ...MSR_REFERENCE].map(({ index }) => index);
    if (indexes.length > room) throw new KvmError('E2BIG', `There are ${indexes.length} MSRs`);
    return indexes;
  }
  getVcpuMmapSize(): number {
    return VCPU_MMAP_SIZE;
  }
  createVm(type: number): EmulatedVm {
    if (type !== 0) throw new KvmError('EINVAL', `There is no type ${type} of virtual machines`);
    const { userMemory = USUAL_MEMORY, startSeconds = 0n, longestRun = USUAL_RUN } = this.options;
    this.machines++;
    return new EmulatedVm({
      id: this.machines,
      model: this.model,
      maxVcpus: this.maxVcpus,
      userMemory,
      startSeconds,
      longestRun,
      extension: (cap) => this.checkExtension(cap),
    });
  }
}

function capabilities(maxVcpus: number): ReadonlyMap<number, number> {
  const present = [
    Cap.IRQCHIP,
    Cap.HLT,
    Cap.USER_MEMORY,
    Cap.EXT_CPUID,
    Cap.PIT,
    Cap.MP_STATE,
    Cap.SYNC_MMU,
    Cap.SET_GUEST_DEBUG,
    Cap.IRQFD,
    Cap.PIT2,
    Cap.IOEVENTFD,
    Cap.INTERNAL_ERROR_DATA,
    Cap.VCPU_EVENTS,
    Cap.DEBUGREGS,
    Cap.X86_ROBUST_SINGLESTEP,
    Cap.ENABLE_CAP_VM,
    Cap.TSC_DEADLINE_TIMER,
    Cap.SIGNAL_MSI,
    Cap.READONLY_MEM,
    Cap.IMMEDIATE_EXIT,
    Cap.X86_MSR_FILTER,
  ].map((cap): [number, number] => [cap, 1]);
  return new Map<number, number>([
    ...present,
    [Cap.NR_VCPUS, maxVcpus],
    [Cap.MAX_VCPUS, maxVcpus],
    [Cap.MAX_VCPU_ID, maxVcpus],
    [Cap.NR_MEMSLOTS, MOST_SLOTS],
    [Cap.IRQ_ROUTING, MOST_ROUTES],
    [Cap.MANUAL_DIRTY_LOG_PROTECT2, ManualProtect.ENABLE | ManualProtect.INITIALLY_SET],
    [Cap.X86_USER_SPACE_MSR, MsrExitReason.INVAL | MsrExitReason.UNKNOWN | MsrExitReason.FILTER],
    [Cap.EXIT_HYPERCALL, 1 << Hypercall.MAP_GPA_RANGE],
  ]);
}

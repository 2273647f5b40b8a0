import type { KvmCpuidEntry } from './registers.ts';
import type { KvmVm } from './vm.ts';

/**
 * /dev/kvm: where a VMM begins. Behind this interface is the emulated KVM (../emulated/); the host's own fits behind it too. Failures are
 * thrown as KvmError.
 */
export interface KvmSystem {
  /** `API_VERSION`. */
  getApiVersion(): number;
  /** 0 for a capability (`Cap`) that isn't there, else 1 or how much of it there is. */
  checkExtension(cap: number): number;
  /** What CPUID can say in a guest. E2BIG where `room` entries are too few. */
  getSupportedCpuid(room: number): readonly KvmCpuidEntry[];
  /** MSRs that a VMM has to save. E2BIG where `room` is too little. */
  getMsrIndexList(room: number): readonly number[];
  getVcpuMmapSize(): number;
  /** `type` is 0. EINVAL for others. */
  createVm(type: number): KvmVm;
}

import { GPA_BITS } from '../../hypervisor/second-level/host-place.ts';
import { LARGEST_VCPUS } from '../configuration.ts';
import {
  bitsOf,
  Feature,
  HardwareFeature,
  Hint,
  INTERFACE,
  Leaf,
  SIGNATURE,
  STACK_INTERFACE,
  STACK_SIGNATURE,
  StackProperty,
} from './abi/cpuid.ts';
import { Privilege } from './abi/privileges.ts';
import { type Hyperv, hasPrivilege } from './hyperv.ts';

/** Values of a CPUID leaf. */
export interface LeafValues {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** What the leaves of a partition depend on. */
export type CpuidSource = Pick<Hyperv, 'privileges' | 'vendor' | 'hasApicv' | 'machine'>;

/** Hypervisor present, TSC-deadline timer. */
export const LEAF_1_ECX = (1 << 31) | (1 << 24);
/** Advanced power management: EDX bit 8 says that the TSC is invariant. */
export const POWER_LEAF = 0x8000_0007;
export const INVARIANT_TSC = 1 << 8;

/** What a build of Windows Server 2022's hypervisor says: 10.0.20348. */
const VERSION = { build: 20348, major: 10, minor: 0 } as const;
/** How often a guest is to try a lock before it says that it waits for long. */
const SPIN_RETRIES = 0xfff;
const ZEROS: LeafValues = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

/** Hyper-V's own leaves, also those that have nothing in them; undefined for a leaf of the processor. */
export function hypervisorLeaf(source: CpuidSource, leaf: number): LeafValues | undefined {
  switch (leaf) {
    case Leaf.SIGNATURE:
      return { eax: Leaf.ISOLATION, ...SIGNATURE };
    case Leaf.INTERFACE:
      return { ...ZEROS, eax: INTERFACE };
    case Leaf.VERSION:
      return { eax: VERSION.build, ebx: (VERSION.major << 16) | VERSION.minor, ecx: 0, edx: 0 };
    case Leaf.FEATURES:
      return features(source);
    case Leaf.HINTS:
      return { eax: hints(source), ebx: SPIN_RETRIES, ecx: Number(GPA_BITS), edx: 0 };
    case Leaf.LIMITS:
      return { eax: LARGEST_VCPUS, ebx: LARGEST_VCPUS, ecx: 0, edx: 0 };
    case Leaf.HARDWARE_FEATURES:
      return { ...ZEROS, eax: hardwareFeatures(source) };
    case Leaf.STACK_SIGNATURE:
      return { eax: Leaf.STACK_PROPERTIES, ...STACK_SIGNATURE };
    case Leaf.STACK_INTERFACE:
      return { ...ZEROS, eax: STACK_INTERFACE };
    case Leaf.STACK_PROPERTIES:
      return hasPrivilege(source, Privilege.DEBUGGING) ? { ...ZEROS, eax: bitsOf(StackProperty.DEBUG_DEVICE) } : ZEROS;
    default:
      return isOwn(leaf) ? ZEROS : undefined;
  }
}

function isOwn(leaf: number): boolean {
  const isHypervisors = leaf >= Leaf.SIGNATURE && leaf <= Leaf.ISOLATION;
  return isHypervisors || (leaf >= Leaf.STACK_SIGNATURE && leaf <= Leaf.STACK_PROPERTIES);
}

/** Features that a partition has by its privileges alone: who may not use them doesn't see them. */
const FEATURES_BY_PRIVILEGE: readonly (readonly [privilege: number, ...features: number[]])[] = [
  [
    Privilege.ACCESS_HYPERCALL_MSRS,
    Feature.XMM_HYPERCALL_INPUT,
    Feature.XMM_HYPERCALL_OUTPUT,
    Feature.EXTENDED_GVA_RANGES,
    Feature.HYPERCALL_MSR_LOCK,
  ],
  [Privilege.ACCESS_GUEST_IDLE, Feature.GUEST_IDLE],
  [Privilege.ACCESS_FREQUENCIES, Feature.FREQUENCY_MSRS],
  [Privilege.ACCESS_SYNIC, Feature.SINT_POLLING],
  [Privilege.ACCESS_SYNTHETIC_TIMERS, Feature.DIRECT_SYNTHETIC_TIMERS, Feature.UNHALTED_TIMER],
  [Privilege.DEBUGGING, Feature.GUEST_DEBUGGING, Feature.DEBUG_MSRS],
];

function features(source: CpuidSource): LeafValues {
  const { privileges } = source;
  const own = FEATURES_BY_PRIVILEGE.flatMap(([privilege, ...bits]) => (hasPrivilege(source, privilege) ? bits : []));
  return {
    eax: Number(privileges & 0xffff_ffffn),
    ebx: Number(privileges >> 32n),
    ecx: 0,
    edx: bitsOf(Feature.CRASH_MSRS, ...own),
  };
}

/** MSRs instead of the APIC's page, and interrupts that end by themselves, are worth while only where the hardware has no virtual APIC. */
function hints(source: CpuidSource): number {
  const { hasApicv, machine } = source;
  const mayCall = hasPrivilege(source, Privilege.ACCESS_HYPERCALL_MSRS);
  return bitsOf(
    Hint.RELAXED_TIMING,
    ...(mayCall ? [Hint.REMOTE_FLUSH, Hint.PROCESSOR_MASKS_EX] : []),
    ...(mayCall && machine.door.grant.privileges.has('send-ipis') ? [Hint.CLUSTER_IPI] : []),
    ...(hasApicv ? [Hint.DEPRECATE_AUTO_EOI] : []),
    ...(!hasApicv && hasPrivilege(source, Privilege.ACCESS_INTERRUPT_CONTROL) ? [Hint.APIC_MSRS] : []),
  );
}

function hardwareFeatures({ vendor, hasApicv }: CpuidSource): number {
  return bitsOf(
    HardwareFeature.MSR_BITMAPS,
    HardwareFeature.SECOND_LEVEL_TRANSLATION,
    HardwareFeature.MEMORY_ZEROING,
    ...(vendor === 'intel' ? [HardwareFeature.UNRESTRICTED_GUEST] : []),
    ...(hasApicv ? [HardwareFeature.APIC_OVERLAY_ASSIST, HardwareFeature.APIC_EMULATION] : []),
  );
}

import type { Processor } from '../processor/processor.ts';
import { PLATFORM_MSRS } from './msr-names.ts';

const RCX = 1;
/** The first byte of longer opcodes. */
const TWO_BYTES = 0x0f;
/** RDMSR and WRMSR behind 0F; VMCALL and VMMCALL behind 0F 01. */
const [RDMSR, WRMSR, GROUP_7] = [0x32, 0x30, 0x01];
const [VMCALL, VMMCALL] = [0xc1, 0xd9];

/**
 * Why an instruction can't have worked that speaks to another hypervisor than the platform's, as a sentence; undefined for any other one.
 * `address`: its linear address. The registers must be those from before it.
 */
export function foreignAccess(processor: Processor, address: bigint, platform: string): string | undefined {
  const [first, opcode, more] = processor.readMemory('gva', address, 3);
  if (first !== TWO_BYTES) return undefined;
  if (opcode === GROUP_7 && (more === VMCALL || more === VMMCALL)) return strangeCall(platform);
  if (opcode !== RDMSR && opcode !== WRMSR) return undefined;
  const index = Number(processor.state.gpr(RCX) & 0xffff_ffffn);
  for (const { platform: owner, title, msrs } of PLATFORM_MSRS) {
    const row = msrs.find((msr) => msr.index === index);
    if (row && owner !== platform)
      return `${row.name} is an MSR of ${title}, and this is platform ${platform}: run the guest with --platform ${owner} ("platform": "${owner}" in launch.json).`;
  }
  return undefined;
}

function strangeCall(platform: string): string | undefined {
  if (platform === 'bare')
    return 'Platform bare has no hypervisor to call: run the guest with --platform kvm or hyperv ("platform" in launch.json).';
  if (platform === 'hyperv')
    return 'Hyper-V takes hypercalls only from a guest that has named itself and enabled the hypercall page: run one that is made for KVM with --platform kvm ("platform": "kvm" in launch.json).';
  return undefined;
}

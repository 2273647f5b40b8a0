import type { Processor } from '../../processor/processor.ts';
import * as L from '../../processor/state/layout.ts';
import { MASK_32, MASK_64, type MemoryPlace } from '../../x86/address.ts';

/**
 * Which values hold addresses, so that a view can lead from them to memory. They are known by the names that registers, MSRs,
 * fields of a VMCS or VMCB, exits and stages of handlers have; one table serves all, since the names mean the same everywhere.
 */

type Holder = 'code' | 'stack' | 'data' | 'linear' | 'physical' | 'physical page';

const GENERAL_REGISTER = /^(?:[er]?(?:ax|bx|cx|dx|si|di)|r(?:8|9|1[0-5])[dw]?)$/;
const STACK_REGISTER = /^[er]?[sb]p$/;
const CODE_REGISTER = /^(?:[er]?ip|next rip)$/;
const LINEAR =
  /^(?:gva|linear|cr2|dr[0-3]|address|at|guest linear address|(?:(?:gdtr|idtr|[c-gs]s|ldtr|tr)[. ])?base|(?:ia32_)?sysenter_e[si]p|[lc]star|(?:fs|gs|kernel_gs)_base|kernel gs base)$/;
const PHYSICAL = /^(?:gpa|phys_addr|guest physical address)$/;
const PHYSICAL_PAGE = /^(?:cr3|pdpte[0-3]|apic_base|mtrr_physbase\d+)$/;

const KINDS: readonly (readonly [RegExp, Holder])[] = [
  [CODE_REGISTER, 'code'],
  [STACK_REGISTER, 'stack'],
  [GENERAL_REGISTER, 'data'],
  [LINEAR, 'linear'],
  [PHYSICAL, 'physical'],
  [PHYSICAL_PAGE, 'physical page'],
];

/** Bits 51:12 of a register or an entry that names a physical page, and bits 31:5 of CR3 in PAE paging (Intel SDM vol. 3, 4.4.1). */
const PAGE = 0xf_ffff_ffff_f000n;
const PDPT = 0xffff_ffe0n;
const CR4_PAE = 1n << 5n;
const EFER_LMA = 1n << 10n;

/**
 * The memory that a value leads to, by the name of what holds it (in any case). Outside of 64-bit code general registers are
 * offsets: those of the stack in SS, RIP in CS, the others in DS. Undefined where the value is no address.
 */
export function placeHeld(
  { state, mode }: Pick<Processor, 'state' | 'mode'>,
  name: string,
  value: bigint,
): MemoryPlace | undefined {
  const lower = name.toLowerCase();
  const kind = KINDS.find(([names]) => names.test(lower))?.[1];
  const linear = (segment?: number): MemoryPlace => {
    const base = segment === undefined || mode === 64 ? 0n : state.segment(segment).base;
    return { space: 'gva', address: (base + value) & (mode === 64 || segment === undefined ? MASK_64 : MASK_32) };
  };
  switch (kind) {
    case 'code':
      return linear(L.Segment.CS);
    case 'stack':
      return linear(L.Segment.SS);
    case 'data':
      return linear(L.Segment.DS);
    case 'linear':
      return linear();
    case 'physical':
      return { space: 'gpa', address: value };
    case 'physical page': {
      const isPdpt = lower === 'cr3' && (state.efer & EFER_LMA) === 0n && (state.cr4 & CR4_PAE) !== 0n;
      return { space: 'gpa', address: value & (isPdpt ? PDPT : PAGE) };
    }
    default:
      return undefined;
  }
}

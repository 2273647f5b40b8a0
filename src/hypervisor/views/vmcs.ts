import type { InspectNode } from '../../devices/inspect.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { Processor } from '../../processor/processor.ts';
import * as L from '../../processor/state/layout.ts';
import { toVmxEvent } from '../events/event-fields.ts';
import { describeEvent } from '../exits/describe.ts';
import { interruptionInformation, vmxQualification } from '../exits/qualification.ts';
import { exitNumbers, vmxReasonName } from '../exits/reasons.ts';
import { type InterceptSettings, interceptSettings } from '../intercepts/settings.ts';
import { field, namesOfBits } from './fields.ts';
import type { SecondLevelParts } from './second-level-fields.ts';
import { vmcsControls } from './vmcs-controls.ts';

const BREAKPOINTS = 0xfn;
const ENABLED_BREAKPOINT = 1n << 12n;
const BS = 1n << 14n;

/** Order of segments in VMCS encodings, as numbers of `CpuState.segment`. */
const SEGMENT_NAMES = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const;

/**
 * A vCPU's VMCS as it would stand after its last exit (Intel SDM vol. 3, appendix B): names, encodings and values, made
 * from the processor's state. `parts`: of the partition that it is in.
 */
export function vmcsView(
  processor: Processor,
  lastExit: VmExit | undefined,
  settings: InterceptSettings = interceptSettings(),
  parts?: SecondLevelParts,
): InspectNode {
  return {
    name: 'VMCS',
    children: [exitInformation(lastExit), guestState(processor), vmcsControls(processor, settings, parts)],
  };
}

function exitInformation(exit: VmExit | undefined): InspectNode {
  if (exit === undefined) return { name: 'exit information', detail: 'no exit yet' };
  const { vmx } = exitNumbers(exit);
  const info = interruptionInformation(exit);
  const vectoring = toVmxEvent(exit.during);
  const hasGpa = 'gpa' in exit;
  return {
    name: 'exit information',
    value: vmxReasonName(vmx),
    children: [
      field('exit reason', 0x4402, vmx, vmxReasonName(vmx)),
      field('exit qualification', 0x6400, vmxQualification(exit)),
      field('guest linear address', 0x640a, hasGpa ? (exit.gva ?? 0n) : 0n),
      field('guest physical address', 0x2400, hasGpa ? exit.gpa : 0n),
      field('interruption information', 0x4404, info),
      field('interruption error code', 0x4406, exit.reason === 'exception' ? (exit.errorCode ?? 0) : 0),
      field('IDT-vectoring information', 0x4408, vectoring.information, exit.during && describeEvent(exit.during)),
      field('IDT-vectoring error code', 0x440a, vectoring.errorCode),
      field('instruction length', 0x440c, exit.instructionLength),
    ],
  };
}

function guestState({ state, pendingDebug, preemptionTimer }: Processor): InspectNode {
  const segments = SEGMENT_NAMES.map((name, index): InspectNode => {
    const segment = state.segment(index);
    return {
      name,
      value: `0x${segment.selector.toString(16)}`,
      children: [
        field('selector', 0x0800 + index * 2, segment.selector),
        field('base', 0x6806 + index * 2, segment.base),
        field('limit', 0x4800 + index * 2, segment.limit >>> 0),
        field('access rights', 0x4814 + index * 2, segment.rights >>> 0),
      ],
    };
  });
  return {
    name: 'guest state',
    children: [
      field('CR0', 0x6800, state.cr0),
      field('CR3', 0x6802, state.cr3),
      field('CR4', 0x6804, state.cr4),
      field('DR7', 0x681a, state.get64(L.DR + 7 * 8)),
      field('RSP', 0x681c, state.gpr(4)),
      field('RIP', 0x681e, state.rip),
      field('RFLAGS', 0x6820, state.rflags),
      ...segments,
      field('GDTR base', 0x6816, state.get64(L.GDTR_BASE)),
      field('GDTR limit', 0x4810, state.get32(L.GDTR_LIMIT)),
      field('IDTR base', 0x6818, state.get64(L.IDTR_BASE)),
      field('IDTR limit', 0x4812, state.get32(L.IDTR_LIMIT)),
      field('interruptibility', 0x4824, state.get32(L.INTERRUPTIBILITY), interruptibility(state.get32(L.INTERRUPTIBILITY))),
      field('activity', 0x4826, state.get32(L.ACTIVITY), ['active', 'HLT', 'shutdown', 'wait for SIPI'][state.get32(L.ACTIVITY)]),
      field('pending debug exceptions', 0x6822, pendingDebugExceptions(pendingDebug)),
      field('VMX-preemption timer value', 0x482e, preemptionTimer),
      field('VMCS link pointer', 0x2800, 0xffff_ffff_ffff_ffffn),
      field('IA32_DEBUGCTL', 0x2802, state.get64(L.MSR_DEBUGCTL)),
      field('IA32_PAT', 0x2804, state.get64(L.MSR_PAT)),
      field('IA32_EFER', 0x2806, state.efer),
      ...[0, 1, 2, 3].map((index) => field(`PDPTE${index}`, 0x280a + index * 2, state.get64(L.PDPTE + index * 8))),
      field('IA32_SYSENTER_CS', 0x482a, state.get64(L.MSR_SYSENTER_CS)),
      field('IA32_SYSENTER_ESP', 0x6824, state.get64(L.MSR_SYSENTER_ESP)),
      field('IA32_SYSENTER_EIP', 0x6826, state.get64(L.MSR_SYSENTER_EIP)),
    ],
  };
}

/** DR6 bits as a VMCS has them: bit 12 says that a breakpoint that is met is enabled (Intel SDM vol. 3, 25.4.2). */
function pendingDebugExceptions(bits: bigint): bigint {
  return (bits & (BS | BREAKPOINTS)) | (bits & BREAKPOINTS ? ENABLED_BREAKPOINT : 0n);
}

function interruptibility(value: number): string {
  return namesOfBits(value, [
    { bit: 0, name: 'blocking by STI' },
    { bit: 1, name: 'blocking by MOV SS' },
    { bit: 3, name: 'blocking by NMI' },
  ]);
}

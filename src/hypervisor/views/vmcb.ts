import type { InspectNode } from '../../devices/inspect.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { Processor } from '../../processor/processor.ts';
import * as L from '../../processor/state/layout.ts';
import { hex } from '../../x86/address.ts';
import { toSvmEvent } from '../events/event-fields.ts';
import { describeEvent } from '../exits/describe.ts';
import { svmExitInfo } from '../exits/qualification.ts';
import { exitNumbers } from '../exits/reasons.ts';
import type { SvmOffset } from '../intercepts/places.ts';
import { type InterceptSettings, interceptSettings } from '../intercepts/settings.ts';
import { DERIVED_SVM } from '../intercepts/table.ts';
import { svmBitNames, svmCodeName, toVmcb } from '../intercepts/vmcb-controls.ts';
import { withWindows } from '../intercepts/windows.ts';
import { field, namesOfBits, pages, vectorNames } from './fields.ts';
import { type SecondLevelParts, vmcbSecondLevel } from './second-level-fields.ts';

/** Of the interruptibility state. */
const NMI_BLOCKED = 8;

/** Start of the save area in a VMCB. */
const SAVE = 0x400;

/** Segments in the order of the save area: name, number of `CpuState.segment`, offset. */
const SEGMENTS = [
  ['ES', 0, 0x00],
  ['CS', 1, 0x10],
  ['SS', 2, 0x20],
  ['DS', 3, 0x30],
  ['FS', 4, 0x40],
  ['GS', 5, 0x50],
  ['LDTR', 6, 0x70],
  ['TR', 7, 0x90],
] as const;

/**
 * A vCPU's VMCB as it would stand after its last exit (AMD APM vol. 2, appendix B): names, offsets and values, made from the
 * processor's state. `parts`: of the partition that it is in.
 */
export function vmcbView(
  processor: Processor,
  lastExit: VmExit | undefined,
  settings: InterceptSettings = interceptSettings(),
  parts?: SecondLevelParts,
): InspectNode {
  return { name: 'VMCB', children: [control(processor, lastExit, settings, parts), saveArea(processor)] };
}

/** Names of the words of a VMCB that are bits. */
const WORDS: Readonly<Record<SvmOffset, string>> = {
  0: 'CR intercepts',
  4: 'DR intercepts',
  8: 'exception intercepts',
  12: 'intercepts 3',
  16: 'intercepts 4',
  20: 'intercepts 5',
  96: 'virtual interrupt control',
  144: 'nested paging control',
  184: 'LBR virtualization',
};

/** Names of the bits of a word. */
function wordNames(offset: SvmOffset, value: number): string {
  if (offset === 0x08) return vectorNames(value);
  if (offset === 0x60)
    return `V_TPR ${value & 15}, V_INTR_PRIO ${(value >>> 16) & 15}, ${namesOfBits(value, svmBitNames(offset))}`;
  if (offset > 0x08) return namesOfBits(value, svmBitNames(offset));
  const register = offset === 0 ? 'CR' : 'DR';
  const bits = Array.from({ length: 32 }, (_, bit) => ({ bit, name: `${register}${bit & 15}_${bit < 16 ? 'READ' : 'WRITE'}` }));
  return namesOfBits(value, bits);
}

function control(
  processor: Processor,
  exit: VmExit | undefined,
  settings: InterceptSettings,
  parts: SecondLevelParts | undefined,
): InspectNode {
  const { state, injected, virtualTpr } = processor;
  const controls = toVmcb(withWindows(settings, processor));
  const masksNmis = settings.on.has('virtual-nmis') && (state.get32(L.INTERRUPTIBILITY) & NMI_BLOCKED) !== 0;
  const interrupts = virtualTpr | (masksNmis ? 1 << DERIVED_SVM.nmiMask.bit : 0);
  const word = (offset: SvmOffset) => {
    const value = (controls.words[offset] | (offset === 0x60 ? interrupts : 0)) >>> 0;
    return field(WORDS[offset], offset, value, wordNames(offset, value));
  };
  const shadow = state.get32(L.INTERRUPTIBILITY) & 3 ? 1 : 0;
  const information: InspectNode[] = [];
  if (exit !== undefined) {
    const { svm } = exitNumbers(exit);
    const { info1, info2 } = svmExitInfo(exit, { addressSize: processor.mode, segment: 3 });
    information.push(
      field('EXITCODE', 0x70, BigInt.asUintN(64, BigInt(svm)), svmCodeName(svm)),
      field('EXITINFO1', 0x78, info1),
      field('EXITINFO2', 0x80, info2),
      field('EXITINTINFO', 0x88, toSvmEvent(exit.during), exit.during && describeEvent(exit.during)),
      field('next RIP', 0xc8, exit.rip + BigInt(exit.instructionLength)),
      field('instruction length', 0xd0, exit.instructionLength),
    );
  }
  return {
    name: 'control area',
    children: [
      ...([0x00, 0x04, 0x08, 0x0c, 0x10, 0x14] as const).map(word),
      field('pause filter threshold', 0x3c, controls.pauseFilterThreshold),
      field('pause filter count', 0x3e, controls.pauseFilterCount),
      ...pages('IOPM', 0x40, controls.iopm),
      ...pages('MSRPM', 0x48, controls.msrpm),
      field('TSC offset', 0x50, state.get64(L.TSC_OFFSET)),
      field('ASID', 0x58, 1),
      word(0x60),
      field('V_INTR_VECTOR', 0x64, controls.interruptVector),
      field('interrupt shadow', 0x68, shadow),
      ...information,
      word(0x90),
      field('EVENTINJ', 0xa8, toSvmEvent(injected), injected && describeEvent(injected)),
      ...vmcbSecondLevel(parts),
      word(0xb8),
    ],
  };
}

function saveArea({ state }: Processor): InspectNode {
  const segments = SEGMENTS.map(([name, index, offset]): InspectNode => {
    const segment = state.segment(index);
    const { rights } = segment;
    // A VMCB packs bits 12:15 of the VMCS form right behind bit 7.
    const attributes = (rights & 0xff) | ((rights >> 4) & 0xf00);
    return {
      name,
      value: hex(segment.selector),
      detail: hex(SAVE + offset, 4),
      children: [
        field('selector', SAVE + offset, segment.selector),
        field('attributes', SAVE + offset + 2, attributes),
        field('limit', SAVE + offset + 4, segment.limit >>> 0),
        field('base', SAVE + offset + 8, segment.base),
      ],
    };
  });
  const register = (name: string, offset: number, value: bigint | number) => field(name, SAVE + offset, value);
  return {
    name: 'save area',
    children: [
      ...segments,
      register('GDTR limit', 0x64, state.get32(L.GDTR_LIMIT)),
      register('GDTR base', 0x68, state.get64(L.GDTR_BASE)),
      register('IDTR limit', 0x84, state.get32(L.IDTR_LIMIT)),
      register('IDTR base', 0x88, state.get64(L.IDTR_BASE)),
      register('CPL', 0xcb, state.cpl),
      register('EFER', 0xd0, state.efer),
      register('CR4', 0x148, state.cr4),
      register('CR3', 0x150, state.cr3),
      register('CR0', 0x158, state.cr0),
      register('DR7', 0x160, state.get64(L.DR + 7 * 8)),
      register('DR6', 0x168, state.get64(L.DR + 6 * 8)),
      register('RFLAGS', 0x170, state.rflags),
      register('RIP', 0x178, state.rip),
      register('RSP', 0x1d8, state.gpr(4)),
      register('RAX', 0x1f8, state.gpr(0)),
      register('STAR', 0x200, state.get64(L.MSR_STAR)),
      register('LSTAR', 0x208, state.get64(L.MSR_LSTAR)),
      register('CSTAR', 0x210, state.get64(L.MSR_CSTAR)),
      register('SFMASK', 0x218, state.get64(L.MSR_SFMASK)),
      register('kernel GS base', 0x220, state.get64(L.MSR_KERNEL_GS_BASE)),
      register('SYSENTER_CS', 0x228, state.get64(L.MSR_SYSENTER_CS)),
      register('SYSENTER_ESP', 0x230, state.get64(L.MSR_SYSENTER_ESP)),
      register('SYSENTER_EIP', 0x238, state.get64(L.MSR_SYSENTER_EIP)),
      register('CR2', 0x240, state.get64(L.CR2)),
      register('PAT', 0x268, state.get64(L.MSR_PAT)),
      register('DBGCTL', 0x270, state.get64(L.MSR_DEBUGCTL)),
    ],
  };
}

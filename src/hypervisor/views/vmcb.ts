import type { InspectNode } from '../../devices/inspect.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { InterceptSet, Processor } from '../../processor/processor.ts';
import * as L from '../../processor/state/layout.ts';
import { hex } from '../../x86/address.ts';
import { svmExitInfo } from '../exits/qualification.ts';
import { exitNumbers } from '../exits/reasons.ts';
import { field } from './fields.ts';

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

/** Intercept vectors 3 and 4 of a VMCB that an intercept set amounts to; bit = exit code - 0x60 or - 0x80. */
export function interceptVectors(intercepts: InterceptSet): { readonly three: number; readonly four: number } {
  const collect = (rows: readonly (readonly [boolean, number])[], base: number) =>
    rows.reduce((value, [on, code]) => (on ? value | (1 << (code - base)) : value), 0) >>> 0;
  const tables = intercepts.descriptorTable;
  return {
    three: collect(
      [
        [intercepts.externalInterrupt, 0x60],
        [intercepts.nmi, 0x61],
        [intercepts.interruptWindow, 0x64],
        ...[0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d].map((code) => [tables, code] as const),
        [intercepts.rdtsc, 0x6e],
        [intercepts.rdpmc, 0x6f],
        [intercepts.cpuid, 0x72],
        [intercepts.nmiWindow, 0x74],
        [intercepts.pause, 0x77],
        [intercepts.hlt, 0x78],
        [intercepts.invlpg, 0x79],
        [true, 0x7b],
        [true, 0x7c],
        [intercepts.taskSwitch, 0x7d],
        [intercepts.tripleFault, 0x7f],
      ],
      0x60,
    ),
    four: collect(
      [
        [true, 0x80],
        [intercepts.hypercall, 0x81],
        [true, 0x82],
        [true, 0x83],
        [true, 0x84],
        [true, 0x85],
        [true, 0x86],
        [intercepts.rdtsc, 0x87],
        [intercepts.wbinvd, 0x89],
        [intercepts.monitorMwait, 0x8a],
        [intercepts.monitorMwait, 0x8b],
        [intercepts.xsetbv, 0x8d],
      ],
      0x80,
    ),
  };
}

/**
 * A vCPU's VMCB as it would stand after its last exit (AMD APM vol. 2, appendix B): names, offsets and values, made from the
 * processor's state.
 */
export function vmcbView(processor: Processor, lastExit: VmExit | undefined): InspectNode {
  return { name: 'VMCB', children: [control(processor, lastExit), saveArea(processor)] };
}

function control(processor: Processor, exit: VmExit | undefined): InspectNode {
  const { intercepts, state } = processor;
  const { three, four } = interceptVectors(intercepts);
  const movDr = intercepts.movDr ? 0xffff_ffff : 0;
  const shadow = state.get32(L.INTERRUPTIBILITY) & 3 ? 1 : 0;
  const information: InspectNode[] = [];
  if (exit !== undefined) {
    const { info1, info2 } = svmExitInfo(exit, { addressSize: processor.mode, segment: 3 });
    information.push(
      field('EXITCODE', 0x70, BigInt.asUintN(64, BigInt(exitNumbers(exit).svm)), exit.reason),
      field('EXITINFO1', 0x78, info1),
      field('EXITINFO2', 0x80, info2),
      field('next RIP', 0xc8, exit.rip + BigInt(exit.instructionLength)),
      field('instruction length', 0xd0, exit.instructionLength),
    );
  }
  return {
    name: 'control area',
    children: [
      field('CR intercepts', 0x00, (((intercepts.cr.write & 0xffff) << 16) | (intercepts.cr.read & 0xffff)) >>> 0),
      field('DR intercepts', 0x04, movDr),
      field('exception intercepts', 0x08, intercepts.exceptions >>> 0),
      field('intercepts 3', 0x0c, three),
      field('intercepts 4', 0x10, four),
      field('TSC offset', 0x50, state.get64(L.TSC_OFFSET)),
      field('ASID', 0x58, 1),
      field('interrupt shadow', 0x68, shadow),
      ...information,
      field('nested paging', 0x90, 1),
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

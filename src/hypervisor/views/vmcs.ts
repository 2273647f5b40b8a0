import type { InspectNode } from '../../devices/inspect.ts';
import type { VmExit } from '../../processor/exit.ts';
import type { InterceptSet, Processor } from '../../processor/processor.ts';
import * as L from '../../processor/state/layout.ts';
import { interruptionInformation, vmxQualification } from '../exits/qualification.ts';
import { exitNumbers, vmxReasonName } from '../exits/reasons.ts';
import { bitNames, field } from './fields.ts';

/** Order of segments in VMCS encodings, as numbers of `CpuState.segment`. */
const SEGMENT_NAMES = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const;

const PRIMARY_NAMES = {
  2: 'interrupt window',
  3: 'TSC offset',
  7: 'HLT',
  9: 'INVLPG',
  10: 'MWAIT',
  11: 'RDPMC',
  12: 'RDTSC',
  15: 'CR3 load',
  16: 'CR3 store',
  19: 'CR8 load',
  20: 'CR8 store',
  22: 'NMI window',
  23: 'MOV DR',
  24: 'unconditional I/O',
  28: 'MSR bitmaps',
  29: 'MONITOR',
  30: 'PAUSE',
  31: 'secondary controls',
};
const SECONDARY_NAMES = {
  1: 'EPT',
  2: 'descriptor tables',
  3: 'RDTSCP',
  5: 'VPID',
  6: 'WBINVD',
  7: 'unrestricted guest',
  12: 'INVPCID',
};
const EXIT_CONTROLS = 0x0003_6dff | (1 << 9) | (1 << 20) | (1 << 21);
const ENTRY_CONTROLS = 0x0000_11ff | (1 << 15);

/** Primary processor-based controls that an intercept set amounts to. */
export function primaryControls(intercepts: InterceptSet): number {
  const bits: readonly (readonly [boolean, number])[] = [
    [intercepts.interruptWindow, 2],
    [true, 3],
    [intercepts.hlt, 7],
    [intercepts.invlpg, 9],
    [intercepts.monitorMwait, 10],
    [intercepts.rdpmc, 11],
    [intercepts.rdtsc, 12],
    [(intercepts.cr.write & 8) !== 0, 15],
    [(intercepts.cr.read & 8) !== 0, 16],
    [(intercepts.cr.write & 0x100) !== 0, 19],
    [(intercepts.cr.read & 0x100) !== 0, 20],
    [intercepts.nmiWindow, 22],
    [intercepts.movDr, 23],
    [true, 24],
    [true, 28],
    [intercepts.monitorMwait, 29],
    [intercepts.pause, 30],
    [true, 31],
  ];
  return bits.reduce((value, [on, bit]) => (on ? value | (1 << bit) : value), 0) >>> 0;
}

/**
 * A vCPU's VMCS as it would stand after its last exit (Intel SDM vol. 3, appendix B): names, encodings and values, made
 * from the processor's state.
 */
export function vmcsView(processor: Processor, lastExit: VmExit | undefined): InspectNode {
  return {
    name: 'VMCS',
    children: [exitInformation(lastExit), guestState(processor), controls(processor)],
  };
}

function exitInformation(exit: VmExit | undefined): InspectNode {
  if (exit === undefined) return { name: 'exit information', detail: 'no exit yet' };
  const { vmx } = exitNumbers(exit);
  const info = interruptionInformation(exit);
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
      field('instruction length', 0x440c, exit.instructionLength),
    ],
  };
}

function guestState({ state }: Processor): InspectNode {
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

function interruptibility(value: number): string {
  return bitNames(value, { 0: 'blocked by STI', 1: 'blocked by MOV SS', 3: 'blocked by NMI' });
}

function controls({ intercepts, state }: Processor): InspectNode {
  const primary = primaryControls(intercepts);
  const pin = 0x16 | (intercepts.externalInterrupt ? 1 : 0) | (intercepts.nmi ? 8 : 0);
  const secondary = (1 << 1) | (intercepts.descriptorTable ? 4 : 0) | 8 | (1 << 5) | (intercepts.wbinvd ? 1 << 6 : 0) | (1 << 7);
  const longMode = (state.efer & 0x400n) !== 0n;
  return {
    name: 'controls',
    children: [
      field('pin-based', 0x4000, pin),
      field('primary', 0x4002, primary, bitNames(primary, PRIMARY_NAMES)),
      field('secondary', 0x401e, secondary, bitNames(secondary, SECONDARY_NAMES)),
      field('exit', 0x400c, EXIT_CONTROLS),
      field('entry', 0x4012, ENTRY_CONTROLS | (longMode ? 1 << 9 : 0)),
      field('exception bitmap', 0x4004, intercepts.exceptions >>> 0),
      field('TSC offset', 0x2010, state.get64(L.TSC_OFFSET)),
      field('VPID', 0x0000, 1),
    ],
  };
}

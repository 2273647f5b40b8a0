import { PORT_REFERENCE, type PortReference } from '../devices/port-reference.ts';
import { HYPERCALL_REFERENCE as HYPERV_CALLS, type HypercallRow as HypervCall } from '../platforms/hyperv/abi/hypercalls.ts';
import { MSR_REFERENCE as HYPERV_MSRS } from '../platforms/hyperv/abi/msrs.ts';
import { HYPERCALL_REFERENCE } from '../platforms/kvm/abi/hypercalls.ts';
import { MSR_REFERENCE } from '../platforms/kvm/abi/msrs.ts';
import { msrReference } from '../processor/models/msr-table.ts';
import { mnemonicNames } from '../programs/assembler/opcodes.ts';
import { findRegister, type RegisterClass, registerNames } from '../programs/assembler/registers.ts';
import { instructionDefinitions } from '../x86/definitions/index.ts';
import type { InstructionDefinition } from '../x86/notation.ts';

/** The tables that the processor, the devices and the platforms work by, indexed for the editor. */

export interface MsrRow {
  readonly index: number;
  readonly name: string;
  readonly description: string;
}
export type HypercallRow = (typeof HYPERCALL_REFERENCE)[number];

export const msrs: readonly MsrRow[] = [...msrReference(), ...MSR_REFERENCE, ...HYPERV_MSRS];
export const ports: readonly PortReference[] = PORT_REFERENCE;
export const hypercalls: readonly HypercallRow[] = HYPERCALL_REFERENCE;
export type { HypervCall };
export const hypervCalls: readonly HypervCall[] = HYPERV_CALLS;
export const registers: ReadonlySet<string> = new Set(registerNames);

const instructions = new Map<string, InstructionDefinition[]>();
for (const definition of instructionDefinitions) {
  const name = definition.mnemonic.toLowerCase();
  instructions.set(name, [...(instructions.get(name) ?? []), definition]);
}

/** Other names of conditions; the definitions have one name for each. */
const CONDITIONS: readonly (readonly string[])[] = [
  ['b', 'c', 'nae'],
  ['ae', 'nb', 'nc'],
  ['e', 'z'],
  ['ne', 'nz'],
  ['be', 'na'],
  ['a', 'nbe'],
  ['p', 'pe'],
  ['np', 'po'],
  ['l', 'nge'],
  ['ge', 'nl'],
  ['le', 'ng'],
  ['g', 'nle'],
];
/** Mnemonics that share a definition with another, which they differ from in size or segment alone. */
const SAME_DEFINITION: Readonly<Record<string, readonly string[]>> = {
  cbw: ['cwde', 'cdqe'],
  cwd: ['cdq', 'cqo'],
  int1: ['icebp'],
  int3: ['int03'],
  iret: ['iretw', 'iretd', 'iretq'],
  jcxz: ['jecxz', 'jrcxz'],
  lds: ['les', 'lss', 'lfs', 'lgs'],
  lfence: ['mfence', 'sfence'],
  loope: ['loopz'],
  loopne: ['loopnz'],
  popa: ['popaw', 'popad'],
  popf: ['popfw', 'popfd', 'popfq'],
  pusha: ['pushaw', 'pushad'],
  pushf: ['pushfw', 'pushfd', 'pushfq'],
  ret: ['retn'],
  retf: ['retfq'],
  shl: ['sal'],
  xlat: ['xlatb'],
};
const same = new Map(Object.entries(SAME_DEFINITION).flatMap(([name, others]) => others.map((other) => [other, name])));

/** The name under which a mnemonic (in lower case) is defined. */
function definedName(mnemonic: string): string | undefined {
  if (instructions.has(mnemonic)) return mnemonic;
  const other = same.get(mnemonic) ?? /^((?:mov|sto|lod|cmp|sca|in|out)s)[bwdq]$/.exec(mnemonic)?.[1];
  if (other !== undefined) return other;
  const [, stem, condition] = /^(j|set|cmov)([a-z]+)$/.exec(mnemonic) ?? [];
  const names = CONDITIONS.find((group) => condition !== undefined && group.includes(condition));
  return names?.map((name) => `${stem}${name}`).find((name) => instructions.has(name));
}

/** The definitions of a mnemonic in lower case; empty when the processor doesn't have it. */
export function instructionsNamed(mnemonic: string): readonly InstructionDefinition[] {
  return instructions.get(definedName(mnemonic) ?? '') ?? [];
}

/** All mnemonics in lower case that both the assembler and the processor know. */
export const mnemonics: readonly string[] = mnemonicNames()
  .filter((name) => instructionsNamed(name).length > 0)
  .sort();

/** What an instruction does at the border of the guest; undefined for one that never leaves it by itself. */
export function exitNote(mnemonic: string): string | undefined {
  return exitNotes[definedName(mnemonic) ?? ''];
}

const exitNotes: Readonly<Record<string, string>> = {
  cpuid: 'Leaves the guest always: the hypervisor says what the processor is.',
  hlt: 'Leaves the guest when the hypervisor wants to know that a vCPU waits.',
  in: 'Leaves the guest for a device, unless the port is passed through.',
  ins: 'Leaves the guest for a device, unless the port is passed through.',
  out: 'Leaves the guest for a device, unless the port is passed through.',
  outs: 'Leaves the guest for a device, unless the port is passed through.',
  rdmsr: 'Leaves the guest for MSRs whose bit is set in the MSR bitmap.',
  wrmsr: 'Leaves the guest for MSRs whose bit is set in the MSR bitmap.',
  vmcall:
    'Leaves the guest on Intel: a hypercall. #UD on AMD, where KVM patches in `vmmcall`; guests of Hyper-V call the hypercall page, which has the right one.',
  vmmcall:
    'Leaves the guest on AMD: a hypercall. #UD on Intel, where KVM patches in `vmcall`; guests of Hyper-V call the hypercall page, which has the right one.',
  invlpg: 'Leaves the guest only where the hypervisor keeps shadow page tables.',
  pause: 'Leaves the guest after many in a row, when the hypervisor watches for spinning.',
  rdtsc: 'Leaves the guest where the hypervisor emulates the time-stamp counter.',
  rdtscp: 'Leaves the guest where the hypervisor emulates the time-stamp counter.',
  wbinvd: 'Leaves the guest where it may affect devices that are passed through.',
  xsetbv: 'Leaves the guest always.',
  monitor: 'Leaves the guest unless it may wait by itself.',
  mwait: 'Leaves the guest unless it may wait by itself.',
};

export interface DirectiveRow {
  readonly name: string;
  readonly usage: string;
  readonly description: string;
}
const directive = (name: string, usage: string, description: string): DirectiveRow => ({ name, usage, description });

export const directives: readonly DirectiveRow[] = [
  directive('bits', 'bits 16|32|64', 'Code size from here on; the first one chooses the mode that the guest starts in.'),
  directive('default', 'default rel|abs', 'Whether `[symbol]` is relative to RIP in 64-bit code.'),
  directive('section', 'section .text|.data|.rodata|.bss', 'Where what follows goes.'),
  directive('segment', 'segment NAME', 'The same as `section`.'),
  directive('absolute', 'absolute ADDRESS', 'Labels and reservations at an address, without bytes.'),
  directive('extern', 'extern NAME', 'A symbol that another file defines.'),
  directive('global', 'global NAME', 'Makes a symbol visible in the ELF file.'),
  directive('org', 'org ADDRESS', 'Address of the first byte. `org 0x7c00` makes a boot sector.'),
  directive('align', 'align N[, db 0]', 'Fills up to a multiple of N; code is filled with NOPs.'),
  directive('alignb', 'alignb N', 'Reserves up to a multiple of N.'),
  directive('equ', 'NAME equ EXPRESSION', 'Names a value.'),
  directive('times', 'times COUNT INSTRUCTION', 'Repeats an instruction or data.'),
  directive('db', 'db VALUE, …', 'Bytes; strings are taken as they are.'),
  directive('dw', 'dw VALUE, …', 'Words, 2 bytes each.'),
  directive('dd', 'dd VALUE, …', 'Doublewords, 4 bytes each.'),
  directive('dq', 'dq VALUE, …', 'Quadwords, 8 bytes each.'),
  directive('dt', 'dt VALUE, …', '10 bytes each.'),
  directive('do', 'do VALUE, …', '16 bytes each.'),
  directive('resb', 'resb COUNT', 'Reserves bytes.'),
  directive('resw', 'resw COUNT', 'Reserves words.'),
  directive('resd', 'resd COUNT', 'Reserves doublewords.'),
  directive('resq', 'resq COUNT', 'Reserves quadwords.'),
  directive('incbin', 'incbin "FILE"[, SKIP[, LENGTH]]', 'The bytes of a file.'),
  directive('struc', 'struc NAME', 'Begins a structure; its members are local labels with reservations.'),
  directive('endstruc', 'endstruc', 'Ends a structure and defines NAME_size.'),
  directive('istruc', 'istruc NAME', 'Begins data in the shape of a structure.'),
  directive('at', 'at NAME.member, dd VALUE', 'Data of one member.'),
  directive('iend', 'iend', 'Ends data in the shape of a structure.'),
];

export const preprocessorDirectives: readonly DirectiveRow[] = [
  directive('%define', '%define NAME[(parameters)] TEXT', 'Replaces a name by text, worked out where it is used.'),
  directive('%xdefine', '%xdefine NAME TEXT', 'Replaces a name by text, worked out here.'),
  directive('%undef', '%undef NAME', 'Forgets a definition.'),
  directive('%assign', '%assign NAME EXPRESSION', 'Gives a name a number that can change.'),
  directive('%macro', '%macro NAME COUNT', 'Begins a macro; %1, %2 … are its arguments, %%name its own labels.'),
  directive('%endmacro', '%endmacro', 'Ends a macro.'),
  directive('%if', '%if EXPRESSION', 'Assembles what follows when the expression is not 0.'),
  directive('%ifdef', '%ifdef NAME', 'Assembles what follows when the name is defined.'),
  directive('%ifndef', '%ifndef NAME', 'Assembles what follows when the name is not defined.'),
  directive('%elif', '%elif EXPRESSION', 'Another condition.'),
  directive('%else', '%else', 'What is assembled otherwise.'),
  directive('%endif', '%endif', 'Ends a condition.'),
  directive('%rep', '%rep COUNT', 'Repeats what follows.'),
  directive('%endrep', '%endrep', 'Ends a repetition.'),
  directive('%exitrep', '%exitrep', 'Leaves a repetition.'),
  directive('%include', '%include "FILE"', 'The text of another file.'),
  directive('%error', '%error MESSAGE', 'Ends assembly with an error.'),
  directive('%warning', '%warning MESSAGE', 'A warning.'),
];

export function findDirective(word: string): DirectiveRow | undefined {
  return directives.find(({ name }) => name === word) ?? preprocessorDirectives.find(({ name }) => name === word);
}

const SYSTEM_REGISTERS: Readonly<Record<string, string>> = {
  cr0: 'Control register 0: protected mode (PE), paging (PG), write protection (WP), task switched (TS).',
  cr2: 'Linear address of the last page fault.',
  cr3: 'Physical address of the top paging structure, and the PCID.',
  cr4: 'Control register 4: PAE, page size and global extensions, SMEP, SMAP, PCIDE, OSXSAVE.',
  cr8: 'Task priority of the local APIC.',
  dr6: 'Debug status: which breakpoint was hit, single step (BS).',
  dr7: 'Debug control: enables, conditions and lengths of the four breakpoints.',
};

const REGISTER_CLASSES: Readonly<Record<RegisterClass, string>> = {
  r8: '8 bits of a general register; a write leaves its other bits.',
  r16: 'Low 16 bits of a general register; a write leaves the others.',
  r32: 'Low 32 bits of a general register; in 64-bit code a write clears the upper half.',
  r64: '64-bit general register.',
  seg: 'Segment register: a selector, and hidden beside it a base, a limit and a type.',
  cr: 'Control register.',
  dr: 'Debug register; DR0 to DR3 hold the addresses of hardware breakpoints.',
  tr: 'Test register.',
  st: 'x87 register.',
  mm: 'MMX register.',
  xmm: 'SSE register.',
  ymm: 'AVX register.',
  zmm: 'AVX-512 register.',
  k: 'AVX-512 mask register: one bit for each element.',
  bnd: 'MPX bounds register: a lower and an upper bound.',
};

/** One line about a register in any case; undefined for other words. */
export function describeRegister(name: string): string | undefined {
  const register = findRegister(name);
  return register && (SYSTEM_REGISTERS[register.name] ?? REGISTER_CLASSES[register.class]);
}

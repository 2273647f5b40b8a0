import { cpuModel } from '../../processor/models/cpu-models.ts';
import { hex } from '../../x86/address.ts';
import { describeControl, findRegister, flagSummary, formatRegister, generalRegisters } from '../inspection/registers.ts';
import { type ConsoleCommand, type ConsoleSession, columns, expectNothing } from './command.ts';

const PER_ROW = 4;
const SEGMENTS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs', 'tr', 'ldtr'] as const;
const CONTROL = ['cr0', 'cr3', 'cr4', 'efer'] as const;
/** Leaves that are shown when none is named. */
const LEAVES = [0, 1, 2, 4, 5, 6, 7, 0xd, 0x8000_0000, 0x8000_0001, 0x8000_0002, 0x8000_0007, 0x8000_0008];
const EXTENDED = 0x8000_0000;

function inRows(cells: readonly (readonly [name: string, value: string])[]): string[] {
  const rows: string[][] = [];
  for (let index = 0; index < cells.length; index += PER_ROW) rows.push(cells.slice(index, index + PER_ROW).flat());
  return columns(rows);
}

function regs(session: ConsoleSession, rest: string): string {
  expectNothing('regs', rest);
  const { processor } = session.vcpu();
  const general = generalRegisters(processor);
  const value = (name: string) => {
    const found = findRegister(processor, name);
    return found ? formatRegister(found) : '';
  };
  const control = CONTROL.map((name) => [name, value(name), describeControl(name, findRegister(processor, name)?.get() ?? 0n)]);
  const place = session.symbols.describe(processor.linearRip);
  return [
    ...inRows(general.map((register) => [register.name, formatRegister(register)])),
    `flags  ${flagSummary(processor.state.rflags) || 'none'}`,
    ...inRows(SEGMENTS.map((name) => [name, value(name)])),
    ...columns(control),
    `${processor.mode}-bit code, CPL ${processor.cpl}, ${processor.icount} instructions retired${place === undefined ? '' : `, at ${place}`}`,
  ].join('\n');
}

/** A leaf as `0x7` or `0x7.1`, or as an expression. */
function leafOf(session: ConsoleSession, text: string): { readonly leaf: number; readonly subleaf: number } {
  const [leaf = '', subleaf = '0'] = text.split(/[\s.,]+/).length === 2 ? text.split(/[\s.,]+/) : [text];
  const number = (expression: string) => Number(session.evaluate(expression) & 0xffff_ffffn);
  return { leaf: number(leaf), subleaf: number(subleaf) };
}

/** The text that CPUID leaves hold in their registers, where it is one. */
function asText(values: readonly number[]): string {
  const bytes = values.flatMap((value) => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]);
  return bytes.every((byte) => byte === 0 || (byte >= 32 && byte < 127)) && bytes.some((byte) => byte !== 0)
    ? `"${bytes
        .filter((byte) => byte !== 0)
        .map((byte) => String.fromCharCode(byte))
        .join('')
        .trim()}"`
    : '';
}

function cpuid(session: ConsoleSession, rest: string): string {
  const model = session.partition.vcpus[0]?.processor.model ?? cpuModel(session.partition.vendor);
  const highest = model.cpuid(0, 0).eax >>> 0;
  const highestExtended = model.cpuid(EXTENDED, 0).eax >>> 0;
  const known = LEAVES.filter((leaf) => leaf <= highest || (leaf >= EXTENDED && leaf <= highestExtended));
  const asked = rest === '' ? known.map((leaf) => ({ leaf, subleaf: 0 })) : [leafOf(session, rest)];
  const rows = asked.map(({ leaf, subleaf }) => {
    const { eax, ebx, ecx, edx } = model.cpuid(leaf, subleaf);
    const text =
      leaf === 0 || leaf === EXTENDED ? asText([ebx, edx, ecx]) : leaf === 0x8000_0002 ? asText([eax, ebx, ecx, edx]) : '';
    const name = `${hex(leaf >>> 0, 8)}${subleaf === 0 ? '' : `.${hex(subleaf)}`}`;
    return [name, ...[eax, ebx, ecx, edx].map((value) => hex(value >>> 0, 8)), text];
  });
  return [`CPUID of ${model.name}`, ...columns([['leaf', 'eax', 'ebx', 'ecx', 'edx'], ...rows])].join('\n');
}

export const registerCommands: readonly ConsoleCommand[] = [
  {
    name: 'regs',
    usage: 'regs',
    summary: 'the general, segment and control registers, and the flags that are set',
    details: ['One register alone is an expression: rax, zf, cr3, gs.base, msr:EFER.'],
    run: regs,
  },
  {
    name: 'cpuid',
    usage: 'cpuid [LEAF [SUBLEAF]]',
    summary: 'what CPUID answers on the bare processor',
    details: [
      'A hypervisor may answer otherwise, and adds its own leaves from 0x40000000 on; the exits of CPUID show its answers.',
      'For example: cpuid 7, cpuid 0xd 1, cpuid eax',
    ],
    run: cpuid,
  },
];

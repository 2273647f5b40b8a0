import { parseGate } from '../processor/events/gate.ts';
import { cpuModel } from '../processor/models/cpu-models.ts';
import { parseDescriptor } from '../processor/segmentation/descriptor.ts';
import * as L from '../processor/state/layout.ts';
import { hex } from '../x86/address.ts';
import type { DebugSession } from './debug-session.ts';
import { ExpressionError } from './expressions/evaluator.ts';
import { flagSummary, formatRegister, generalRegisters } from './inspection/registers.ts';

interface Command {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  readonly run: (session: DebugSession, rest: string) => string;
}

const commands: readonly Command[] = [
  { name: 'regs', usage: 'regs', help: 'the general registers and flags', run: regs },
  { name: 'exits', usage: 'exits [N]', help: 'VM exits so far by reason, and the last N (default 10)', run: exits },
  { name: 'walk', usage: 'walk ADDRESS', help: 'the page walk of a virtual address', run: walk },
  { name: 'mem', usage: 'mem ADDRESS [BYTES]', help: 'memory at a virtual address, or gpa:ADDRESS for a physical one', run: mem },
  { name: 'idt', usage: 'idt', help: 'the interrupt descriptor table', run: idt },
  { name: 'gdt', usage: 'gdt', help: 'the global descriptor table', run: gdt },
  { name: 'cpuid', usage: 'cpuid [LEAF]', help: 'what CPUID answers on the bare processor', run: cpuid },
  { name: 'help', usage: 'help', help: 'this list', run: () => help() },
];

export const consoleCommands: readonly string[] = commands.map(({ name }) => name);

/** Runs a command of the debug console; undefined when the text is no command. Throws ExpressionError. */
export function runConsoleCommand(session: DebugSession, text: string): string | undefined {
  const [word = '', ...rest] = text.trim().split(/\s+/);
  return commands.find(({ name }) => name === word)?.run(session, rest.join(' '));
}

function help(): string {
  const lines = commands.map(({ usage, help: text }) => `${usage.padEnd(22)}${text}`);
  return [...lines, 'Anything else is an expression: rax + 8, dword [rsp], zf, a symbol.'].join('\n');
}

function regs(session: DebugSession): string {
  const { processor } = session.vcpu();
  const cells = generalRegisters(processor).map((register) => `${register.name.padEnd(6)} ${formatRegister(register)}`);
  const rows: string[] = [];
  for (let index = 0; index < cells.length; index += 3) rows.push(cells.slice(index, index + 3).join('  '));
  return `${rows.join('\n')}\nflags  ${flagSummary(processor.state.rflags)}   ${processor.mode}-bit, CPL ${processor.cpl}, ${processor.icount} instructions`;
}

function exits(session: DebugSession, rest: string): string {
  const { journal } = session.partition;
  const counts = [...journal.countByReason]
    .sort((a, b) => b[1] - a[1])
    .map(([reason, count]) => `${String(count).padStart(10)}  ${reason}`);
  const latest = journal
    .latest(Number(rest) || 10)
    .map((record) => `#${record.seq} at ${record.rip}: ${record.request} → ${record.result ?? ''} (${record.handler ?? ''})`);
  return [`${journal.total} VM exits`, ...counts, ...latest].join('\n');
}

function address(session: DebugSession, text: string): { space: 'gva' | 'gpa'; value: bigint } {
  const space = text.startsWith('gpa:') ? 'gpa' : 'gva';
  const expression = text.replace(/^g[vp]a:/, '');
  if (expression.trim() === '') throw new ExpressionError('An address is missing.');
  return { space, value: session.evaluate(expression) };
}

function walk(session: DebugSession, rest: string): string {
  const { value } = address(session, rest);
  const result = session.vcpu().processor.walk(value);
  const steps = result.steps.map(
    ({ level, entryGpa, entry, flags }) => `${level.padEnd(5)} entry at gpa ${hex(entryGpa)}: ${hex(entry, 16)}  ${flags}`,
  );
  const rights = [
    result.writable ? 'writable' : 'read-only',
    result.user ? 'user' : 'supervisor',
    result.executable ? 'executable' : 'no-execute',
  ].join(', ');
  const end =
    result.gpa === undefined
      ? `${hex(value)} is not mapped: ${result.problem ?? ''}`
      : `${hex(value)} → gpa ${hex(result.gpa)}, page of ${hex(result.pageSize ?? 4096n)} bytes, ${rights}`;
  return [...steps, end].join('\n');
}

function mem(session: DebugSession, rest: string): string {
  const parsed = /^(.*?)(?:\s+(\d+|0x[0-9a-f]+))?$/i.exec(rest);
  const { space, value } = address(session, parsed?.[1] ?? '');
  const length = Math.min(Number(parsed?.[2] ?? 64), 4096);
  const bytes = session.vcpu().processor.readMemory(space, value, length);
  if (bytes.length === 0) return `The memory at ${space} ${hex(value)} can't be read.`;
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    rows.push(
      `${hex(value + BigInt(at), 16)}  ${row
        .map((byte) => byte.toString(16).padStart(2, '0'))
        .join(' ')
        .padEnd(48)} ${text}`,
    );
  }
  return rows.join('\n');
}

function table(session: DebugSession, base: bigint, bytes: number): DataView {
  const read = session.vcpu().processor.readMemory('gva', base, bytes);
  return new DataView(read.buffer, read.byteOffset, read.byteLength);
}

function idt(session: DebugSession): string {
  const { processor } = session.vcpu();
  const { state } = processor;
  const base = state.get64(L.IDTR_BASE);
  const limit = state.get32(L.IDTR_LIMIT);
  const head = `IDT at ${hex(base)}, limit ${hex(limit)}`;
  if ((state.cr0 & 1n) === 0n) {
    const view = table(session, base, Math.min(limit + 1, 1024));
    const rows = Array.from(
      { length: Math.floor(view.byteLength / 4) },
      (_, vector) =>
        `${hex(vector, 2)}  ${hex(view.getUint16(vector * 4 + 2, true), 4)}:${hex(view.getUint16(vector * 4, true), 4)}`,
    );
    return [head, ...rows.slice(0, 32)].join('\n');
  }
  const long = (state.efer & (1n << 10n)) !== 0n;
  const size = long ? 16 : 8;
  const view = table(session, base, Math.min(limit + 1, 256 * size));
  const rows: string[] = [];
  for (let vector = 0; (vector + 1) * size <= view.byteLength; vector++) {
    const gate = parseGate(view.getBigUint64(vector * size, true), long ? view.getBigUint64(vector * size + 8, true) : 0n, long);
    if (gate?.present)
      rows.push(
        `${hex(vector, 2)}  ${gate.kind.padEnd(9)} ${hex(gate.selector, 4)}:${hex(gate.offset)}  DPL ${gate.dpl}${gate.ist > 0 ? `  IST ${gate.ist}` : ''}  ${session.symbols.describe(gate.offset) ?? ''}`,
      );
  }
  return [head, ...(rows.length > 0 ? rows : ['no gate is present'])].join('\n');
}

function gdt(session: DebugSession): string {
  const { state } = session.vcpu().processor;
  const base = state.get64(L.GDTR_BASE);
  const limit = state.get32(L.GDTR_LIMIT);
  const view = table(session, base, Math.min(limit + 1, 0x1_0000));
  const rows: string[] = [];
  for (let at = 0; at + 8 <= view.byteLength; at += 8) {
    const raw = view.getBigUint64(at, true);
    if (raw === 0n) continue;
    const { base: start, limit: end, isSystem, isCode, dpl, present, rights, type } = parseDescriptor(raw, at, base);
    const kind = isSystem
      ? `system type ${type}`
      : `${isCode ? 'code' : 'data'}${rights & (1 << 13) ? ' 64-bit' : rights & (1 << 14) ? ' 32-bit' : ' 16-bit'}`;
    rows.push(`${hex(at, 4)}  base ${hex(start)} limit ${hex(end)}  ${kind}  DPL ${dpl}${present ? '' : '  not present'}`);
  }
  return [`GDT at ${hex(base)}, limit ${hex(limit)}`, ...rows].join('\n');
}

function cpuid(session: DebugSession, rest: string): string {
  const model = cpuModel(session.partition.vendor);
  const leaves =
    rest === '' ? [0, 1, 7, 0x8000_0000, 0x8000_0001, 0x8000_0007, 0x8000_0008] : [Number(session.evaluate(rest) & 0xffff_ffffn)];
  return leaves
    .map((leaf) => {
      const { eax, ebx, ecx, edx } = model.cpuid(leaf, 0);
      return `${hex(leaf >>> 0, 8)}  eax ${hex(eax >>> 0, 8)} ebx ${hex(ebx >>> 0, 8)} ecx ${hex(ecx >>> 0, 8)} edx ${hex(edx >>> 0, 8)}`;
    })
    .join('\n');
}

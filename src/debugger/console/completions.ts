import { msrReference } from '../../processor/models/msr-table.ts';
import type { ProgramSymbol } from '../../programs/program.ts';
import type { FrameContext } from '../../symbols/symbol-source.ts';
import type { DebugSession } from '../debug-session.ts';
import { flagRegisters, generalRegisters, SEGMENT_NAMES } from '../inspection/registers.ts';
import { consoleCommands } from './console.ts';

/** A word that can stand where the user types. */
export interface Completion {
  readonly text: string;
  readonly kind: 'command' | 'register' | 'symbol' | 'variable';
  /** What it is, where a name doesn't say. */
  readonly detail?: string;
}

export interface Completions {
  /** Characters before the cursor that a completion replaces. */
  readonly replaced: number;
  readonly items: readonly Completion[];
}

const MOST = 200;
const CONTROL = ['cr0', 'cr2', 'cr3', 'cr4', 'efer', 'xcr0', 'dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7', 'cpl'];
const TABLES = ['gdtr', 'idtr'];
const SIZES = ['byte', 'word', 'dword', 'qword'];

/** Words for the end of a text: commands where one can stand, registers, MSRs behind `msr:`, variables and symbols. */
export function completionsFor(
  session: DebugSession,
  text: string,
  symbols: readonly ProgramSymbol[],
  vcpu: number,
  frame: FrameContext,
): Completions {
  const { processor } = session.vcpu(vcpu);
  const msr = /\bmsr:(\w*)$/i.exec(text)?.[1];
  if (msr !== undefined) {
    const known = msrReference(processor.model.vendor).map(
      ({ name, description }): Completion => ({ text: name, kind: 'register', detail: description }),
    );
    return { replaced: msr.length, items: matching(known, msr) };
  }
  const prefix = /[\w.@]*$/.exec(text)?.[0] ?? '';
  const before = text.slice(0, text.length - prefix.length);
  const commands = consoleCommands.map(({ name, summary }): Completion => ({ text: name, kind: 'command', detail: summary }));
  if (/^\s*help\s+$/.test(before)) return { replaced: prefix.length, items: matching(commands, prefix) };
  const registers = registerNames(session, vcpu).map((name): Completion => ({ text: name, kind: 'register' }));
  // `$` names registers alone.
  if (before.endsWith('$')) return { replaced: prefix.length, items: matching(registers, prefix) };
  const variables = session.symbols
    .variables(frame)
    .map(({ name, kind }): Completion => ({ text: name, kind: 'variable', detail: kind }));
  const own = symbols.map(({ name }) => name);
  const more = prefix === '' ? [] : (session.symbols.namesWith?.(prefix, MOST) ?? []);
  const labels = [...own, ...more].map((text): Completion => ({ text, kind: 'symbol' }));
  const items = [...(before.trim() === '' ? commands : []), ...exitNames(session, vcpu), ...variables, ...registers, ...labels];
  return { replaced: prefix.length, items: matching(items, prefix) };
}

function registerNames(session: DebugSession, vcpu: number): string[] {
  const { processor } = session.vcpu(vcpu);
  const hidden = SEGMENT_NAMES.flatMap((name) => [name, `${name}.base`, `${name}.limit`, `${name}.rights`]);
  return [
    ...generalRegisters(processor).map(({ name }) => name),
    ...flagRegisters(processor).map(({ name }) => name),
    ...CONTROL,
    ...hidden,
    ...TABLES.flatMap((name) => [`${name}.base`, `${name}.limit`]),
    ...SIZES,
    'msr:',
  ];
}

/** At a VM exit: what it and its handler's stage carry. */
function exitNames(session: DebugSession, vcpu: number): Completion[] {
  const { activity } = session.vcpu(vcpu);
  if (!activity) return [];
  const names = [...Object.keys(activity.exit), ...Object.keys(activity.frames.at(-1)?.stage?.values ?? {})];
  return names.map((text) => ({ text, kind: 'variable', detail: 'of the VM exit' }));
}

function matching(items: readonly Completion[], prefix: string): Completion[] {
  const start = prefix.toLowerCase();
  const found = new Map<string, Completion>();
  for (const item of items) if (item.text.toLowerCase().startsWith(start) && !found.has(item.text)) found.set(item.text, item);
  return [...found.values()].slice(0, MOST);
}

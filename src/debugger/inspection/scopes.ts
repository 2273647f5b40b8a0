import type { InspectNode } from '../../devices/inspect.ts';
import { describeRequest } from '../../hypervisor/exits/describe.ts';
import { exitNumbers } from '../../hypervisor/exits/reasons.ts';
import { vmcbView } from '../../hypervisor/views/vmcb.ts';
import { vmcsView } from '../../hypervisor/views/vmcs.ts';
import { msrReference, readMsr } from '../../processor/models/msr-table.ts';
import * as L from '../../processor/state/layout.ts';
import type { TypedValue } from '../../symbols/symbol-source.ts';
import { hex } from '../../x86/address.ts';
import type { DebugSession } from '../debug-session.ts';
import type { StackEntry } from './call-stack.ts';
import {
  describeControl,
  describeSegment,
  findRegister,
  flagRegisters,
  flagSummary,
  formatRegister,
  generalRegisters,
  type NamedRegister,
  SEGMENT_NAMES,
} from './registers.ts';

/** A variable as the debugger shows it. Children are made only when asked for. */
export interface ShownVariable {
  readonly name: string;
  readonly value: string;
  readonly type?: string;
  /** An expression that gives the same value. */
  readonly expression?: string;
  /** A guest virtual address to view memory at. */
  readonly memory?: bigint;
  readonly children?: () => readonly ShownVariable[];
  /** Sets it from a number. */
  readonly set?: (value: bigint) => void;
}

export interface ShownScope {
  readonly name: string;
  readonly hint?: 'registers' | 'locals' | 'arguments';
  readonly expensive: boolean;
  readonly variables: () => readonly ShownVariable[];
}

/** Members and elements are read only when they are looked at; a long array shows its beginning. */
const MOST_CHILDREN = 1000;

function typed(name: string, expression: string, value: TypedValue): ShownVariable {
  return {
    name,
    value: value.text,
    type: value.typeName,
    memory: value.address,
    expression,
    children: value.hasChildren
      ? () => value.children(0, MOST_CHILDREN).map((child) => typed(child.name, child.expression, child.value))
      : undefined,
  };
}

/** The scopes of a frame: the stage's values in a handler, the registers in the guest. Only the first is cheap. */
export function scopesOf(session: DebugSession, vcpu: number, entry: StackEntry): ShownScope[] {
  const registers = registerScopes(session, vcpu);
  if (entry.kind === 'handler') {
    const values = entry.handler?.stage?.values ?? {};
    const variables = () => Object.entries(values).map(([name, value]): ShownVariable => ({ name, value: stageValue(value) }));
    return [
      { name: 'Stage', hint: 'locals', expensive: false, variables },
      ...registers.map((scope) => ({ ...scope, expensive: true })),
    ];
  }
  const context = entry.context;
  const locals = context ? session.symbols.variables(context) : [];
  const shown = (kinds: readonly string[]) => () =>
    locals.filter(({ kind }) => kinds.includes(kind)).map((variable) => typed(variable.name, variable.name, variable.read()));
  const own: ShownScope[] = [];
  if (locals.some(({ kind }) => kind === 'argument'))
    own.push({ name: 'Arguments', hint: 'arguments', expensive: false, variables: shown(['argument']) });
  if (locals.some(({ kind }) => kind !== 'argument'))
    own.push({ name: 'Locals', hint: 'locals', expensive: false, variables: shown(['local', 'static']) });
  return own.length > 0 ? [...own, ...registers.map((scope) => ({ ...scope, expensive: true }))] : registers;
}

function stageValue(value: string | number | bigint | boolean): string {
  if (typeof value === 'bigint') return hex(value);
  if (typeof value === 'number') return value > 9 || value < 0 ? `${hex(value >>> 0)} (${value})` : String(value);
  return String(value);
}

function registerScopes(session: DebugSession, index: number): ShownScope[] {
  const vcpu = session.vcpu(index);
  const { processor } = vcpu;
  const { state } = processor;
  const scope = (name: string, variables: ShownScope['variables'], expensive = true): ShownScope => ({
    name,
    expensive,
    variables,
  });
  const register = (found: NamedRegister, note = ''): ShownVariable => ({
    name: found.name,
    value: formatRegister(found) + (note === '' ? '' : `  ${note}`),
    expression: found.name,
    memory: found.bits >= 16 && /^[er]?(.[xip]|sp|si|di|r\d+)$/.test(found.name) ? found.get() : undefined,
    set: (value) => {
      found.set(value);
      processor.stateChanged();
    },
  });
  const named = (name: string) => {
    const found = findRegister(processor, name);
    return found ? [register(found, describeControl(name, found.get()))] : [];
  };
  const node = (from: InspectNode): ShownVariable => ({
    name: from.name,
    value: [from.value, from.detail].filter((part) => part !== undefined).join('  '),
    memory: from.memory?.space === 'gva' ? from.memory.address : undefined,
    children: from.children ? () => (from.children ?? []).map(node) : undefined,
  });
  const general = () =>
    generalRegisters(processor).map((found) => {
      if (found.name.endsWith('flags')) return register(found, flagSummary(state.rflags));
      const symbol = found.name.endsWith('ip')
        ? session.symbols.describe(processor.linearRip)
        : session.symbols.describe(found.get());
      return register(found, symbol === undefined || found.get() === 0n ? '' : `<${symbol}>`);
    });
  return [
    { ...scope('Registers', general, false), hint: 'registers' },
    scope('Flags', () => flagRegisters(processor).map((found) => register(found))),
    scope('Segments', () => [
      ...SEGMENT_NAMES.map((name, segment): ShownVariable => {
        const hidden = state.segment(segment);
        return {
          name,
          value: describeSegment(processor, segment),
          children: () => [
            ...named(name),
            {
              name: 'base',
              value: hex(hidden.base),
              expression: `${name}.base`,
              set: (value) => {
                findRegister(processor, `${name}.base`)?.set(value);
                processor.stateChanged();
              },
            },
            { name: 'limit', value: hex(hidden.limit) },
            { name: 'rights', value: hex(hidden.rights) },
          ],
        };
      }),
      {
        name: 'gdtr',
        value: `base ${hex(state.get64(L.GDTR_BASE))} limit ${hex(state.get32(L.GDTR_LIMIT))}`,
        memory: state.get64(L.GDTR_BASE),
      },
      {
        name: 'idtr',
        value: `base ${hex(state.get64(L.IDTR_BASE))} limit ${hex(state.get32(L.IDTR_LIMIT))}`,
        memory: state.get64(L.IDTR_BASE),
      },
    ]),
    scope('Control registers', () => ['cr0', 'cr2', 'cr3', 'cr4', 'efer', 'xcr0', 'cpl'].flatMap(named)),
    scope('Debug registers', () => ['dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7'].flatMap(named)),
    scope('MSRs', () =>
      msrReference(session.vcpu(index).processor.model.vendor).map(
        (msr): ShownVariable => ({
          name: msr.name,
          value: hex(readMsr(session.vcpu(index).processor, msr.index) ?? 0n),
          type: `${hex(msr.index)}: ${msr.description}`,
        }),
      ),
    ),
    scope('Local APIC', () => {
      const apic = findNode(session.partition.inspect(), new RegExp(`local apic.*${index}$|^local apic$`, 'i'));
      return apic ? (apic.children ?? [apic]).map(node) : [];
    }),
    scope(session.partition.vendor === 'intel' ? 'VMCS' : 'VMCB', () => {
      const view = session.partition.vendor === 'intel' ? vmcsView(processor, vcpu.lastExit) : vmcbView(processor, vcpu.lastExit);
      return (view.children ?? []).map(node);
    }),
    scope('Last VM exit', () => lastExit(session, index)),
    scope('Devices', () => (session.partition.inspect().children ?? []).map(node)),
  ];
}

function findNode(root: InspectNode, name: RegExp): InspectNode | undefined {
  if (name.test(root.name)) return root;
  for (const child of root.children ?? []) {
    const found = findNode(child, name);
    if (found) return found;
  }
  return undefined;
}

function lastExit(session: DebugSession, index: number): ShownVariable[] {
  const vcpu = session.vcpu(index);
  const exit = vcpu.activity?.exit ?? vcpu.lastExit;
  if (!exit) return [{ name: 'none', value: 'this vCPU has not left the guest yet' }];
  const { vmx, svm } = exitNumbers(exit);
  const detail: Readonly<Record<string, unknown>> = { ...exit };
  const show = (value: unknown): string =>
    typeof value === 'bigint' ? hex(value) : typeof value === 'number' ? hex(value) : String(value);
  return [
    { name: 'request', value: describeRequest(exit, vcpu.processor) },
    { name: 'VMX reason', value: String(vmx) },
    { name: 'SVM code', value: hex(svm) },
    ...Object.entries(detail)
      .filter(([, value]) => value !== undefined && typeof value !== 'object')
      .map(([name, value]): ShownVariable => ({ name, value: name === 'reason' ? String(value) : show(value) })),
  ];
}

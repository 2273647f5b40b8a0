import type { InspectNode } from '../../devices/inspect.ts';
import { describeEvent, describeRequest } from '../../hypervisor/exits/describe.ts';
import { exitNumbers, vmxReasonName } from '../../hypervisor/exits/reasons.ts';
import { svmCodeName } from '../../hypervisor/intercepts/vmcb-controls.ts';
import type { VirtualCpu } from '../../hypervisor/partition/partition.ts';
import { vmcbView } from '../../hypervisor/views/vmcb.ts';
import { vmcsView } from '../../hypervisor/views/vmcs.ts';
import { msrNamesOn } from '../../platforms/msr-names.ts';
import type { VmExit } from '../../processor/exit.ts';
import { type MsrReference, msrReference, readMsr } from '../../processor/models/msr-table.ts';
import type { Processor } from '../../processor/processor.ts';
import { GENERAL_REGISTERS } from '../../symbols/registers.ts';
import type { FrameContext } from '../../symbols/symbol-source.ts';
import { hex, type MemoryPlace, parseAddress } from '../../x86/address.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import type { RunControl } from '../run-control/control.ts';
import { placeHeld } from './address-values.ts';
import { PAGE_FAULT } from './error-code.ts';
import { FPU_REGISTERS } from './fpu-registers.ts';
import {
  describeControl,
  describeSegment,
  findRegister,
  fitted,
  flagRegisters,
  flagSummary,
  formatRegister,
  generalRegisters,
  type NamedRegister,
  refused,
  SEGMENT_NAMES,
  setRegister,
} from './registers.ts';
import type { ShownScope, ShownVariable } from './shown.ts';
import { LANES, type LaneKind, lanesOf, vectorNames } from './vector-registers.ts';

type Inspected = Pick<RunControl, 'partition' | 'symbols' | 'vcpu'>;

const EXIT_FIXED = 'The last VM exit is over; it can be looked at, not changed.';
const DEVICE_FIXED = 'A device is only shown; the guest changes it through its registers.';

/** The scopes of a vCPU: its registers, what the hypervisor keeps of it, the devices. Only the first is cheap. */
export function registerScopes(session: Inspected, index: number): ShownScope[] {
  const { partition, symbols } = session;
  const vcpu = session.vcpu(index);
  const { processor } = vcpu;
  const scope = (name: string, variables: ShownScope['variables']): ShownScope => ({ name, expensive: true, variables });
  const named = (names: readonly string[]) => () => names.flatMap((name) => shown(processor, name));
  const general = () =>
    generalRegisters(processor).map((found) => {
      if (found.name.endsWith('flags')) return register(processor, found, flagSummary(processor.state.rflags));
      const place = found.name.endsWith('ip') ? processor.linearRip : found.get();
      const symbol = symbols.describe(place);
      return register(processor, found, symbol === undefined || place === 0n ? '' : `<${symbol}>`);
    });
  const control = partition.vendor === 'intel' ? 'VMCS' : 'VMCB';
  const controlFixed = `The ${control} is shown as the vCPU is now; change its registers instead.`;
  const controlView = () =>
    (partition.vendor === 'intel' ? vmcsView : vmcbView)(processor, vcpu.lastExit, vcpu.settings, partition).children ?? [];
  return [
    { name: 'Registers', hint: 'registers', expensive: false, variables: general },
    scope('Flags', () => flagRegisters(processor).map((found) => register(processor, found))),
    scope('Segments', () => [
      ...SEGMENT_NAMES.map((name, segment) => segmentVariable(processor, name, segment)),
      tableVariable(processor, 'gdtr'),
      tableVariable(processor, 'idtr'),
    ]),
    scope('Control registers', named(['cr0', 'cr2', 'cr3', 'cr4', 'efer', 'xcr0', 'cpl'])),
    scope('x87', named(FPU_REGISTERS)),
    ...(vectorNames(processor).length === 0
      ? []
      : [scope('Vectors', () => vectorNames(processor).flatMap((name) => vectorVariable(processor, name)))]),
    scope('Debug registers', named(['dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7'])),
    scope('MSRs', () => msrReference(processor.model.vendor).map((msr) => msrVariable(processor, msr))),
    scope('Local APIC', () => localApic(partition.inspect(), index)),
    scope(control, () => controlView().map((node) => nodeVariable(withPlaces(processor, node), controlFixed))),
    scope('Last VM exit', () => lastExit(vcpu, partition.platform)),
    scope('Devices', () => (partition.inspect().children ?? []).map((node) => nodeVariable(node, DEVICE_FIXED))),
  ];
}

/** The general registers of a frame that isn't the newest: as they were there, where that is known. */
export function outerRegisters(session: Inspected, index: number, { pc, registers, codeBase = 0n }: FrameContext): ShownScope {
  const { processor } = session.vcpu(index);
  const values = new Map<string, bigint | undefined>();
  const own = generalRegisters(processor);
  for (const { name, number } of own) {
    if (number !== undefined) values.set(name, registers.get(GENERAL_REGISTERS[number] ?? -1));
    else if (name.endsWith('ip')) values.set(name, pc - codeBase);
  }
  const variables = () =>
    own
      .filter(({ name }) => values.has(name))
      .map(({ name, bits }): ShownVariable => {
        const value = values.get(name);
        const plain = value === undefined ? undefined : BigInt.asUintN(bits, value);
        const symbol = plain === undefined || plain === 0n ? undefined : session.symbols.describe(plain);
        return {
          name,
          value: plain === undefined ? 'not known here' : `${hex(plain, bits / 4)}${symbol === undefined ? '' : `  <${symbol}>`}`,
          memory: plain === undefined ? undefined : placeHeld(processor, name, plain),
          fixed: 'Only the registers of the newest frame can be changed; this one is what unwinding found.',
        };
      });
  return { name: 'Registers', hint: 'registers', expensive: false, variables };
}

function register(processor: Processor, found: NamedRegister, note = ''): ShownVariable {
  return {
    name: found.name,
    value: formatRegister(found) + (note === '' ? '' : `  ${note}`),
    expression: found.name,
    memory: placeHeld(processor, found.name, found.get()),
    set: (value) => setRegister(processor, found, value),
    parse: found.parse,
  };
}

function shown(processor: Processor, name: string): ShownVariable[] {
  const found = findRegister(processor, name);
  return found ? [register(processor, found, found.note?.() ?? describeControl(name, found.get()))] : [];
}

/** A vector register with its lanes, in each way to take it apart. */
function vectorVariable(processor: Processor, name: string): ShownVariable[] {
  const found = findRegister(processor, name);
  if (!found || found.bits < 128) return shown(processor, name);
  const lanes = (kind: LaneKind) => (): ShownVariable[] =>
    lanesOf(found, kind).map(({ text, set, parse }, index) => ({
      name: `[${index}]`,
      value: text,
      parse,
      set: (value) => {
        set(fitted(`${name}.${kind}[${index}]`, Number(kind.slice(1)), value));
        processor.stateChanged();
      },
    }));
  return [
    {
      ...register(processor, found),
      children: () =>
        LANES.map((kind) => ({
          name: kind,
          value: lanesOf(found, kind)
            .map(({ text }) => text)
            .join(' '),
          fixed: `Set one of its lanes, or ${name}.`,
          children: lanes(kind),
        })),
    },
  ];
}

/** A part of a register by its short name. */
function partOf(processor: Processor, owner: string, part: string): ShownVariable[] {
  return shown(processor, `${owner}.${part}`).map((variable) => ({ ...variable, name: part }));
}

function segmentVariable(processor: Processor, name: string, segment: number): ShownVariable {
  return {
    name,
    value: describeSegment(processor, segment),
    expression: name,
    memory: { space: 'gva', address: processor.state.segment(segment).base },
    set: (value) => {
      const found = findRegister(processor, name);
      if (found) setRegister(processor, found, value);
    },
    children: () => [
      ...shown(processor, name).map((variable) => ({ ...variable, name: 'selector' })),
      ...['base', 'limit', 'rights'].flatMap((part) => partOf(processor, name, part)),
    ],
  };
}

function tableVariable(processor: Processor, name: 'gdtr' | 'idtr'): ShownVariable {
  const value = (part: string) => findRegister(processor, `${name}.${part}`)?.get() ?? 0n;
  return {
    name,
    value: `base ${hex(value('base'))} limit ${hex(value('limit'))}`,
    memory: { space: 'gva', address: value('base') },
    fixed: `Set ${name}.base or ${name}.limit.`,
    children: () => ['base', 'limit'].flatMap((part) => partOf(processor, name, part)),
  };
}

function msrVariable(processor: Processor, { name, index, description }: MsrReference): ShownVariable {
  const value = readMsr(processor, index) ?? 0n;
  return {
    name,
    value: hex(value),
    type: `${hex(index)}: ${description}`,
    expression: `msr:${hex(index)}`,
    memory: placeHeld(processor, name, value),
    set: (value) => {
      const refusal = processor.writeRegister({ kind: 'msr', index }, value);
      if (refusal !== undefined) throw new ExpressionError(refused(name, value, refusal));
    },
  };
}

function nodeVariable(node: InspectNode, fixed: string): ShownVariable {
  const { set, children } = node;
  return {
    name: node.name,
    value: [node.value, node.detail].filter((part) => part !== undefined).join('  '),
    memory: node.memory,
    children: children ? () => children.map((child) => nodeVariable(child, fixed)) : undefined,
    fixed: set ? undefined : fixed,
    set: set
      ? (value) => {
          if (!set(value))
            throw new ExpressionError(`${node.name} can't be ${hex(value)}: it has 32 bits, and x2APIC mode may fix it.`);
        }
      : undefined,
  };
}

/** Fields of a control structure with the memory that those with addresses lead to. */
function withPlaces(processor: Processor, node: InspectNode): InspectNode {
  const value = parseAddress(node.value ?? '');
  return {
    ...node,
    memory: value === undefined ? undefined : placeHeld(processor, node.name, value),
    children: node.children?.map((child) => withPlaces(processor, child)),
  };
}

function localApic(root: InspectNode, index: number): ShownVariable[] {
  const apic = findNode(root, new RegExp(`local apic.*${index}$|^local apic$`, 'i'));
  const fixed = 'This part of the local APIC follows from the others.';
  return apic ? (apic.children ?? [apic]).map((node) => nodeVariable(node, fixed)) : [];
}

function findNode(root: InspectNode, name: RegExp): InspectNode | undefined {
  if (name.test(root.name)) return root;
  for (const child of root.children ?? []) {
    const found = findNode(child, name);
    if (found) return found;
  }
  return undefined;
}

function lastExit({ activity, lastExit: last, processor }: VirtualCpu, platform: string): ShownVariable[] {
  const exit = activity?.exit ?? last;
  if (!exit) return [{ name: 'none', value: 'this vCPU has not left the guest yet', fixed: EXIT_FIXED }];
  const { vmx, svm } = exitNumbers(exit);
  const show = (value: unknown): string =>
    typeof value === 'bigint' ? hex(value) : typeof value === 'number' ? hex(value < 0 ? value >>> 0 : value) : String(value);
  const details = Object.entries(exit).filter(([, value]) => value !== undefined && typeof value !== 'object');
  return [
    { name: 'request', value: describeRequest(exit, processor.state.gpr(0), msrNamesOn(platform)) },
    { name: 'VMX reason', value: `${vmx} ${vmxReasonName(vmx)}` },
    { name: 'SVM code', value: `${hex(svm)} ${svmCodeName(svm)}` },
    ...(exit.during ? [{ name: 'while delivering', value: describeEvent(exit.during) }] : []),
    ...details.map(([name, value]) => ({ name, value: show(value), memory: exitPlace(processor, exit, name, value) })),
  ].map((variable) => ({ ...variable, fixed: EXIT_FIXED }));
}

/** The memory that a part of an exit leads to. A page fault carries the address that it is about. */
function exitPlace(processor: Processor, exit: VmExit, name: string, value: unknown): MemoryPlace | undefined {
  if (typeof value !== 'bigint') return undefined;
  const isFaultAddress = name === 'payload' && exit.reason === 'exception' && exit.vector === PAGE_FAULT;
  return placeHeld(processor, isFaultAddress ? 'cr2' : name, value);
}

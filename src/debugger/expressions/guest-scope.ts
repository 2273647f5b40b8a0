import type { VirtualCpu } from '../../hypervisor/partition/partition.ts';
import type { VmExit } from '../../processor/exit.ts';
import { msrReference, readMsr } from '../../processor/models/msr-table.ts';
import type { Processor } from '../../processor/processor.ts';
import type { StageValue } from '../../stages/stage.ts';
import type { SymbolSource } from '../../symbols/symbol-source.ts';
import { hex } from '../../x86/address.ts';
import { exitVariable } from '../breakpoints/exit-filters.ts';
import { findRegister, segmentIndex } from '../inspection/registers.ts';
import { type AddressSpace, ExpressionError, type ExpressionScope, packText } from './evaluator.ts';

const STACK_REGISTERS: ReadonlySet<string> = new Set(['sp', 'bp', 'esp', 'ebp']);
const DS = segmentIndex('ds');
const SS = segmentIndex('ss');

/** Number of the MSR that `msr:0xc0000080` or `msr:EFER` names; undefined for a text that can't name one. */
export function msrIndex(processor: Processor, text: string): number | undefined {
  const known = msrReference(processor.model.vendor).find(({ name }) => name.toLowerCase() === text.toLowerCase());
  return known?.index ?? (/^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : undefined);
}

function msrValue(processor: Processor, text: string): bigint {
  const index = msrIndex(processor, text);
  const value = index === undefined ? undefined : readMsr(processor, index);
  if (value === undefined) throw new ExpressionError(`This processor has no MSR "${text}" of its own.`);
  return value;
}

function stageNumber(value: StageValue | undefined): bigint | undefined {
  if (typeof value === 'bigint') return BigInt.asUintN(64, value);
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt.asUintN(64, BigInt(value)) : undefined;
  if (typeof value === 'boolean') return value ? 1n : 0n;
  return value === undefined ? undefined : packText(value);
}

/** Reads memory as a number. Throws ExpressionError with the reason where it can't be read. */
export function readNumber(processor: Processor, space: AddressSpace, address: bigint, bytes: number): bigint {
  const found = processor.readMemory(space, address, bytes);
  if (found.length < bytes) {
    const problem = space === 'gva' ? processor.walk(address).problem : undefined;
    const reason = problem === undefined ? '' : `: ${problem.charAt(0).toLowerCase()}${problem.slice(1).replace(/\.$/, '')}`;
    throw new ExpressionError(`The memory at ${space === 'gpa' ? 'gpa ' : ''}${hex(address)} can't be read${reason}.`);
  }
  return found.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/**
 * What names mean to a vCPU: at an exit the exit's own values first, in a handler those of its newest stage, then
 * registers, flags and MSRs, then symbols of the program, and last `partition` and `vcpu`: the numbers of where it is.
 */
export function guestScope(
  vcpu: VirtualCpu,
  symbols: SymbolSource,
  exit: VmExit | undefined,
  partition: { readonly id: number },
): ExpressionScope {
  const { processor, activity } = vcpu;
  const places: Readonly<Record<string, number>> = { partition: partition.id, vcpu: vcpu.index };
  const placeOf = (name: string) => (Object.hasOwn(places, name) ? BigInt(places[name] ?? 0) : undefined);
  const stage = activity?.frames.at(-1)?.stage?.values;
  return {
    wordSize: processor.mode / 8,
    lookUp: (name) => {
      if (/^msr:/i.test(name)) return msrValue(processor, name.slice(4));
      const fromExit = exit === undefined ? undefined : exitVariable(exit, name);
      if (fromExit !== undefined) return fromExit;
      const fromStage = stage && Object.hasOwn(stage, name) ? stageNumber(stage[name]) : undefined;
      return fromStage ?? findRegister(processor, name)?.get() ?? symbols.symbol(name)?.address ?? placeOf(name);
    },
    symbolAddress: (name) => symbols.symbol(name)?.address,
    read: (address, bytes, space) => readNumber(processor, space, address, bytes),
    segmentBase: (segment, registers) => {
      if (segment !== undefined) return processor.state.segment(segmentIndex(segment)).base;
      if (processor.mode === 64) return 0n;
      return processor.state.segment(registers.some((name) => STACK_REGISTERS.has(name)) ? SS : DS).base;
    },
  };
}

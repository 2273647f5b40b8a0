import type { StageValue } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { hypercallName } from '../abi/hypercalls.ts';
import { type Field, fieldValue } from '../abi/layout.ts';
import type { HypercallCall } from './call.ts';
import type { ControlWord } from './control-word.ts';

/** Up to this number, decimal and hexadecimal are the same. */
const LAST_DIGIT = 9n;

function isNumber({ size }: Field): boolean {
  return size === 1 || size === 2 || size === 4 || size === 8;
}

function numberText(value: bigint): string {
  return value > LAST_DIGIT ? hex(value) : value.toString();
}

/** Words of a variable part that are shown. */
const MOST_WORDS = 4;

/** The variable part of a call as its first words, such as the banks of a set of vCPUs; undefined where there is none. */
function variableText({ variable }: HypercallCall): string | undefined {
  const count = variable.byteLength >> 3;
  if (count === 0) return undefined;
  const words = Array.from({ length: Math.min(count, MOST_WORDS) }, (_, index) =>
    numberText(variable.getBigUint64(8 * index, true)),
  );
  return [...words, ...(count > MOST_WORDS ? ['…'] : [])].join(' ');
}

/** `vmcall HvCallSignalEvent(connection 0x10001, flag 0)`, as the exit journal has a call whose input could be read. */
export function callRequest(instruction: 'vmcall' | 'vmmcall', call: HypercallCall): string {
  const { row, header, repCount, repStart } = call;
  const parts = row.input.fields.filter(isNumber).map((field) => `${field.name} ${numberText(fieldValue(header, field))}`);
  const variable = variableText(call);
  if (variable !== undefined) parts.push(`variable ${variable}`);
  if (repCount > 0) parts.push(repStart > 0 ? `elements ${repStart} to ${repCount - 1}` : `${repCount} elements`);
  return `${instruction} ${row.name}(${parts.join(', ')})`;
}

/** The same of one that was refused before: `vmcall HvCallSignalEvent`, `vmcall hypercall 153`. */
export function bareRequest(instruction: 'vmcall' | 'vmmcall', { code }: ControlWord): string {
  const name = hypercallName(code);
  return name.startsWith('HvCall') ? `${instruction} ${name}` : `${instruction} hypercall ${code}`;
}

/** The arguments of a call by their names, as a stage shows them. */
export function namedArguments(call: HypercallCall): Record<string, StageValue> {
  const { row, header, repCount, repStart } = call;
  const named: Record<string, StageValue> = {};
  for (const field of row.input.fields) named[field.name] = isNumber(field) ? fieldValue(header, field) : `${field.size} bytes`;
  const variable = variableText(call);
  if (variable !== undefined) named.variable = variable;
  if (repCount > 0) {
    named.repCount = repCount;
    named.repStart = repStart;
  }
  return named;
}

import type { MemoryPlace } from '../../x86/address.ts';
import { placeHeld } from '../inspection/address-values.ts';
import { findRegister } from '../inspection/registers.ts';
import type { RunControl } from '../run-control/control.ts';
import { placeOf } from './assignment.ts';

const NAME = /^\$?(?:msr:)?([a-z_][\w.]*)$/i;

/**
 * The memory that an expression of the machine leads to: a register or an exit's value by what it holds, a memory operand as wide
 * as an address by its value and any other by where it lies, and a label or a sum as a linear address. Undefined for what holds
 * no address, such as a flag. Throws ExpressionError.
 */
export function leadsTo(
  session: Pick<RunControl, 'partition' | 'symbols' | 'vcpu'>,
  text: string,
  value: bigint,
  vcpu: number,
): MemoryPlace | undefined {
  const { processor } = session.vcpu(vcpu);
  const linear: MemoryPlace = { space: 'gva', address: value };
  const operand = placeOf(session, text.trim(), vcpu);
  if (operand) return operand.length > 2 && operand.length * 8 === processor.mode ? linear : operand;
  const name = NAME.exec(text.trim())?.[1] ?? '';
  const held = placeHeld(processor, name, value);
  if (held) return held;
  const isRegister = findRegister(processor, name) !== undefined || /^\$?msr:/i.test(text.trim());
  return isRegister ? undefined : linear;
}

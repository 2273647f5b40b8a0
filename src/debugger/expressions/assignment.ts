import type { Processor } from '../../processor/processor.ts';
import { EvaluationError, type FrameContext, type TypedValue } from '../../symbols/symbol-source.ts';
import { hex, type MemoryPlace } from '../../x86/address.ts';
import { dwarfRegister } from '../inspection/call-stack.ts';
import { findRegister, fitted, refused, setRegister } from '../inspection/registers.ts';
import type { RunControl } from '../run-control/control.ts';
import { evaluateNumber, evaluateTyped } from './evaluate.ts';
import { ExpressionError, evaluateExpression } from './evaluator.ts';
import { guestScope, msrIndex } from './guest-scope.ts';

type Evaluating = Pick<RunControl, 'partition' | 'symbols' | 'vcpu'>;

export interface Assignment {
  readonly target: string;
  readonly value: string;
}

/** Memory that was written. */
export interface WrittenMemory extends MemoryPlace {
  readonly length: number;
}

/**
 * `rax = 5`, `dword [rsp] = rax + 1`, `rcx += 2`: what is set, and to what. Undefined for an expression that sets nothing.
 */
export function splitAssignment(text: string): Assignment | undefined {
  let depth = 0;
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === '"' || character === "'") quote = character;
    else if ('[('.includes(character)) depth++;
    else if ('])'.includes(character)) depth--;
    else if (character === '=' && depth === 0 && text.charAt(at + 1) !== '=' && !'=!<>'.includes(text.charAt(at - 1) || '='))
      return assignmentAt(text, at);
  }
  return undefined;
}

function assignmentAt(text: string, at: number): Assignment {
  const value = text.slice(at + 1).trim();
  const [, target = '', operator] = /^(.*?)\s*([-+*/%&|^])?$/s.exec(text.slice(0, at).trim()) ?? [];
  return { target, value: operator === undefined ? value : `${target} ${operator} (${value})` };
}

/**
 * Sets a register (`rax`, `zf`, `cs.base`, `cr3`), an MSR (`msr:EFER`), memory (`dword fs:[8]`, `byte gpa:[0x1000]`) or, where
 * the frame's code has any, a variable. Gives the memory that was written, if any was. Throws ExpressionError.
 */
export function assign(
  session: Evaluating,
  { target, value: text }: Assignment,
  vcpu: number,
  context: FrameContext,
): WrittenMemory | undefined {
  const { processor, activity } = session.vcpu(vcpu);
  const typed = target.startsWith('$') ? undefined : evaluateTyped(session, target, context);
  if (typed !== undefined && !(typed instanceof EvaluationError) && typed.encode)
    return assignTyped(session, processor, target, typed, text, vcpu, context);
  const register = findRegister(processor, target.replace(/^\$/, ''));
  const value = register?.parse?.(text) ?? evaluateNumber(session, text, vcpu, activity?.exit);
  if (register) {
    setRegister(processor, register, value);
    return undefined;
  }
  const msr = /^msr:(\w+)$/i.exec(target)?.[1];
  if (msr !== undefined) return assignMsr(processor, msr, value);
  const place = placeOf(session, target, vcpu);
  if (place) return store(processor, place, bytesOf(fitted(target, place.length * 8, value), place.length));
  if (session.symbols.symbol(target))
    throw new ExpressionError(`"${target}" is an address; to change what lies there, write dword [${target}] = ${text}.`);
  throw new ExpressionError(`"${target}" can't be set; registers, flags, MSRs (msr:EFER) and memory in brackets can.`);
}

function assignMsr(processor: Processor, text: string, value: bigint): undefined {
  const index = msrIndex(processor, text);
  const refusal = index === undefined ? 'no such register' : processor.writeRegister({ kind: 'msr', index }, value);
  if (refusal === 'no such register') throw new ExpressionError(`This processor has no MSR "${text}" of its own.`);
  if (refusal !== undefined) throw new ExpressionError(refused(`MSR ${text}`, value, refusal));
  return undefined;
}

/** A variable takes a value of its type; what is none is evaluated first. */
function assignTyped(
  session: Evaluating,
  processor: Processor,
  name: string,
  typed: TypedValue,
  text: string,
  vcpu: number,
  context: FrameContext,
): WrittenMemory | undefined {
  const bytes = encoded(session, typed, text, vcpu, context);
  if (typed.address !== undefined) return store(processor, { space: 'gva', address: typed.address, length: bytes.length }, bytes);
  const register = typed.register === undefined || context.isCaller ? undefined : dwarfRegister(processor, typed.register);
  if (!register) throw new ExpressionError(`${name} lies neither in memory nor in a register of this frame; it can't be set.`);
  const mask = (1n << BigInt(Math.min(bytes.length * 8, register.bits))) - 1n;
  const low = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n) & mask;
  register.set((register.get() & ~mask) | low);
  processor.stateChanged();
  return undefined;
}

function encoded(session: Evaluating, typed: TypedValue, text: string, vcpu: number, context: FrameContext): Uint8Array {
  const encode = (value: string) => typed.encode?.(value) ?? new Uint8Array();
  try {
    return encode(text);
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    const other = evaluateTyped(session, text, context);
    try {
      if (other !== undefined && !(other instanceof EvaluationError) && other.scalar !== undefined)
        return encode(String(other.scalar));
      return encode(String(evaluateNumber(session, text, vcpu)));
    } catch {
      throw new ExpressionError(error.message);
    }
  }
}

/** Where a memory operand lies: `dword [rsp + 4]`, `fs:[0x28]`. Undefined for an expression that is none. Throws ExpressionError. */
export function placeOf(session: Evaluating, text: string, vcpu: number): WrittenMemory | undefined {
  const inner = /^(?:(?:byte|word|dword|qword)\s*)?(?:[a-z]{2,3}\s*:\s*)?\[(.*)\]$/is.exec(text)?.[1];
  if (inner === undefined || !isBalanced(inner)) return undefined;
  const state = session.vcpu(vcpu);
  const scope = guestScope(state, session.symbols, state.activity?.exit, session.partition);
  let place: WrittenMemory | undefined;
  // Operands inside of the brackets are read first, so the last read is the operand itself.
  evaluateExpression(text, {
    ...scope,
    read: (address, length, space) => {
      place = { space, address, length };
      return scope.read(address, length, space);
    },
  });
  return place;
}

function isBalanced(text: string): boolean {
  let depth = 0;
  for (const character of text) {
    if (character === '[') depth++;
    else if (character === ']' && --depth < 0) return false;
  }
  return depth === 0;
}

function bytesOf(value: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => Number((value >> BigInt(index * 8)) & 0xffn));
}

function store(processor: Processor, place: WrittenMemory, bytes: Uint8Array): WrittenMemory {
  const { space, address } = place;
  if (processor.writeMemory(space, address, bytes) < bytes.length)
    throw new ExpressionError(`The memory at ${space === 'gpa' ? 'gpa ' : ''}${hex(address)} can't be written.`);
  return place;
}

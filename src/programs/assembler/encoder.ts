import { AssemblyError } from './diagnostic.ts';
import { encodeOpcode } from './encode-opcode.ts';
import { candidates, fitsEither, fitsSigned, immediateBits, isPlain, SHORT_IMMEDIATES } from './match.ts';
import {
  aliases,
  evexFirst,
  impliedOperands,
  impliedXmm0,
  modeAliases,
  narrowRegister,
  noOperandPrefix,
  sizedNames,
  stringInstructions,
  superfluousRexW,
  waiting,
  x87ZeroOperands,
} from './mnemonics.ts';
import { MODE_BIT, type Opcode, opcodesOf } from './opcodes.ts';
import type { ImmediateOperand, Operand, RegisterOperand } from './operands.ts';
import { findRegister, inWidth } from './registers.ts';

export interface EncodeRequest {
  /** Lower case. */
  readonly mnemonic: string;
  /** Prefix bytes in front: lock, rep, segment … */
  readonly prefixes: readonly number[];
  readonly operands: readonly Operand[];
  readonly mode: 16 | 32 | 64;
  /** Address of the first byte. */
  readonly address: bigint;
  /** A relative jump must not be short (an earlier pass found it too far). */
  readonly near: boolean;
  /** `o64` in front. */
  readonly rexW?: boolean;
  /** `{vex}` or `{evex}` in front. */
  readonly form?: 'vex' | 'evex';
  /** Operand size that the name says (`retfq`). */
  readonly size?: 16 | 32 | 64;
  /** Told of what is assembled but looks wrong: a number that is cut off. */
  readonly warn?: (message: string) => void;
}

const WAIT = 0x9b;

/** Encodes an instruction as NASM's optimizer does. Throws AssemblyError. */
export function encodeInstruction(request: EncodeRequest): Uint8Array {
  const plain = waiting.get(request.mnemonic);
  if (plain !== undefined) return encodeInstruction({ ...request, mnemonic: plain, prefixes: [WAIT, ...request.prefixes] });
  const sized = sizedNames.get(request.mnemonic);
  if (sized) return encodeInstruction({ ...request, ...sized });
  const { mode } = request;
  const alias = aliases.get(request.mnemonic);
  const mnemonic = modeAliases.get(request.mnemonic)?.[mode] ?? alias?.mnemonic ?? request.mnemonic;
  const counted = loopCounter(mnemonic, request);
  if (counted) return encodeInstruction(counted);
  const string = stringInstructions.get(mnemonic);
  if (string && request.operands.length === 0) return finish(request, string(mode));
  const [target, source] = request.operands;
  const isDoubleword = mnemonic === 'movsx' && source !== undefined && target !== undefined && sizeOf(source) === 32;
  const list = opcodesOf(isDoubleword ? 'movsxd' : mnemonic);
  if (!list) throw new AssemblyError(`"${request.mnemonic}" is not an instruction.`);
  const rounding = request.operands.find(({ type }) => type === 'rounding');
  const written = request.operands.filter(({ type }) => type !== 'rounding');
  const operands = repeatTarget(
    list,
    normalize(mnemonic, alias?.immediate === undefined ? written : [...written, immediate(alias.immediate)], mode),
  );
  // 90h would leave the upper half of RAX as it is.
  const isEaxTwice =
    mnemonic === 'xchg' && mode === 64 && written.every((operand) => isRegister(operand) && operand.name === 'eax');
  if (isEaxTwice && written.length === 2) return finish(request, Uint8Array.of(0x87, 0xc0));
  // Without operands x87 arithmetic pops.
  if (written.length === 0 && /^f(add|mul|subr?|divr?)$/.test(mnemonic))
    return encodeInstruction({ ...request, mnemonic: `${mnemonic}p` });
  const named = { ...request, mnemonic, operands };
  const roundingMode = rounding?.type === 'rounding' ? rounding.mode : undefined;
  const usable = preferForm(candidates(named, list, operands, roundingMode), request.form, mnemonic);
  const best = shortest(usable, operands, named, roundingMode);
  if (!best) throw explain(request, list, operands, usable.length > 0);
  if (request.warn) warnOfLostBits(operands, best.opcode, request.warn);
  const [first] = operands;
  const [address] = written;
  const isAddress = isImplied(mnemonic, written) && address?.type === 'register' && mnemonic !== 'mwait' && mnemonic !== 'mwaitx';
  if (isAddress && address.size !== mode) return finish(request, Uint8Array.of(0x67, ...best.bytes));
  const superfluous = superfluousRexW.has(mnemonic) && first?.type === 'register' && first.class === 'r64';
  return finish(superfluous ? { ...request, rexW: true } : request, best.bytes);
}

const sizeOf = (operand: Operand): number => (operand.type === 'rounding' ? 0 : operand.size);

/** `loop label, ecx`: the counter's size is the address size. */
function loopCounter(mnemonic: string, request: EncodeRequest): EncodeRequest | undefined {
  const [target, counter] = request.operands;
  if (!/^loop(n?e)?$/.test(mnemonic) || !target || !isRegister(counter) || !/^[er]?cx$/.test(counter.name)) return undefined;
  const prefixes = counter.size === request.mode ? request.prefixes : [...request.prefixes, 0x67];
  return { ...request, prefixes, operands: [target] };
}

function shortest(
  usable: readonly Opcode[],
  operands: readonly Operand[],
  request: EncodeRequest,
  rounding: string | undefined,
): { readonly bytes: Uint8Array; readonly opcode: Opcode } | undefined {
  let best: { bytes: Uint8Array; opcode: Opcode } | undefined;
  for (const opcode of usable) {
    const bytes = encodeOpcode(opcode, operands, request, rounding);
    // Of two forms of one length NASM takes the one with the short immediate.
    const short = opcode.kinds.some((kind) => SHORT_IMMEDIATES.has(kind));
    if (bytes && (!best || bytes.length < best.bytes.length || (bytes.length === best.bytes.length && short)))
      best = { bytes, opcode };
  }
  return best;
}

/** VEX before EVEX, unless the source or NASM's own order says otherwise. */
function preferForm(usable: readonly Opcode[], form: EncodeRequest['form'], mnemonic: string): readonly Opcode[] {
  const vex = usable.filter(({ evex }) => !evex);
  const evex = usable.filter((opcode) => opcode.evex);
  if (form === 'evex') return evex;
  if (form === 'vex') return vex.filter((opcode) => opcode.vex);
  const [first, second] = evexFirst.has(mnemonic) ? [evex, vex] : [vex, evex];
  return first.length > 0 ? first : second;
}

/** Puts the prefixes in front, and REX.W in where `o64` asks for it. */
function finish(request: EncodeRequest, bytes: Uint8Array): Uint8Array {
  const body = [...bytes];
  if (request.rexW) {
    let at = 0;
    while ([0x66, 0x67, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].includes(body[at] ?? 0)) at++;
    const byte = body[at] ?? 0;
    if (byte >= 0x40 && byte <= 0x4f) body[at] = byte | 8;
    else body.splice(at, 0, 0x48);
  }
  return Uint8Array.from([...request.prefixes, ...body]);
}

function immediate(number: number): ImmediateOperand {
  return { type: 'immediate', value: { number: BigInt(number) }, size: 0, strict: false, distance: undefined };
}

const isRegister = (operand: Operand | undefined, ...classes: readonly string[]): operand is RegisterOperand =>
  operand?.type === 'register' && (classes.length === 0 || classes.includes(operand.class));

/** `vaddps ymm1, ymm2` is `vaddps ymm1, ymm1, ymm2`. */
function repeatTarget(list: readonly Opcode[], operands: readonly Operand[]): readonly Operand[] {
  const [first] = operands;
  const count = operands.length;
  if (!isRegister(first, 'xmm', 'ymm', 'zmm') || list.some(({ kinds }) => kinds.length === count)) return operands;
  const longer = list.some(({ kinds, vex, evex }) => (vex || evex) && kinds.length === count + 1);
  return longer ? [first, first, ...operands.slice(1)] : operands;
}

/** The operands are those that the instruction implies. */
function isImplied(mnemonic: string, operands: readonly Operand[]): boolean {
  const implied = impliedOperands.get(mnemonic);
  return (
    implied?.length === operands.length &&
    implied.every((names, index) => {
      const operand = operands[index];
      return isRegister(operand) && names.includes(operand.name);
    })
  );
}

/** Writes operands in the order that the table has, and with the sizes that NASM takes as the same. */
function normalize(mnemonic: string, operands: readonly Operand[], mode: 16 | 32 | 64): readonly Operand[] {
  const [a, b, c] = operands;
  if (isImplied(mnemonic, operands)) return [];
  if (impliedXmm0.has(mnemonic) && isRegister(c) && c.name === 'xmm0') return operands.slice(0, 2);
  if (x87ZeroOperands.has(mnemonic)) return x87Operands(mnemonic, operands);
  if ((mnemonic === 'test' || mnemonic === 'xchg') && isRegister(a) && b) {
    if (b.type === 'memory') return [b, a];
    const accumulator = (operand: Operand) => isRegister(operand) && ['ax', 'eax', 'rax'].includes(operand.name);
    if (mnemonic === 'xchg' && isRegister(b) && (accumulator(a) || !accumulator(b))) return [b, a];
  }
  if ((mnemonic === 'aam' || mnemonic === 'aad') && operands.length === 0) return [immediate(10)];
  if (mnemonic === 'imul' && operands.length === 2 && isRegister(a) && b?.type === 'immediate') return [a, a, b];
  if (mnemonic === 'mov') return normalizeMove(operands, mode);
  if ((mnemonic === 'lar' || mnemonic === 'lsl') && isRegister(a, 'r16', 'r32', 'r64') && isRegister(b))
    return [a, { ...b, ...inWidth(b, a.class === 'r64' ? 64 : a.class === 'r32' ? 32 : 16) }];
  if (mnemonic === 'rdpid' && mode === 64 && isRegister(a, 'r32')) return [{ ...a, ...inWidth(a, 64) }];
  if (noOperandPrefix.has(mnemonic) && isRegister(a, 'r16')) return [widen(a, mode)];
  if (mnemonic === 'arpl') return operands.map((operand) => (isRegister(operand, 'r16') ? widen(operand, mode) : operand));
  if (narrowRegister.has(mnemonic))
    return operands.map((operand) => (isRegister(operand, 'r64') ? { ...operand, ...inWidth(operand, 32) } : operand));
  return operands;
}

/** The same register in the width of the mode, at most 32 bits. */
const widen = (register: RegisterOperand, mode: 16 | 32 | 64): RegisterOperand => ({
  ...register,
  ...inWidth(register, mode === 16 ? 16 : 32),
});

function normalizeMove(operands: readonly Operand[], mode: 16 | 32 | 64): readonly Operand[] {
  const [a, b] = operands;
  // A selector in a general register needs neither an operand-size prefix nor REX.W.
  if (isRegister(a, 'seg') && isRegister(b, 'r16', 'r32', 'r64')) return [a, widen(b, mode)];
  if (isRegister(a, 'r64') && isRegister(b, 'seg')) return [widen(a, mode), b];
  if (isRegister(a, 'r64') && b?.type === 'immediate' && isPlain(b.value) && !b.strict && (b.size === 0 || b.size === 64)) {
    const { number } = b.value;
    // The upper half is cleared by a 32-bit move.
    if (number >= 0n && number <= 0xffff_ffffn)
      return [
        { ...a, ...inWidth(a, 32) },
        { ...b, size: 0 },
      ];
    if (fitsSigned(number, 32)) return [a, { ...b, size: 0 }];
  }
  return operands;
}

/** x87 operands that may be left out: ST0, and ST1 as the other one. */
function x87Operands(mnemonic: string, operands: readonly Operand[]): readonly Operand[] {
  const [st0, st1] = [findRegister('st0'), findRegister('st1')];
  const [a] = operands;
  if (!st0 || !st1 || operands.length > 1 || a?.type === 'memory') return operands;
  const top: RegisterOperand = { type: 'register', ...st0 };
  const other: Operand = a ?? { type: 'register', ...st1 };
  const toOther = (/p$/.test(mnemonic) && !/com/.test(mnemonic)) || (a?.type === 'register' && a.to === true);
  return toOther ? [other, top] : [top, other];
}

function warnOfLostBits(operands: readonly Operand[], opcode: Opcode, warn: (message: string) => void): void {
  operands.forEach((operand, index) => {
    if (operand.type !== 'immediate' || !isPlain(operand.value)) return;
    const bits = immediateBits(opcode.kinds[index] ?? 0);
    if (bits !== undefined && !fitsEither(operand.value.number, bits))
      warn(`${operand.value.number} doesn't fit into ${bits} bits; what is above is cut off.`);
  });
}

/** A 64-bit address, or what is added to registers in one, that 32 bits can't say. */
function beyondDisplacement(operand: Operand): bigint | undefined {
  if (operand.type !== 'memory' || operand.addressSize !== 64 || operand.relative || !operand.displacement) return undefined;
  const { number } = operand.displacement;
  return fitsSigned(BigInt.asIntN(64, number), 32) ? undefined : number;
}

function explain(request: EncodeRequest, list: readonly Opcode[], operands: readonly Operand[], tried: boolean): AssemblyError {
  const { mnemonic, mode } = request;
  const far = operands.map(beyondDisplacement).find((address) => address !== undefined);
  if (far !== undefined) {
    const text = `0x${BigInt.asUintN(64, far).toString(16)}`;
    return new AssemblyError(
      `The address ${text} can't be in an instruction: what 64-bit code has room for are 32 bits, sign-extended.`,
      `Put it into a register first: mov rax, ${text}, and then [rax].`,
    );
  }
  const branch = operands.find((operand) => operand.type === 'immediate' && (operand.distance === 'short' || tried));
  if (branch && tried)
    return new AssemblyError(
      `The jump is too far for the short form of ${mnemonic}.`,
      'A short jump reaches 128 bytes back and 127 forward; write "near" or jump over a near jump.',
    );
  if (!list.some((opcode) => (opcode.modes & MODE_BIT[mode]) !== 0))
    return new AssemblyError(`${mnemonic} doesn't exist in ${mode}-bit mode.`, `This code stands under \`bits ${mode}\`.`);
  if (!list.some((opcode) => opcode.kinds.length === operands.length)) {
    const counts = [...new Set(list.map((opcode) => opcode.kinds.length))].sort();
    return new AssemblyError(
      `${mnemonic} doesn't take ${operands.length} operand${operands.length === 1 ? '' : 's'}.`,
      `It takes ${counts.join(' or ')}.`,
    );
  }
  return new AssemblyError(
    `${mnemonic} doesn't take this combination of operands in ${mode}-bit mode.`,
    'Check the sizes: registers of one size, or byte, word, dword, qword before memory.',
  );
}

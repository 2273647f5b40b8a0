import { Flag } from '../../../src/processor/state/cpu-state.ts';
import type { Random } from '../../support/random.ts';
import type { InstructionForm } from './forms.ts';
import {
  codeAddress,
  dataAddress,
  type EncodedOperand,
  encodeMemory,
  encodeMemory16,
  encodeVectorIndex,
  littleEndian,
} from './memory-operand.ts';
import { CaseBuilder, codeSelector, prepare, RAX, RSP, STRING, targetContents } from './operand-values.ts';
import { CODE, CODE_SIZE, DATA, Request, STACK_HIGH_16 } from './record.ts';
import { prepareVectors, vectorContents } from './vector-values.ts';

/** Immediates, in the order of the operands; branch displacements come later, when the length is known. */
function immediates(c: CaseBuilder): { bytes: number[]; branch: number } {
  const { random, form, mnemonic } = c;
  const bytes: number[] = [];
  let branch = 0;
  let immediate8 = 0;
  for (const kind of form.operands) {
    if (kind === 'imm8_const_1') continue;
    if (kind.startsWith('farbr')) {
      const size = form.operandSize16 ? 2 : 4;
      bytes.push(...littleEndian(c.codeOffset(), size), ...littleEndian(codeSelector(c), 2));
    } else if (kind.startsWith('br')) branch = kind.endsWith('_1') ? 1 : kind.endsWith('_2') ? 2 : 4;
    else if (kind.endsWith('_is4')) bytes.push(random.below(form.bits === 64 ? 256 : 128));
    else if (kind.startsWith('imm8')) {
      let value = Number(random.value() & 0xffn);
      if (mnemonic === 'enter') value = random.pick([0, 0, 1, 2, 3, random.below(256)]);
      else if (mnemonic === 'int') while (value === 0x80 || value === 3 || value === 4) value = random.below(256);
      bytes.push(value);
      immediate8++;
    } else if (kind === 'imm16') {
      const small = mnemonic === 'enter' || mnemonic.startsWith('ret');
      bytes.push(...littleEndian(small && random.chance(0.9) ? BigInt(random.below(64)) : random.value(), 2));
    } else if (kind.startsWith('imm32')) bytes.push(...littleEndian(random.value(), 4));
    else if (kind === 'imm64') bytes.push(...littleEndian(random.value(), 8));
  }
  if (immediate8 > 1) throw new Error(`two byte immediates in ${form.name}`);
  return { bytes, branch };
}

interface Encoding {
  modrm: number | undefined;
  operand: EncodedOperand | undefined;
  rexR: boolean;
  rexX: boolean;
  rexB: boolean;
  vvvv: number;
  /** SPL, BPL, SIL or DIL: needs a REX prefix. */
  needsRex: boolean;
  opcodeRegister: number;
}

/** The operand of a gather: indices in a vector register, which mostly isn't the one with the masks. */
function encodeGather(c: CaseBuilder, kind: string, offset: bigint): EncodedOperand {
  const { random, form } = c;
  const { vectors } = c.request;
  if (!vectors) throw new Error('the record has no room for vectors');
  const register = random.below(form.bits === 64 ? 16 : 8);
  const parts = kind.endsWith('y') ? [0, 1] : [0];
  // Not the data's end, most of the time.
  const middle = random.chance(0.9)
    ? (form.bits === 16 ? 0n : DATA - c.segmentBase) + BigInt(random.between(0x800, 0x1800))
    : offset;
  return encodeVectorIndex(random, c.gpr, middle, form.bits !== 64 ? 'only-32' : c.address32 ? '32' : '64', {
    ...{ register, width: kind.includes('32') ? 32 : 64 },
    parts: parts.map((part) => vectors.part(register, part)),
  });
}

/** Chooses the registers and the memory operand. */
function encodeOperands(c: CaseBuilder): Encoding {
  const { random, form } = c;
  const result: Encoding = {
    modrm: undefined,
    operand: undefined,
    rexR: false,
    rexX: false,
    rexB: false,
    vvvv: 0,
    needsRex: false,
    opcodeRegister: 0,
  };
  // Decided first: with a REX prefix the byte registers 4 to 7 are SPL to DIL, without one AH to BH.
  const rexAllowed = form.bits === 64 && (form.vex || form.rexW || random.chance(0.6));
  const limit = rexAllowed ? 16 : 8;
  let byteRegister = false;
  const pick = (kind: string): number => {
    const index = random.below(limit);
    if (kind.startsWith('r8') && index >= 4 && index < 8) byteRegister = true;
    return index;
  };
  if (form.operands.some((kind) => kind.endsWith('_vvvv'))) result.vvvv = random.below(form.bits === 64 ? 16 : 8);
  const inOpcode = form.operands.find((kind) => kind.endsWith('_opcode'));
  if (inOpcode) {
    const index = pick(inOpcode);
    result.opcodeRegister = index & 7;
    result.rexB = index >= 8;
  }
  if (form.modrm !== 'none') {
    let reg = form.group >= 0 ? form.group : random.below(8);
    const regKind = form.operands.find((kind) => kind.endsWith('_reg'));
    if (regKind) {
      const index = regKind === 'seg_reg' ? random.pick([0, 2, 3, 4, 5, 0, 2, 3, 4, 5, 1, 6, 7]) : pick(regKind);
      reg = index & 7;
      result.rexR = index >= 8;
    }
    const memory = form.modrm === 'memory' || (form.modrm === 'any' && random.chance(0.5));
    if (memory) {
      const mustAlign = c.mnemonic === 'cmpxchg16b' ? random.chance(0.9) : c.mnemonic.startsWith('sha');
      const alignment = mustAlign ? 15n : form.vector && random.chance(0.6) ? 31n : 0n;
      const target = dataAddress(random) & ~alignment;
      const offset = form.bits === 16 ? (target - DATA) & 0xffffn : target - c.segmentBase;
      c.target = form.bits === 16 ? DATA + offset : target;
      const vsib = form.operands.find((kind) => kind.startsWith('mem_vsib'));
      if (vsib) result.operand = encodeGather(c, vsib, offset);
      const operand = result.operand
        ? result.operand
        : c.address16
          ? encodeMemory16(random, c.gpr, offset)
          : encodeMemory(random, c.gpr, offset, form.bits !== 64 ? 'only-32' : c.address32 ? '32' : '64');
      result.operand = operand;
      result.rexX = operand.rexX;
      result.rexB = operand.rexB;
      result.modrm = (operand.mod << 6) | (reg << 3) | operand.rm;
    } else {
      const rmKind = form.operands.find((kind) => kind.endsWith('_or_mem') || kind.endsWith('_rm')) ?? '';
      const index = pick(rmKind);
      result.modrm = 0xc0 | (reg << 3) | (index & 7);
      result.rexB = index >= 8;
      if (c.mnemonic === 'cmpxchg' && random.chance(0.5)) c.gpr[index] = c.gpr[RAX] ?? 0n;
    }
  }
  result.needsRex = byteRegister && rexAllowed;
  return result;
}

const MANDATORY = { 0: 0, 102: 1, 243: 2, 242: 3 } as const;

/** The short form wherever it fits, half of the time. */
function vexPrefix({ random, form }: CaseBuilder, e: Encoding): number[] {
  const bit = (value: 0 | 1 | 'any'): number => (value === 'any' ? random.below(2) : value);
  const w = bit(form.vexW);
  const rest = ((~e.vvvv & 15) << 3) | (bit(form.vexL) << 2) | MANDATORY[form.mandatoryPrefix];
  const isShort = form.vector && form.map === 1 && w === 0 && !e.rexX && !e.rexB && random.chance(0.5);
  if (isShort) return [0xc5, (e.rexR ? 0 : 0x80) | rest];
  return [0xc4, (e.rexR ? 0 : 0x80) | (e.rexX ? 0 : 0x40) | (e.rexB ? 0 : 0x20) | form.map, (w << 7) | rest];
}

/** Puts the bytes together. Returns undefined where the length would go past 15 bytes. */
function assemble(c: CaseBuilder, e: Encoding, prefixes: number[]): number[] | undefined {
  const { random, form } = c;
  const bytes = [...prefixes];
  if (form.vex) {
    bytes.push(...vexPrefix(c, e));
    bytes.push(...form.opcode.slice(-1));
  } else {
    const rex = (form.rexW ? 8 : 0) | (e.rexR ? 4 : 0) | (e.rexX ? 2 : 0) | (e.rexB ? 1 : 0);
    if (rex !== 0 || e.needsRex) bytes.push(0x40 | rex);
    bytes.push(...form.opcode.slice(0, -1), (form.opcode.at(-1) ?? 0) | e.opcodeRegister);
  }
  let displacementAt = -1;
  if (e.modrm !== undefined) bytes.push(e.modrm);
  if (e.operand) {
    if (e.operand.sib !== undefined) bytes.push(e.operand.sib);
    displacementAt = bytes.length;
    bytes.push(...e.operand.displacement);
  }
  if (form.operands.includes('mem_offs')) {
    const address = c.dataOffset();
    c.target = c.linear(address);
    bytes.push(...littleEndian(address - c.segmentBase, c.address16 ? 2 : c.address32 || form.bits === 16 ? 4 : 8));
  }
  const { bytes: immediate, branch } = immediates(c);
  bytes.push(...immediate);
  const length = bytes.length + branch;
  if (length > 15) return undefined;
  const rip = placeCode(c, length);
  if (branch > 0) {
    let target = random.chance(0.95) ? codeAddress(random) : rip + random.value();
    if (branch === 1) target = rip + BigInt(length + random.between(-128, 127));
    const distance = BigInt.asIntN(branch * 8, target - rip - BigInt(length));
    // Not into the instruction itself: what runs there would be another one.
    const inside = distance < 0n && distance >= BigInt(-length);
    bytes.push(...littleEndian(inside ? 5n : distance, branch));
  }
  if (e.operand?.ripRelative) {
    const target = BigInt.asIntN(32, BigInt.asIntN(32, bytesToInt(e.operand.displacement)) - rip - BigInt(length));
    bytes.splice(displacementAt, 4, ...littleEndian(target, 4));
  }
  return bytes;
}

function bytesToInt(bytes: readonly number[]): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** The place of the instruction: mostly in the middle of the code pages, sometimes across the border of the two pages. */
function placeCode(c: CaseBuilder, length: number): bigint {
  const rip =
    c.random.chance(0.1) && length > 1 ? CODE + 0x1000n - BigInt(c.random.between(1, length - 1)) : CODE + BigInt(CODE_SIZE / 4);
  c.request.rip = rip;
  return rip;
}

/** Prefixes: those that the form needs, and some that it does not. */
function choosePrefixes(c: CaseBuilder, memory: boolean): number[] {
  const { random, form } = c;
  const prefixes: number[] = [];
  if (form.operandPrefix) prefixes.push(0x66);
  if (form.addressPrefix || (c.address32 && form.bits === 64) || (form.bits === 16 && !c.address16)) prefixes.push(0x67);
  if (c.segment !== undefined) prefixes.push(c.segment);
  if (form.mandatoryPrefix !== 0 && !form.vex) prefixes.push(form.mandatoryPrefix);
  else if (STRING.test(form.mnemonic) && random.chance(0.7)) prefixes.push(random.chance(0.5) ? 0xf3 : 0xf2);
  if (form.lockable ? memory && random.chance(0.25) : random.chance(0.01) && !LOCK_MEANS_SOMETHING.test(form.name))
    prefixes.push(0xf0);
  else if (form.lockable && random.chance(0.01)) prefixes.push(0xf0);
  for (let i = prefixes.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const moved = prefixes[i] ?? 0;
    prefixes[i] = prefixes[j] ?? 0;
    prefixes[j] = moved;
  }
  return prefixes;
}

export function initialFlags(random: Random): number {
  let flags = Flag.IF | 2 | (random.next() & (Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.OF));
  if (random.chance(0.25)) flags |= Flag.DF;
  if (random.chance(0.03)) flags |= Flag.TF;
  if (random.chance(0.05)) flags |= Flag.AC;
  if (random.chance(0.05)) flags |= Flag.ID;
  if (random.chance(0.03)) flags |= Flag.NT;
  return flags;
}

/** AMD's processors take MOV CR with LOCK for an access of CR8, and ignore LOCK on VERW. */
const LOCK_MEANS_SOMETHING = /^(Mov_(r\d+_cr|cr_r\d+)|Verw_.*)$/;

/** Vector registers by their places, XMM0 too, which some instructions have without naming it. */
function vectorOperands(e: Encoding, form: InstructionForm): number[] | undefined {
  if (form.operands.some((kind) => kind.endsWith('_is4'))) return undefined;
  const modrm = e.modrm ?? 0;
  return [0, ((modrm >> 3) & 7) | (e.rexR ? 8 : 0), (modrm & 7) | (e.rexB ? 8 : 0), e.vvvv];
}

/** General registers that a memory operand uses. */
function addressingRegisters(operand: EncodedOperand, address16: boolean): number[] {
  const { rm, sib, rexB, rexX } = operand;
  // BX, BP, SI and DI.
  if (address16) return [3, 5, 6, 7];
  const base = (rexB ? 8 : 0) | (sib === undefined ? rm : sib & 7);
  return sib === undefined ? [base] : [base, (rexX ? 8 : 0) | ((sib >> 3) & 7)];
}

/** Makes a random case of a form into `bytes`, a record; one with the state of vectors for a form of those. */
export function makeCase(form: InstructionForm, random: Random, bytes: Uint8Array): Request {
  return buildCase(form, random, bytes).request;
}

/** The same, with what is known of the case besides. */
export function buildCase(form: InstructionForm, random: Random, bytes: Uint8Array): CaseBuilder {
  const request = new Request(bytes);
  for (;;) {
    request.clear();
    for (let index = 0; index < (form.bits === 64 ? 16 : 8); index++)
      request.gpr[index] = form.bits === 32 ? random.value() & 0xffff_ffffn : random.value();
    // A stack pointer that works, for the frames of faults would need one on other systems than the harness's.
    request.gpr[RSP] = DATA + BigInt(random.between(16, 0x3e0) * 8);
    request.rflags = initialFlags(random);
    // Which accesses of these are checked for alignment is up to each processor's microcode.
    if (/^(enter|retf|iret|v?p?maskmov|vp?gather)/.test(form.mnemonic)) request.rflags &= ~Flag.AC;
    // A single step goes before the fault of a gather that has lanes already.
    if (/^vp?gather/.test(form.mnemonic)) request.rflags &= ~Flag.TF;
    request.fsBase = DATA + 0x400n;
    request.gsBase = DATA + 0x800n;
    const c = new CaseBuilder(form, random, request);
    const addressed =
      form.modrm === 'any' ||
      form.modrm === 'memory' ||
      STRING.test(form.mnemonic) ||
      form.operands.includes('mem_offs') ||
      form.operands.includes('seg_rDI') ||
      form.mnemonic === 'xlatb';
    request.bits = form.bits;
    if (addressed && form.bits === 64 && (!form.vex || form.vector) && random.chance(0.1)) c.address32 = true;
    if (addressed && form.bits === 16 && (!form.vex || form.vector) && random.chance(0.2)) c.address16 = false;
    // There is no vector of indices in 16-bit addresses.
    if (form.operands.some((kind) => kind.startsWith('mem_vsib'))) c.address16 = false;
    if (addressed && random.chance(0.12)) c.segment = random.pick([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x65, 0x64]);
    if (form.vector) prepareVectors(c);
    else prepare(c);
    if (form.bits !== 64) for (let index = 0; index < 8; index++) c.gpr[index] = (c.gpr[index] ?? 0n) & 0xffff_ffffn;
    const encoding = encodeOperands(c);
    if (form.bits === 16) c.gpr[RSP] = STACK_HIGH_16 | ((c.gpr[RSP] ?? 0n) & 0xffffn);
    // A far transfer out of 64-bit code cuts RSP to 32 bits on some processors.
    if (form.bits === 64 && !form.vector && form.operands.includes('mem') && (c.gpr[RSP] ?? 0n) >> 32n !== 0n) continue;
    const code = assemble(c, encoding, choosePrefixes(c, encoding.operand !== undefined));
    if (!code) continue;
    // POP and LEAVE have what they read on the stack in place already.
    if (c.target !== undefined && form.mnemonic !== 'pop') c.patch(c.target, form.vector ? vectorContents(c) : targetContents(c));
    request.code = code;
    request.segments =
      !form.vector &&
      (/^(iret|retf|l[defgs]s|(rd|wr)[fg]sbase)/.test(form.mnemonic) ||
        form.operands.some((kind) => /^(seg_reg|[cdefgs]s|mem|farbr.*)$/.test(kind)));
    if (form.vector) c.vectorOperands = vectorOperands(encoding, form);
    if (encoding.operand) c.addressing = addressingRegisters(encoding.operand, c.address16);
    return c;
  }
}

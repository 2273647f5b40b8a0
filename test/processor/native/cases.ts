import { Flag } from '../../../src/processor/state/cpu-state.ts';
import type { Random } from '../../support/random.ts';
import type { InstructionForm } from './forms.ts';
import { codeAddress, dataAddress, type EncodedOperand, encodeMemory, littleEndian } from './memory-operand.ts';
import { CODE, CODE_SIZE, DATA, Request } from './record.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;

const STRING = /^(movs|cmps|scas|lods|stos|ins|outs)[bwdq]$/;
const FAR_TRANSFER = /^(iret|retf|call_far|jmp_far)/;

/**
 * Selectors as Linux lays out its GDT on x86-64 (arch/x86/include/asm/segment.h): user code of 32 and 64 bits, user data,
 * kernel segments, and ones that are null, beyond the limit or in an LDT that does not exist.
 */
const SELECTORS = [
  0x33,
  0x33,
  0x2b,
  0x2b,
  0x23,
  0,
  1,
  3,
  0x28,
  0x2a,
  0x20,
  0x30,
  0x10,
  0x13,
  0x18,
  0x1b,
  0x08,
  0x33 | 4,
  0x84,
  0xfff8,
  0x83,
];

/** What one case is made of while it is put together. */
class CaseBuilder {
  readonly gpr: BigUint64Array;
  /** Where the memory operand lies; undefined for a register operand. */
  target: bigint | undefined;
  readonly mnemonic: string;
  address32: boolean;
  segment: number | undefined;

  constructor(
    readonly form: InstructionForm,
    readonly random: Random,
    readonly request: Request,
  ) {
    this.gpr = request.gpr;
    this.mnemonic = form.mnemonic;
    this.address32 = form.addressSize32;
  }

  /** What lies at an address when the case starts. */
  patch(address: bigint, bytes: readonly number[]): void {
    this.request.setPatch(address, Uint8Array.from(bytes));
  }

  get segmentBase(): bigint {
    if (this.segment === 0x64) return this.request.fsBase;
    return this.segment === 0x65 ? this.request.gsBase : 0n;
  }
}

const SIZE_OF: readonly (readonly [RegExp, number])[] = [
  [/^r8|^al$/, 1],
  [/^r16|^ax$/, 2],
  [/^r32|^eax$/, 4],
  [/^r64|^rax$/, 8],
];

/** Operand size in bytes, from the first operand that tells. */
function operandBytes(form: InstructionForm): number {
  for (const kind of form.operands) {
    const size = SIZE_OF.find(([pattern]) => pattern.test(kind));
    if (size) return size[1];
  }
  if (form.operandSize16) return 2;
  return /64/.test(form.name) || form.rexW ? 8 : 4;
}

function codeSelector(random: Random): bigint {
  return BigInt(random.chance(0.7) ? random.pick([0x33, 0x33, 0x23]) : random.pick(SELECTORS));
}

function farPointer(random: Random, offsetSize: number): number[] {
  return [
    ...littleEndian(random.chance(0.9) ? codeAddress(random) : random.value(), offsetSize),
    ...littleEndian(codeSelector(random), 2),
  ];
}

/** Values that the instruction finds on its stack: return addresses, frames, flags, selectors. */
function stackContents(c: CaseBuilder): number[] {
  const { random, mnemonic, form } = c;
  const slot = form.operandSize16 ? 2 : /^(retfd|iretd)/.test(form.name.toLowerCase()) ? 4 : 8;
  const value = (v: bigint) => littleEndian(v, slot);
  if (/^ret/.test(mnemonic) && !/^retf/.test(mnemonic)) return value(codeAddress(random));
  if (/^retf/.test(mnemonic))
    return [codeAddress(random), codeSelector(random), dataAddress(random), BigInt(random.pick(SELECTORS))].flatMap(value);
  if (/^iret/.test(mnemonic)) {
    const selectors = random.chance(0.7)
      ? [random.pick([0x33, 0x33, 0x23]), 0x2b]
      : [random.pick(SELECTORS), random.pick(SELECTORS)];
    const flags = (random.next() & 0x0024_7fd7) | 2;
    return [
      codeAddress(random),
      BigInt(selectors[0] ?? 0),
      BigInt(flags),
      dataAddress(random),
      BigInt(selectors[1] ?? 0),
    ].flatMap(value);
  }
  if (/^popf/.test(mnemonic)) return value(BigInt(random.next() & (random.chance(0.8) ? 0x0020_4ed7 : 0x003f_ffff)));
  if (/^pop/.test(mnemonic) && /_[FG]S$/.test(form.name))
    return value(BigInt(random.pick(SELECTORS)) | (random.chance(0.3) ? random.value() & ~0xffffn : 0n));
  return littleEndian(random.value(), 8);
}

/** Registers and memory that make the instruction do something worth comparing. */
function prepare(c: CaseBuilder): void {
  const { random, gpr, mnemonic, form } = c;
  if (STRING.test(mnemonic)) {
    const noise = c.address32 ? BigInt(random.next()) << 32n : 0n;
    gpr[RSI] = noise | dataAddress(random);
    gpr[RDI] = noise | (random.chance(0.1) ? (gpr[RSI] ?? 0n) + BigInt(random.between(-16, 16)) : dataAddress(random));
    const count = random.below(100);
    gpr[RCX] = noise | BigInt(count < 70 ? random.below(24) : count < 97 ? random.below(300) : 0xffff_ffff);
    if (c.segmentBase !== 0n) gpr[RSI] = BigInt.asUintN(64, (gpr[RSI] ?? 0n) - c.segmentBase);
  } else if (/^(push|pop|call|ret|enter|leave|iret)/.test(mnemonic)) {
    gpr[RSP] = random.chance(0.8) ? DATA + BigInt(random.between(16, 0x3e0) * 8) : dataAddress(random);
    gpr[RBP] = random.chance(0.8) ? DATA + BigInt(random.between(64, 0x3e0) * 8) : dataAddress(random);
    if (mnemonic === 'leave') c.patch(gpr[RBP] ?? 0n, littleEndian(random.value(), 8));
    else c.patch(gpr[RSP] ?? 0n, stackContents(c));
  } else if (/^div|^idiv/.test(mnemonic)) {
    const size = operandBytes(form);
    const kind = random.below(10);
    if (size === 1) gpr[RAX] = ((gpr[RAX] ?? 0n) & ~0xff00n) | (BigInt(random.below(kind < 7 ? 40 : 256)) << 8n);
    else if (kind < 3) gpr[RDX] = 0n;
    else if (kind < 5) gpr[RDX] = ((gpr[RAX] ?? 0n) >> BigInt(size * 8 - 1)) & 1n ? 0xffff_ffff_ffff_ffffn : 0n;
    else if (kind < 8) gpr[RDX] = BigInt.asUintN(64, BigInt(random.between(-8, 16)));
  } else if (/^(loop|jrcxz|jecxz)/.test(mnemonic)) {
    gpr[RCX] =
      (c.address32 ? BigInt(random.next()) << 32n : 0n) |
      random.pick([0n, 1n, 1n, 2n, 0xffff_ffffn, random.value() & 0xffff_ffffn]);
  } else if (/^mov/.test(mnemonic) && form.operands.includes('seg_reg')) {
    for (let index = 0; index < 16; index++)
      if (random.chance(0.8)) gpr[index] = BigInt(random.pick(SELECTORS)) | (random.value() & ~0xffffn);
  } else if (/^(lar|lsl|verr|verw)$/.test(mnemonic)) {
    for (let index = 0; index < 16; index++) gpr[index] = BigInt(random.pick(SELECTORS)) | (random.value() & ~0xffffn);
  } else if (/^(jmp|call)$/.test(mnemonic) && form.modrm === 'any') {
    for (let index = 0; index < 16; index++) if (index !== RSP) gpr[index] = codeAddress(random);
  } else if (/^wr[fg]sbase/.test(mnemonic)) {
    for (let index = 0; index < 16; index++) if (random.chance(0.7)) gpr[index] = dataAddress(random);
  } else if (mnemonic === 'xlatb') {
    gpr[RBX] =
      (c.address32 ? BigInt(random.next()) << 32n : 0n) | (dataAddress(random) - ((gpr[RAX] ?? 0n) & 0xffn) - c.segmentBase);
    gpr[RBX] = BigInt.asUintN(64, gpr[RBX] ?? 0n);
  } else if (/^bt[src]?$/.test(mnemonic) && form.operands.some((kind) => /^r(16|32|64)_reg$/.test(kind))) {
    // The register is an offset in bits from the memory operand.
    for (let index = 0; index < 16; index++)
      if (random.chance(0.8)) gpr[index] = BigInt.asUintN(64, BigInt(random.between(-9000, 9000)));
  }
  if (/^sh[lr]d$|^(rol|ror|rcl|rcr|shl|shr|sal|sar)$/.test(mnemonic) && random.chance(0.6))
    gpr[RCX] = ((gpr[RCX] ?? 0n) & ~0xffn) | BigInt(random.below(70));
}

/** What lies at the memory operand. */
function targetContents(c: CaseBuilder): number[] {
  const { random, gpr, mnemonic, form } = c;
  const value = littleEndian(random.value(), 8);
  if (form.operands.includes('mem') && /^(call|jmp)$/.test(mnemonic)) return farPointer(random, farOffsetSize(form));
  if (/^l[fgs]s$/.test(mnemonic)) return farPointer(random, operandBytes(form));
  if (/^(call|jmp)$/.test(mnemonic)) return littleEndian(codeAddress(random), 8);
  if (/^(lar|lsl|verr|verw)$/.test(mnemonic) || form.operands.includes('seg_reg'))
    return [...littleEndian(BigInt(random.pick(SELECTORS)), 2), ...value];
  if (/^cmpxchg(8|16)b$/.test(mnemonic) && random.chance(0.5)) {
    const half = mnemonic === 'cmpxchg8b' ? 4 : 8;
    return [...littleEndian(gpr[RAX] ?? 0n, half), ...littleEndian(gpr[RDX] ?? 0n, half)];
  }
  if (mnemonic === 'cmpxchg' && random.chance(0.5)) return [...littleEndian(gpr[RAX] ?? 0n, 8), ...value];
  return [...value, ...littleEndian(random.value(), 8)];
}

function farOffsetSize(form: InstructionForm): number {
  return form.operandSize16 ? 2 : form.rexW ? 8 : 4;
}

/** Immediates, in the order of the operands; branch displacements come later, when the length is known. */
function immediates(c: CaseBuilder): { bytes: number[]; branch: number } {
  const { random, form, mnemonic } = c;
  const bytes: number[] = [];
  let branch = 0;
  let immediate8 = 0;
  for (const kind of form.operands) {
    if (kind === 'imm8_const_1') continue;
    if (kind.startsWith('br')) branch = kind.endsWith('_1') ? 1 : kind.endsWith('_2') ? 2 : 4;
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
  /** A REX prefix would change the meaning: AH, CH, DH or BH is an operand. */
  highByte: boolean;
  /** SPL, BPL, SIL or DIL: needs a REX prefix. */
  needsRex: boolean;
  opcodeRegister: number;
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
    highByte: false,
    needsRex: false,
    opcodeRegister: 0,
  };
  // Decided first: with a REX prefix the byte registers 4 to 7 are SPL to DIL, without one AH to BH.
  const rexAllowed = form.vex || form.rexW || random.chance(0.6);
  const limit = rexAllowed ? 16 : 8;
  let byteRegister = false;
  const pick = (kind: string): number => {
    const index = random.below(limit);
    if (kind.startsWith('r8') && index >= 4 && index < 8) byteRegister = true;
    return index;
  };
  if (form.operands.some((kind) => kind.endsWith('_vvvv'))) result.vvvv = random.below(16);
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
      const target = c.mnemonic === 'cmpxchg16b' && random.chance(0.9) ? dataAddress(random) & ~15n : dataAddress(random);
      c.target = target;
      const operand = encodeMemory(random, c.gpr, target - c.segmentBase, c.address32);
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
  const extended = result.rexR || result.rexX || result.rexB;
  if (byteRegister) {
    if (rexAllowed) result.needsRex = true;
    else result.highByte = !extended;
  }
  return result;
}

/** Puts the bytes together. Returns undefined where the length would go past 15 bytes. */
function assemble(c: CaseBuilder, e: Encoding, prefixes: number[]): number[] | undefined {
  const { random, form } = c;
  const bytes = [...prefixes];
  if (form.vex) {
    const last = form.mandatoryPrefix === 0x66 ? 1 : form.mandatoryPrefix === 0xf3 ? 2 : form.mandatoryPrefix === 0xf2 ? 3 : 0;
    bytes.push(
      0xc4,
      (e.rexR ? 0 : 0x80) | (e.rexX ? 0 : 0x40) | (e.rexB ? 0 : 0x20) | form.map,
      (form.rexW ? 0x80 : 0) | ((~e.vvvv & 15) << 3) | last,
    );
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
    c.target = dataAddress(random);
    bytes.push(...littleEndian(c.target - c.segmentBase, c.address32 ? 4 : 8));
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
  if (form.operandSize16) prefixes.push(0x66);
  if (form.addressSize32 || c.address32) prefixes.push(0x67);
  if (c.segment !== undefined) prefixes.push(c.segment);
  if (form.mandatoryPrefix !== 0 && !form.vex) prefixes.push(form.mandatoryPrefix);
  else if (STRING.test(form.mnemonic) && random.chance(0.7)) prefixes.push(random.chance(0.5) ? 0xf3 : 0xf2);
  if (form.lockable ? memory && random.chance(0.25) : random.chance(0.01)) prefixes.push(0xf0);
  else if (form.lockable && random.chance(0.01)) prefixes.push(0xf0);
  for (let i = prefixes.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const moved = prefixes[i] ?? 0;
    prefixes[i] = prefixes[j] ?? 0;
    prefixes[j] = moved;
  }
  return prefixes;
}

function initialFlags(random: Random): number {
  let flags = Flag.IF | 2 | (random.next() & (Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.OF));
  if (random.chance(0.25)) flags |= Flag.DF;
  if (random.chance(0.03)) flags |= Flag.TF;
  if (random.chance(0.05)) flags |= Flag.AC;
  if (random.chance(0.05)) flags |= Flag.ID;
  if (random.chance(0.03)) flags |= Flag.NT;
  return flags;
}

/** Makes a random case of a form into `bytes`, a record of 256 bytes. */
export function makeCase(form: InstructionForm, random: Random, bytes: Uint8Array): Request {
  const request = new Request(bytes);
  for (;;) {
    bytes.fill(0);
    for (let index = 0; index < 16; index++) request.gpr[index] = random.value();
    // A stack pointer that works, for the frames of faults would need one on other systems than the harness's.
    request.gpr[RSP] = DATA + BigInt(random.between(16, 0x3e0) * 8);
    request.rflags = initialFlags(random);
    request.fsBase = DATA + 0x400n;
    request.gsBase = DATA + 0x800n;
    const c = new CaseBuilder(form, random, request);
    const addressed =
      form.modrm === 'any' ||
      form.modrm === 'memory' ||
      STRING.test(form.mnemonic) ||
      form.operands.includes('mem_offs') ||
      form.mnemonic === 'xlatb';
    if (addressed && !form.vex && random.chance(0.1)) c.address32 = true;
    if (addressed && random.chance(0.12)) c.segment = random.pick([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x65, 0x64]);
    prepare(c);
    const encoding = encodeOperands(c);
    const code = assemble(c, encoding, choosePrefixes(c, encoding.operand !== undefined));
    if (!code) continue;
    // POP and LEAVE have what they read on the stack in place already.
    if (c.target !== undefined && form.mnemonic !== 'pop') c.patch(c.target, targetContents(c));
    request.code = code;
    request.segments =
      FAR_TRANSFER.test(form.name.toLowerCase()) ||
      /^(l[fgs]s|[rw]r?d?[fg]sbase)$/.test(form.mnemonic) ||
      form.operands.some((kind) => /^(seg_reg|fs|gs)$/.test(kind)) ||
      form.operands.includes('mem');
    return request;
  }
}

import type { Random } from '../../support/random.ts';
import type { InstructionForm } from './forms.ts';
import { codeAddress, dataAddress, littleEndian } from './memory-operand.ts';
import { CODE, DATA, LDT_CODE_16, LDT_DATA_16, type Request } from './record.ts';

export const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
export const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;

export const STRING = /^(movs|cmps|scas|lods|stos|ins|outs)[bwdq]$/;

/**
 * Selectors as Linux lays out its GDT on x86-64 (arch/x86/include/asm/segment.h): user code of 32 and 64 bits, user data,
 * kernel segments, ones that are null or beyond the limits, and those of the harness's LDT.
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
  LDT_CODE_16,
  LDT_DATA_16,
];

/** What one case is made of while it is put together. */
export class CaseBuilder {
  readonly gpr: BigUint64Array;
  /** Where the memory operand lies; undefined for a register operand. */
  target: bigint | undefined;
  readonly mnemonic: string;
  /** Effective addresses have 32 bits. */
  address32: boolean;
  /** Effective addresses have 16 bits. */
  address16: boolean;
  segment: number | undefined;
  /** General registers of the memory operand. */
  addressing: readonly number[] = [];
  /** Vector registers that it may name, or all. */
  vectorOperands: readonly number[] | undefined;
  /** Fills memory with lanes like those of the vector registers. */
  fillContents: ((bytes: Uint8Array) => void) | undefined;

  constructor(
    readonly form: InstructionForm,
    readonly random: Random,
    readonly request: Request,
  ) {
    this.gpr = request.gpr;
    this.mnemonic = form.mnemonic;
    this.address32 = form.bits === 32 || (form.bits === 64 && form.addressPrefix);
    this.address16 = form.bits === 16 && !form.addressPrefix;
  }

  /** The upper half of a register, where only the lower one is part of an address: noise in 64-bit mode. */
  noise(): bigint {
    return this.address32 && this.form.bits === 64 ? BigInt(this.random.next()) << 32n : 0n;
  }

  /** What lies at an address when the case starts. */
  patch(address: bigint, bytes: readonly number[]): void {
    this.request.setPatch(address, Uint8Array.from(bytes));
  }

  /** An address to access, as the instruction addresses it in its default segment. */
  dataOffset(): bigint {
    const address = dataAddress(this.random);
    return this.form.bits === 16 ? (address - DATA) & 0xffffn : address;
  }

  /** An address to jump to, as an offset in CS. */
  codeOffset(): bigint {
    const address = codeAddress(this.random);
    return this.form.bits === 16 ? (address - CODE) & 0xffffn : address;
  }

  /** The linear address of an offset in a data segment. */
  linear(offset: bigint): bigint {
    return this.form.bits === 16 ? DATA + (offset & 0xffffn) : offset;
  }

  get segmentBase(): bigint {
    if (this.form.bits === 16) return 0n;
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
  return form.bits === 64 && (/64/.test(form.name) || form.rexW) ? 8 : 4;
}

/**
 * A selector to transfer to. From a 16-bit stack into 64-bit code is left out: the call is never done with on some hosts.
 */
export function codeSelector({ random, form }: CaseBuilder): bigint {
  const good = form.bits === 16 ? [LDT_CODE_16] : [0x33, 0x33, 0x23];
  const selector = random.pick(random.chance(0.7) ? good : SELECTORS);
  return BigInt(form.bits === 16 && (selector & ~7) === 0x30 ? LDT_CODE_16 : selector);
}

function farPointer(c: CaseBuilder, offsetSize: number): number[] {
  return [
    ...littleEndian(c.random.chance(0.9) ? c.codeOffset() : c.random.value(), offsetSize),
    ...littleEndian(codeSelector(c), 2),
  ];
}

/** Values that the instruction finds on its stack: return addresses, frames, flags, selectors. */
function stackContents(c: CaseBuilder): number[] {
  const { random, mnemonic, form } = c;
  const slot = form.operandSize16 ? 2 : form.bits !== 64 || /^(Retfd|Iretd)/.test(form.name) ? 4 : 8;
  const value = (v: bigint) => littleEndian(v, slot);
  if (/^ret/.test(mnemonic) && !/^retf/.test(mnemonic)) return value(c.codeOffset());
  if (/^retf/.test(mnemonic))
    return [c.codeOffset(), codeSelector(c), c.dataOffset(), BigInt(random.pick(SELECTORS))].flatMap(value);
  if (/^iret/.test(mnemonic)) {
    const selectors = random.chance(0.7) ? [Number(codeSelector(c)), 0x2b] : [random.pick(SELECTORS), random.pick(SELECTORS)];
    const flags = (random.next() & 0x0024_7fd7) | 2;
    return [c.codeOffset(), BigInt(selectors[0] ?? 0), BigInt(flags), c.dataOffset(), BigInt(selectors[1] ?? 0)].flatMap(value);
  }
  if (/^popf/.test(mnemonic)) return value(BigInt(random.next() & (random.chance(0.8) ? 0x0020_4ed7 : 0x003f_ffff)));
  if (/^pop/.test(mnemonic) && /_[CDEFGS]S$/.test(form.name))
    return value(BigInt(random.pick(SELECTORS)) | (random.chance(0.3) ? random.value() & ~0xffffn : 0n));
  if (/^popa/.test(mnemonic)) return Array.from({ length: 8 }, () => littleEndian(random.value(), slot)).flat();
  return littleEndian(random.value(), 8);
}

/** Registers and memory that make the instruction do something worth comparing. */
export function prepare(c: CaseBuilder): void {
  const { random, gpr, mnemonic, form } = c;
  if (STRING.test(mnemonic)) {
    const noise = c.noise();
    gpr[RSI] = noise | c.dataOffset();
    gpr[RDI] = noise | (random.chance(0.1) ? (gpr[RSI] ?? 0n) + BigInt(random.between(-16, 16)) : c.dataOffset());
    const count = random.below(100);
    gpr[RCX] = noise | BigInt(count < 70 ? random.below(24) : count < 97 ? random.below(300) : 0xffff_ffff);
    if (c.segmentBase !== 0n) gpr[RSI] = BigInt.asUintN(64, (gpr[RSI] ?? 0n) - c.segmentBase);
  } else if (/^(push|pop|call|ret|enter|leave|iret)/.test(mnemonic)) {
    const base = form.bits === 16 ? 0n : DATA;
    // A POPA that faults leaves some registers loaded, and how many differs.
    gpr[RSP] = mnemonic.startsWith('popa') || random.chance(0.8) ? base + BigInt(random.between(16, 0x3e0) * 8) : c.dataOffset();
    gpr[RBP] = random.chance(0.8) ? base + BigInt(random.between(64, 0x3e0) * 8) : c.dataOffset();
    if (mnemonic === 'leave') c.patch(c.linear(gpr[RBP] ?? 0n), littleEndian(random.value(), 8));
    else c.patch(c.linear(gpr[RSP] ?? 0n), stackContents(c));
  } else if (/^div|^idiv/.test(mnemonic)) {
    const size = operandBytes(form);
    const kind = random.below(10);
    if (size === 1) gpr[RAX] = ((gpr[RAX] ?? 0n) & ~0xff00n) | (BigInt(random.below(kind < 7 ? 40 : 256)) << 8n);
    else if (kind < 3) gpr[RDX] = 0n;
    else if (kind < 5) gpr[RDX] = ((gpr[RAX] ?? 0n) >> BigInt(size * 8 - 1)) & 1n ? 0xffff_ffff_ffff_ffffn : 0n;
    else if (kind < 8) gpr[RDX] = BigInt.asUintN(64, BigInt(random.between(-8, 16)));
  } else if (/^(loop|jrcxz|jecxz)/.test(mnemonic)) {
    gpr[RCX] = c.noise() | random.pick([0n, 1n, 1n, 2n, 0xffff_ffffn, random.value() & 0xffff_ffffn]);
  } else if (/^mov/.test(mnemonic) && form.operands.includes('seg_reg')) {
    for (let index = 0; index < 16; index++) gpr[index] = BigInt(random.pick(SELECTORS)) | (random.value() & ~0xffffn);
  } else if (/^(lar|lsl|verr|verw)$/.test(mnemonic)) {
    for (let index = 0; index < 16; index++) gpr[index] = BigInt(random.pick(SELECTORS)) | (random.value() & ~0xffffn);
  } else if (/^(jmp|call)$/.test(mnemonic) && form.modrm === 'any') {
    for (let index = 0; index < 16; index++) if (index !== RSP) gpr[index] = c.codeOffset();
  } else if (/^wr[fg]sbase/.test(mnemonic)) {
    for (let index = 0; index < 16; index++) if (random.chance(0.7)) gpr[index] = c.dataOffset();
  } else if (mnemonic === 'xlatb') {
    gpr[RBX] = c.noise() | (c.dataOffset() - ((gpr[RAX] ?? 0n) & 0xffn) - c.segmentBase);
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
export function targetContents(c: CaseBuilder): number[] {
  const { random, gpr, mnemonic, form } = c;
  const value = littleEndian(random.value(), 8);
  if (form.operands.includes('mem') && /^(call|jmp)$/.test(mnemonic)) return farPointer(c, farOffsetSize(form));
  if (/^l[defgs]s$/.test(mnemonic)) return farPointer(c, operandBytes(form));
  if (/^(call|jmp)$/.test(mnemonic)) return littleEndian(c.codeOffset(), 8);
  if (/^(lar|lsl|verr|verw)$/.test(mnemonic) || form.operands.includes('seg_reg'))
    return [...littleEndian(BigInt(random.pick(SELECTORS)), 2), ...value];
  if (/^cmpxchg(8|16)b$/.test(mnemonic) && random.chance(0.5)) {
    const half = mnemonic === 'cmpxchg8b' ? 4 : 8;
    return [...littleEndian(gpr[RAX] ?? 0n, half), ...littleEndian(gpr[RDX] ?? 0n, half)];
  }
  if (mnemonic === 'cmpxchg' && random.chance(0.5)) return [...littleEndian(gpr[RAX] ?? 0n, 8), ...value];
  if (mnemonic === 'bound') {
    const size = operandBytes(form);
    return [...littleEndian(BigInt(random.between(-300, 100)), size), ...littleEndian(random.value(), size)];
  }
  return [...value, ...littleEndian(random.value(), 8)];
}

export function farOffsetSize(form: InstructionForm): number {
  return form.operandSize16 ? 2 : form.rexW ? 8 : 4;
}

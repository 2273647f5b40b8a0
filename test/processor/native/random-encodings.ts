import { Code, Decoder, DecoderOptions, Mnemonic } from 'iced-x86';
import { Flag } from '../../../src/processor/state/cpu-state.ts';
import { Random } from '../../support/random.ts';
import type { InstructionForm } from './forms.ts';
import { CODE, DATA, RECORD_SIZE, Request, VECTOR_RECORD_SIZE } from './record.ts';

const PREFIXES = [
  0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x66, 0x67, 0x40, 0x41, 0x42, 0x44, 0x48, 0x4f,
];

/**
 * Forms that would leave what is compared: interrupts that Linux serves, those that load or look at selectors, which would be of the host,
 * and RETF, which touches the stack that it releases on some processors.
 */
const UNFIT = new Set(['int', 'lsl', 'lar', 'verr', 'verw', 'lfs', 'lgs', 'lss', 'wrfsbase', 'wrgsbase', 'retf']);

/** AMD's processors ask for no alignment of the operand in memory. */
const OTHER_ALIGNMENT = /^sha(1|256)/;

/**
 * Prefixes that AMD's processors give a meaning of their own: LOCK with MOV CR (CR8) and VERW, REP and REPNE with LOOPE and
 * LOOPNE (they choose the condition).
 */
function hasVendorMeaning(code: Uint8Array, mnemonic: string): boolean {
  if (/^loopn?e$/.test(mnemonic)) return code.includes(0xf2) || code.includes(0xf3);
  const opcode = code.indexOf(0x0f);
  const second = code[opcode + 1] ?? 0;
  return code.includes(0xf0) && opcode >= 0 && [0x00, 0x20, 0x22].includes(second);
}

/**
 * Whether bytes may be an instruction that ignores bits of VEX which must be right in others: those with the mask registers of AVX-512,
 * and AMD's VPERMQ and VPERMPD.
 */
function ignoresVexBits(code: Uint8Array): boolean {
  const start = code.findIndex((byte) => byte === 0xc4 || byte === 0xc5);
  const isLong = code[start] === 0xc4;
  const opcode = code[start + (isLong ? 3 : 2)] ?? 0;
  const hasMasks = (opcode >= 0x41 && opcode <= 0x4b) || (opcode >= 0x90 && opcode <= 0x99) || (opcode & 0xfc) === 0x30;
  return start >= 0 && (hasMasks || (isLong && ((code[start + 1] ?? 0) & 31) === 3 && opcode <= 1));
}

/** Opcodes of vectors: with old prefixes or VEX, in all three maps. */
function vectorOpcode(random: Random): number[] {
  const rest = random.chance(0.7) ? 0x78 : random.below(128);
  if (random.chance(0.3)) return [0xc5, (random.chance(0.8) ? 0x80 : 0) | rest | random.below(8)];
  if (random.chance(0.5))
    return [0xc4, random.pick([0xe0, 0xc0, 0x60, random.below(8) << 5]) | random.between(1, 3), rest | random.below(8)];
  return random.pick([[0x0f], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]]);
}

function randomBytes(random: Random, withVectors: boolean): Uint8Array {
  const bytes: number[] = [];
  for (let i = random.chance(0.7) ? random.between(1, 4) : 0; i > 0; i--) bytes.push(random.pick(PREFIXES));
  if (random.chance(0.02)) while (bytes.length < 13) bytes.push(random.pick(PREFIXES));
  if (withVectors) {
    // Most prefixes are errors in front of VEX.
    if (random.chance(0.5)) bytes.splice(1);
    bytes.push(...vectorOpcode(random));
  } else if (random.chance(0.45)) bytes.push(0x0f);
  else if (random.chance(0.08)) bytes.push(0x0f, random.pick([0x38, 0x3a]));
  else if (random.chance(0.05)) bytes.push(0xc4, random.below(256), random.below(256));
  bytes.push(random.below(256), random.below(256));
  // Displacements stay small, so that accesses stay near the data pages.
  while (bytes.length < 20) bytes.push(random.chance(0.5) ? random.below(256) : 0, 0, 0, random.pick([0, 0, 0xff]));
  return Uint8Array.from(bytes.slice(0, 15));
}

/**
 * Makes cases out of random bytes, each run for one instruction (the trap flag is set): the decoder's tests. What iced-x86
 * reads as an instruction outside of `forms` (floating point, vectors, system calls) is left out; what it takes for invalid
 * is kept.
 */
export function randomEncodings(
  forms: readonly InstructionForm[],
  withVectors: boolean,
  count: number,
  seed: number,
  vendor: 'intel' | 'amd',
): { records: Uint8Array; requests: Request[]; mnemonics: string[] } {
  const known = new Set(forms.map((form) => form.code));
  const random = new Random(seed);
  const size = withVectors ? VECTOR_RECORD_SIZE : RECORD_SIZE;
  const records = new Uint8Array(count * size);
  const requests: Request[] = [];
  const mnemonics: string[] = [];
  while (requests.length < count) {
    const code = randomBytes(random, withVectors);
    const decoder = new Decoder(64, code, vendor === 'amd' ? DecoderOptions.AMD : DecoderOptions.None);
    const instruction = decoder.decode();
    const mnemonic = (Mnemonic[instruction.mnemonic] ?? '').toLowerCase();
    const { code: read, length } = instruction;
    instruction.free();
    decoder.free();
    if (/^(Mov_Sreg|Pop[wq]_[FG]S)/.test(Code[read] ?? '')) continue;
    if (hasVendorMeaning(code, mnemonic)) continue;
    if (read === Code.INVALID && ignoresVexBits(code)) continue;
    if (read !== Code.INVALID && (!known.has(read) || UNFIT.has(mnemonic) || OTHER_ALIGNMENT.test(mnemonic))) continue;
    const request = new Request(records.subarray(requests.length * size, (requests.length + 1) * size));
    for (let index = 0; index < 16; index++) request.gpr[index] = DATA + 0x800n + BigInt(random.below(0x100) * 8);
    if (random.chance(0.6)) request.gpr[1] = BigInt(random.below(16));
    // Not where the harness itself lies.
    const value = random.value();
    if (random.chance(0.3) && (value < 0x100n || value > 0xffff_ffffn)) request.gpr[0] = value;
    request.rflags = 0x202 | Flag.TF | (random.next() & 0xcd5);
    request.rip = CODE + 0x800n;
    request.fsBase = 0x10n;
    request.gsBase = 0x100n;
    request.segments = true;
    request.code = read === Code.INVALID ? code : code.slice(0, length);
    if (request.vectors) {
      request.vectors.bytes.set(random.bytes(request.vectors.bytes.length));
      request.vectors.initial = 0;
      request.vectors.control = 0x37f;
      request.vectors.status = 0;
      request.vectors.mxcsr = 0x1f80;
    }
    requests.push(request);
    mnemonics.push(mnemonic);
  }
  return { records, requests, mnemonics };
}

import type { FormText, InstructionDefinition } from '../../notation.ts';
import type { Semantics, Value } from '../../semantics.ts';
import { twins } from './rows.ts';

// --- CRC32 ------------------------------------------------------------------------------------------------------------------------

/** The Castagnoli polynomial, bit-reflected. */
const POLYNOMIAL = 0x82f6_3b78;

/** Takes a byte in that was combined with the lowest bits already. */
function crcStep(s: Semantics, crc: Value): Value {
  let result = crc;
  for (let bit = 0; bit < 8; bit++) {
    const shifted = s.shr(result, s.constant(1));
    const mask = s.sub(s.constant(0), s.and(result, s.constant(1)));
    result = s.keep(s.xor(shifted, s.and(mask, s.constant(POLYNOMIAL))));
  }
  return result;
}

/** Operand 0 is what is read, operand 1 the register that accumulates: so that the operand size is that of the former. */
const crc32 = (s: Semantics) => {
  const size = s.operandSize(0);
  const data = s.keep(s.read(0));
  const crc = s.variable(s.read(1));
  const left = s.variable(data);
  const bytes = s.variable(s.constant(size / 8));
  s.repeat(() => {
    crc.set(crcStep(s, s.xor(crc, s.and(left, s.constant(0xff)))));
    left.set(s.shr(left, s.constant(8)));
    bytes.set(s.sub(bytes, s.constant(1)));
    return bytes;
  });
  s.write(1, s.and(crc, s.constant(0xffff_ffff)));
};

// --- text (SSE4.2) ------------------------------------------------------------------------------------------------------------------

/** RAX and RDX, as wide as the operand size says, with signs. */
function length(s: Semantics, register: number): Value {
  const size = s.size === 64 ? 64 : 32;
  return s.signExtend(s.register(register, size), size);
}

/**
 * Compares strings of bytes or words: what the assist gives is the index in lane 0 and the flags as EFLAGS has them in lane 1, or the
 * mask that goes to XMM0 when bit 8 of its immediate is set.
 */
function textComparison(isExplicit: boolean, isMask: boolean): (s: Semantics) => void {
  return (s) => {
    const v = s.vector;
    const name = isExplicit ? 'pcmpestr' : 'pcmpistr';
    const operands = [v.read(0), v.read(1)];
    if (isExplicit) operands.push(v.insert(64, v.splat(64, length(s, 0)), 1, length(s, 2)));
    const result = v.assist(name, operands, v.immediate());
    const flags = s.keep(v.extract(64, result, 1));
    if (isMask) v.setRegister(0, v.assist(name, operands, s.or(v.immediate(), s.constant(0x100))));
    else s.setRegister(1, 64, v.extract(64, result, 0));
    s.flags.setLow(s.and(flags, s.constant(0xff)));
    s.flags.set({ overflow: s.shr(flags, s.constant(11)) });
  };
}

const texts: InstructionDefinition[] = (
  [
    ['PCMPESTRM', '60', true, true],
    ['PCMPESTRI', '61', true, false],
    ['PCMPISTRM', '62', false, true],
    ['PCMPISTRI', '63', false, false],
  ] as const
).flatMap(([mnemonic, opcode, isExplicit, isMask]) => {
  const forms = (form: string): FormText[] => [form];
  // REX.W chooses how much of the lengths counts: the accumulator stands for that.
  const operands = isExplicit ? 'Vo,Wo,Ib,Ay' : 'Vo,Wo,Ib';
  return twins(
    mnemonic,
    `Compare strings of ${isExplicit ? 'given' : 'zero-terminated'} lengths`,
    'sse4_2',
    forms(`66 0F 3A ${opcode} ${operands}`),
    forms(`VEX 66 0F 3A ${opcode} ${operands} L0`),
    textComparison(isExplicit, isMask),
    { flags: 'w:OSZAPC', alignment: 'never', interpreted: true },
  );
});

// --- cryptography --------------------------------------------------------------------------------------------------------------------

function aes(mnemonic: string, summary: string, opcode: string): InstructionDefinition[] {
  const unary = mnemonic === 'AESIMC';
  return twins(
    ...([
      mnemonic,
      summary,
      'aes',
      [`66 0F 38 ${opcode} Vo,Wo`],
      [`VEX 66 0F 38 ${opcode} Vo,${unary ? '' : 'Ho,'}Wo L0`],
    ] as const),
    (s) => s.vector.apply(unary ? 1 : 2, ([a, b]) => s.vector.assist(mnemonic.toLowerCase(), unary ? [a] : [a, b])),
    { interpreted: true },
  );
}

function sha(mnemonic: string, summary: string, encoding: string, third = false): InstructionDefinition {
  return {
    ...{ mnemonic, summary, forms: [encoding], feature: 'sha', registers: 'sse', interpreted: true },
    semantics: (s) => {
      const v = s.vector;
      const more = third ? [v.keep(v.register(0))] : [];
      const immediate = encoding.endsWith(',Ib') ? v.immediate() : undefined;
      v.apply(2, ([a, b]) => v.assist(mnemonic.toLowerCase(), [a, b, ...more], immediate));
    },
  };
}

/** Both need their own feature and AVX. */
function withFeature(feature: string, definitions: InstructionDefinition[]): InstructionDefinition[] {
  return definitions.map((definition) =>
    definition.registers === 'avx' ? { ...definition, feature, secondFeature: 'avx' } : definition,
  );
}

/** What has purposes of its own: checksums, strings, ciphers. */
export const specialInstructions: readonly InstructionDefinition[] = [
  {
    mnemonic: 'CRC32',
    summary: 'Accumulate a CRC-32C checksum',
    forms: ['F2 0F 38 F0 Eb,Gd', 'F2 0F 38 F1 Ev,Gd'],
    feature: 'sse4_2',
    semantics: crc32,
  },
  ...texts,
  ...withFeature('aes', [
    ...aes('AESENC', 'One round of AES encryption', 'DC'),
    ...aes('AESENCLAST', 'The last round of AES encryption', 'DD'),
    ...aes('AESDEC', 'One round of AES decryption', 'DE'),
    ...aes('AESDECLAST', 'The last round of AES decryption', 'DF'),
    ...aes('AESIMC', 'Inverse mix columns of an AES round key', 'DB'),
    ...twins(
      ...(['AESKEYGENASSIST', 'Help to make AES round keys', 'aes'] as const),
      ['66 0F 3A DF Vo,Wo,Ib'],
      ['VEX 66 0F 3A DF Vo,Wo,Ib L0'],
      (s) => s.vector.apply(1, ([a]) => s.vector.assist('aeskeygen', [a], s.vector.immediate())),
      { interpreted: true },
    ),
  ]),
  ...withFeature(
    'pclmulqdq',
    twins(
      ...(['PCLMULQDQ', 'Multiply without carries', 'pclmulqdq'] as const),
      ['66 0F 3A 44 Vo,Wo,Ib'],
      ['VEX 66 0F 3A 44 Vo,Ho,Wo,Ib L0'],
      (s) => s.vector.apply(2, ([a, b]) => s.vector.assist('pclmulqdq', [a, b], s.vector.immediate())),
      { interpreted: true },
    ),
  ),
  sha('SHA1NEXTE', 'SHA-1: the next E', '0F 38 C8 Vo,Wo'),
  sha('SHA1MSG1', 'SHA-1: first step of the message schedule', '0F 38 C9 Vo,Wo'),
  sha('SHA1MSG2', 'SHA-1: last step of the message schedule', '0F 38 CA Vo,Wo'),
  sha('SHA1RNDS4', 'SHA-1: four rounds', '0F 3A CC Vo,Wo,Ib'),
  sha('SHA256RNDS2', 'SHA-256: two rounds', '0F 38 CB Vo,Wo', true),
  sha('SHA256MSG1', 'SHA-256: first step of the message schedule', '0F 38 CC Vo,Wo'),
  sha('SHA256MSG2', 'SHA-256: last step of the message schedule', '0F 38 CD Vo,Wo'),
];

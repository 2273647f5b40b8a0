import type { Semantics } from './semantics.ts';

/**
 * How an encoding is written: `[VEX] [mandatory prefix] opcode [/digit | =modrm | +r] operands attributes`.
 *
 * | text | means |
 * |---|---|
 * | `00 Eb,Gb` | opcode 00, ModRM: byte register or memory, byte register |
 * | `80/0 Eb,Ib` | ModRM.reg is 0 |
 * | `0F 01 =C1` | the whole ModRM byte |
 * | `50+ Zv` | register in the opcode's low three bits |
 * | `F3 0F B8 Gv,Ev` | mandatory prefix F3 |
 * | `VEX F2 0F 38 F6 Gy,By,Ey` | encoded with a VEX prefix, in which the mandatory prefix and the map are |
 *
 * Operands: a place letter (E register or memory, M memory only, R register only, G ModRM.reg, Z opcode register, I immediate, J branch
 * displacement, O offset without ModRM, A the accumulator, C CL, D DX, 1 the constant, S segment register, B the register in VEX.vvvv, P a control or debug register, F the x87 register ST(i) in
 * ModRM.rm, which has no size) and a size letter (b byte, w word, d doubleword, q quadword, f ten bytes, v operand size, z operand size but at most 32 bits immediate, y 32 or 64, s sign-extended byte).
 * Vector operands: V the XMM or YMM register ModRM.reg, W that or memory in ModRM.rm, U the register only, H in VEX.vvvv, L in the
 * immediate's bits 7:4; K, Q and N are V, W and U with MMX registers. Their sizes are those of the memory operand: x the vector's length,
 * h, t and e a half, a quarter and an eighth of it, o 128 bits.
 * Attributes: `o64` only in 64-bit mode, `i64` not in it, `d64` operand size 64 by default there, `f64` forced to 64; `L0`, `L1`, `W0` and `W1`
 * ask for a bit of VEX (L is 0 without being asked for where no operand is a vector); `vsib`: the index of the memory operand is a
 * vector.
 */
export type FormText = string;

export type OperandPlace =
  | 'E'
  | 'M'
  | 'R'
  | 'G'
  | 'Z'
  | 'I'
  | 'J'
  | 'O'
  | 'A'
  | 'C'
  | 'D'
  | '1'
  | 'S'
  | 'P'
  | 'B'
  | 'F'
  | VectorPlace;
export type VectorPlace = 'V' | 'W' | 'U' | 'H' | 'L' | 'K' | 'Q' | 'N';
export type OperandWidth = 'b' | 'w' | 'd' | 'q' | 'v' | 'z' | 'y' | 's' | 'f' | 'x' | 'h' | 't' | 'e' | 'o';

export interface OperandForm {
  readonly place: OperandPlace;
  readonly width: OperandWidth;
}

/** What besides operand size and kinds the semantics look at; each makes handlers of its own. */
export type Variation = 'address' | 'stack' | 'rep';

export interface InstructionDefinition {
  /** Upper case. */
  readonly mnemonic: string;
  /** One line for hovers. */
  readonly summary: string;
  readonly forms: readonly FormText[];
  /** Flags written, read and left undefined, as letters of OSZAPC: `w:OSZAPC r:C u:A`. */
  readonly flags?: string;
  readonly lock?: boolean;
  readonly privileged?: boolean;
  readonly varies?: readonly Variation[];
  /** CPUID feature that must be advertised, else #UD. */
  readonly feature?: string;
  readonly secondFeature?: string;
  /** The same for its use with 64-bit operands, in 64-bit mode, and with vectors of 256 bits. */
  readonly wideFeature?: string;
  readonly longFeature?: string;
  readonly feature256?: string;
  /** The registers that it works with besides the general ones, which the system software must have enabled. */
  readonly registers?: 'mmx' | 'sse' | 'avx' | 'xsave';
  /**
   * Whether a memory operand as wide as the vector must be aligned to its size: always, never, or as usual, when not encoded
   * with VEX.
   */
  readonly alignment?: 'always' | 'never';
  /** How much code it becomes, in instructions of about the usual length: 2 with vectors, else 1, unless this says otherwise. */
  readonly weight?: number;
  /** Too much for a region of translated code: the interpreter does it. */
  readonly interpreted?: boolean;
  /** Either: what it does, in terms of the code-building interface … */
  readonly semantics?: (s: Semantics) => void;
  /** … or the TypeScript helper of the processor that does it. */
  readonly helper?: string;
  /** Met so often with memory operands that the plain ones, [base + displacement] in 64-bit code, deserve code of their own. */
  readonly frequent?: boolean;
  /** The instruction may change CS, the mode or the interrupt state: no further instruction is decoded behind it. */
  readonly endsBlock?: boolean;
}

/** A form, parsed. */
export interface Form {
  readonly definition: InstructionDefinition;
  readonly text: string;
  readonly vex: boolean;
  /** 0 none, 1 0F, 2 0F 38, 3 0F 3A. */
  readonly map: 0 | 1 | 2 | 3;
  readonly opcode: number;
  /** Mandatory prefix: 0 for none asked. */
  readonly prefix: 0 | 0x66 | 0xf2 | 0xf3;
  readonly digit?: number;
  readonly modrmByte?: number;
  readonly hasModrm: boolean;
  readonly plusRegister: boolean;
  readonly operands: readonly OperandForm[];
  /** Place letters of the operands in their order. */
  readonly places: string;
  readonly only64: boolean;
  readonly not64: boolean;
  readonly default64: boolean;
  readonly forced64: boolean;
  /** Bits that VEX must have. */
  readonly vexL?: 0 | 1;
  readonly vexW?: 0 | 1;
  /** The SIB byte's index is a vector register, and there must be one (Intel SDM vol. 2A, 2.3.12). */
  readonly vectorIndex: boolean;
  /** VEX.L makes the vectors 256 bits long. */
  readonly hasLength: boolean;
}

/** Places of vector operands, and those of them that are MMX registers. */
export const VECTOR_PLACES = 'VWUHLKQN';
export const MMX_PLACES = 'KQN';
/** Places where ModRM may have memory. */
export const MEMORY_PLACES = 'EMOWQ';
const PLACES = `EMRGZIJOACD1SPBF${VECTOR_PLACES}`;
const WIDTHS = 'bwdqvzysfxhteo';

function parseOperand(text: string, form: string): OperandForm {
  const place = text[0] as OperandPlace | undefined;
  const width = (text[1] ?? (text === '1' ? 'b' : text === 'F' ? 'f' : undefined)) as OperandWidth | undefined;
  if (!place || !width || !PLACES.includes(place) || !WIDTHS.includes(width))
    throw new Error(`Bad operand ${text} in form ${form}`);
  return { place, width };
}

/** Reads one form. Throws on a typing error in a definition: the build's tests parse all of them. */
export function parseForm(definition: InstructionDefinition, text: FormText): Form {
  const words = text.split(' ');
  let prefix: Form['prefix'] = 0;
  const bytes: number[] = [];
  let digit: number | undefined;
  let modrmByte: number | undefined;
  let plusRegister = false;
  let operands: OperandForm[] = [];
  const attributes = new Set<string>();
  const vex = words[0] === 'VEX';
  for (const word of vex ? words.slice(1) : words) {
    const opcode = /^([0-9A-F]{2})(?:\/([0-7])|(\+))?$/.exec(word);
    if (opcode?.[1]) {
      bytes.push(Number.parseInt(opcode[1], 16));
      if (opcode[2]) digit = Number(opcode[2]);
      plusRegister ||= opcode[3] !== undefined;
    } else if (/^=[0-9A-F]{2}$/.test(word)) modrmByte = Number.parseInt(word.slice(1), 16);
    else if (/^([oidf]64|[LW][01]|vsib)$/.test(word)) attributes.add(word);
    else operands = word.split(',').map((operand) => parseOperand(operand, text));
  }
  const first = bytes[0];
  if (bytes.length > 1 && (first === 0x66 || first === 0xf2 || first === 0xf3)) {
    prefix = first;
    bytes.shift();
  }
  let map: Form['map'] = 0;
  const escaped = bytes.length > 1 && bytes[0] === 0x0f;
  if (escaped) {
    bytes.shift();
    map = 1;
    const next: number | undefined = bytes[0];
    if (bytes.length > 1 && (next === 0x38 || next === 0x3a)) {
      map = next === 0x38 ? 2 : 3;
      bytes.shift();
    }
  }
  const opcode = bytes[0];
  if (opcode === undefined || bytes.length !== 1) throw new Error(`Bad opcode in form ${text} of ${definition.mnemonic}`);
  const hasModrm =
    digit !== undefined || modrmByte !== undefined || operands.some((operand) => 'EMRGSPFVWUKQN'.includes(operand.place));
  const isVector = operands.some(({ place, width }) => VECTOR_PLACES.includes(place) || 'xhteo'.includes(width));
  const bit = (letter: string): 0 | 1 | undefined =>
    attributes.has(`${letter}1`) ? 1 : attributes.has(`${letter}0`) ? 0 : undefined;
  return {
    definition,
    text,
    vex,
    map,
    opcode,
    prefix,
    digit,
    modrmByte,
    hasModrm,
    plusRegister,
    operands,
    places: operands.map(({ place }) => place).join(''),
    only64: attributes.has('o64'),
    not64: attributes.has('i64'),
    default64: attributes.has('d64') || attributes.has('f64'),
    forced64: attributes.has('f64'),
    vectorIndex: attributes.has('vsib'),
    vexL: bit('L') ?? (isVector ? undefined : 0),
    vexW: bit('W'),
    hasLength: vex && operands.some(({ width }) => 'xhte'.includes(width)),
  };
}

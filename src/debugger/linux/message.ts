import { hex } from '../../x86/address.ts';

/** What a message of the kernel is made from. */
export interface MessageSource {
  /** Text in the kernel's memory, at most so long. */
  text(address: bigint, most: number): string | undefined;
  describe(address: bigint): string | undefined;
}

const LONGEST = 1024;
const LONGEST_FORMAT = 512;
const SPECIFICATION = /%([-+ #0]*)(\d+|\*)?(?:\.(\d+|\*))?(hh|h|ll|l|z|t|j|L)?([a-zA-Z%])([A-Za-z]*)/g;
/** Bits of a number by the letters before its conversion. */
const BITS: Readonly<Record<string, number>> = { hh: 8, h: 16, l: 64, ll: 64, z: 64, t: 64, j: 64, L: 64 };
/** Forms of `%p` that show a symbol. */
const SYMBOLIC = /^[SsBFf]/;

/**
 * A message as the kernel's `vsnprintf` makes it (lib/vsprintf.c), from its format and a source of its arguments, each of 64 bits. What
 * can't be shown stays as it is written.
 */
export function kernelMessage(format: string, next: () => bigint | undefined, source: MessageSource): string {
  const text = format
    .slice(0, LONGEST_FORMAT)
    .replaceAll(
      SPECIFICATION,
      (whole, flags: string, width = '', precision = '', length = '', conversion: string, more: string) => {
        if (conversion === '%') return `%${more}`;
        const number = (given: string) => (given === '*' ? Number(BigInt.asIntN(32, next() ?? 0n)) : Number(given));
        const wide = number(width);
        const precise = precision === '' ? undefined : number(precision);
        const argument = next();
        if (argument === undefined) return whole;
        if (conversion === 'p') {
          const name = SYMBOLIC.test(more) ? source.describe(argument) : undefined;
          return name ?? hex(argument);
        }
        const shown = converted(conversion, argument, flags, BITS[length] ?? 32, precise, source);
        if (shown === undefined) return whole;
        const least = Math.min(wide, LONGEST_FORMAT);
        if (flags.includes('-')) return shown.padEnd(least) + more;
        const isNumber = conversion !== 's' && conversion !== 'c';
        return shown.padStart(least, isNumber && flags.includes('0') ? '0' : ' ') + more;
      },
    );
  return text.slice(0, LONGEST).trimEnd();
}

function converted(
  conversion: string,
  argument: bigint,
  flags: string,
  bits: number,
  precision: number | undefined,
  source: MessageSource,
): string | undefined {
  const unsigned = BigInt.asUintN(bits, argument);
  const prefix = (text: string) => (flags.includes('#') ? text : '');
  switch (conversion) {
    case 's': {
      const text = argument === 0n ? '(null)' : (source.text(argument, LONGEST_FORMAT) ?? '(efault)');
      return precision === undefined ? text : text.slice(0, precision);
    }
    case 'c':
      return String.fromCharCode(Number(argument & 0xffn));
    case 'd':
    case 'i':
      return BigInt.asIntN(bits, argument).toString();
    case 'u':
      return unsigned.toString();
    case 'x':
      return `${prefix('0x')}${unsigned.toString(16).padStart(precision ?? 1, '0')}`;
    case 'X':
      return `${prefix('0X')}${unsigned
        .toString(16)
        .toUpperCase()
        .padStart(precision ?? 1, '0')}`;
    case 'o':
      return `${prefix('0')}${unsigned.toString(8)}`;
    default:
      return undefined;
  }
}

/** Scan codes of set 1, as an AT keyboard's controller gives them (IBM PS/2 technical reference), on a US keyboard. */

const BREAK = 0x80;
const E0 = 0xe0;
const E1 = 0xe1;
const SHIFT = 0x2a;

/** A key that is pressed or released. */
export interface KeyStroke {
  /** Without its prefix and without the bit that says that it is released. */
  readonly code: number;
  readonly isBreak: boolean;
  /** 0xE0 or 0xE1. */
  readonly prefix?: number;
}

/** Takes scan codes apart. A prefix that nothing follows is left out. */
export function keyStrokes(bytes: Uint8Array): readonly KeyStroke[] {
  const strokes: KeyStroke[] = [];
  let prefix: number | undefined;
  for (const byte of bytes) {
    if (byte === E0 || byte === E1) {
      prefix = byte;
      continue;
    }
    strokes.push({ code: byte & ~BREAK, isBreak: (byte & BREAK) !== 0, ...(prefix === undefined ? {} : { prefix }) });
    prefix = undefined;
  }
  return strokes;
}

/** Rows of keys that give characters: the code of the first one, the characters, and those with Shift. */
const ROWS: readonly (readonly [number, string, string])[] = [
  [0x02, '1234567890-=', '!@#$%^&*()_+'],
  [0x10, 'qwertyuiop[]', 'QWERTYUIOP{}'],
  [0x1e, "asdfghjkl;'`", 'ASDFGHJKL:"~'],
  [0x2b, '\\zxcvbnm,./', '|ZXCVBNM<>?'],
  [0x39, ' ', ''],
  [0x1c, '\n', ''],
  [0x0f, '\t', ''],
  [0x0e, '\b', ''],
  [0x01, '\x1b', ''],
];

/** A key that gives a character. */
interface CharacterKey {
  readonly code: number;
  readonly withShift: boolean;
}

function keysOf(first: number, characters: string, withShift: boolean): readonly (readonly [string, CharacterKey])[] {
  return [...characters].map((character, index) => [character, { code: first + index, withShift }]);
}

const CHARACTERS: ReadonlyMap<string, CharacterKey> = new Map(
  ROWS.flatMap(([first, plain, shifted]) => [...keysOf(first, plain, false), ...keysOf(first, shifted, true)]),
);

/** Keys by name; those with two bytes have a prefix. */
const NAMED: Readonly<Record<string, readonly number[]>> = {
  esc: [0x01],
  backspace: [0x0e],
  tab: [0x0f],
  enter: [0x1c],
  ctrl: [0x1d],
  shift: [SHIFT],
  alt: [0x38],
  space: [0x39],
  capslock: [0x3a],
  numlock: [0x45],
  scrolllock: [0x46],
  ...Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`f${index + 1}`, [0x3b + index]])),
  f11: [0x57],
  f12: [0x58],
  rightctrl: [E0, 0x1d],
  rightalt: [E0, 0x38],
  home: [E0, 0x47],
  up: [E0, 0x48],
  pageup: [E0, 0x49],
  left: [E0, 0x4b],
  right: [E0, 0x4d],
  end: [E0, 0x4f],
  down: [E0, 0x50],
  pagedown: [E0, 0x51],
  insert: [E0, 0x52],
  delete: [E0, 0x53],
  super: [E0, 0x5b],
  menu: [E0, 0x5d],
};
/** Names of keys that give no character. */
export const KEY_NAMES: readonly string[] = Object.keys(NAMED);

/** Something that can't be typed. The message ends a sentence. */
export class KeyError extends Error {}

const released = (code: readonly number[]): number[] => code.map((byte) => (byte === E0 ? byte : byte | BREAK));

/** The scan codes of typing a text. Throws KeyError. */
export function codesOfText(text: string): Uint8Array {
  return Uint8Array.from(
    [...text.replaceAll('\r\n', '\n').replaceAll('\r', '\n')].flatMap((character) => {
      const key = CHARACTERS.get(character);
      if (key === undefined) throw new KeyError(`a US keyboard has no key for "${character}"`);
      const stroke = [key.code, key.code | BREAK];
      return key.withShift ? [SHIFT, ...stroke, SHIFT | BREAK] : stroke;
    }),
  );
}

/** The scan codes of keys that are pressed together, as in `ctrl+alt+delete`, and released the other way around. Throws KeyError. */
export function codesOfKeys(text: string): Uint8Array {
  const keys = text
    .split(/(?<=[^+])\+/)
    .map((name) => NAMED[name.toLowerCase()] ?? (name.length === 1 ? codeOfCharacter(name) : undefined) ?? unknownKey(name));
  return Uint8Array.from([...keys.flat(), ...[...keys].reverse().flatMap(released)]);
}

function codeOfCharacter(name: string): readonly number[] | undefined {
  const key = CHARACTERS.get(name.toLowerCase());
  return key && [key.code];
}

function unknownKey(name: string): never {
  throw new KeyError(`there is no key "${name}"; they are characters and ${KEY_NAMES.join(', ')}`);
}

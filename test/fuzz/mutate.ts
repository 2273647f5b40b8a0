import type { Random } from '../support/random.ts';

const BORDERS = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/** A damaged copy of a file: changed bytes and numbers, pieces cut out, doubled, moved, or the end missing. */
export function mutateBytes(random: Random, original: Uint8Array): Uint8Array {
  let bytes = Uint8Array.from(original);
  for (let edits = random.between(1, 8); edits > 0; edits--) {
    if (bytes.length < 16) return random.bytes(random.below(64));
    // Headers lie in front: half of the edits go there.
    const at = random.chance(0.5) ? random.below(Math.min(bytes.length, 256)) : random.below(bytes.length);
    const view = new DataView(bytes.buffer);
    switch (random.below(8)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
        break;
      case 1:
        bytes[at] = random.below(256);
        break;
      case 2:
        if (at + 4 <= bytes.length) view.setUint32(at, random.pick(BORDERS), true);
        break;
      case 3:
        if (at + 8 <= bytes.length) view.setBigUint64(at, random.value(), true);
        break;
      case 4:
        if (at + 2 <= bytes.length) view.setUint16(at, random.chance(0.5) ? random.below(0x1_0000) : random.below(64), true);
        break;
      case 5:
        if (random.chance(0.3)) bytes = bytes.slice(0, at);
        break;
      case 6: {
        const length = random.below(64);
        const piece = bytes.slice(at, at + length);
        bytes.set(piece.subarray(0, bytes.length), random.below(Math.max(1, bytes.length - piece.length)));
        break;
      }
      default:
        bytes.fill(random.pick([0, 0xff, 0x41]), at, at + random.below(32));
    }
  }
  return bytes;
}

const SPICE = [
  ...['(', ')', '[', ']', ',', ':', '%', '$', '$$', '%%', '"', "'", '`', '\\', ';', '\n', '\t', '-', '~', '*', '//', '<<', '>>'],
  ...['0x', '0xffffffffffffffff', '99999999999999999999', '-1', '1e400', '0b', '\0', '\u00e9', '\ud83d\ude00', '\r\n'],
];

/** A damaged copy of a text: tokens and lines removed, doubled, exchanged, taken from another text, or made up. */
export function mutateText(random: Random, original: string, other: string, words: readonly string[]): string {
  let text = original;
  for (let edits = random.between(1, 10); edits > 0; edits--) {
    const kind = random.below(9);
    if (kind < 4) {
      const lines = text.split('\n');
      const at = random.below(lines.length);
      const from = random.pick(other.split('\n'));
      if (kind === 0) lines.splice(at, 1);
      else if (kind === 1) lines.splice(at, 0, from);
      else if (kind === 2) lines[at] = `${lines[at]} ${random.pick(words)}`;
      else lines.splice(random.below(lines.length), 0, lines[at] ?? '');
      text = lines.join('\n');
      continue;
    }
    const tokens = text.match(/\w+|\s+|[^\w\s]/g) ?? [];
    if (tokens.length === 0) return random.pick(words);
    const at = random.below(tokens.length);
    if (kind === 4) tokens.splice(at, random.between(1, 4));
    else if (kind === 5) tokens[at] = random.pick(words);
    else if (kind === 6) tokens.splice(at, 0, random.pick(SPICE));
    else if (kind === 7) tokens[at] = tokens[random.below(tokens.length)] ?? '';
    else tokens[at] = (tokens[at] ?? '').slice(0, random.below(3)) + random.pick(SPICE);
    text = tokens.join('');
    // Doubling must not grow without end over many edits.
    if (text.length > 20_000) text = text.slice(0, 20_000);
  }
  return text;
}

/** A value that a JSON document may hold, mostly not the one that is asked for. */
export function randomJson(random: Random, depth = 0): unknown {
  switch (random.below(depth > 3 ? 7 : 9)) {
    case 0:
      return null;
    case 1:
      return random.chance(0.5);
    case 2:
      return random.pick([0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, -0, random.next()]);
    case 3:
      return random.pick([
        '',
        '0x0',
        '0x',
        '-1',
        'gpa:0x1000',
        '__proto__',
        'constructor',
        'toString',
        '\u0000',
        'a'.repeat(300),
        '../../x',
      ]);
    case 4:
    case 5:
      return String.fromCharCode(...Array.from({ length: random.below(12) }, () => random.between(1, 0x2ff)));
    case 6:
      return random.value().toString();
    case 7:
      return Array.from({ length: random.below(4) }, () => randomJson(random, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(4) }, () => [
          random.pick(['a', '__proto__', 'length', 'id', '0']),
          randomJson(random, depth + 1),
        ]),
      );
  }
}

/** A damaged copy of a JSON value: members removed, renamed, moved, or replaced by others. */
export function mutateJson(random: Random, value: unknown): unknown {
  if (Array.isArray(value)) {
    const copy = value.map((item) => (random.chance(0.3) ? mutateJson(random, item) : item));
    if (random.chance(0.2)) copy.splice(random.below(copy.length + 1), random.below(2), randomJson(random));
    return copy;
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    const result: [string, unknown][] = [];
    const chosen = random.below(entries.length || 1);
    for (const [index, [key, member]] of entries.entries()) {
      if (index !== chosen) {
        result.push([key, random.chance(0.1) ? mutateJson(random, member) : member]);
        continue;
      }
      const kind = random.below(6);
      if (kind === 0) continue;
      if (kind === 1) result.push([`${key}${random.pick(['', 's', 'x', ' '])}`, member]);
      else if (kind === 2) result.push([key, randomJson(random)]);
      else result.push([key, mutateJson(random, member)]);
    }
    if (random.chance(0.1)) result.push([random.pick(['extra', '__proto__', 'program', 'threadId']), randomJson(random)]);
    return Object.fromEntries(result);
  }
  if (typeof value === 'string' && random.chance(0.5)) {
    const at = random.below(value.length + 1);
    return (
      value.slice(0, at) + random.pick(['', '\u0000', '0', 'x', '-', '../', '"', '\u00fc']) + value.slice(at + random.below(3))
    );
  }
  if (typeof value === 'number' && random.chance(0.5)) return value + random.pick([-1, 1, 0.5, 2 ** 31, -(2 ** 31), 2 ** 53]);
  return randomJson(random);
}

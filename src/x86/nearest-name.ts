/**
 * The name that somebody meant who wrote another one: the one with the fewest letters that are missing, too many, wrong or swapped, if
 * these are few for its length; else the first that has the word in it, or a whole part of which is in the word. Undefined when none is
 * near. Case doesn't matter. `mostEdits` bounds the letters, and then nothing else counts.
 */
export function nearestName(word: string, names: Iterable<string>, mostEdits?: number): string | undefined {
  const plain = word.toLowerCase();
  const most = mostEdits ?? Math.max(1, Math.floor(plain.length / 3));
  const all = [...names];
  let nearest: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const name of all) {
    if (Math.abs(name.length - plain.length) > most) continue;
    const edits = editsBetween(plain, name.toLowerCase());
    if (edits > most || (edits > 0 && name.length < 3)) continue;
    // A word that ends too early is likelier than one with a wrong letter.
    const cost = name.toLowerCase().startsWith(plain) ? edits - 0.5 : edits;
    if (cost >= least) continue;
    nearest = name;
    least = cost;
  }
  if (nearest !== undefined || mostEdits !== undefined || plain.length < 3) return nearest;
  return all.find((name) => shareAPart(plain, name.toLowerCase()));
}

/** `serial` and `serial-console`, `hypercall-page` and `hypercalls`. */
function shareAPart(word: string, name: string): boolean {
  const parts = (text: string) => text.split(/[^a-z0-9]+/).filter((part) => part.length > 2);
  return parts(word).some((one) =>
    parts(name).some((other) => other.startsWith(one) || (other.length > 3 && one.startsWith(other))),
  );
}

/** Damerau and Levenshtein's distance, in the form where no letter is changed twice. */
function editsBetween(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const next = [row];
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1];
      const isSwapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      const edits = Math.min(
        (last[column] ?? 0) + 1,
        (next[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (isSame ? 0 : 1),
        isSwapped ? (beforeLast[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
      next.push(edits);
    }
    beforeLast = last;
    last = next;
  }
  return last[b.length] ?? 0;
}

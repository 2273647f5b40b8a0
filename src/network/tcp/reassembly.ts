import { after, ahead } from './sequence.ts';

/** Bytes that came before those in front of them. */
export interface EarlyBytes {
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

/** Pieces that are kept at most: an honest sender's window has fewer. */
const MOST_PIECES = 64;

/** Keeps a piece that came too early. Where two have the same bytes, either may be taken later. */
export function keepEarly(pieces: readonly EarlyBytes[], piece: EarlyBytes): readonly EarlyBytes[] {
  if (pieces.length >= MOST_PIECES) return pieces;
  const index = pieces.findIndex(({ sequence }) => ahead(sequence, piece.sequence) > 0);
  const at = index < 0 ? pieces.length : index;
  return [...pieces.slice(0, at), piece, ...pieces.slice(at)];
}

/** What follows at `sequence` now, in order, and the pieces that still wait. */
export function takeInOrder(
  pieces: readonly EarlyBytes[],
  sequence: number,
): { readonly ready: readonly Uint8Array[]; readonly left: readonly EarlyBytes[] } {
  const ready: Uint8Array[] = [];
  let next = sequence;
  for (const [index, piece] of pieces.entries()) {
    const overlap = ahead(next, piece.sequence);
    if (overlap < 0) return { ready, left: pieces.slice(index) };
    if (overlap >= piece.bytes.length) continue;
    ready.push(piece.bytes.subarray(overlap));
    next = after(piece.sequence, piece.bytes.length);
  }
  return { ready, left: [] };
}

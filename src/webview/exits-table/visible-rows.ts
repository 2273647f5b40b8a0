/** Height of a row in pixels, as in the editor's own lists. */
export const ROW_HEIGHT = 22;
/** Rows beyond the edges that are there already when they are scrolled in. */
const BEYOND = 6;

/** The rows from `first` up to, not including, `end`. */
export interface RowRange {
  readonly first: number;
  readonly end: number;
}

/** The rows that are in sight, and a few beyond: all that the page has of them. Sizes in pixels. */
export function rowsInSight(scrollTop: number, height: number, rowCount: number): RowRange {
  const first = Math.floor(scrollTop / ROW_HEIGHT) - BEYOND;
  const end = Math.ceil((scrollTop + height) / ROW_HEIGHT) + BEYOND;
  return { first: Math.min(Math.max(0, first), rowCount), end: Math.max(0, Math.min(end, rowCount)) };
}

/** Where to scroll so that a row is in sight: nowhere when it is. */
export function scrolledTo(row: number, scrollTop: number, height: number): number {
  const [top, bottom] = [row * ROW_HEIGHT, (row + 1) * ROW_HEIGHT];
  if (top < scrollTop) return top;
  return bottom > scrollTop + height ? bottom - height : scrollTop;
}

/** Whole rows that are in sight at once. */
export function rowsOfPage(height: number): number {
  return Math.max(1, Math.floor(height / ROW_HEIGHT) - 1);
}

/** Whether the edge at which the newest rows come in is in sight. */
export function isAtEdge(newestFirst: boolean, scrollTop: number, height: number, scrollHeight: number): boolean {
  return newestFirst ? scrollTop < ROW_HEIGHT / 2 : scrollTop + height > scrollHeight - ROW_HEIGHT / 2;
}

import type { LineRange, SourcePosition } from '../symbol-source.ts';
import { compareAddresses, lastAtOrBefore } from '../symbol-table.ts';
import type { LineRow, LineTable } from './line-table.ts';

/** A place where a line's code begins. */
export interface LineStart {
  readonly line: number;
  readonly address: bigint;
}

/** The line table of a unit, made searchable: by address, and by file and line. */
export class UnitLines {
  /** Ranges of one line each, ascending. */
  readonly ranges: readonly LineRange[];
  /** By path: where its lines begin, in the order of addresses. */
  readonly starts: ReadonlyMap<string, readonly LineStart[]>;
  /** Addresses that the producer says are behind a prologue, ascending. */
  private readonly prologueEnds: readonly bigint[];
  /** First addresses of rows, ascending, each once. */
  private readonly rowAddresses: readonly bigint[];

  constructor(table: LineTable, isLive: (address: bigint) => boolean) {
    const ranges: LineRange[] = [];
    const starts = new Map<string, LineStart[]>();
    const prologueEnds: bigint[] = [];
    const addresses = new Set<bigint>();
    for (const { low, high, rows } of table.sequences) {
      if (!isLive(low)) continue;
      let previous: LineRow | undefined;
      let place: { file: number; line: number } | undefined;
      for (let index = 0; index < rows.length; index++) {
        const row = rows[index];
        if (!row) break;
        if (row.line > 0) addresses.add(row.address);
        if (row.prologueEnd) prologueEnds.push(row.address);
        const path = table.files[row.file];
        if (path !== undefined && row.line > 0 && row.isStatement) {
          // Rows of one line that follow each other are one place.
          if (!place || place.file !== row.file || place.line !== row.line) {
            const list = starts.get(path);
            const start = { line: row.line, address: row.address };
            if (list) list.push(start);
            else starts.set(path, [start]);
          }
          place = { file: row.file, line: row.line };
        } else if (!previous || previous.file !== row.file || previous.line !== row.line) place = undefined;
        previous = row;
      }
      addRanges(ranges, rows, high, table.files);
    }
    this.ranges = ranges.sort((a, b) => compareAddresses(a.low, b.low));
    this.starts = starts;
    this.prologueEnds = prologueEnds.sort(compareAddresses);
    this.rowAddresses = [...addresses].sort(compareAddresses);
  }

  at(address: bigint): LineRange | undefined {
    const found = this.ranges[lastAtOrBefore(this.ranges, address, ({ low }) => low)];
    return found && address < found.high ? found : undefined;
  }

  /** First prologue end in a range of code. */
  prologueEndIn(low: bigint, high: bigint): bigint | undefined {
    const found = this.prologueEnds[lastAtOrBefore(this.prologueEnds, low - 1n, (address) => address) + 1];
    return found !== undefined && found < high ? found : undefined;
  }

  /** The first row that begins behind an address. */
  rowAfter(address: bigint): bigint | undefined {
    return this.rowAddresses[lastAtOrBefore(this.rowAddresses, address, (value) => value) + 1];
  }
}

/** Rows as ranges; neighbours of one line are joined, and what belongs to no line (0) is left out. */
function addRanges(ranges: LineRange[], rows: readonly LineRow[], end: bigint, files: readonly string[]): void {
  let open: { low: bigint; path: string; row: LineRow } | undefined;
  const close = (high: bigint) => {
    if (open && high > open.low) {
      const { row, path, low } = open;
      const position: SourcePosition = { path, line: row.line, column: row.column > 0 ? row.column : undefined };
      ranges.push({ low, high, position, isStatement: row.isStatement });
    }
    open = undefined;
  };
  for (let index = 0; index < rows.length; ) {
    // Of rows at one address the last one counts, statements before others.
    let row = rows[index];
    let next = index + 1;
    for (; next < rows.length && rows[next]?.address === row?.address; next++) {
      const other = rows[next];
      if (other && (other.isStatement || !row?.isStatement)) row = other;
    }
    index = next;
    if (!row) break;
    const path = files[row.file];
    if (row.line === 0 || path === undefined) close(row.address);
    else if (!open || open.row.line !== row.line || open.path !== path) {
      close(row.address);
      open = { low: row.address, path, row };
    }
  }
  close(end);
}

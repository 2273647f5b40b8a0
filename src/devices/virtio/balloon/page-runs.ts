/** Pages one behind the other. */
export interface PageRun {
  readonly first: number;
  readonly count: number;
}

/** Little-endian page numbers of 32 bits as runs, in their order: drivers name pages upwards or downwards, one by one. */
export function* pageRuns(bytes: Uint8Array): Iterable<PageRun> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let run: PageRun | undefined;
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const page = view.getUint32(at, true);
    if (run && page === run.first + run.count) run = { first: run.first, count: run.count + 1 };
    else if (run && page === run.first - 1) run = { first: page, count: run.count + 1 };
    else {
      if (run) yield run;
      run = { first: page, count: 1 };
    }
  }
  if (run) yield run;
}

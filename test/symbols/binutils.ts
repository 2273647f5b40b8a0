import { execFileSync } from 'node:child_process';

/** What readelf, nm and addr2line say about a program's lines. */

export interface Row {
  readonly address: bigint;
  /** Name of the file without its folder. */
  readonly file: string;
  /** 0 where the code belongs to no line. */
  readonly line: number;
  readonly isStatement: boolean;
}

/** Rows of one sequence, and the address behind its code. */
export interface Sequence {
  readonly rows: readonly Row[];
  readonly end: bigint;
}

const ROW = /^(\S.*?)\s+(\d+|-)\s+(0x[0-9a-f]+|0)(?:\[\d+\])?((?:\s+\d+)?)(\s+x)?(?:\s+END)?\s*$/;

function run(program: string, args: readonly string[], input?: string): string {
  return execFileSync(program, args, { encoding: 'utf8', input, maxBuffer: 1 << 28, stdio: ['pipe', 'pipe', 'ignore'] });
}

/** The line table of a program, decoded by readelf. */
export function lineSequences(program: string): Sequence[] {
  const found: Sequence[] = [];
  let rows: Row[] = [];
  for (const text of run('readelf', ['--debug-dump=decodedline', '-W', program]).split('\n')) {
    const [, name, line, address, , statement] = ROW.exec(text) ?? [];
    if (name === undefined || address === undefined || name.startsWith('File name')) continue;
    if (line === '-') {
      if (rows.length > 0) found.push({ rows, end: BigInt(address) });
      rows = [];
    } else
      rows.push({
        address: BigInt(address),
        file: name.split('/').at(-1) ?? name,
        line: Number(line),
        isStatement: statement !== undefined,
      });
  }
  return found;
}

/** The row that an address belongs to: of several at one address the last that begins a statement, else the last. */
export function rowAt({ rows, end }: Sequence, address: bigint): Row | undefined {
  if (address >= end) return undefined;
  let found: Row | undefined;
  for (const row of rows) {
    if (row.address > address) break;
    if (!found || row.address !== found.address || row.isStatement || !found.isStatement) found = row;
  }
  return found;
}

/** One level of an address: the function and the line in it, innermost first. */
export interface Level {
  readonly name: string;
  readonly line: number;
}

/** What addr2line says about addresses, inlined calls included. */
export function levelsAt(program: string, addresses: readonly bigint[]): Map<bigint, Level[]> {
  const input = addresses.map((address) => `0x${address.toString(16)}\n`).join('');
  const found = new Map<bigint, Level[]>();
  let levels: Level[] = [];
  let name: string | undefined;
  for (const text of run('addr2line', ['-a', '-f', '-i', '-e', program], input).split('\n')) {
    if (/^0x[0-9a-f]+$/.test(text)) {
      levels = [];
      name = undefined;
      found.set(BigInt(text), levels);
    } else if (name === undefined) name = text;
    else {
      levels.push({ name, line: Number(/:(\d+)/.exec(text)?.[1] ?? 0) });
      name = undefined;
    }
  }
  return found;
}

/** The code of each function, by the sizes in the symbol table. */
export function functionRanges(program: string): { readonly low: bigint; readonly high: bigint }[] {
  return [...run('nm', ['-S', program]).matchAll(/^([0-9a-f]+) ([0-9a-f]+) [tT] /gm)].map(([, address, size]) => {
    const low = BigInt(`0x${address}`);
    return { low, high: low + BigInt(`0x${size}`) };
  });
}

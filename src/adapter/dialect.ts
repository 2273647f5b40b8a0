import type { Parameters } from './requests/handler.ts';

/**
 * How a client counts lines and columns and writes paths (`linesStartAt1`, `columnsStartAt1` and `pathFormat` of
 * `initialize`). Inside, lines and columns count from 1 and paths are those of the file system.
 */
export class Dialect {
  private constructor(
    private readonly firstLine: number,
    private readonly firstColumn: number,
    private readonly writesUris: boolean,
  ) {}

  static of(parameters: Parameters): Dialect {
    const { linesStartAt1, columnsStartAt1, pathFormat } = parameters;
    return new Dialect(linesStartAt1 === false ? 0 : 1, columnsStartAt1 === false ? 0 : 1, pathFormat === 'uri');
  }

  readLine(line: number): number {
    return line + 1 - this.firstLine;
  }
  writeLine(line: number): number {
    return line - 1 + this.firstLine;
  }
  readColumn(column: number): number {
    return column + 1 - this.firstColumn;
  }
  writeColumn(column: number): number {
    return column - 1 + this.firstColumn;
  }

  readPath(text: string): string {
    if (!this.writesUris || !/^file:\/\//i.test(text)) return text;
    const path = decode(text.replace(/^file:\/\/[^/]*/i, ''));
    return /^\/[a-z]:/i.test(path) ? path.slice(1) : path;
  }
  writePath(path: string): string {
    if (!this.writesUris) return path;
    const steps = path.replaceAll('\\', '/').split('/');
    const [first = ''] = steps;
    // A drive letter keeps its colon.
    const written = steps.map((step, index) => (index === 0 && /^[a-z]:$/i.test(step) ? step : encodeURIComponent(step)));
    return `file://${first === '' ? '' : '/'}${written.join('/')}`;
  }
}

/** A text that isn't well encoded is taken as it is. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

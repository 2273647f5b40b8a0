/** Something wrong in a source, at a place that counts from 1. */
export interface Diagnostic {
  readonly path: string;
  readonly line: number;
  readonly column: number;
  /** Characters that it covers. */
  readonly length: number;
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** How to mend it. */
  readonly hint?: string;
}

/** Where a statement comes from. */
export interface SourcePlace {
  readonly path: string;
  readonly line: number;
}

/** An error in one statement; becomes a Diagnostic at the statement's place. */
export class AssemblyError extends Error {
  constructor(
    message: string,
    readonly hint?: string,
    /** From 1; undefined: the statement's start. */
    readonly column?: number,
    readonly length = 1,
  ) {
    super(message);
  }
}

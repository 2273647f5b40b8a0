/** What the table of VM exits and the extension tell each other. */

/** The exits that the user wants to see, and how. */
export interface TableChoice {
  /** Name of the field to group by; empty for one row an exit. */
  readonly by: string;
  /** A filter as the journal's files and the console have it; empty for all. */
  readonly filter: string;
  readonly recordSort: Sort;
  readonly groupSort: Sort;
  /** Columns whose width the user has changed, in pixels. */
  readonly widths: Readonly<Record<string, number>>;
}

export interface Sort {
  /** Id of a column. */
  readonly column: string;
  readonly descending: boolean;
}

/** A field that exits are grouped and filtered by. */
export interface Field {
  readonly name: string;
  readonly description: string;
  /** False for fields that a filter alone knows. */
  readonly groups: boolean;
  /** What it can be, where that is one of some words. */
  readonly words?: readonly string[];
}

/** One exit. */
export interface RecordRow {
  /** Its place among the exits of all partitions: the row is known by it. */
  readonly order: number;
  /** Number of the exit in its partition. */
  readonly seq: number;
  readonly partition: string;
  /** Of its partition. */
  readonly vcpu: string;
  readonly reason: string;
  /** VMX reason and SVM code. */
  readonly numbers: string;
  readonly request: string;
  readonly result?: string;
  /** What the port, MSR or leaf is. */
  readonly meaning?: string;
  readonly rip: string;
  readonly symbol?: string;
  /** `guest.asm:12`. */
  readonly line?: string;
  readonly handler?: string;
  readonly to?: string;
  /** Guest instructions since the exit before. */
  readonly instructions?: number;
  /** All that is known of it, for copies. */
  readonly details: string;
}

/** The exits with one value of a field. */
export interface GroupRow {
  readonly value: string;
  readonly label?: string;
  readonly count: number;
  /** From 0 to 1. */
  readonly share: number;
  readonly meanInstructions?: number;
  /** The request of the first one. */
  readonly example: string;
  /** Its newest exits, newest first, where it is unfolded. */
  readonly records: readonly RecordRow[];
  /** All that is known of it, for copies. */
  readonly details: string;
}

/** How a row is called. */
export type RowReference = { readonly exit: number } | { readonly group: string };

export type HostMessage =
  | { readonly kind: 'choice'; readonly choice: TableChoice; readonly fields: readonly Field[] }
  | {
      readonly kind: 'records';
      readonly moving: boolean;
      /** Launch of the session that they are of. */
      readonly run: number;
      /** Exits so far. */
      readonly total: number;
      /** The rows so far are no longer shown. */
      readonly reset: boolean;
      /** New ones, newest first. */
      readonly rows: readonly RecordRow[];
      /** Older ones that could be shown were left out. */
      readonly hasMore: boolean;
      readonly severalPartitions: boolean;
    }
  | {
      readonly kind: 'groups';
      readonly moving: boolean;
      readonly total: number;
      /** Exits that pass the filter. */
      readonly counted: number;
      readonly groupCount: number;
      readonly groups: readonly GroupRow[];
      readonly severalPartitions: boolean;
    }
  /** How many exits there are, for a table that doesn't follow them. */
  | { readonly kind: 'total'; readonly moving: boolean; readonly total: number }
  /** What is wrong with the filter that is being typed, or with the session; undefined for nothing. */
  | { readonly kind: 'filterProblem'; readonly text: string | undefined }
  | { readonly kind: 'problem'; readonly text: string }
  | { readonly kind: 'focusFilter' };

/** Things to do with a row. */
export const ACTIONS = ['goToInstruction', 'goToHandler', 'breakOnLikeThis', 'showOnlyThese'] as const;
export type Action = (typeof ACTIONS)[number];

export type PageMessage =
  /** The page begins and shows nothing yet. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'choose'; readonly choice: Partial<Omit<TableChoice, 'filter'>> }
  | { readonly kind: 'filter'; readonly text: string }
  | { readonly kind: 'follow'; readonly follow: boolean }
  /** Values of the groups that are unfolded. */
  | { readonly kind: 'unfold'; readonly values: readonly string[] }
  /** The rows have the keyboard, or have it no more. */
  | { readonly kind: 'focus'; readonly focused: boolean }
  | { readonly kind: 'select'; readonly row: RowReference | undefined }
  | { readonly kind: 'act'; readonly action: Action; readonly row: RowReference };

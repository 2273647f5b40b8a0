/** A request about a partition that can't be met: a status of abi/status.ts, and the reason for people. */
export interface Refused {
  readonly status: number;
  readonly why: string;
}

export function refused(status: number, why: string): Refused {
  return { status, why };
}

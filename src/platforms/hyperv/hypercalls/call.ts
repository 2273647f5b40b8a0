import type { Processor } from '../../../processor/processor.ts';

/** A hypercall as the module that performs it sees it: the calling convention has read and checked its control word and its input. */
export interface HypercallCall {
  readonly processor: Processor;
  /** Call code. */
  readonly code: number;
  readonly isFast: boolean;
  /** The input parameters without the list of a rep call: the fixed part, then the variable one. */
  readonly header: DataView;
  /** Bytes of the variable part, which the header ends with. */
  readonly variableSize: number;
  /** Elements of a rep call, and how many were done by earlier rounds; 0 for a simple call. */
  readonly repCount: number;
  readonly repStart: number;
  /** An input element of a rep call. */
  element(index: number): DataView;
  /** The output parameters of a simple call, which are written to the guest when the call succeeds. */
  readonly output: DataView;
  /** An output element of a rep call. */
  outputElement(index: number): DataView;
}

import type { Processor } from '../../../processor/processor.ts';
import type { HypercallRow } from '../abi/hypercalls.ts';
import { type Field, fieldValue, type Layout, setField } from '../abi/layout.ts';
import type { ControlWord } from './control-word.ts';

/**
 * A hypercall as the module that performs it sees it: the calling convention has read and checked its control word and its input, all of
 * it once. What the module leaves in the output is written to the guest when the call succeeds.
 */
export class HypercallCall {
  readonly code: number;
  readonly isFast: boolean;
  /** Elements of a rep call, and how many were done by earlier rounds; 0 for a simple call. */
  readonly repCount: number;
  readonly repStart: number;
  /** Where this round ends: the rest is done when the vCPU makes the call again. A module may stop before. */
  readonly repEnd: number;
  /** Elements that are done. The module of a rep call counts them, one by one, as it does them. */
  repsCompleted: number;
  /** Bytes of the variable part, which the header ends with. */
  readonly variableSize: number;
  /** The input parameters without the list of a rep call: the fixed part, then the variable one. */
  readonly header: DataView;
  /** The output parameters of a simple call. */
  readonly output: DataView;
  /** Why it failed, for people. */
  problem: string | undefined;
  /** Who of the parent partition has served it, for the journal; undefined where it was the hypervisor. */
  server: string | undefined;
  private readonly outputs: DataView;

  /** `input` has the header and the whole list. `repEnd`: at most so many elements are done in this round. */
  constructor(
    readonly processor: Processor,
    readonly row: HypercallRow,
    word: ControlWord,
    private readonly input: DataView,
    roundLimit: number,
  ) {
    this.code = row.code;
    this.isFast = word.isFast;
    this.repCount = word.repCount;
    this.repStart = word.repStart;
    this.repEnd = Math.min(word.repCount, word.repStart + roundLimit);
    this.repsCompleted = word.repStart;
    this.variableSize = word.variableSize;
    this.header = new DataView(input.buffer, input.byteOffset, row.input.size + word.variableSize);
    this.output = new DataView(new ArrayBuffer(row.output.size));
    this.outputs = new DataView(new ArrayBuffer(row.outputElement.size * word.repCount));
  }

  /** A field of the input's fixed part: at most 8 bytes, unsigned. */
  value(name: string): bigint {
    return fieldValue(this.header, field(this.row.input, name));
  }

  /** The same of at most 4 bytes. */
  number(name: string): number {
    return Number(this.value(name) & 0xffff_ffffn);
  }

  /** A field of any size as a view of its bytes. */
  block(name: string): DataView {
    return blockOf(this.header, field(this.row.input, name));
  }

  /** The variable part of the input. */
  get variable(): DataView {
    return new DataView(this.header.buffer, this.header.byteOffset + this.row.input.size, this.variableSize);
  }

  /** An input element of a rep call. */
  element(index: number): DataView {
    const { size } = this.row.element;
    return new DataView(this.input.buffer, this.input.byteOffset + this.header.byteLength + index * size, size);
  }

  /** A field of an input element. */
  elementValue(index: number, name: string): bigint {
    return fieldValue(this.element(index), field(this.row.element, name));
  }

  /** An output element of a rep call. */
  outputElement(index: number): DataView {
    const { size } = this.row.outputElement;
    return new DataView(this.outputs.buffer, index * size, size);
  }

  /** Output elements from one to before another. */
  outputList(from: number, to: number): DataView {
    const { size } = this.row.outputElement;
    return new DataView(this.outputs.buffer, from * size, Math.max(to - from, 0) * size);
  }

  /** Bytes of all input: header and list. */
  get inputSize(): number {
    return this.header.byteLength + this.row.element.size * this.repCount;
  }

  /** Sets a field of the output of a simple call. */
  give(name: string, value: bigint | number): void {
    setField(this.output, field(this.row.output, name), BigInt(value));
  }

  /** Sets a field of an output element. */
  giveElement(index: number, name: string, value: bigint | number): void {
    setField(this.outputElement(index), field(this.row.outputElement, name), BigInt(value));
  }

  /** Fails with a status, and says why in the journal. */
  fail(status: number, problem: string): number {
    this.problem = problem;
    return status;
  }
}

function blockOf(view: DataView, { offset, size }: Field): DataView {
  return new DataView(view.buffer, view.byteOffset + offset, size);
}

function field(layout: Layout, name: string): Field {
  const found = layout.byName.get(name);
  if (found === undefined) throw new Error(`no hypercall of this kind has a field ${name}: a module is written wrongly.`);
  return found;
}

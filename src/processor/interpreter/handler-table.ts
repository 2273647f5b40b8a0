import { instructionDefinitions } from '../../x86/definitions/index.ts';
import type { OperandSize } from '../../x86/instruction.ts';
import { type Form, MEMORY_PLACES, MMX_PLACES, type OperandForm, parseForm, VECTOR_PLACES } from '../../x86/notation.ts';
import { operandSize } from '../generator/instruction-builder.ts';
import type { HandlerShape } from './builder.ts';
import { isFrequent } from './frequent.ts';
import { Handler } from './operation.ts';

/** All encodings, in the order of their definitions. */
export const forms: readonly Form[] = instructionDefinitions.flatMap((definition) =>
  definition.forms.map((text) => parseForm(definition, text)),
);

/** What the decoder knows of an instruction when it asks for the handler. */
export type HandlerRequest = Omit<HandlerShape, 'operands' | 'knowsStack' | 'isVex' | 'alignment'>;

export interface HandlerEntry {
  readonly id: number;
  readonly form: Form;
  readonly shape: HandlerShape;
}

/** The size that a form's operands have: fixed by its first register or memory operand, or the operand-size attribute. */
export function formSize(form: Form, operandSize: OperandSize): OperandSize {
  const deciding =
    form.operands.find(({ place, width }) => !'IJDC1'.includes(place) && !isVector(place, width)) ??
    form.operands.find((operand) => operand.place === 'J');
  switch (deciding?.width) {
    case 'b':
      return 8;
    case 'w':
      return 16;
    case 'd':
      return 32;
    case 'q':
      return 64;
    case 'y':
      return operandSize === 64 ? 64 : 32;
    case undefined:
      // Nothing depends on the operand size of instructions that only have vectors.
      return form.operands.some(({ place, width }) => isVector(place, width)) ? 64 : operandSize;
    default:
      return operandSize;
  }
}

function isVector(place: string, width: string): boolean {
  return VECTOR_PLACES.includes(place) || 'xhteo'.includes(width);
}

/** Widths that don't depend on the operand size any more. */
const FIXED_WIDTH = { 8: 'b', 16: 'w', 32: 'd', 64: 'q' } as const;

/**
 * A form's operands as handlers see them: the accumulator is one more register of an operation where that has a place for it, the
 * constant 1 is an immediate, and how wide an immediate was encoded is forgotten.
 */
function plainOperands(form: Form, size: OperandSize): readonly OperandForm[] {
  const takesA = [...form.places].some((place) => 'ERZ'.includes(place));
  return form.operands.map(({ place, width }): OperandForm => {
    if (place === 'I' || place === '1') return { place: 'I', width: 'v' };
    if (place === 'J') return { place, width: 'z' };
    if (width === 's' || place === 'S' || place === 'P' || isVector(place, width)) return { place, width };
    const plain = place === 'Z' || place === 'R' || (place === 'A' && !takesA) ? 'Z' : place;
    return { place: plain, width: FIXED_WIDTH[operandSize(width, size)] };
  });
}

/** A key that is equal exactly for requests that one handler can serve. */
function keyOf(definition: number, form: Form, request: HandlerRequest): string {
  const { varies } = form.definition;
  const kinds = plainOperands(form, request.size).map(({ place, width }) => {
    if (request.memory && MEMORY_PLACES.includes(place)) return `m${width}`;
    return (place === 'E' ? 'Z' : place) + width;
  });
  const parts: (string | number)[] = [definition, kinds.join(), request.size];
  if (varies?.includes('address')) parts.push('a', request.addressSize);
  if (varies?.includes('stack')) parts.push('s', request.stackWidth);
  if (varies?.includes('rep')) parts.push('r', request.rep);
  if (request.plain && request.memory && form.definition.frequent) parts.push('p');
  if (form.definition.registers) parts.push(form.vex ? 'v' : 'l', request.vectorLength);
  return parts.join(':');
}

/** Requests have this many different indices. */
const REQUESTS = 4096;
const UNKNOWN = -1;
const NONE = -2;
const SIZE_INDEX = { 8: 0, 16: 1, 32: 2, 64: 3 } as const;
const REP_INDEX = { none: 0, rep: 1, repne: 2 } as const;
const LENGTH_INDEX = { 64: 0, 128: 1, 256: 2 } as const;

function requestIndex({ size, memory, addressSize, stackWidth, rep, plain, vectorLength }: HandlerRequest): number {
  const widths = SIZE_INDEX[size] | (SIZE_INDEX[addressSize] << 2) | (SIZE_INDEX[stackWidth] << 4);
  return widths | (REP_INDEX[rep] << 6) | (memory ? 0x100 : 0) | (plain ? 0x200 : 0) | (LENGTH_INDEX[vectorLength] << 10);
}

/**
 * The handlers of the interpreter: each definition in each operand size and kind that can be encoded. Built once; the
 * decoder asks it for handler numbers.
 */
export class HandlerTable {
  entries: HandlerEntry[] = [];
  private readonly ids = new Map<string, number>();
  /** Answers of {@link find}, by form and request. */
  private readonly found = new Map<Form, Int16Array>();
  private readonly definitionIndex = new Map(instructionDefinitions.map((definition, index) => [definition, index]));

  /** How many handlers, from the first, are in the interpreter's main function. */
  readonly frequent: number;
  /** How many, from the last, are functions of their own: those of vector instructions. */
  readonly vectors: number;

  constructor() {
    for (const form of forms) if (form.definition.semantics) this.enumerate(form);
    const groups: Record<'main' | 'complete' | 'vectors', HandlerEntry[]> = { main: [], complete: [], vectors: [] };
    for (const entry of this.entries) {
      const { mnemonic, registers } = entry.form.definition;
      groups[registers ? 'vectors' : isFrequent(mnemonic, entry.shape) ? 'main' : 'complete'].push(entry);
    }
    this.frequent = groups.main.length;
    this.vectors = groups.vectors.length;
    const sorted = [...groups.main, ...groups.complete, ...groups.vectors];
    const numbers = new Map(sorted.map((entry, index) => [entry.id, Handler.FIRST_INSTRUCTION + index]));
    for (const [key, id] of this.ids) this.ids.set(key, numbers.get(id) ?? id);
    this.entries = sorted.map((entry, index) => ({ ...entry, id: Handler.FIRST_INSTRUCTION + index }));
  }

  /** Number of the handler for a form; undefined when the form has no handler in that shape. */
  find(form: Form, request: HandlerRequest): number | undefined {
    let numbers = this.found.get(form);
    if (!numbers) {
      numbers = new Int16Array(REQUESTS).fill(UNKNOWN);
      this.found.set(form, numbers);
    }
    const index = requestIndex(request);
    let id = numbers[index] ?? UNKNOWN;
    if (id === UNKNOWN) {
      id = this.ids.get(keyOf(this.definitionIndex.get(form.definition) ?? -1, form, request)) ?? NONE;
      numbers[index] = id;
    }
    return id === NONE ? undefined : id;
  }

  private enumerate(form: Form): void {
    const index = this.definitionIndex.get(form.definition) ?? -1;
    const varies = form.definition.varies ?? [];
    const places = form.operands.map((operand) => operand.place);
    const kinds = places.some((place) => 'EWQ'.includes(place)) ? [false, true] : [places.includes('M') || places.includes('O')];
    const lengths = this.lengths(form);
    for (const long of [false, true]) {
      if ((long && form.not64) || (!long && form.only64)) continue;
      const sizes = new Set(([16, 32, 64] as const).filter((size) => size !== 64 || long).map((size) => formSize(form, size)));
      const addressSizes = varies.includes('address') ? (long ? ([32, 64] as const) : ([16, 32] as const)) : ([64] as const);
      const stackWidths = varies.includes('stack') ? (long ? ([64] as const) : ([16, 32] as const)) : ([64] as const);
      const reps = varies.includes('rep') ? (['none', 'rep', 'repne'] as const) : (['none'] as const);
      for (const size of sizes)
        for (const memory of kinds)
          for (const addressSize of addressSizes)
            for (const stackWidth of stackWidths)
              for (const rep of reps)
                for (const plain of memory && long && form.definition.frequent ? [false, true] : [false])
                  for (const vectorLength of lengths)
                    this.add(index, form, { size, memory, addressSize, stackWidth, rep, plain, vectorLength });
    }
  }

  private lengths(form: Form): readonly (64 | 128 | 256)[] {
    if (form.operands.some(({ place }) => MMX_PLACES.includes(place))) return [64];
    if (!form.hasLength) return [128];
    return form.vexL === 1 ? [256] : form.vexL === 0 ? [128] : [128, 256];
  }

  private add(index: number, form: Form, request: HandlerRequest): void {
    const key = keyOf(index, form, request);
    if (this.ids.has(key)) return;
    const id = Handler.FIRST_INSTRUCTION + this.entries.length;
    this.ids.set(key, id);
    const knowsStack = form.definition.varies?.includes('stack') === true;
    const operands = plainOperands(form, request.size);
    const alignment = form.definition.alignment ?? 'natural';
    this.entries.push({ id, form, shape: { ...request, knowsStack, operands, isVex: form.vex, alignment } });
  }
}

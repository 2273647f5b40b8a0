import { Random } from '../../support/random.ts';
import { buildCase } from './cases.ts';
import type { InstructionForm } from './forms.ts';
import { runNative } from './native-machine.ts';
import type { CaseBuilder } from './operand-values.ts';
import { RECORD_SIZE, type Reply, type Request, VECTOR_RECORD_SIZE } from './record.ts';
import { hasVariants, makeVariant } from './variants.ts';

/** Cases of the same code, with other data, where there are many of a form. */
const VARIANTS = 8;
const MANY = 100;

/** Cases that the real processor runs at a time: a process for each form would take longer than the cases. */
const BATCH = 4096;

/** The cases of one form, and what the real processor made of them. */
export interface FormCases {
  readonly requests: readonly Request[];
  readonly replies: readonly Reply[];
}

/**
 * Random cases of forms, `count` of each. They are made and run when they are asked for, many forms together: forms are best asked for in
 * their order. The same seed makes the same cases.
 */
export class CaseSource {
  private readonly ready = new Map<InstructionForm, FormCases>();

  /** All forms have records of one size. */
  constructor(
    private readonly forms: readonly InstructionForm[],
    private readonly count: number,
    private readonly seed: number,
    private readonly background: Uint8Array,
  ) {}

  /** The cases of a form, once. */
  take(form: InstructionForm): FormCases {
    if (!this.ready.has(form)) this.runFrom(this.forms.indexOf(form));
    const cases = this.ready.get(form);
    if (!cases) throw new Error(`${form.name} is not among the forms`);
    this.ready.delete(form);
    return cases;
  }

  private runFrom(first: number): void {
    const { count, seed } = this;
    const forms = this.forms.slice(first, first + Math.max(1, Math.floor(BATCH / count)));
    const size = forms[0]?.vector ? VECTOR_RECORD_SIZE : RECORD_SIZE;
    const records = new Uint8Array(forms.length * count * size);
    const requests = forms.map((form, place) => {
      const random = new Random(seed ^ Math.imul(form.code, 0x9e37_79b1));
      const variants = count >= MANY ? VARIANTS : 1;
      let base: CaseBuilder | undefined;
      return Array.from({ length: count }, (_, index) => {
        const at = (place * count + index) * size;
        const bytes = records.subarray(at, at + size);
        if (base && index % variants !== 0 && hasVariants(base)) return makeVariant(base, bytes);
        base = buildCase(form, random, bytes);
        return base.request;
      });
    });
    const replies = runNative(records, this.background, size);
    for (const [place, form] of forms.entries())
      this.ready.set(form, { requests: requests[place] ?? [], replies: replies.slice(place * count, (place + 1) * count) });
  }
}

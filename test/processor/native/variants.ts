import { ARITHMETIC_FLAGS, Flag } from '../../../src/processor/state/cpu-state.ts';
import { CaseBuilder, prepare, RSP, STRING, targetContents } from './operand-values.ts';
import { Request } from './record.ts';
import { prepareVectors, vectorContents } from './vector-values.ts';

/** Instructions in which registers or memory have to fit what the case is about, or that lead elsewhere. */
const FIXED =
  /^(push|pop(?!cnt)|call|ret|enter|leave|iret|loop|j|int|xlatb|cmpxchg|bt[src]?$|lar|lsl|ver[rw]|l[defgs]s|wr[fg]sbase|rd[fg]sbase|bound|mov_?s?eg|v?maskmov|vp?maskmov|vp?gather)/;

/** Whether other data make other cases of the same instruction. */
export function hasVariants({ form, request }: CaseBuilder): boolean {
  if (request.segments || FIXED.test(form.mnemonic) || STRING.test(form.mnemonic)) return false;
  return !form.operands.some((kind) => kind === 'seg_reg' || kind.startsWith('mem_vsib'));
}

/**
 * Makes another case of an instruction into `bytes`: the same code at the same place, the same addresses, other data and arithmetic flags.
 * That is much less work for both processors than another instruction.
 */
export function makeVariant(base: CaseBuilder, bytes: Uint8Array): Request {
  bytes.set(base.request.bytes);
  const request = new Request(bytes);
  const { form, random } = base;
  const c = new CaseBuilder(form, random, request);
  c.address16 = base.address16;
  c.address32 = base.address32;
  c.segment = base.segment;
  c.target = base.target;
  const kept = [RSP, ...base.addressing];
  const count = form.bits === 64 ? 16 : 8;
  for (let index = 0; index < count; index++) request.gpr[index] = random.value();
  request.rflags = (request.rflags & ~ARITHMETIC_FLAGS) | (random.next() & ARITHMETIC_FLAGS) | Flag.IF;
  if (form.vector) prepareVectors(c, base.vectorOperands);
  else prepare(c);
  if (form.bits !== 64) for (let index = 0; index < 8; index++) request.gpr[index] = (request.gpr[index] ?? 0n) & 0xffff_ffffn;
  for (const index of kept) request.gpr[index] = base.request.register(index);
  if (c.target !== undefined) c.patch(c.target, form.vector ? vectorContents(c) : targetContents(c));
  return request;
}

import type { HypercallCall } from './call.ts';

/** The virtual trust level that registers are named for: none but the one there is. */
const VTL_BITS = 0x1f;

const USE_VTL = 0x10;

/** What is wrong with the trust level that a call names: there is none but 0. */
export function problemOfVtl(call: HypercallCall): string | undefined {
  const vtl = call.number('inputVtl') & VTL_BITS;
  return vtl === 0 || vtl === USE_VTL ? undefined : 'there is no virtual trust level but 0';
}

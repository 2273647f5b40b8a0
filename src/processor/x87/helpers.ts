import type { SystemHelper } from '../system/context.ts';
import { arithmeticHelpers } from './arithmetic.ts';
import { compareHelpers } from './compare.ts';
import { controlHelpers } from './control.ts';
import { emms } from './emms.ts';
import { extract } from './extract.ts';
import { moveHelpers } from './moves.ts';
import { remainderHelpers } from './remainder.ts';
import { stateImageHelpers } from './state-image.ts';
import { transcendentalHelpers } from './transcendental/helpers.ts';

/** The instructions of the x87 unit, by the names that their definitions give. */
export const x87Helpers: Readonly<Record<string, SystemHelper>> = {
  ...arithmeticHelpers,
  ...compareHelpers,
  ...controlHelpers,
  ...moveHelpers,
  ...remainderHelpers,
  ...stateImageHelpers,
  ...transcendentalHelpers,
  x87_extract: extract,
  emms,
};

import { noIntercepts } from '../processor/intercepts.ts';
import type { InterceptSet } from '../processor/processor.ts';

/** Turns all optional exits off. */
export function clearIntercepts(intercepts: InterceptSet): void {
  Object.assign(intercepts, noIntercepts());
}

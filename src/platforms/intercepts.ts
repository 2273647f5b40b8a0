import { type InterceptSet, noIntercepts } from '../processor/intercepts.ts';

/** Turns all optional exits off. */
export function clearIntercepts(intercepts: InterceptSet): void {
  Object.assign(intercepts, noIntercepts());
}

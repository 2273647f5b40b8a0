import { EXIT_REASONS, type ExitReason } from '../../processor/exit.ts';

const NUMBERS = new Map(EXIT_REASONS.map((reason, index) => [reason, index]));

/** A reason's place in {@link EXIT_REASONS}. */
export function reasonNumber(reason: ExitReason): number {
  return NUMBERS.get(reason) ?? 0;
}

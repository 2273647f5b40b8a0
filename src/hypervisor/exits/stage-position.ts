import { STAGE_POSITIONS } from './generated/stage-positions.ts';

/** Where a stage of an exit handler is in the sources that ship with the program. */
export interface StagePosition {
  /** From the project's folder, with forward slashes. */
  readonly path: string;
  /** From 1. */
  readonly line: number;
  /** Name of the generator function around it. */
  readonly function: string;
}

/** The source position of a stage; undefined for an id that no source has. */
export function stagePosition(id: string): StagePosition | undefined {
  return Object.hasOwn(STAGE_POSITIONS, id) ? STAGE_POSITIONS[id] : undefined;
}

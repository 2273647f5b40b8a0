import { STAGE_POSITIONS } from '../../hypervisor/exits/generated/stage-positions.ts';
import type { StageValue } from '../../stages/stage.ts';
import type { BreakpointRules } from './breakpoint.ts';

/** A breakpoint in the source of an exit handler: it stops where a handler reaches one of the stages. */
export interface StageBreakpoint extends BreakpointRules {
  readonly id: number;
  readonly stages: readonly string[];
  /** What a stage must show for it to be meant; any values when missing. */
  readonly where?: Readonly<Record<string, StageValue>>;
}

/** Whether a breakpoint means a stage with these values. */
export function isStageMeant(
  { stages, where = {} }: Pick<StageBreakpoint, 'stages' | 'where'>,
  { id, values }: { readonly id: string; readonly values: Readonly<Record<string, StageValue>> },
): boolean {
  return stages.includes(id) && Object.entries(where).every(([name, value]) => values[name] === value);
}

/** Lines of a handler's source on which a stage is, sorted. The path is from the project's folder. */
export function stageLines(path: string): readonly number[] {
  const lines = Object.values(STAGE_POSITIONS)
    .filter((position) => position.path === path)
    .map(({ line }) => line);
  return [...new Set(lines)].sort((a, b) => a - b);
}

/** Sources of the exit handlers that can serve a guest of a platform, sorted. Paths are from the project's folder. */
export function handlerSources(platform: string): readonly string[] {
  const paths = new Set(Object.values(STAGE_POSITIONS).map(({ path }) => path));
  const isOther = (path: string) => path.startsWith('src/platforms/') && !path.startsWith(`src/platforms/${platform}/`);
  return [...paths].filter((path) => !isOther(path)).sort();
}

/** Stages at a line of a handler's source, or at the next line that has some. */
export function stagesAt(path: string, line: number): { readonly line: number; readonly stages: readonly string[] } {
  const found = stageLines(path).find((candidate) => candidate >= line);
  if (found === undefined) return { line, stages: [] };
  const stages = Object.entries(STAGE_POSITIONS)
    .filter(([, position]) => position.path === path && position.line === found)
    .map(([id]) => id);
  return { line: found, stages };
}

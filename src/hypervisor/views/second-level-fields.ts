import type { InspectNode } from '../../devices/inspect.ts';
import type { InterceptSettings } from '../intercepts/settings.ts';
import { type DirtyLog, PML_ENTRIES } from '../second-level/dirty-log.ts';
import { eptPointer } from '../second-level/ept.ts';
import { nestedCr3 } from '../second-level/npt.ts';
import type { SecondLevelMap } from '../second-level/second-level-map.ts';
import { field } from './fields.ts';

/** What a partition has of second-level translation. */
export interface SecondLevelParts {
  readonly secondLevel: SecondLevelMap;
  readonly dirtyLog: DirtyLog;
}

/** Fields of a vCPU's VMCS; none where there is no partition around it. */
export function vmcsSecondLevel(vcpu: number, parts: SecondLevelParts | undefined): InspectNode[] {
  if (parts === undefined) return [];
  const { secondLevel, dirtyLog } = parts;
  const flags = secondLevel.hasFlags ? ', accessed and dirty flags' : '';
  const pointer = field('EPT pointer', 0x201a, eptPointer(secondLevel), `WB, 4 levels${flags}`);
  if (dirtyLog.method !== 'pml') return [pointer];
  // It counts down from the last entry; below 0 the log is full.
  return [pointer, field('PML index', 0x0812, (PML_ENTRIES - 1 - dirtyLog.pending(vcpu)) & 0xffff)];
}

/** The settings with what the dirty log needs of them. */
export function withDirtyLog(settings: InterceptSettings, parts: SecondLevelParts | undefined): InterceptSettings {
  if (parts?.dirtyLog.method !== 'pml') return settings;
  return { ...settings, on: new Set([...settings.on, 'page-modification-log']) };
}

/** Fields of a VMCB's control area. */
export function vmcbSecondLevel(parts: SecondLevelParts | undefined): InspectNode[] {
  return parts === undefined ? [] : [field('nCR3', 0xb0, nestedCr3(parts.secondLevel))];
}

import type { ExitDetail } from '../../../processor/exit.ts';
import type { OverlayPage, Overlays } from './overlays.ts';

type Violation = Extract<ExitDetail, { readonly reason: 'second-level-violation' }>;

/** The overlay page that a guest may not write to but wanted to; undefined for other violations. */
export function refusedOverlay(overlays: Overlays, { gpa, access }: Violation): OverlayPage | undefined {
  const page = access.endsWith('write') ? overlays.at(gpa) : undefined;
  return page?.writable === false ? page : undefined;
}

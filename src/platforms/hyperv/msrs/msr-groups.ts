import type { Hyperv } from '../hyperv.ts';
import { ApicAccess } from './apic-access.ts';
import { CrashMsrs } from './crash.ts';
import { HypercallPage } from './hypercall-page.ts';
import type { MsrGroup } from './msr-group.ts';
import { Power } from './power.ts';
import { Reenlightenment } from './reenlightenment.ts';
import { ReferenceTime } from './reference-time.ts';
import { SyntheticDebugger } from './synthetic-debugger.ts';
import { UnhaltedTimers } from './unhalted-timer.ts';
import { VpAssistPages } from './vp-assist.ts';
import { VpState } from './vp-state.ts';

/** The MSRs of a partition but those of its synthetic interrupt controllers and timers, and what else is asked of some of them. */
export interface UsualMsrs {
  readonly hypercallPage: HypercallPage;
  readonly time: ReferenceTime;
  readonly assists: VpAssistPages;
  readonly unhaltedTimers: UnhaltedTimers;
  readonly debugger: SyntheticDebugger;
  readonly groups: readonly MsrGroup[];
}

export function usualMsrs(hyperv: Hyperv): UsualMsrs {
  const hypercallPage = new HypercallPage(hyperv);
  const time = new ReferenceTime(hyperv);
  const assists = new VpAssistPages(hyperv);
  const unhaltedTimers = new UnhaltedTimers(hyperv, assists);
  const debugging = new SyntheticDebugger(hyperv);
  const named = { hypercallPage, time, assists, unhaltedTimers, debugger: debugging };
  const others = [new VpState(), new ApicAccess(hyperv), new Power(hyperv), new Reenlightenment(), new CrashMsrs(hyperv)];
  return { ...named, groups: [...Object.values(named), ...others] };
}

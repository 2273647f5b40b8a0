import { applyIntercepts } from '../../../src/hypervisor/intercepts/derive.ts';
import { type InterceptSettings, interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { RunResult, VmExit } from '../../../src/processor/exit.ts';
import { At, type Mode, SystemMachine } from '../../processor/system/machine.ts';
import { codeOf } from '../../processor/translator/programs.ts';

export type Vendor = 'intel' | 'amd';
export const VENDORS: readonly Vendor[] = ['intel', 'amd'];

/** Both tiers of the processor: code that is never translated, and code that soon is. */
export const TIERS = { interpreter: { threshold: 0 }, translator: { threshold: 3 } } as const;
export type Tier = keyof typeof TIERS;
export const TIER_NAMES = Object.keys(TIERS) as Tier[];

/** A vCPU of a vendor whose inputs are those of the machine, with a program and with settings. */
export class InterceptedGuest extends SystemMachine {
  constructor(vendor: Vendor, source: string, tier: Tier = 'interpreter', mode: Mode = 'long') {
    super(mode, vendor, TIERS[tier], 'max');
    const bits = mode.startsWith('long') ? 64 : mode === 'real' ? 16 : 32;
    this.memory.write(BigInt(At.CODE), codeOf(`bits ${bits}\n${source}`));
    this.intercept(interceptSettings());
  }

  intercept(settings: InterceptSettings): void {
    applyIntercepts(this.processor, settings, this.vendor, 'physical');
  }

  /** Runs to the next exit; fails for any other end. */
  exit(budget = 1_000_000): VmExit {
    const result = this.processor.run(budget);
    if (result.kind !== 'exit') throw new Error(`expected an exit, not ${JSON.stringify(result)}`);
    return result.exit;
  }

  /** Exits up to HLT, each done as bare hardware would. */
  exitsToHalt(most = 1000): VmExit[] {
    const exits: VmExit[] = [];
    for (;;) {
      const result: RunResult = this.processor.run(1_000_000);
      if (result.kind === 'halted') return exits;
      if (result.kind !== 'exit' || exits.length >= most) throw new Error(`no HLT but ${JSON.stringify(result.kind)}`);
      exits.push(result.exit);
      this.processor.performNatively();
    }
  }
}

import type { InspectNode } from '../../../devices/inspect.ts';
import type { Processor } from '../../../processor/processor.ts';
import type { Handler } from '../../../stages/stage.ts';
import { isSyntheticRange, syntheticMsr } from '../abi/msrs.ts';
import { grantOf, privilegeName } from '../abi/privileges.ts';
import { type Hyperv, hasPrivilege } from '../hyperv.ts';
import type { MsrGroup } from './msr-group.ts';
import type { SyntheticMsrs } from './synthetic-msrs.ts';

/** The synthetic MSRs of a partition, as its privileges let it have them: those of several groups. */
export class PartitionMsrs implements SyntheticMsrs {
  private readonly groupOf = new Map<number, MsrGroup>();

  constructor(
    private readonly hyperv: Pick<Hyperv, 'machine' | 'privileges'>,
    private readonly groups: readonly MsrGroup[],
  ) {
    for (const group of groups) for (const msr of group.msrs) this.groupOf.set(msr, group);
  }

  knows(msr: number): boolean {
    return isSyntheticRange(msr);
  }

  refusal(msr: number, isWrite: boolean): string | undefined {
    const row = syntheticMsr(msr);
    const why = this.problemOf(msr, isWrite);
    if (row?.privilege !== undefined && why !== undefined && !hasPrivilege(this.hyperv, row.privilege)) {
      const grant = grantOf(row.privilege);
      if (grant !== undefined) this.hyperv.machine.door.ask(grant, () => `${row.name}, a synthetic MSR`);
    }
    return why;
  }

  private problemOf(msr: number, isWrite: boolean): string | undefined {
    const row = syntheticMsr(msr);
    if (row === undefined) return 'there is no such MSR';
    if (row.privilege !== undefined && !hasPrivilege(this.hyperv, row.privilege))
      return `${row.name} takes the privilege ${privilegeName(row.privilege)}`;
    if (!this.groupOf.has(msr)) return `${row.name} isn't offered`;
    if (isWrite ? row.access === 'read' : row.access === 'write') return `${row.name} cannot be ${isWrite ? 'written' : 'read'}`;
    return undefined;
  }

  read(processor: Processor, msr: number): bigint | undefined {
    if (this.problemOf(msr, false) !== undefined) return undefined;
    return this.groupOf.get(msr)?.read(processor, msr);
  }

  write(processor: Processor, msr: number, value: bigint): boolean {
    if (this.problemOf(msr, true) !== undefined) return false;
    return this.groupOf.get(msr)?.write(processor, msr, value) ?? false;
  }

  *writeInStages(processor: Processor, msr: number, value: bigint): Handler<boolean> {
    if (this.problemOf(msr, true) !== undefined) return false;
    const group = this.groupOf.get(msr);
    if (group?.writeInStages) return yield* group.writeInStages(processor, msr, value);
    return group?.write(processor, msr, value) ?? false;
  }

  /** A vCPU after a reset; that of vCPU 0 is the partition's, too. */
  reset(vcpu: number): void {
    for (const group of this.groups) group.reset?.(vcpu);
  }

  inspect(): readonly InspectNode[] {
    return this.groups.flatMap((group) => group.inspect?.() ?? []);
  }
}

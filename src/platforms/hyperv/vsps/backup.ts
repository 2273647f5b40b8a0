import type { InspectNode } from '../../../devices/inspect.ts';
import { hex } from '../../../x86/address.ts';
import { type IcEnvelope, IcMessage, IcStatus, VSS_SIZE, VssOperation, version, vssOperationName } from '../abi/integration.ts';
import type { IntegrationService } from './integration-component.ts';

/** What the host asks for: that the guest's file systems stand still, that they go on, or both, one behind the other. */
export const BACKUP_REQUESTS = ['once', 'freeze', 'thaw'] as const;
export type BackupRequest = (typeof BACKUP_REQUESTS)[number];

/** Before it freezes, a guest is asked whether it can. */
const STEPS: Readonly<Record<BackupRequest, readonly number[]>> = {
  once: [VssOperation.HOT_BACKUP, VssOperation.FREEZE, VssOperation.THAW],
  freeze: [VssOperation.HOT_BACKUP, VssOperation.FREEZE],
  thaw: [VssOperation.THAW],
};

/**
 * Has the guest bring its disks into a state that a backup can be made of (Linux: hv_snapshot.c): its file systems write out what they have
 * and stand still until they are thawed. What a disk's image has then, its next start finds in order.
 */
export class Backup implements IntegrationService {
  readonly name = 'vss';
  readonly messageType = IcMessage.VSS;
  readonly versions = [version(5)];
  private steps: number[] = [];
  /** What the guest was asked and hasn't answered yet. */
  private pending: number | undefined;
  private outcome = 'not asked';
  private isFrozen = false;
  private frozenTimes = 0;

  constructor(private readonly ask: (body: Uint8Array) => boolean) {}

  begin(): readonly Uint8Array[] {
    return [];
  }

  /** Linux's driver takes one request at a time: one that comes meanwhile is passed over. */
  request(request: BackupRequest): void {
    if (this.pending !== undefined) return;
    this.steps = [...STEPS[request]];
    for (const body of this.next()) this.ask(body);
  }

  private next(): readonly Uint8Array[] {
    this.pending = this.steps.shift();
    if (this.pending === undefined) return [];
    this.outcome = `asked: ${vssOperationName(this.pending)}`;
    const body = new Uint8Array(VSS_SIZE);
    body[0] = this.pending;
    return [body];
  }

  answered({ status }: IcEnvelope): readonly Uint8Array[] {
    const { pending } = this;
    if (pending === undefined) return [];
    this.pending = undefined;
    if (status !== IcStatus.OK) {
      this.steps = [];
      this.outcome = `the guest refuses ${vssOperationName(pending)}: ${hex(status)}`;
      return [];
    }
    if (pending === VssOperation.FREEZE) this.frozenTimes++;
    if (pending !== VssOperation.HOT_BACKUP) this.isFrozen = pending === VssOperation.FREEZE;
    this.outcome = `done: ${vssOperationName(pending)}`;
    return this.next();
  }

  end(): void {
    this.steps = [];
    this.pending = undefined;
    this.outcome = 'not asked';
    this.isFrozen = false;
    this.frozenTimes = 0;
  }

  inspect(): readonly InspectNode[] {
    const times = `frozen ${this.frozenTimes} ${this.frozenTimes === 1 ? 'time' : 'times'}`;
    return [
      { name: 'request', value: this.outcome },
      { name: 'file systems', value: this.isFrozen ? 'frozen' : 'running', detail: times },
    ];
  }
}

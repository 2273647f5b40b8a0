import type { InspectNode } from '../../../devices/inspect.ts';
import { hex } from '../../../x86/address.ts';
import { type DoorbellMatch, describeMatch } from './connection-information.ts';
import type { Connection } from './connections.ts';
import type { DoorbellPort } from './ports.ts';

/** Pages of the partition that rings: those with a doorbell are to it as if nothing were mapped there. */
export interface DoorbellPages {
  /** Takes a page out of the partition's view, by its number. */
  hide(page: bigint): void;
  /** Gives it back what is mapped there. */
  show(page: bigint): void;
}

/** A connection to a doorbell port: a write of the partition to a guest physical address tells the port's partition of the port. */
export class Doorbell implements Connection {
  readonly kind = 'doorbell';

  constructor(
    readonly port: DoorbellPort,
    readonly match: DoorbellMatch,
    private readonly doorbells: Doorbells,
  ) {}

  disconnected(): void {
    this.doorbells.remove(this);
    this.port.disconnected();
  }
}

/** The doorbells that a partition can ring. Several may be at one address, for values of their own (WHvRegisterPartitionDoorbellEvent). */
export class Doorbells {
  private readonly byAddress = new Map<bigint, Doorbell[]>();
  /** How many are in a page, by its number. */
  private readonly perPage = new Map<bigint, number>();

  /** `pages`: none where no guest has made the partition, which then can have no doorbells. */
  constructor(private readonly pages: DoorbellPages | undefined) {}

  get canBe(): boolean {
    return this.pages !== undefined;
  }

  /** The doorbell that a write could mean as well as the new one; undefined where there is none. */
  rivalOf({ gpa, size, value }: DoorbellMatch): Doorbell | undefined {
    return this.byAddress
      .get(gpa)
      ?.find(({ match }) => match.size !== size || match.value === undefined || value === undefined || match.value === value);
  }

  add(doorbell: Doorbell): void {
    const { gpa } = doorbell.match;
    this.byAddress.set(gpa, [...(this.byAddress.get(gpa) ?? []), doorbell]);
    const page = gpa >> 12n;
    const count = this.perPage.get(page) ?? 0;
    this.perPage.set(page, count + 1);
    if (count === 0) this.pages?.hide(page);
  }

  remove(doorbell: Doorbell): void {
    const { gpa } = doorbell.match;
    const there = this.byAddress.get(gpa);
    if (!there?.includes(doorbell)) return;
    const left = there.filter((each) => each !== doorbell);
    if (left.length > 0) this.byAddress.set(gpa, left);
    else this.byAddress.delete(gpa);
    const page = gpa >> 12n;
    const count = (this.perPage.get(page) ?? 1) - 1;
    if (count > 0) {
      this.perPage.set(page, count);
      return;
    }
    this.perPage.delete(page);
    this.pages?.show(page);
  }

  /** The doorbell that a write rings. `value` is zero-extended. */
  find(gpa: bigint, size: number, value: bigint): Doorbell | undefined {
    return this.byAddress
      .get(gpa)
      ?.find(({ match }) => (match.size === 0 || match.size === size) && (match.value === undefined || match.value === value));
  }

  inspect(): InspectNode {
    const children = [...this.byAddress.values()].flat().map(
      ({ match, port }): InspectNode => ({
        name: hex(match.gpa),
        value: `port ${port.id} of partition ${port.owner.partitionId}`,
        detail: `${describeMatch(match)}${port.isDeleted ? ', but the port was deleted' : ''}`,
      }),
    );
    return { name: 'doorbells', value: `${children.length}`, children };
  }
}

import { hex } from '../../x86/address.ts';
import { type PartitionGrant, PRIVILEGES, type PrivilegeName } from './privileges.ts';

/** Makes the text of a request where somebody is going to read it. What it is made of doesn't change any more. */
type Asked = () => string;

/** What a refused request was about: a privilege, or something that no partition has (`memory` without RAM or device …). */
export type RequestSubject = PrivilegeName | 'ports' | 'memory' | 'vcpus';

/** The part of a partition's configuration that lets requests about a subject through; undefined for what no partition gets. */
export function grantedBy(subject: string | undefined): 'privileges' | 'ports' | undefined {
  if (subject === 'ports') return 'ports';
  return PRIVILEGES.some(({ name }) => name === subject) ? 'privileges' : undefined;
}

/** A request of a partition that was refused. */
export interface Refusal {
  readonly subject: RequestSubject;
  /** What was asked: `an interrupt, vector 0x40, to APIC id 0x9`. */
  readonly asked: Asked;
  /** Why not, as the end of a sentence: `no vCPU of the partition has it`. */
  readonly why: string;
}

/**
 * The one door that a partition's requests to the hypervisor go through: what its grant doesn't have, or what isn't there for it, is
 * refused here and told to whoever keeps the journals.
 */
export class RequestDoor {
  constructor(
    readonly grant: PartitionGrant,
    private readonly refused: (refusal: Refusal) => void,
  ) {}

  /** Whether the partition has a privilege. If not, the request is refused. */
  ask(name: PrivilegeName, asked: Asked): boolean {
    if (this.grant.privileges.has(name)) return true;
    const grants = PRIVILEGES.find((row) => row.name === name)?.grants ?? name;
    this.refuse(name, asked, `it needs the privilege ${name}, to ${grants}`);
    return false;
  }

  /** Whether the partition reaches all of these I/O ports. If not, the request is refused. */
  askForPorts(port: number, size: number, asked: Asked): boolean {
    const { ports } = this.grant.limits;
    if (ports === undefined) return true;
    const isReached = (at: number) => ports.some(({ first, last }) => at >= first && at <= last);
    for (let at = port; at < port + size; at++)
      if (!isReached(at & 0xffff)) {
        const which = at === port ? 'the port' : `its ${size} bytes touch port ${hex(at & 0xffff)}, which`;
        this.refuse('ports', asked, `${which} is not among those that it reaches`);
        return false;
      }
    return true;
  }

  /** Refuses what nobody could be given. */
  refuse(subject: RequestSubject, asked: Asked, why: string): void {
    this.refused({ subject, asked, why });
  }
}

import { buildDhcpReply, DhcpOption, type DhcpRequest, DhcpType, numberOption, word } from '../packets/dhcp.ts';
import { FIRST_GUEST, GATEWAY, LAST_GUEST, MTU, NAME_SERVER, NETMASK } from './subnet.ts';

/** Who has which address. */
export interface Lease {
  readonly mac: number;
  readonly ip: number;
  /** What the guest calls itself; empty where it doesn't say. */
  readonly name: string;
}

/** Seconds; long enough for a run. */
const LEASE_TIME = 86_400;
const MTU_VALUE = Uint8Array.of(MTU >> 8, MTU & 255);

/** The DHCP server of the user network (RFC 2131): each Ethernet address has an address of its own, for as long as the machine runs. */
export class DhcpServer {
  private leases: Lease[] = [];

  /** The answer to a client's message, and the address that it is for; undefined where there is none to give. */
  answer(request: DhcpRequest): { readonly bytes: Uint8Array; readonly ip: number } | undefined {
    switch (request.type) {
      case DhcpType.DISCOVER:
        return this.grant(request, DhcpType.OFFER);
      case DhcpType.REQUEST:
        return this.isMeant(request) ? this.grant(request, this.isRight(request) ? DhcpType.ACK : DhcpType.NAK) : undefined;
      case DhcpType.INFORM:
        return { bytes: this.reply(request, DhcpType.ACK, 0, false), ip: request.clientIp };
      case DhcpType.RELEASE:
      case DhcpType.DECLINE:
        // Nobody else needs the address.
        return undefined;
      default:
        return undefined;
    }
  }

  private isMeant({ options }: DhcpRequest): boolean {
    const server = numberOption(options, DhcpOption.SERVER);
    return server === undefined || server === GATEWAY;
  }

  /** Whether a client asks for the address that is its own. */
  private isRight(request: DhcpRequest): boolean {
    const wanted = numberOption(request.options, DhcpOption.REQUESTED_ADDRESS) ?? request.clientIp;
    return wanted === this.leaseOf(request)?.ip;
  }

  private grant(request: DhcpRequest, type: number): { readonly bytes: Uint8Array; readonly ip: number } | undefined {
    const lease = this.leaseOf(request);
    if (lease === undefined) return undefined;
    if (type === DhcpType.NAK) return { bytes: this.reply({ ...request, wantsBroadcast: true }, type, 0, false), ip: 0 };
    return { bytes: this.reply(request, type, lease.ip, true), ip: lease.ip };
  }

  /** Undefined when all addresses are taken. */
  private leaseOf({ mac, options }: DhcpRequest): Lease | undefined {
    const name = nameOf(options.get(DhcpOption.HOST_NAME));
    const index = this.leases.findIndex((lease) => lease.mac === mac);
    const known = this.leases[index];
    const ip = known?.ip ?? FIRST_GUEST + this.leases.length;
    if (ip > LAST_GUEST) return undefined;
    const lease = { mac, ip, name: name || (known?.name ?? '') };
    this.leases[index < 0 ? this.leases.length : index] = lease;
    return lease;
  }

  private reply(to: DhcpRequest, type: number, ip: number, isLease: boolean): Uint8Array {
    const isRefusal = type === DhcpType.NAK;
    const network = [
      [DhcpOption.SUBNET_MASK, word(NETMASK)],
      [DhcpOption.ROUTER, word(GATEWAY)],
      [DhcpOption.DNS, word(NAME_SERVER)],
      [DhcpOption.MTU, MTU_VALUE],
    ] as const;
    const lease = isLease ? ([[DhcpOption.LEASE_TIME, word(LEASE_TIME)]] as const) : [];
    return buildDhcpReply({ type, to, ip, serverIp: GATEWAY, options: isRefusal ? [] : [...network, ...lease] });
  }

  reset(): void {
    this.leases = [];
  }
  save(): readonly Lease[] {
    return [...this.leases];
  }
  restore(leases: readonly Lease[]): void {
    this.leases = [...leases];
  }
  /** The address that a guest has under this name. */
  find(name: string): number | undefined {
    return this.leases.find((lease) => lease.name === name)?.ip;
  }
}

/** A name that DNS can have too; empty for any other. */
function nameOf(value: Uint8Array | undefined): string {
  const text = value ? String.fromCharCode(...value).toLowerCase() : '';
  return /^[a-z\d]([a-z\d-]{0,61}[a-z\d])?$/.test(text) ? text : '';
}

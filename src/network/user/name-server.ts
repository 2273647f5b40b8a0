import { formatIp, parseIp } from '../packets/addresses.ts';
import { word } from '../packets/dhcp.ts';
import {
  buildDnsAnswer,
  buildDnsProblem,
  DnsCode,
  type DnsQuery,
  type DnsRecord,
  DnsType,
  encodeName,
  parseDns,
} from '../packets/dns.ts';

const REVERSE = '.in-addr.arpa';

/** The name server of the user network: it knows the names that the user gave and those of guests, and that there are no others. */
export class NameServer {
  constructor(
    /** Addresses by their names, which are in lower case. */
    private readonly hosts: ReadonlyMap<string, number>,
    private readonly findGuest: (name: string) => number | undefined,
  ) {}

  /** The answer to a message of a client; undefined for what isn't answered. */
  answer(bytes: Uint8Array): Uint8Array | undefined {
    const parsed = parseDns(bytes);
    if ('query' in parsed) return this.resolve(parsed.query);
    return parsed.problem && buildDnsProblem(parsed.problem);
  }

  private resolve(query: DnsQuery): Uint8Array {
    const records = query.name.endsWith(REVERSE) ? this.reverse(query) : this.forward(query);
    return records ? buildDnsAnswer(query, DnsCode.OK, records) : buildDnsAnswer(query, DnsCode.NO_SUCH_NAME);
  }

  /** Records of a name; none for a type that it has none of, undefined for a name that isn't known. */
  private forward({ name, type }: DnsQuery): readonly DnsRecord[] | undefined {
    const ip = this.hosts.get(name) ?? this.findGuest(name);
    if (ip === undefined) return undefined;
    return type === DnsType.A || type === DnsType.ANY ? [{ type: DnsType.A, value: word(ip) }] : [];
  }

  private reverse({ name, type }: DnsQuery): readonly DnsRecord[] | undefined {
    const ip = parseIp(name.slice(0, -REVERSE.length).split('.').reverse().join('.'));
    const found = ip === undefined ? undefined : [...this.hosts].find(([, address]) => address === ip)?.[0];
    if (found === undefined) return undefined;
    return type === DnsType.PTR || type === DnsType.ANY ? [{ type: DnsType.PTR, value: encodeName(found) }] : [];
  }

  /** `server.test = 10.0.2.2`. */
  describe(): readonly string[] {
    return [...this.hosts].map(([name, ip]) => `${name} = ${formatIp(ip)}`);
  }
}

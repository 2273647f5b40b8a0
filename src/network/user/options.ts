import type { FlowKind } from '../outside.ts';
import { parseIp } from '../packets/addresses.ts';
import { OwnService } from './own-services.ts';
import { FIRST_GUEST, GATEWAY, isInSubnet } from './subnet.ts';

/** A port of the user's machine that leads to one of the guest. */
export interface Forward {
  readonly kind: FlowKind;
  /** On the loopback address of the user's machine. */
  readonly hostPort: number;
  readonly guestIp: number;
  readonly guestPort: number;
}

/** A port of the gateway that leads to a service on the loopback address of the user's machine. */
export interface GuestForward {
  readonly kind: FlowKind;
  readonly port: number;
  /** More than a port can be: an own service of the network (own-services.ts). */
  readonly hostPort: number;
}

/** What the user says of a user network. */
export interface UserNetworkOptions {
  readonly forwards: readonly Forward[];
  readonly guestForwards: readonly GuestForward[];
  /** Addresses by names in lower case. */
  readonly hosts: ReadonlyMap<string, number>;
  /** What the gateway serves by HTTP, by names. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
}

/** Something that the user says of a network and that can't be. The message is the end of a sentence: what is wrong, how it should be. */
export class NetworkOptionError extends Error {}

const PORT = String.raw`\d{1,5}`;
const FORWARD = new RegExp(`^(tcp|udp):(${PORT}):(?:(\\d[\\d.]+):)?(${PORT})$`);
const GUEST_FORWARD = new RegExp(`^(tcp|udp):(${PORT})(?::(${PORT}|echo))?$`);
const HOST = /^([a-z\d]([a-z\d-]{0,61}[a-z\d])?(?:\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)*)(?:=([\d.]+))?$/i;

/** `tcp:8080:80`, or `tcp:8080:10.0.2.16:80` for another guest than the first one. Throws NetworkOptionError. */
export function parseForward(text: string): Forward {
  const match = FORWARD.exec(text);
  if (!match)
    throw new NetworkOptionError(`must be like tcp:8080:80 (a port of this machine, then one of the guest), not "${text}"`);
  const [, kind, hostPort, ip, guestPort] = match;
  const guestIp = ip === undefined ? FIRST_GUEST : parseIp(ip);
  if (guestIp === undefined || !isInSubnet(guestIp))
    throw new NetworkOptionError(`has ${ip} in "${text}", but guests have addresses such as 10.0.2.15`);
  return { kind: kindOf(kind), hostPort: portOf(hostPort, text), guestIp, guestPort: portOf(guestPort, text) };
}

/** `tcp:80:8000`, or `tcp:8000` for the same port on both sides; `tcp:7:echo` for what sends back what it gets. Throws NetworkOptionError. */
export function parseGuestForward(text: string): GuestForward {
  const match = GUEST_FORWARD.exec(text);
  if (!match)
    throw new NetworkOptionError(
      `must be like tcp:80:8000 (a port that the guest finds at 10.0.2.2, then one of this machine), not "${text}"`,
    );
  const [, kind, port, hostPort] = match;
  const target = hostPort === 'echo' ? OwnService.ECHO : portOf(hostPort ?? port, text);
  return { kind: kindOf(kind), port: portOf(port, text), hostPort: target };
}

/** `server.test=10.0.2.2`; the gateway's address where there is none. Throws NetworkOptionError. */
export function parseHost(text: string): readonly [name: string, ip: number] {
  const [, name, , , address] = HOST.exec(text) ?? [];
  const ip = address === undefined ? GATEWAY : parseIp(address);
  if (name === undefined || ip === undefined)
    throw new NetworkOptionError(`must be like server.test or server.test=10.0.2.2, not "${text}"`);
  return [name.toLowerCase(), ip];
}

function kindOf(text: string | undefined): FlowKind {
  return text === 'udp' ? 'udp' : 'tcp';
}

function portOf(text: string | undefined, whole: string): number {
  const port = Number(text);
  if (port >= 1 && port <= 0xffff) return port;
  throw new NetworkOptionError(`has the port ${text} in "${whole}", but ports are 1 to 65535`);
}

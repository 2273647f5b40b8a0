import { NetworkOptionError } from './user/options.ts';

/** A TCP port of this machine's loopback address that leads to a port at which the guest's sockets listen. */
export interface VsockForward {
  readonly hostPort: number;
  readonly port: number;
}

/** Ports of the user's machine and of sockets that lead to each other. */
export interface VsockPorts {
  readonly forwards: readonly VsockForward[];
  /** Ports of the host, as the guest sees it, that lead to TCP ports of this machine. */
  readonly guestForwards: readonly VsockForward[];
}

/** What a user says of the ports; undefined where nothing is said. */
export function vsockPortsOf(
  forwards: readonly VsockForward[] = [],
  guestForwards: readonly VsockForward[] = [],
): VsockPorts | undefined {
  return forwards.length + guestForwards.length > 0 ? { forwards, guestForwards } : undefined;
}

/** `8000:80`. Throws NetworkOptionError. */
export function parseVsockForward(text: string): VsockForward {
  const [hostPort, port] = pairOf(text, '8000:80 (a TCP port of this machine, then one of the guest)');
  return { hostPort: tcpPort(hostPort, text), port };
}

/** `90:9000`. Throws NetworkOptionError. */
export function parseVsockGuestForward(text: string): VsockForward {
  const [port, hostPort] = pairOf(text, '90:9000 (a port of the host for the guest, then a TCP port of this machine)');
  return { hostPort: tcpPort(hostPort, text), port };
}

function pairOf(text: string, example: string): readonly [number, number] {
  const [, first, second] = /^(\d{1,10}):(\d{1,10})$/.exec(text) ?? [];
  if (first === undefined || second === undefined || Number(first) > 0xffff_ffff || Number(second) > 0xffff_ffff)
    throw new NetworkOptionError(`must be like ${example}, not "${text}"`);
  return [Number(first), Number(second)];
}

function tcpPort(port: number, text: string): number {
  if (port >= 1 && port <= 65_535) return port;
  throw new NetworkOptionError(`has the TCP port ${port} in "${text}", but they are 1 to 65535`);
}

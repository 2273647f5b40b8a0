import { ECHO_PORT, EchoHost, type HostEvent, type ReachableHost, type SocketData } from '../devices/virtio/vsock/host.ts';
import { decodeEvent, type Outside, type OutsideEvent } from './outside.ts';
import type { VsockPorts } from './vsock-ports.ts';

/** Who connects from outside has a port from here on, by the number of the flow. */
const FIRST_CLIENT_PORT = 0x8000_0000;

/** The host of a guest's sockets: services on the loopback address of the user's machine, at ports that the user named, and the echo. */
export class LoopbackVsockHost implements ReachableHost {
  private readonly echo: EchoHost;
  /** Connections to the echo. */
  private readonly echoed = new Set<number>();

  constructor(
    private readonly ports: VsockPorts,
    private readonly outside: Outside & { readonly end?: () => void },
    private readonly happened: (event: HostEvent) => void,
  ) {
    this.echo = new EchoHost(happened);
  }

  get isOpen(): boolean {
    return this.ports.forwards.length + this.ports.guestForwards.length > 0;
  }

  open(connection: number, port: number, kind: 'stream' | 'seqpacket'): void {
    const forward = this.ports.guestForwards.find((each) => each.port === port);
    // TCP has no bounds of messages.
    if (forward && kind === 'stream') this.outside.open(connection, 'tcp', forward.hostPort);
    else {
      if (!forward && port === ECHO_PORT) this.echoed.add(connection);
      this.echo.open(connection, forward ? -1 : port);
    }
  }
  send(connection: number, data: SocketData): void {
    if (this.echoed.has(connection)) this.echo.send(connection, data);
    else this.outside.send(connection, data.bytes);
  }
  finish(connection: number): void {
    if (this.echoed.has(connection)) this.echo.finish(connection);
    else this.outside.finish(connection);
  }
  close(connection: number): void {
    if (!this.echoed.delete(connection)) this.outside.close(connection);
  }
  setFlowing(connection: number, isFlowing: boolean): void {
    if (!this.echoed.has(connection)) this.outside.setFlowing(connection, isFlowing);
  }

  input(bytes: Uint8Array): void {
    const event = decodeEvent(bytes);
    const translated = event && event.kind !== 'link' ? this.translate(event) : undefined;
    if (translated) this.happened(translated);
  }

  private translate(event: OutsideEvent): HostEvent | undefined {
    const { kind, flow: connection } = event;
    switch (kind) {
      case 'accepted': {
        const port = this.ports.forwards[event.forward]?.port;
        const hostPort = FIRST_CLIENT_PORT + connection;
        return port === undefined ? undefined : { kind: 'wants', connection, port, hostPort, type: 'stream' };
      }
      case 'data':
        return { kind, connection, bytes: event.bytes };
      case 'taken':
        return { kind, connection, count: event.count };
      default:
        return { kind, connection };
    }
  }

  disconnect(): void {
    this.outside.end?.();
  }
}

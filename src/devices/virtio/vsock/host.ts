/** Kinds of sockets: a stream of bytes, or of messages. */
export type SocketKind = 'stream' | 'seqpacket';

/** A piece of what goes through a connection. */
export interface SocketData {
  readonly bytes: Uint8Array;
  /** It ends a message, or a record: those of `seqpacket` alone have either. */
  readonly endsMessage?: boolean;
  readonly endsRecord?: boolean;
}

/**
 * What the guest's sockets reach on the host. A connection is called by a number: even ones are begun by the guest, odd ones by the host.
 * Calls have no answer: what comes of them enters as a {@link HostEvent}, at once or later.
 */
export interface VsockHost {
  /** The guest wants to connect to a port of the host: `connected` or `closed` follows. */
  open(connection: number, port: number, kind: SocketKind): void;
  /** The guest sent something: `taken` follows for its bytes. */
  send(connection: number, data: SocketData): void;
  /** The guest will send no more. */
  finish(connection: number): void;
  /** The connection is over. Nothing follows. */
  close(connection: number): void;
  /** Whether more may come for a guest that takes it slowly. */
  setFlowing(connection: number, isFlowing: boolean): void;
}

/** A host that reaches out of the machine: what happens there enters through the partition's input door, as bytes of its own. */
export interface ReachableHost extends VsockHost {
  input(bytes: Uint8Array): void;
  /** Something may come from outside. */
  readonly isOpen: boolean;
  /** The machine is gone: all that leads outside ends. */
  disconnect(): void;
}

/** What happens on the host. */
export type HostEvent =
  /** Somebody wants to connect to a port of the guest; `connection` is odd. `send` or `close` tells what came of it. */
  | {
      readonly kind: 'wants';
      readonly connection: number;
      readonly port: number;
      readonly hostPort: number;
      readonly type: SocketKind;
    }
  | { readonly kind: 'connected'; readonly connection: number }
  | ({ readonly kind: 'data'; readonly connection: number } & SocketData)
  /** So many more bytes of the guest's have been taken. */
  | { readonly kind: 'taken'; readonly connection: number; readonly count: number }
  /** No more will come. */
  | { readonly kind: 'finished'; readonly connection: number }
  | { readonly kind: 'closed'; readonly connection: number };

/** Where something listens on the host, in every machine with sockets. */
export const ECHO_PORT = 7;

/** A host on which nothing listens but a service that sends back what it is sent (RFC 862), at port 7. */
export class EchoHost implements VsockHost {
  constructor(private readonly happened: (event: HostEvent) => void) {}

  open(connection: number, port: number): void {
    this.happened({ kind: port === ECHO_PORT ? 'connected' : 'closed', connection });
  }
  send(connection: number, data: SocketData): void {
    this.happened({ kind: 'data', connection, ...data });
    this.happened({ kind: 'taken', connection, count: data.bytes.length });
  }
  finish(connection: number): void {
    this.happened({ kind: 'finished', connection });
  }
  close(): void {}
  setFlowing(): void {}
}

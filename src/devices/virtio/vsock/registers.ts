/** The socket device (virtio 1.2, 5.10). */
export const VsockFeature = { STREAM: 0, SEQPACKET: 1 } as const;

export const Queue = { RECEIVE: 0, TRANSMIT: 1, EVENT: 2 } as const;

/** The context that the host has; those of guests begin behind it. */
export const HOST_CID = 2n;
export const FIRST_GUEST_CID = 3;

/** Types of sockets. */
export const SocketType = { STREAM: 1, SEQPACKET: 2 } as const;

/** Operations of packets (5.10.6). */
export const Operation = {
  REQUEST: 1,
  RESPONSE: 2,
  RESET: 3,
  SHUTDOWN: 4,
  DATA: 5,
  CREDIT_UPDATE: 6,
  CREDIT_REQUEST: 7,
} as const;

/** Flags of SHUTDOWN: who sends it receives, or sends, no more. */
export const Shutdown = { RECEIVE: 1, SEND: 2, BOTH: 3 } as const;
/** Flags of DATA in a SEQPACKET socket: the end of a message, the end of a record. */
export const MessageFlag = { END: 1, RECORD: 2 } as const;

export const HEADER_SIZE = 44;
/** Bytes of data in a packet. */
export const LONGEST_DATA = 0x1_0000;
/** Bytes of a connection that the guest may have on their way to the host. */
export const HOST_BUFFER = 0x4_0000;

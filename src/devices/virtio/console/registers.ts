/** The console device (virtio 1.2, 5.3). */
export const ConsoleFeature = { SIZE: 0, MULTIPORT: 1, EMERGENCY_WRITE: 2 } as const;

/** Queues of port 0 and of the control messages; those of the other ports follow in pairs. */
export const Queue = { RECEIVE: 0, TRANSMIT: 1, CONTROL_RECEIVE: 2, CONTROL_TRANSMIT: 3 } as const;

/** The queue that a port receives by; the one behind it is that it transmits by. */
export const receiveQueueOf = (port: number): number => (port === 0 ? Queue.RECEIVE : 2 + 2 * port);

/** Columns and rows, two numbers of 16 bits; most ports; a character to print at once, each of 32 bits. */
export const CONFIGURATION_SIZE = 12;
export const Place = { COLUMNS: 0, ROWS: 2, MOST_PORTS: 4, EMERGENCY_WRITE: 8 } as const;

/** Size of the console until it is told another. */
export const COLUMNS = 80;
export const ROWS = 25;

/** Events of control messages (5.3.6.2): the first four columns of `struct virtio_console_control` are port, event, value. */
export const Event = {
  DEVICE_READY: 0,
  DEVICE_ADD: 1,
  DEVICE_REMOVE: 2,
  PORT_READY: 3,
  CONSOLE_PORT: 4,
  RESIZE: 5,
  PORT_OPEN: 6,
  PORT_NAME: 7,
} as const;
/** Port (32 bits), event and value (16 bits each). */
export const CONTROL_SIZE = 8;

/** The console device (virtio 1.2, 5.3). */
export const ConsoleFeature = { SIZE: 0 } as const;

export const Queue = { RECEIVE: 0, TRANSMIT: 1 } as const;

/** Columns and rows: two 16-bit numbers, then those of ports and of the emergency write, which aren't offered. */
export const CONFIGURATION_SIZE = 12;
export const COLUMNS = 80;
export const ROWS = 25;

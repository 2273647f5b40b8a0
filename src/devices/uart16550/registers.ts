/** Registers and bits of the 16550A (National Semiconductor PC16550D data sheet, table 2). Offsets from the base port. */

export const COM1 = { base: 0x3f8, irq: 4 } as const;

/** DLAB 0: RBR (read), THR (write); DLAB 1: divisor latch, low byte. */
export const DATA = 0;
/** DLAB 0: interrupt enable; DLAB 1: divisor latch, high byte. */
export const IER = 1;
/** Read: interrupt identification; write: FIFO control. */
export const IIR_FCR = 2;
export const LCR = 3;
export const MCR = 4;
export const LSR = 5;
export const MSR = 6;
export const SCR = 7;

export const Ier = { RECEIVED: 1, TRANSMIT_EMPTY: 2, LINE_STATUS: 4, MODEM_STATUS: 8 } as const;
/** Interrupt identification, without the FIFO bits 7:6. */
export const Iir = {
  NONE: 1,
  MODEM_STATUS: 0,
  TRANSMIT_EMPTY: 2,
  RECEIVED: 4,
  LINE_STATUS: 6,
  TIMEOUT: 0xc,
  FIFO_ON: 0xc0,
} as const;
export const Fcr = { ENABLE: 1, CLEAR_RECEIVER: 2, CLEAR_TRANSMITTER: 4 } as const;
export const Lcr = { BREAK: 0x40, DLAB: 0x80 } as const;
export const Mcr = { DTR: 1, RTS: 2, OUT1: 4, OUT2: 8, LOOPBACK: 0x10 } as const;
export const Lsr = { DATA_READY: 1, OVERRUN: 2, PARITY: 4, FRAMING: 8, BREAK: 0x10, THR_EMPTY: 0x20, IDLE: 0x40 } as const;
export const Msr = { DCTS: 1, DDSR: 2, TERI: 4, DDCD: 8, CTS: 0x10, DSR: 0x20, RI: 0x40, DCD: 0x80 } as const;

export const FIFO_SIZE = 16;
export const TRIGGER_LEVELS = [1, 4, 8, 14] as const;
/** Reference clock divided by 16: the baud rate of divisor 1. */
export const BASE_BAUD = 115_200;
